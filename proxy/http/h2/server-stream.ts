import type { PeerInfo } from '#core/route/request.ts'
import { CHUNKED, LENGTH, NO_BODY } from '../body.ts'
import { Exchange } from '../exchange.ts'
import { FieldTable } from '../head-scan.ts'
import { HttpRequestHead } from '../request-head.ts'
import type { HttpResponseHead } from '../response-reader.ts'
import type { Downstream, TunnelledUpstream } from '../sides.ts'
import { Tunnel } from '../../tcp/tunnel.ts'
import type { Source } from '../../telemetry/metrics.ts'
import { CANCEL, CONNECT_ERROR, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM } from './frames.ts'
import type { Http2ServerConnection } from './server-connection.ts'
import { StreamEnd } from './stream-end.ts'
import type { Stream, StreamReceiver } from './stream.ts'

const unusedFields = new FieldTable()

/** The client's side of one exchange, on a stream. */
export class ServerStream implements Downstream, StreamReceiver {
  readonly connection: Http2ServerConnection
  readonly stream: Stream
  readonly head: HttpRequestHead
  readonly exchange: Exchange
  readonly headFields = unusedFields
  /** Whether this read brought something that goes upstream at its end. */
  touched = false
  /** The head is another stream's now. */
  recycled = false
  #over = false
  /** What came for a tunnel that is not there yet. */
  #early: Buffer[] | undefined = undefined

  constructor(connection: Http2ServerConnection, stream: Stream, head: HttpRequestHead) {
    this.connection = connection
    this.stream = stream
    this.head = head
    stream.receiver = this
    this.exchange = new Exchange(connection.engine, connection.stack, this, head)
  }

  // ---- what the exchange asks

  get protocol(): string {
    return 'HTTP/2'
  }

  get peer(): PeerInfo {
    return this.connection.peer
  }

  get tlsVersion(): string {
    return this.connection.tlsVersion
  }

  get clientCertificate(): string {
    return this.connection.clientCertificate
  }

  get reading(): boolean {
    return this.connection.reading
  }

  get readsRecords(): boolean {
    return this.connection.wire.readsRecords
  }

  get congested(): boolean {
    return this.stream.congested
  }

  sourceOf(request: HttpRequestHead): Source {
    return this.connection.sourceOf(request)
  }

  sendContinue(): void {
    this.stream.sendResponse(100, '', false)
  }

  sendHead(status: number, _statusText: string, lines: string, framing: number): void {
    this.stream.sendResponse(status, lines, framing === NO_BODY)
  }

  sendAnswer(status: number, lines: string, body: string): void {
    this.stream.sendResponse(status, lines, body === '')
    if (body === '') return
    const bytes = Buffer.from(body, 'latin1')
    this.stream.sendData(bytes, 0, bytes.length)
    this.stream.sendEnd('')
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    this.stream.sendData(bytes, start, end)
  }

  sendEnd(trailers: string): void {
    this.stream.sendEnd(trailers)
  }

  /** Frames leave by themselves, at the end of this turn. */
  flush(): void {}
  flushLate(): void {}

  pause(): void {
    this.stream.pause()
  }

  resume(): void {
    this.stream.resume()
  }

  exchangeOver(requestComplete: boolean, closes: boolean): void {
    this.#over = true
    const { stream } = this
    // The rest of the request is of no use any more (RFC 9113 §8.1). What came of it and is not complete was not kept.
    if (!stream.remoteEnded && (closes || !requestComplete || stream.localEnded)) {
      stream.resetWhenSent(NO_ERROR)
    }
    if (stream.closed) this.connection.recycle(this)
  }

  fail(): void {
    this.#over = true
    this.stream.reset(INTERNAL_ERROR)
  }

  becomeTunnel(head: HttpResponseHead | undefined, lines: string, upstream: TunnelledUpstream, over: (sentBytes: number, receivedBytes: number) => void): void {
    this.#over = true
    const { stream, connection } = this
    const connected = head?.status !== 101
    stream.sendResponse(connected ? (head?.status ?? 200) : 200, lines.replace(/^sec-websocket-accept:.*\r\n/im, ''), false)
    const end = new StreamEnd(stream, connected ? CONNECT_ERROR : CANCEL)
    const early = this.#early ?? []
    this.#early = undefined
    const tunnel = new Tunnel(connection.engine, end, upstream.wire, connection.stack.plan.streamIdleTimeoutMs, connected, over)
    tunnel.begin(early.length === 0 ? undefined : Buffer.concat(early), upstream.takeRest())
    if (stream.remoteEnded) end.handler.onReadEnd()
  }

  // ---- what the stream tells

  onHead(): boolean {
    return false
  }

  onData(bytes: Buffer, start: number, end: number): void {
    if (this.head.framing === NO_BODY && !this.#over) {
      this.#early ??= []
      this.#early.push(Buffer.from(bytes.subarray(start, end)))
      this.stream.pause()
      return
    }
    if (this.#over) return
    this.exchange.onRequestBody(bytes, start, end)
    this.connection.touch(this)
  }

  onEnd(trailers: string): void {
    const { framing } = this.head
    if (this.#over || (framing !== CHUNKED && framing !== LENGTH)) return
    this.exchange.onRequestEnd(trailers)
    this.connection.touch(this)
  }

  onReset(code: number, by: 'peer' | 'violation' | 'connection'): void {
    if (this.#over) return
    this.#over = true
    if (by === 'peer') this.exchange.onDownstreamClosed('DR', code === REFUSED_STREAM ? 'http2.remote_refuse' : 'http2.remote_reset')
    else this.exchange.onDownstreamClosed()
  }

  onWritable(): void {
    if (!this.#over) this.exchange.onDownstreamWritable()
  }

  /** The answer was sent whole, so that nobody looks at the request's head any more: it may be used again. */
  get finished(): boolean {
    return this.#over && this.exchange.over && this.stream.closed && this.stream.localEnded && this.head.upgrade === ''
  }
}
