import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'
import type { WorkloadWords } from '#core/contract/requests-file.ts'
import { authorize } from './authorizer.ts'
import { type Host, thisMachine } from './hosts.ts'
import { wasmModule } from './wasm-module.ts'
import { onFirstBytes, type ProxyHeader } from './first-bytes.ts'

/** What an application does with a request that bears an id; it echoes what has no behaviour. */
export interface Behaviour {
  readonly status?: number | undefined
  readonly delayMs?: number | undefined
  /** Closes the connection instead of an answer. */
  readonly reset?: boolean | undefined
  /** So many requests, and then as always; absent: all. */
  readonly times?: number | undefined
  /** By the names of their workloads; absent: all. */
  readonly on?: readonly string[] | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A message of gRPC with its name, and this status in trailers. */
  readonly grpc?: number | undefined
  /** Told of each request; its answer waits for what comes back. */
  readonly held?: (() => Promise<void>) | undefined
  /** Leaves a connection without HTTP open. */
  readonly holds?: boolean | undefined
}

/** A connection as an application has it. */
export interface Arrival {
  /** `ADDRESS:PORT` of whoever dialled. */
  readonly peer: string
  readonly tls: { readonly sni: string; readonly clientCertificate: boolean } | undefined
  readonly proxyHeader: ProxyHeader | undefined
  /** Whether a PING of HTTP/2 has come on it by now. */
  readonly pinged?: () => boolean
}

/** One request as an application saw it. */
export interface Receipt {
  readonly workload: string
  readonly address: string
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly headers: Readonly<Record<string, string>>
  readonly protocol: 'http/1.1' | 'h2' | 'bytes'
  readonly arrival: Arrival
}

/** A key and certificates as PEM, and the authorities that client certificates must lead to. */
export interface ServedCertificate {
  readonly certificate: string
  readonly privateKey: string
  readonly clientAuthorities?: string
}

/** The headers by which an application's answer is told from a proxy's. */
export const WORKLOAD_HEADER = 'x-echo-workload'
/** What the caller's certificate is for, where it showed one. */
const KEPT_ALIVE_MS = 60_000
const CERTIFICATE_HEADER = 'x-echo-client-certificate'
const idOf = (userAgent: string | undefined): string => userAgent ?? ''

/** What connections without HTTP are filed under: they bear no id. */
export const BYTES = 'bytes'
/** Paths of OTLP over gRPC and over HTTP (opentelemetry-proto), of Envoy's access log service, and of Zipkin's collector: what is sent there is kept as bytes. */
const COLLECTOR_PATHS = /^\/(opentelemetry\.proto\.collector\.|envoy\.service\.accesslog\.|v1\/(traces|logs)$|api\/v2\/spans$)/
/** Its calls are streams that may never end. */
const LOG_STREAM_PATH = /^\/envoy\.service\.accesslog\./

const METHODS = /^(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) /
const HTTP2_PREFACE = 'PRI * HTTP/2.0'
const TLS_HANDSHAKE = 0x16

type Asked = http.IncomingMessage | http2.Http2ServerRequest
type Answering = http.ServerResponse | http2.Http2ServerResponse

const shownBy = (socket: net.Socket | tls.TLSSocket): string | undefined => (socket instanceof tls.TLSSocket ? socket.getPeerCertificate().subjectaltname : undefined)

/** A message of gRPC: uncompressed, behind its length. */
function grpcMessage(text: string): Buffer {
  const message = Buffer.from(`\0\0\0\0\0${text}`)
  message.writeUInt32BE(message.length - 5, 1)
  return message
}

/** Takes the whole messages of gRPC out of what came of a stream; what comes of the next one stays. */
function takeMessages(chunks: Buffer[]): string[] {
  const found: string[] = []
  let bytes = Buffer.concat(chunks)
  while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
    const end = 5 + bytes.readUInt32BE(1)
    found.push(bytes.subarray(5, end).toString('latin1'))
    bytes = bytes.subarray(end)
  }
  chunks.splice(0, chunks.length, bytes)
  return found
}

/** Small applications, one a workload: each answers with its name and with what it was asked, in HTTP/1.1, HTTP/2, TLS around either, or plain bytes. */
export class Applications {
  readonly #receipts = new Map<string, Receipt[]>()
  readonly #behaviours = new Map<string, { readonly behaviour: Behaviour; done: number }>()
  readonly #servers: net.Server[] = []
  readonly #sockets = new Set<net.Socket>()
  readonly #arrivals = new WeakMap<object, Arrival>()
  /** Of connections that were passed on within this process, by the port that they come from. */
  readonly #passedOn = new Map<number, Arrival>()
  /** The sessions of HTTP/2 on which a PING came. */
  readonly #pinged = new WeakSet<http2.Http2Session>()
  readonly #certificate: ServedCertificate
  /** What collectors were sent, one text of bytes a call. */
  readonly #collected: string[] = []
  readonly #jwks: string

  /**
   * @param certificate what they show where TLS reaches them, unless an application has its own
   * @param jwks what those answer that serve the keys of the run
   */
  constructor(certificate: ServedCertificate, jwks: string) {
    this.#certificate = certificate
    this.#jwks = jwks
  }

  /** From now on, requests with this id are answered so. */
  behave(id: string, behaviour: Behaviour): void {
    this.#behaviours.set(id, { behaviour, done: 0 })
  }

  /** All that was received with an id, mirrored copies and retries included. */
  received(id: string): readonly Receipt[] {
    return this.#receipts.get(id) ?? []
  }

  forget(id: string): void {
    this.#receipts.delete(id)
    this.#behaviours.delete(id)
  }

  /** What collectors got from the `from`-th call on, as Latin-1 text of the messages. */
  collected(from = 0): readonly string[] {
    return this.#collected.slice(from)
  }

  /** @throws Error when the port is taken */
  async serve(workload: string, address: string, port: number, special: NonNullable<WorkloadWords['application']> = {}, certificate: ServedCertificate = this.#certificate, host: Host = thisMachine): Promise<void> {
    const answer = (request: Asked, response: Answering): void => this.#answer({ workload, address, special }, request, response)
    // A connection that the proxy keeps is looked at after the request, on a busy machine long after.
    const plain = http.createServer({ keepAliveTimeout: KEPT_ALIVE_MS }, answer)
    plain.on('connect', (request, socket) => this.#tunnel({ workload, address }, request, socket as net.Socket))
    const second = http2.createServer(answer)
    second.on('session', (session) => session.on('ping', () => void this.#pinged.add(session)))
    const receive = (socket: net.Socket, arrival: Arrival, expectsProxyHeader: boolean): void =>
      onFirstBytes(socket, expectsProxyHeader, (first, header) => {
        const now = header === undefined ? arrival : { ...arrival, proxyHeader: header }
        this.#arrivals.set(socket, now)
        const start = first.toString('latin1', 0, 16)
        if (first[0] === TLS_HANDSHAKE && now.tls === undefined) this.#passOn(socket, secured, now)
        else if (start.startsWith(HTTP2_PREFACE)) this.#passOn(socket, second, now)
        else if (METHODS.test(start)) plain.emit('connection', socket)
        else this.#answerBytes({ workload, address }, socket, now)
      })
    const secured: net.Server = tls.createServer(
      { cert: certificate.certificate, key: certificate.privateKey, ALPNProtocols: ['h2', 'http/1.1'], requestCert: true, rejectUnauthorized: special.mutual === true, ca: certificate.clientAuthorities ?? '' },
      (socket) => {
        socket.on('error', () => socket.destroy())
        const outer = this.#passedOn.get(socket.remotePort ?? 0)
        receive(socket, { peer: outer?.peer ?? '', proxyHeader: outer?.proxyHeader, tls: { sni: socket.servername || '', clientCertificate: socket.getPeerX509Certificate() !== undefined } }, false)
      },
    )
    secured.on('tlsClientError', (_error, socket) => socket.destroy())
    const server = net.createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      // A caller that goes away is part of what is tested.
      socket.on('error', () => socket.destroy())
      if (special.silent === true) return
      if (special.greets === true) return this.#answerBytes({ workload, address }, socket, { peer: `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`, tls: undefined, proxyHeader: undefined })
      receive(socket, { peer: `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`, tls: undefined, proxyHeader: undefined }, special.proxyProtocol === true)
    })
    this.#servers.push(server, second, secured)
    for (const inner of [second, secured]) await thisMachine.listen(inner, '127.0.0.1', 0)
    await host.listen(server, address, port)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
  }

  /** HTTP/2 and TLS read from the system's own socket, past what was read of it before; so they get a connection of their own. */
  #passOn(socket: net.Socket, to: net.Server, arrival: Arrival): void {
    const at = to.address()
    const inner = net.connect({ host: '127.0.0.1', port: typeof at === 'object' && at !== null ? at.port : 0 })
    let port = 0
    inner.on('connect', () => {
      port = inner.localPort ?? 0
      this.#passedOn.set(port, arrival)
    })
    socket.pipe(inner).pipe(socket)
    inner.on('error', () => socket.destroy())
    inner.on('close', () => {
      this.#passedOn.delete(port)
      socket.destroy()
    })
    socket.on('close', () => inner.destroy())
  }

  #arrivalOf(request: Asked): Arrival {
    const session = 'stream' in request ? request.stream.session : undefined
    const socket = session?.socket ?? request.socket
    const own = this.#arrivals.get(socket)
    if (own !== undefined) return own
    const passedOn = this.#passedOn.get(socket.remotePort ?? 0)
    if (passedOn === undefined) return { peer: '', tls: undefined, proxyHeader: undefined }
    return session === undefined ? passedOn : { ...passedOn, pinged: () => this.#pinged.has(session) }
  }

  #note(id: string, receipt: Receipt): void {
    const known = this.#receipts.get(id)
    if (known === undefined) this.#receipts.set(id, [receipt])
    else known.push(receipt)
  }

  /** What is told of a request with this id to this workload's application, once for each time that it counts. */
  #told(id: string, workload: string): Behaviour {
    const told = this.#behaviours.get(id)
    if (told === undefined || told.behaviour.on?.includes(workload) === false) return {}
    return told.done++ < (told.behaviour.times ?? Infinity) ? told.behaviour : {}
  }

  #answerBytes(of: { workload: string; address: string }, socket: net.Socket, arrival: Arrival): void {
    this.#note(BYTES, { ...of, method: '', path: '', authority: '', headers: {}, protocol: 'bytes', arrival })
    const { holds, reset } = this.#told(BYTES, of.workload)
    if (reset === true) socket.destroy()
    else if (holds === true) socket.write(`${of.workload}\n`)
    else socket.end(`${of.workload}\n`)
  }

  /** A tunnel that leads to the application itself: a line there and a line back. */
  #tunnel(of: { workload: string; address: string }, request: http.IncomingMessage, socket: net.Socket): void {
    this.#note(BYTES, { ...of, method: 'CONNECT', path: '', authority: request.url ?? '', headers: {}, protocol: 'http/1.1', arrival: this.#arrivalOf(request) })
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    socket.once('data', () => socket.end(`${of.workload}\n`))
  }

  /** The same, asked for by a POST: no call of ours is without a user agent. */
  #tunnelByPost(of: { workload: string; address: string }, request: Asked, response: Answering): void {
    const { ':authority': authority = request.headers.host ?? '' } = request.headers
    this.#note(BYTES, { ...of, method: 'POST', path: request.url ?? '', authority: String(authority), headers: {}, protocol: request.httpVersionMajor === 2 ? 'h2' : 'http/1.1', arrival: this.#arrivalOf(request) })
    if ('flushHeaders' in response) response.flushHeaders()
    else response.writeHead(200)
    request.once('data', () => response.end(`${of.workload}\n`))
  }

  #answer({ workload, address, special }: { workload: string; address: string; special: NonNullable<WorkloadWords['application']> }, request: Asked, response: Answering): void {
    if (COLLECTOR_PATHS.test(request.url ?? '')) return this.#collect(request, response)
    if (special.authorizer !== undefined) return authorize(special.authorizer, request, response)
    if (request.method === 'POST' && request.headers['user-agent'] === undefined && request.headers['content-length'] === undefined) return this.#tunnelByPost({ workload, address }, request, response)
    request.resume()
    if (special.keys?.includes(request.url ?? '') === true) {
      response.setHeader('content-type', 'application/json')
      response.end(this.#jwks)
      return
    }
    if (special.modules?.includes(request.url ?? '') === true) {
      response.setHeader('content-type', 'application/wasm')
      response.end(wasmModule)
      return
    }
    const id = idOf(request.headers['user-agent'])
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : String(value)]))
    const authority = headers[':authority'] ?? headers['host'] ?? ''
    this.#note(id, { workload, address, method: request.method ?? '', path: request.url ?? '', authority, headers, protocol: request.httpVersionMajor === 2 ? 'h2' : 'http/1.1', arrival: this.#arrivalOf(request) })
    const behaviour = this.#told(id, workload)
    const held = behaviour.held?.()
    if (behaviour.reset === true) {
      response.socket?.destroy()
      return
    }
    const write = (): void => {
      if (response.writableEnded || response.destroyed) return
      response.statusCode = behaviour.status ?? 200
      response.setHeader('content-type', behaviour.grpc === undefined ? 'application/json' : 'application/grpc')
      response.setHeader(WORKLOAD_HEADER, workload)
      const shown = shownBy(request.socket)
      if (shown !== undefined) response.setHeader(CERTIFICATE_HEADER, shown)
      for (const [name, value] of Object.entries(behaviour.headers ?? {})) response.setHeader(name, value)
      if (behaviour.grpc !== undefined) {
        response.addTrailers({ 'grpc-status': String(behaviour.grpc) })
        response.end(grpcMessage(workload))
      } else response.end(JSON.stringify({ workload, path: request.url, headers }))
    }
    if (held !== undefined) void held.then(write)
    else if (behaviour.delayMs === undefined) write()
    else setTimeout(write, behaviour.delayMs).unref()
  }

  #collect(request: Asked, response: Answering): void {
    const chunks: Buffer[] = []
    const streams = LOG_STREAM_PATH.test(request.url ?? '')
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (streams) this.#collected.push(...takeMessages(chunks))
    })
    request.on('end', () => {
      if (!streams) this.#collected.push(Buffer.concat(chunks).toString('latin1'))
      if (request.headers['content-type'] !== 'application/grpc') {
        response.statusCode = 200
        response.end()
        return
      }
      response.setHeader('content-type', 'application/grpc')
      response.addTrailers({ 'grpc-status': '0' })
      response.end(Buffer.alloc(5))
    })
  }
}
