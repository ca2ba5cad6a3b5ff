import { CHUNKED, LENGTH, NO_BODY } from '../http/body.ts'
import { CANCEL, CONNECT_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM } from '../http/h2/frames.ts'
import type { HeadBlock } from '../http/h2/head-block.ts'
import type { Stream, StreamReceiver } from '../http/h2/stream.ts'
import { reasonOf } from '../http/answer.ts'
import type { FieldTable } from '../http/head-scan.ts'
import type { HttpResponseHead } from '../http/response-reader.ts'
import type { TunnelledUpstream, Upstream, UpstreamLoss, UpstreamUser } from '../http/sides.ts'
import { StreamEnd } from '../http/h2/stream-end.ts'
import type { TunnelEnd } from '../tcp/tunnel.ts'
import type { Http2Connection } from './http2-connection.ts'

/** Status lines' ends, made once for each status. */
const statusTexts = new Map<number, string>()

function statusText(status: number): string {
  const known = statusTexts.get(status)
  if (known !== undefined) return known
  const made = ` ${status} ${reasonOf(status)}\r\n`
  statusTexts.set(status, made)
  return made
}

/** `by` the connection with another code than those of its end: the endpoint broke the rules there. */
function lossOf(code: number, by: 'peer' | 'violation' | 'connection'): UpstreamLoss {
  if (by === 'violation') return 'protocol'
  if (by === 'connection') return code === CANCEL || code === NO_ERROR ? 'reset' : 'protocol'
  switch (code) {
    case REFUSED_STREAM:
      return 'refused'
    case PROTOCOL_ERROR:
      return 'protocol'
    case CONNECT_ERROR:
      return 'connect'
    default:
      return 'remote'
  }
}

/** One request on an HTTP/2 connection to an endpoint. */
export class Http2Request implements Upstream, TunnelledUpstream, StreamReceiver {
  readonly connection: Http2Connection
  readonly requests: number
  answered = false
  touched = false
  readonly #stream: Stream
  readonly #head: HttpResponseHead
  #user: UpstreamUser | undefined
  #bodiless = false
  #connects = false
  /** From the moment on that a CONNECT was granted. */
  #end: StreamEnd | undefined

  constructor(connection: Http2Connection, stream: Stream, head: HttpResponseHead) {
    this.connection = connection
    this.requests = connection.requests
    this.#stream = stream
    this.#head = head
    stream.receiver = this
  }

  get protocol(): string {
    return 'HTTP/2'
  }

  get secure(): boolean {
    return this.connection.secure
  }

  get readsRecords(): boolean {
    return this.connection.wire.readsRecords
  }

  get congested(): boolean {
    return this.#stream.congested
  }

  get tunnel(): TunnelledUpstream {
    return this
  }

  get wire(): TunnelEnd {
    return (this.#end ??= new StreamEnd(this.#stream, CANCEL))
  }

  takeRest(): undefined {
    this.#user = undefined
  }

  get headFields(): FieldTable {
    return this.#head.fields
  }

  begin(user: UpstreamUser, method: string): void {
    this.#user = user
    this.#bodiless = method === 'HEAD'
    this.#connects = method === 'CONNECT'
  }

  sendHead(method: string, scheme: string, authority: string, path: string, lines: string, framing: number): void {
    this.#stream.sendRequest(method, scheme, authority, path, '', lines, framing === NO_BODY && !this.#connects)
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    this.#stream.sendData(bytes, start, end)
  }

  sendEnd(trailers: string): void {
    // What stands before a tunnel has no end of its own.
    if (!this.#connects) this.#stream.sendEnd(trailers)
  }

  /** Frames leave by themselves, at the end of this turn. */
  flush(): void {}
  flushLate(): void {}

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  finish(): void {
    this.#user = undefined
    if (this.#stream.closed) this.connection.giveBack(this.#head)
    else this.#stream.reset(CANCEL)
  }

  abort(): void {
    this.#user = undefined
    this.#stream.receiver = undefined
    this.#stream.reset(CANCEL)
  }

  readDone(): void {
    this.touched = false
    this.#user?.onUpstreamReadDone()
  }

  // ---- what the stream tells

  onHead(block: HeadBlock, ends: boolean): boolean {
    const head = this.#head
    const { fields } = head
    this.answered = true
    head.status = Number(block.status)
    head.statusText = statusText(head.status)
    head.closes = false
    head.upgrade = ''
    if (head.dropped.length < fields.count) head.dropped = new Uint8Array(fields.kinds.length)
    head.dropped.fill(0, 0, fields.count)
    const bodiless = this.#bodiless || head.status === 204 || head.status === 304
    if (ends && !bodiless && block.contentLength > 0) return false
    head.lacksLength = ends && !bodiless && block.contentLength < 0
    head.framing = ends || bodiless || block.contentLength === 0 ? NO_BODY : block.contentLength > 0 ? LENGTH : CHUNKED
    head.bodyLength = head.framing === LENGTH ? block.contentLength : 0
    this.#stream.expectedBytes = bodiless ? 0 : block.contentLength
    const user = this.#user
    if (user === undefined) return true
    this.connection.touch(this)
    user.onUpstreamResponse(head)
    // It may have let go of us, to try elsewhere.
    if (ends) {
      this.#user?.onUpstreamEnd('')
      this.#end?.onEnd()
    }
    return true
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#user?.onUpstreamBody(bytes, start, end)
    this.connection.touch(this)
  }

  onEnd(trailers: string): void {
    this.#user?.onUpstreamEnd(trailers)
    this.connection.touch(this)
  }

  onReset(code: number, by: 'peer' | 'violation' | 'connection'): void {
    const user = this.#user
    this.#user = undefined
    user?.onUpstreamReset(lossOf(code, by))
  }

  onWritable(): void {
    this.#user?.onUpstreamWritable()
  }
}
