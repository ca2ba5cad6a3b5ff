import type { FrameOut } from './frame-out.ts'
import { CANCEL, DEFAULT_WINDOW, WINDOW_UPDATE } from './frames.ts'
import type { Stream } from './stream.ts'

/** The windows of a connection as a whole (RFC 9113 §5.2), and who waits for one. */
export class Windows {
  /** Bytes that may be sent. */
  send = DEFAULT_WINDOW
  /** Streams with bytes that wait for a window, theirs or this one. */
  readonly blocked = new Set<Stream>()
  readonly #out: FrameOut
  readonly #size: number
  /** Bytes that the peer may send. */
  #receive: number
  /** Taken, and the peer not told yet. */
  #uncreditedBytes = 0

  /** `size`: what the peer may send before it was taken. */
  constructor(out: FrameOut, size: number) {
    this.#out = out
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
    this.#out.words(WINDOW_UPDATE, 0, 0, this.#uncreditedBytes)
    this.#uncreditedBytes = 0
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
