import type { Wire, WireHandler } from '../http/socket.ts'
import { ResponseReader } from '../http/response-reader.ts'
import type { HttpResponseHead, ResponseSink } from '../http/response-reader.ts'
import type { HostPool } from './pool.ts'

/** Who sent the request that an upstream connection carries. */
export interface UpstreamUser {
  onUpstreamResponse(head: HttpResponseHead): void
  onUpstreamBody(bytes: Buffer, start: number, end: number): void
  onUpstreamEnd(trailers: string): void
  /** Everything that one read brought has been told: a good moment to write. */
  onUpstreamReadDone(): void
  /** The connection is lost, before the answer's end. `protocol`: what came was not an answer. */
  onUpstreamReset(why: 'reset' | 'protocol'): void
  onUpstreamWritable(): void
}

/** A kept-alive HTTP/1.1 connection to one endpoint; carries one request at a time. */
export class UpstreamConnection implements WireHandler, ResponseSink {
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
  connected = false
  connectDeadlineMs = 0
  idleSinceMs = 0
  /** Encrypted, and the peer proved who it is. */
  secure = false
  failure = ''

  constructor(pool: HostPool) {
    this.pool = pool
    this.reader = new ResponseReader(this)
  }

  /** Takes the connection for one request; its head is `put` on the wire by the caller. */
  begin(user: UpstreamUser, method: string): void {
    this.user = user
    this.answered = false
    this.requests += 1
    this.reader.expect(method)
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
