import type { Connection } from './connection.ts'
import { CANCEL, DEFAULT_WINDOW, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, WINDOW_MAX, WINDOW_UPDATE } from './frames.ts'
import type { Stream } from './stream.ts'

/** The window of a connection as a whole, who waits for one, and WINDOW_UPDATE, which opens them (RFC 9113 §5.2, §6.9). */
export class Windows {
  /** Bytes that may be sent. */
  send = DEFAULT_WINDOW
  /** Streams with bytes that wait for a window, theirs or this one. */
  readonly blocked = new Set<Stream>()
  readonly #connection: Connection
  readonly #size: number
  /** Bytes that the peer may send. */
  #receive: number
  /** Taken, and the peer not told yet. */
  #uncreditedBytes = 0

  /** `size`: what the peer may send before it was taken. */
  constructor(connection: Connection, size: number) {
    this.#connection = connection
    this.#size = size
    this.#receive = Math.max(size, DEFAULT_WINDOW)
  }

  /** The peer sent so much; false: more than it may. */
  received(bytes: number): boolean {
    this.#receive -= bytes
    return this.#receive >= 0
  }

  /** Lets the peer send so much more. */
  credit(bytes: number): void {
    this.#uncreditedBytes += bytes
    if (this.#uncreditedBytes * 2 < this.#size) return
    this.#receive += this.#uncreditedBytes
    this.#connection.out.words(WINDOW_UPDATE, 0, 0, this.#uncreditedBytes)
    this.#uncreditedBytes = 0
  }

  onUpdate(bytes: Buffer, start: number, end: number, id: number): void {
    const connection = this.#connection
    if (end - start !== 4) return connection.fail(FRAME_SIZE_ERROR, 'WINDOW_UPDATE')
    const increment = bytes.readUInt32BE(start) & WINDOW_MAX
    connection.spend()
    if (id === 0) {
      if (increment === 0) return connection.fail(PROTOCOL_ERROR, 'increment of 0')
      this.send += increment
      if (this.send > WINDOW_MAX) return connection.fail(FLOW_CONTROL_ERROR, 'window overflow')
      return this.drain()
    }
    const stream = connection.streams.get(id)
    if (stream === undefined) {
      if (connection.isIdle(id)) connection.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream')
      return
    }
    if (increment === 0) return connection.streamError(stream, PROTOCOL_ERROR)
    stream.sendWindow += increment
    if (stream.sendWindow > WINDOW_MAX) return connection.streamError(stream, FLOW_CONTROL_ERROR)
    this.drain()
  }

  /** Sends what waits: a frame for each stream in turn. */
  drain(): void {
    let progress = true
    while (progress && this.send > 0 && this.blocked.size > 0) {
      progress = false
      for (const stream of [...this.blocked]) {
        if (!stream.drainOne()) continue
        progress = true
        if (this.blocked.delete(stream)) this.blocked.add(stream)
      }
    }
  }

  /** Gives up streams whose peer opens no window for so long; 0: never. */
  sweep(nowMs: number, timeoutMs: number): void {
    if (timeoutMs <= 0) return
    for (const stream of [...this.blocked]) {
      if (nowMs - stream.blockedSinceMs < timeoutMs) continue
      const { receiver } = stream
      stream.receiver = undefined
      stream.reset(CANCEL)
      receiver?.onReset(CANCEL, 'violation')
    }
  }
}
