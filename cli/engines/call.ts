import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'
import { type Dial, thisMachine } from './hosts.ts'

/** One call, put so that nothing is left to find out: where to connect, and what to say there. */
export interface Call {
  readonly address: string
  readonly port: number
  readonly method: string
  readonly path: string
  readonly authority: string
  /** Of several values each is a line of its own. */
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body?: string
  /** A header of the PROXY protocol that goes before all else. */
  readonly proxyHeader?: Buffer
  /** Absent: plaintext. */
  readonly tls?: { readonly sni: string; readonly alpn: readonly string[]; readonly certificate?: string; readonly privateKey?: string; readonly version?: '1.2' | '1.3' | undefined; readonly cipher?: string | undefined; readonly curve?: string | undefined }
  /** Bytes that are no HTTP. */
  readonly bytes?: boolean
  /** Of bytes: none are said. */
  readonly silent?: boolean
  /** HTTP/1.1 in plaintext, or bytes, said one byte at a time. */
  readonly bytewise?: boolean
  /** HTTP/2 in plaintext. */
  readonly http2?: boolean
  /** The address of loopback that it comes from; absent: the system's choice. */
  readonly source?: string
  /** Opens the connection elsewhere than on this machine; each request then has one of its own. */
  readonly dial?: Dial
}

/** What the caller sees. `closed`: no answer, but an end. */
export type Answer =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string; readonly elapsedMs: number }
  | { readonly kind: 'closed'; readonly why: string; readonly elapsedMs: number }

const BODY_MAX = 1 << 20

/** Sends it, and answers with what came of it: an error of the connection is an outcome. What says nothing for so long is closed. */
export async function send(call: Call, agent: http.Agent | undefined, withinMs: number): Promise<Answer> {
  const startedMs = performance.now()
  const elapsedMs = (): number => performance.now() - startedMs
  try {
    const own = call.tls !== undefined || call.http2 === true || call.bytes === true || call.proxyHeader !== undefined || call.bytewise === true || call.dial !== undefined
    const plain = own ? await dial(call) : undefined
    const secured = plain === undefined || call.tls === undefined ? undefined : await connectTls(plain, call.tls, withinMs)
    const http2 = secured?.alpnProtocol === 'h2' ? secured : call.http2 === true ? plain : undefined
    const socket = secured ?? plain
    const answer = call.bytes === true && socket !== undefined ? await overBytes(socket, call, withinMs) : call.bytewise === true && plain !== undefined ? await overHttpBytewise(call, plain, withinMs) : http2 !== undefined ? await overHttp2(call, http2, withinMs) : await overHttp1(call, socket, agent, withinMs)
    return { kind: 'answer', ...answer, elapsedMs: elapsedMs() }
  } catch (error) {
    return { kind: 'closed', why: error instanceof Error ? error.message : String(error), elapsedMs: elapsedMs() }
  }
}

const from = ({ source }: Call): { localAddress?: string } => (source === undefined ? {} : { localAddress: source })

/** A connection, behind its PROXY header if it has one. */
async function dial(call: Call): Promise<net.Socket> {
  const socket = await (call.dial ?? thisMachine.dial)(call.address, call.port, call.source)
  if (call.proxyHeader !== undefined) socket.write(call.proxyHeader)
  return socket
}

type Got = Omit<Extract<Answer, { kind: 'answer' }>, 'kind' | 'elapsedMs'>

function connectTls(plain: net.Socket, of: NonNullable<Call['tls']>, withinMs: number): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      socket: plain,
      ...(of.sni === '' ? {} : { servername: of.sni }),
      ALPNProtocols: [...of.alpn],
      // Who answers is told by the answer; certificates are made for the run.
      rejectUnauthorized: false,
      ...(of.version === undefined ? {} : { minVersion: `TLSv${of.version}`, maxVersion: `TLSv${of.version}` }),
      ...(of.cipher === undefined ? {} : { ciphers: of.cipher }),
      ...(of.curve === undefined ? {} : { ecdhCurve: of.curve }),
      ...(of.certificate === undefined ? {} : { cert: of.certificate, key: of.privateKey }),
    })
    socket.setTimeout(withinMs, () => socket.destroy(new Error('no answer in time')))
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed within the handshake')))
  })
}

function overHttp1(call: Call, socket: net.Socket | undefined, agent: http.Agent | undefined, withinMs: number): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        method: call.method,
        path: call.path,
        headers: { host: call.authority, ...call.headers },
        setHost: false,
        timeout: withinMs,
        ...(socket === undefined ? { host: call.address, port: call.port, ...from(call), agent: agent ?? false } : { createConnection: () => socket }),
      },
      (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body = (body + chunk.toString()).slice(0, BODY_MAX)))
        response.on('error', reject)
        response.on('end', () => {
          socket?.destroy()
          resolve({ status: response.statusCode ?? 0, headers: flat(response.headers), body })
        })
      },
    )
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', reject)
    request.end(call.body)
  })
}

function overHttp2(call: Call, socket: net.Socket, withinMs: number): Promise<Got> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`${call.http2 === true ? 'http' : 'https'}://${call.authority}`, { createConnection: () => socket })
    session.on('error', reject)
    session.setTimeout(withinMs, () => session.destroy(new Error('no answer in time')))
    const stream = session.request({ ':method': call.method, ':path': call.path, ':authority': call.authority, ...call.headers }, { endStream: call.body === undefined })
    if (call.body !== undefined) stream.end(call.body)
    let head: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {}
    let body = ''
    stream.on('response', (headers) => (head = headers))
    stream.on('data', (chunk: Buffer) => (body = (body + chunk.toString()).slice(0, BODY_MAX)))
    stream.on('error', reject)
    stream.on('end', () => {
      session.destroy()
      if (head[':status'] === undefined) reject(new Error('the stream ended without an answer'))
      else resolve({ status: head[':status'], headers: flat(head), body })
    })
    stream.on('close', () => reject(new Error('the stream was closed')))
  })
}

/** A line there and a line back; the application answers with its name. */
function overBytes(socket: net.Socket, { silent, bytewise }: Call, withinMs: number): Promise<Got> {
  return new Promise((resolve, reject) => {
    let body = ''
    socket.setTimeout(withinMs, () => socket.destroy(new Error('no answer in time')))
    socket.on('data', (chunk: Buffer) => (body += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => (body === '' ? reject(new Error('closed without a byte')) : resolve({ status: 0, headers: {}, body })))
    if (bytewise === true) void writeBytewise(socket, 'hello\n')
    else if (silent !== true) socket.write('hello\n')
    else socket.resume()
  })
}

/** Each byte in a packet of its own, as far as the system lets it. */
async function writeBytewise(socket: net.Socket, text: string): Promise<void> {
  socket.setNoDelay(true)
  for (const byte of text) {
    if (socket.destroyed) return
    await new Promise<void>((sent) => socket.write(byte, () => setImmediate(sent)))
  }
}

function overHttpBytewise(call: Call, socket: net.Socket, withinMs: number): Promise<Got> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.setTimeout(withinMs, () => socket.destroy(new Error('no answer in time')))
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => {
      const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s)
      const [line = '', ...fields] = head.split('\r\n')
      const status = /^HTTP\/1\.1 (\d{3})/.exec(line)?.[1]
      if (status === undefined) reject(new Error('closed without an answer'))
      else resolve({ status: Number(status), headers: Object.fromEntries(fields.map((one) => [one.slice(0, one.indexOf(':')).toLowerCase(), one.slice(one.indexOf(':') + 1).trim()])), body })
    })
    const fields = Object.entries({ host: call.authority, ...call.headers, connection: 'close' }).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`))
    void writeBytewise(socket, `${call.method} ${call.path} HTTP/1.1\r\n${fields.join('')}\r\n`)
  })
}

const flat = (headers: http.IncomingHttpHeaders | http2.IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (value === undefined || name.startsWith(':') ? [] : [[name, Array.isArray(value) ? value.join(',') : String(value)]])))
