import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** HTTP/2 peers by node:http2. Everything ends with its test. */

export async function connect(t: TestContext, port: number, options: http2.ClientSessionOptions & http2.SecureClientSessionOptions = {}, scheme = 'http'): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { maxSendHeaderBlockLength: 1_000_000, maxSessionMemory: 1000, ...options })
  t.after(() => session.destroy())
  await new Promise<void>((ready, failed) => session.once('connect', () => ready()).once('error', failed))
  session.on('error', () => undefined)
  return session
}

export interface Http2Reply {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader
  readonly trailers: http2.IncomingHttpHeaders
  readonly body: Buffer
}

/** One request; rejects when the stream is reset. */
export function call(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: Buffer, trailers?: http2.OutgoingHttpHeaders): Promise<Http2Reply> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined && trailers === undefined, waitForTrailers: trailers !== undefined })
    const chunks: Buffer[] = []
    let got: Http2Reply['headers'] = {}
    let gotTrailers: http2.IncomingHttpHeaders = {}
    stream.on('response', (answer) => (got = answer))
    stream.on('trailers', (lines) => (gotTrailers = lines))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('close', () => resolve({ headers: got, trailers: gotTrailers, body: Buffer.concat(chunks) }))
    if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    if (body !== undefined || trailers !== undefined) stream.end(body)
  })
}

/** A server without TLS; `sessions` counts connections. */
export async function http2Server(t: TestContext, handler: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void, options: http2.ServerOptions = {}): Promise<{ readonly server: http2.Http2Server; readonly port: number; sessions(): number }> {
  const server = http2.createServer(options)
  let sessions = 0
  const open = new Set<http2.ServerHttp2Session>()
  server.on('session', (session) => {
    sessions += 1
    open.add(session)
    session.on('error', () => undefined)
    session.on('close', () => open.delete(session))
  })
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on('error', () => undefined)
    handler(stream, headers)
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => {
    for (const session of open) session.destroy()
    server.close()
  })
  return { server, port: (server.address() as AddressInfo).port, sessions: () => sessions }
}
