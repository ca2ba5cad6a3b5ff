import type { Wire, WireHandler } from '../http/socket.ts'
import { CHUNKED, NO_BODY } from '../http/body.ts'
import { putBody, putEnd } from '../http/body-out.ts'
import { ResponseReader } from '../http/response-reader.ts'
import type { HttpResponseHead, ResponseSink } from '../http/response-reader.ts'
import type { TunnelledUpstream, Upstream, UpstreamUser } from '../http/sides.ts'
import type { HostPool } from './pool.ts'

/** Methods whose requests say nothing of a body when they have none; of all others that it is empty (RFC 9110 §8.6). */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'TRACE', 'CONNECT'])

/** A kept-alive HTTP/1.1 connection to one endpoint; carries one request at a time. */
export class UpstreamConnection implements WireHandler, ResponseSink, Upstream, TunnelledUpstream {
  readonly pool: HostPool
  wire!: Wire
  user: UpstreamUser | undefined
  readonly reader: ResponseReader
  /** Requests that were sent on it. */
  requests = 0
  /** Bytes of the present answer arrived. */
  answered = false
  /** Not to be used again. */
  spent = false
  /** It stands, its server judged where it is one of TLS. */
  connected = false
  connectDeadlineMs = 0
  standsSinceMs = 0
  idleSinceMs = 0
  /** Encrypted, and the peer proved who it is. */
  secure = false
  /** Why it did not come to stand, where that is known: `timeout`, or what is wrong with its server. */
  failure = ''
  /** Dialled to be shared: an HTTP/2 connection takes its wire over once it stands. */
  forStreams = false
  #requestChunked = false

  constructor(pool: HostPool) {
    this.pool = pool
    this.reader = new ResponseReader(this)
  }

  // ---- what its user asks

  begin(user: UpstreamUser, method: string): void {
    this.user = user
    this.answered = false
    this.requests += 1
    this.reader.expect(method)
  }

  get protocol(): string {
    return 'HTTP/1.1'
  }

  get congested(): boolean {
    return this.wire.congested
  }

  get readsRecords(): boolean {
    return this.wire.readsRecords
  }

  get tunnel(): TunnelledUpstream {
    return this
  }

  takeRest(): Buffer | undefined {
    return this.reader.takeRest()
  }

  sendHead(method: string, _scheme: string, authority: string, path: string, lines: string, framing: number, upgrade: string): void {
    this.#requestChunked = framing === CHUNKED
    const lacksLength = framing === NO_BODY && upgrade === '' && !BODILESS.has(method) && !/(?:^|\n)content-length:/i.test(lines)
    const end = upgrade === '' ? '\r\n' : `connection: upgrade\r\nupgrade: ${upgrade}\r\n\r\n`
    this.wire.put(`${method} ${path === '' ? authority : path} HTTP/1.1\r\nhost: ${authority}\r\n${lines}${this.#requestChunked ? 'transfer-encoding: chunked\r\n' : lacksLength ? 'content-length: 0\r\n' : ''}${end}`)
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    putBody(this.wire, this.#requestChunked, bytes, start, end)
  }

  sendEnd(trailers: string): void {
    putEnd(this.wire, this.#requestChunked, trailers)
  }

  flush(): void {
    this.wire.flushSoon()
  }

  flushLate(): void {
    this.wire.flushLate()
  }

  pause(): void {
    this.wire.pause()
  }

  resume(): void {
    this.wire.resume()
  }

  /** The exchange is over and both messages are complete. */
  finish(): void {
    this.user = undefined
    this.pool.release(this)
  }

  /** The exchange is over, and the connection is in no state to carry another. */
  abort(): void {
    this.user = undefined
    this.spent = true
    this.wire.destroy()
  }

  // ---- what the wire tells

  onRead(bytes: Buffer, length: number): void {
    this.answered = true
    const user = this.user
    this.reader.push(bytes, 0, length)
    if (user !== undefined) user.onUpstreamReadDone()
  }

  onReadEnd(): void {
    this.spent = true
    const user = this.user
    if (user !== undefined && this.reader.end()) user.onUpstreamReadDone()
    this.wire.destroy()
  }

  onWritable(): void {
    this.user?.onUpstreamWritable()
  }

  onClosed(error: string): void {
    this.spent = true
    const user = this.user
    this.user = undefined
    this.pool.onConnectionClosed(this, error)
    user?.onUpstreamReset('reset')
  }

  onResponse(head: HttpResponseHead): void {
    if (head.closes) this.spent = true
    this.user?.onUpstreamResponse(head)
  }

  onBody(bytes: Uint8Array, start: number, end: number): void {
    this.user?.onUpstreamBody(bytes as Buffer, start, end)
  }

  onResponseEnd(trailers: string): void {
    if (this.reader.overran) this.spent = true
    this.user?.onUpstreamEnd(trailers)
  }

  onBadResponse(): void {
    this.spent = true
    const user = this.user
    this.user = undefined
    this.wire.destroy()
    user?.onUpstreamReset('protocol')
  }
}
