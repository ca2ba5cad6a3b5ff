import type { FieldTable } from '../http/head-scan.ts'
import { Connection } from '../http/h2/connection.ts'
import type { ConnectionOwner } from '../http/h2/connection.ts'
import { CANCEL, NO_ERROR } from '../http/h2/frames.ts'
import type { OwnSettings } from '../http/h2/settings.ts'
import type { Stream } from '../http/h2/stream.ts'
import { HttpResponseHead } from '../http/response-reader.ts'
import type { Wire, WireHandler } from '../http/socket.ts'
import { Http2Request } from './http2-request.ts'
import type { HostPool } from './pool.ts'

/** What our peers in the mesh, and servers behind us, may send before we took it. */
const own: OwnSettings = { streamWindow: 256 * 1024, connectionWindow: 16 * 1024 * 1024, concurrentStreamsMax: 0, headerBytesMax: 64 * 1024 }
/** What a server takes at once is known only once its SETTINGS came; until then, this many (Envoy assumes as much). */
const STREAMS_BEFORE_SETTINGS = 100
const FREE_HEADS_MAX = 128

/** One HTTP/2 connection to an endpoint: many requests at once. */
export class Http2Connection implements WireHandler, ConnectionOwner {
  readonly pool: HostPool
  readonly wire: Wire
  readonly secure: boolean
  readonly connection: Connection
  readonly #touched: Http2Request[] = []
  readonly #freeHeads: HttpResponseHead[] = []
  /** Requests that were sent on it. */
  requests = 0
  idleSinceMs: number
  readonly standsSinceMs: number
  #spent = false
  #ended = false
  #pingSentMs = 0
  #lastReadMs: number

  constructor(pool: HostPool, wire: Wire, secure: boolean) {
    this.pool = pool
    this.wire = wire
    this.secure = secure
    this.idleSinceMs = pool.owner.nowMs()
    this.#lastReadMs = this.idleSinceMs
    this.standsSinceMs = this.idleSinceMs
    this.connection = new Connection(this, false, own, this.idleSinceMs)
    wire.handler = this
    this.connection.begin(wire)
  }

  get headFields(): FieldTable {
    throw new Error('a client is not asked')
  }

  /** Whether one more request may go over it now. */
  get hasRoom(): boolean {
    const { connection } = this
    if (this.#spent || this.wire.closed || !connection.mayOpen) return false
    const { streamsMax } = this.pool.owner.plan
    if (streamsMax !== undefined && connection.streams.size >= streamsMax) return false
    return connection.ready || connection.streams.size < STREAMS_BEFORE_SETTINGS
  }

  /** No new requests; it closes when those under way are over. */
  get spent(): boolean {
    return this.#spent
  }

  retire(): void {
    this.#spent = true
    this.#closeIfDone()
  }

  /** Opens a stream; the caller asked `hasRoom`. */
  open(): Http2Request {
    this.requests += 1
    const perConnection = this.pool.owner.plan.requestsPerConnectionMax
    if (perConnection > 0 && this.requests >= perConnection) this.#spent = true
    return new Http2Request(this, this.connection.open(), this.#freeHeads.pop() ?? new HttpResponseHead())
  }

  giveBack(head: HttpResponseHead): void {
    if (this.#freeHeads.length < FREE_HEADS_MAX) this.#freeHeads.push(head)
  }

  touch(request: Http2Request): void {
    if (request.touched) return
    request.touched = true
    this.#touched.push(request)
  }

  // ---- the wire

  onRead(bytes: Buffer, length: number): void {
    const nowMs = this.pool.owner.nowMs()
    this.connection.nowMs = nowMs
    this.#lastReadMs = nowMs
    this.connection.read(bytes, 0, length)
    const touched = this.#touched
    for (let i = 0; i < touched.length; i++) touched[i]!.readDone()
    touched.length = 0
  }

  onReadEnd(): void {
    this.#end()
  }

  onWritable(): void {
    this.connection.onWritable()
  }

  onClosed(): void {
    this.#spent = true
    this.connection.out.sink = undefined
    this.connection.failStreams(CANCEL)
    this.pool.onHttp2Closed(this)
  }

  // ---- the connection

  onRequest(): void {}

  onGoaway(): void {
    this.#spent = true
    this.#closeIfDone()
  }

  onSettings(): void {
    this.pool.onStreamsFree(this)
  }

  onPong(): void {
    this.#pingSentMs = 0
  }

  onStreamClosed(_stream: Stream): void {
    this.idleSinceMs = this.pool.owner.nowMs()
    if (this.#spent) this.#closeIfDone()
    else this.pool.onStreamsFree(this)
  }

  onFailed(): void {
    this.#end()
  }

  #closeIfDone(): void {
    if (this.connection.streams.size === 0) this.#end()
  }

  #end(): void {
    this.#spent = true
    if (this.#ended) return
    this.#ended = true
    // What waits to be sent, a GOAWAY among it, goes first.
    setImmediate(() => {
      this.connection.out.flush()
      this.wire.destroySoon()
    })
  }

  /** Keep-alive PINGs, and the end of a connection that nobody uses. */
  sweep(nowMs: number, idleTimeoutMs: number): void {
    const { connection } = this
    const { ping } = this.pool.owner.plan
    if (ping !== undefined && connection.ready) {
      if (this.#pingSentMs > 0) {
        if (nowMs - this.#pingSentMs >= ping.timeoutMs) return connection.fail(NO_ERROR, 'no answer to PING')
      } else if (nowMs - this.#lastReadMs >= ping.intervalMs) {
        this.#pingSentMs = nowMs
        connection.control.ping()
      }
    }
    if (idleTimeoutMs > 0 && connection.streams.size === 0 && nowMs - this.idleSinceMs >= idleTimeoutMs) this.retire()
  }

  destroy(): void {
    this.wire.destroy()
  }
}
