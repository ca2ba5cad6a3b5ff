import type { Calm } from './calm.ts'
import { FrameOut } from './frame-out.ts'
import { CONTINUATION, END_HEADERS, END_STREAM, FRAME_BYTES, FRAME_HEADER_BYTES, HEADERS } from './frames.ts'
import { HpackEncoder } from './hpack-encoder.ts'

/** Field sections on their way out: encoded in place, where their HEADERS frame will be (RFC 9113 §4.3). */
export class SectionOut {
  readonly #out: FrameOut
  readonly #calm: Calm
  readonly #encoder = new HpackEncoder()
  #bytes!: Buffer
  #at = 0
  /** Too large for one frame, it is encoded elsewhere and cut. */
  #apart = false

  constructor(out: FrameOut, calm: Calm) {
    this.#out = out
    this.#calm = calm
  }

  /** The peer says how large a table it keeps. */
  allowTable(bytes: number): void {
    this.#encoder.allow(bytes)
  }

  /** The encoder, ready for the fields of one section; `end` makes it a frame. Nothing else may be written between. */
  begin(textLength: number): HpackEncoder {
    const room = HpackEncoder.roomFor(textLength)
    this.#apart = room > FRAME_BYTES
    if (this.#apart) {
      this.#bytes = Buffer.allocUnsafe(room)
      this.#at = 0
    } else {
      this.#bytes = this.#out.room(FRAME_HEADER_BYTES + room)
      this.#at = this.#out.used + FRAME_HEADER_BYTES
    }
    this.#encoder.begin(this.#bytes, this.#at)
    return this.#encoder
  }

  /** Answers where the HEADERS frame is in the present chunk; -1 for one that CONTINUATION follows. */
  end(id: number, ends: boolean): number {
    const out = this.#out
    const end = this.#encoder.end()
    const flags = ends ? END_STREAM : 0
    this.#calm.work()
    if (!this.#apart) {
      const at = out.used
      FrameOut.header(this.#bytes, at, end - this.#at, HEADERS, flags | END_HEADERS, id)
      out.used = end
      return at
    }
    let from = 0
    do {
      const to = Math.min(end, from + FRAME_BYTES)
      out.frame(from === 0 ? HEADERS : CONTINUATION, (from === 0 ? flags : 0) | (to === end ? END_HEADERS : 0), id, this.#bytes, from, to)
      from = to
    } while (from < end)
    // Not to be amended: an empty DATA frame ends such a stream.
    return -1
  }
}
