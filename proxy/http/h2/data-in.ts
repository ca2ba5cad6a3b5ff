import type { Connection } from './connection.ts'
import { END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PADDED, PROTOCOL_ERROR, STREAM_CLOSED } from './frames.ts'
import type { Stream } from './stream.ts'

/** DATA frames as they arrive (RFC 9113 §6.1): whose they are, and what they cost of windows. Bytes that nobody takes are credited to the connection at once. */
export class DataIn {
  readonly #connection: Connection
  /** Of the frame under way; undefined: nobody takes its bytes. */
  #stream: Stream | undefined = undefined
  #ends = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  begin(frameBytes: number, flags: number, id: number): void {
    const connection = this.#connection
    if (id === 0) return connection.fail(PROTOCOL_ERROR, 'DATA on stream 0')
    if (!connection.windows.received(frameBytes)) return connection.fail(FLOW_CONTROL_ERROR, 'connection window exceeded')
    const padded = (flags & PADDED) !== 0
    if (padded && frameBytes === 0) return connection.fail(FRAME_SIZE_ERROR, 'no pad length')
    let stream = connection.streams.get(id)
    if (stream === undefined) {
      if (connection.isIdle(id)) return connection.fail(PROTOCOL_ERROR, 'DATA on an idle stream')
      if (!connection.resets.has(id) && id <= connection.control.lastAccepted) connection.resetUnknown(id, STREAM_CLOSED)
    } else if (!this.#admits(stream, frameBytes)) stream = undefined
    if (frameBytes - (padded ? 1 : 0) === 0 && (flags & END_STREAM) === 0) connection.spend()
    else connection.calm.work()
    if (connection.failed) return
    this.#stream = stream
    this.#ends = (flags & END_STREAM) !== 0
  }

  /** False: the frame breaks the stream's rules, and the stream is reset. */
  #admits(stream: Stream, frameBytes: number): boolean {
    let code = -1
    if (stream.remoteEnded) code = STREAM_CLOSED
    else if (!stream.headSeen) code = PROTOCOL_ERROR
    else {
      stream.receiveWindow -= frameBytes
      if (stream.receiveWindow < 0) code = FLOW_CONTROL_ERROR
    }
    if (code >= 0) this.#connection.streamError(stream, code)
    return code < 0
  }

  /** Padding counts against windows and is nobody's to take. */
  padding(bytes: number): void {
    const stream = this.#stream
    if (stream === undefined || stream.closed) this.#connection.credit(bytes)
    else stream.credit(bytes)
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    const stream = this.#stream
    if (stream === undefined || stream.closed) return this.#connection.credit(end - start)
    stream.receivedBytes += end - start
    if (stream.expectedBytes >= 0 && stream.receivedBytes > stream.expectedBytes) {
      this.#connection.credit(end - start)
      return this.#connection.streamError(stream, PROTOCOL_ERROR)
    }
    stream.receiver?.onData(bytes, start, end)
    stream.taken(end - start)
  }

  end(): void {
    const stream = this.#stream
    this.#stream = undefined
    if (this.#ends && stream !== undefined && !stream.closed) this.#connection.remoteEnd(stream, '')
  }
}
