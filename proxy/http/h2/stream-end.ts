import type { TunnelEnd } from '../../tcp/tunnel.ts'
import type { FieldTable } from '../head-scan.ts'
import { FieldTable as Fields } from '../head-scan.ts'
import type { WireHandler } from '../socket.ts'
import type { Stream, StreamReceiver } from './stream.ts'

const unusedFields = new Fields()
const noHandler: WireHandler = { onRead() {}, onReadEnd() {}, onWritable() {}, onClosed() {} }

/** A stream as the end of a tunnel (RFC 9113 §8.5, RFC 8441 §5): DATA both ways. */
export class StreamEnd implements TunnelEnd, StreamReceiver {
  handler: WireHandler = noHandler
  readonly headFields: FieldTable = unusedFields
  readonly #stream: Stream
  readonly #brokenCode: number

  /** `brokenCode`: what a stream is reset with whose other end broke. */
  constructor(stream: Stream, brokenCode: number) {
    this.#stream = stream
    this.#brokenCode = brokenCode
    stream.receiver = this
  }

  get closed(): boolean {
    return this.#stream.closed
  }

  get congested(): boolean {
    return this.#stream.congested
  }

  putBytes(bytes: Buffer, start: number, end: number): void {
    this.#stream.sendData(bytes, start, end)
  }

  flush(): void {}

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  end(): void {
    this.#stream.sendEnd('')
    if (this.#stream.closed) this.handler.onClosed('')
  }

  destroy(): void {
    this.#stream.receiver = undefined
    // What was sent last must arrive, where the end was sent in order.
    if (!this.#stream.localEnded) this.#stream.reset(this.#brokenCode)
  }

  onHead(): boolean {
    return false
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.handler.onRead(start === 0 ? bytes : bytes.subarray(start, end), end - start)
  }

  onEnd(): void {
    this.handler.onReadEnd()
    if (this.#stream.closed) this.handler.onClosed('')
  }

  onReset(): void {
    this.handler.onClosed('ECONNRESET')
  }

  onWritable(): void {
    this.handler.onWritable()
  }
}
