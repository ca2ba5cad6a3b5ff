import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'

/** What an application does with a request that bears an id; it echoes what has no behaviour. */
export interface Behaviour {
  readonly status?: number
  readonly delayMs?: number
  /** Closes the connection instead of an answer. */
  readonly reset?: boolean
  /** So many requests, and then as always; absent: all. */
  readonly times?: number
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
}

/** The headers by which an application's answer is told from a proxy's. */
export const WORKLOAD_HEADER = 'x-echo-workload'
/** What the caller's certificate is for, where it showed one. */
const CERTIFICATE_HEADER = 'x-echo-client-certificate'
export const idOf = (userAgent: string | undefined): string => userAgent ?? ''

const METHODS = /^(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) /
const HTTP2_PREFACE = 'PRI * HTTP/2.0'
const TLS_HANDSHAKE = 0x16

type Asked = http.IncomingMessage | http2.Http2ServerRequest
type Answering = http.ServerResponse | http2.Http2ServerResponse

const listening = (server: net.Server, address: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address, port, exclusive: true }, resolve)
  })

const shownBy = (socket: net.Socket | tls.TLSSocket): string | undefined => (socket instanceof tls.TLSSocket ? socket.getPeerCertificate().subjectaltname : undefined)

/** HTTP/2 and TLS read from the system's own socket, past what was read of it before; so they get a connection of their own. */
function relay(socket: net.Socket, to: net.Server): void {
  const at = to.address()
  const inner = net.connect({ host: '127.0.0.1', port: typeof at === 'object' && at !== null ? at.port : 0 })
  inner.on('error', () => socket.destroy())
  inner.on('close', () => socket.destroy())
  socket.on('close', () => inner.destroy())
  socket.pipe(inner).pipe(socket)
}

/** Small applications, one a workload: each answers with its name and with what it was asked, in HTTP/1.1, HTTP/2, TLS around either, or plain bytes. */
export class Applications {
  readonly #receipts = new Map<string, Receipt[]>()
  readonly #behaviours = new Map<string, { readonly behaviour: Behaviour; done: number }>()
  readonly #servers: net.Server[] = []
  readonly #sockets = new Set<net.Socket>()
  readonly #certificate: { readonly certificate: string; readonly privateKey: string }

  /** @param certificate what they show where TLS reaches them, PEM */
  constructor(certificate: { readonly certificate: string; readonly privateKey: string }) {
    this.#certificate = certificate
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

  /** @throws Error when the port is taken */
  async serve(workload: string, address: string, port: number): Promise<void> {
    const answer = (request: Asked, response: Answering): void => this.#answer({ workload, address }, request, response)
    const plain = http.createServer(answer)
    const second: net.Server = http2.createServer(answer)
    const receive = (socket: net.Socket): void => {
      socket.once('data', (first: Buffer) => {
        socket.pause()
        socket.unshift(first)
        const start = first.toString('latin1', 0, 16)
        if (first[0] === TLS_HANDSHAKE) relay(socket, secured)
        else if (start.startsWith(HTTP2_PREFACE)) relay(socket, second)
        else if (METHODS.test(start)) plain.emit('connection', socket)
        else {
          this.#note('bytes', { workload, address, method: '', path: '', authority: '', headers: {}, protocol: 'bytes' })
          socket.end(`${workload}\n`)
        }
        socket.resume()
      })
    }
    const secured: net.Server = tls.createServer({ cert: this.#certificate.certificate, key: this.#certificate.privateKey, ALPNProtocols: ['h2', 'http/1.1'], requestCert: true, rejectUnauthorized: false }, receive)
    const server = net.createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      // A caller that goes away is part of what is tested.
      socket.on('error', () => socket.destroy())
      receive(socket)
    })
    this.#servers.push(server, second, secured)
    for (const inner of [second, secured]) await listening(inner, '127.0.0.1', 0)
    await listening(server, address, port)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
  }

  #note(id: string, receipt: Receipt): void {
    const known = this.#receipts.get(id)
    if (known === undefined) this.#receipts.set(id, [receipt])
    else known.push(receipt)
  }

  #answer({ workload, address }: { workload: string; address: string }, request: Asked, response: Answering): void {
    request.resume()
    const id = idOf(request.headers['user-agent'])
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : String(value)]))
    const authority = headers[':authority'] ?? headers['host'] ?? ''
    this.#note(id, { workload, address, method: request.method ?? '', path: request.url ?? '', authority, headers, protocol: request.httpVersionMajor === 2 ? 'h2' : 'http/1.1' })
    const told = this.#behaviours.get(id)
    const behaviour = told !== undefined && told.done++ < (told.behaviour.times ?? Infinity) ? told.behaviour : {}
    if (behaviour.reset === true) {
      response.socket?.destroy()
      return
    }
    const write = (): void => {
      if (response.writableEnded || response.destroyed) return
      response.statusCode = behaviour.status ?? 200
      response.setHeader('content-type', 'application/json')
      response.setHeader(WORKLOAD_HEADER, workload)
      const shown = shownBy(request.socket)
      if (shown !== undefined) response.setHeader(CERTIFICATE_HEADER, shown)
      response.end(JSON.stringify({ workload, path: request.url, headers }))
    }
    if (behaviour.delayMs === undefined) write()
    else setTimeout(write, behaviour.delayMs).unref()
  }
}
