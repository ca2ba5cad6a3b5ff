import type { Stream } from './stream.ts'

const SLOTS_MIN = 16

/**
 * The streams of one side of a connection, by number. Numbers grow by two, so that the next one's slot is mostly free. A Map is not used for what its growth does to the garbage
 * collector: see live-set.ts.
 */
export class StreamTable {
  #slots: (Stream | undefined)[] = Array.from({ length: SLOTS_MIN }, () => undefined)
  size = 0

  get(id: number): Stream | undefined {
    const slots = this.#slots
    const mask = slots.length - 1
    for (let at = (id >> 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at]
      if (stream === undefined || stream.id === id) return stream
    }
  }

  add(stream: Stream): void {
    if (2 * (this.size + 1) > this.#slots.length) this.#grow()
    this.#put(stream)
    this.size += 1
  }

  #put(stream: Stream): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let at = (stream.id >> 1) & mask
    while (slots[at] !== undefined) at = (at + 1) & mask
    slots[at] = stream
  }

  #grow(): void {
    const before = this.#slots
    this.#slots = Array.from({ length: 2 * before.length }, () => undefined)
    for (const stream of before) if (stream !== undefined) this.#put(stream)
  }

  delete(id: number): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let at = (id >> 1) & mask
    while (slots[at] !== undefined && slots[at]?.id !== id) at = (at + 1) & mask
    if (slots[at] === undefined) return
    slots[at] = undefined
    this.size -= 1
    // What stood behind it because its own slot was taken moves up.
    for (let next = (at + 1) & mask; ; next = (next + 1) & mask) {
      const stream = slots[next]
      if (stream === undefined) return
      slots[next] = undefined
      this.#put(stream)
    }
  }

  /** Those that are there now, by number. */
  all(): Stream[] {
    const streams: Stream[] = []
    for (const stream of this.#slots) if (stream !== undefined) streams.push(stream)
    return streams.sort((a, b) => a.id - b.id)
  }
}
