import type { Clock } from '#core/time/clock.ts'
import { FairQueue, type Sharer } from './fair-queue.ts'

/** How long requests are read in one turn of the event loop. */
const turnMs = 4
/** Bytes of requests that may wait past a turn: with more, memory is dearer than the turn. */
const waitingBytesMax = 16 << 20

/** Whoever has a request in hand that waits to be read. */
export interface Reading extends Sharer {
  /** What its request holds while it waits. */
  readonly waitingBytes: number
  read(): void
}

/**
 * How long requests may take in one turn of the event loop: what comes of many callers at once, or names a mesh of ten thousand services, lets all else have its turn between. What waits is read meshes in turn, and each caller waits with
 * one request at most: it is paused. What waits of large requests is read in the same turn after all, where it would hold too much.
 */
export class Readings {
  readonly #clock: Clock
  readonly #schedule: (run: () => void) => void
  readonly #waiting = new FairQueue<Reading>()
  #waitingBytes = 0
  #endsAtMs: number | undefined

  /** @param schedule runs something in the event loop's next turn */
  constructor(clock: Clock, schedule: (run: () => void) => void) {
    this.#clock = clock
    this.#schedule = schedule
  }

  /** Whether there is time for one more in this turn. */
  get isOpen(): boolean {
    if (this.#endsAtMs === undefined) this.#begin()
    return this.#waiting.size === 0 && this.#isInTime
  }

  /** Has its `read` called in a later turn. */
  wait(one: Reading): void {
    this.#waiting.add(one)
    this.#waitingBytes += one.waitingBytes
  }

  forget(one: Reading): void {
    if (this.#waiting.delete(one)) this.#waitingBytes -= one.waitingBytes
  }

  get #isInTime(): boolean {
    return this.#endsAtMs === undefined || this.#clock.monotonicMs() <= this.#endsAtMs
  }

  #begin(): void {
    this.#endsAtMs = this.#clock.monotonicMs() + turnMs
    this.#schedule(() => this.#next())
  }

  #next(): void {
    this.#endsAtMs = undefined
    if (this.#waiting.size === 0) return
    this.#begin()
    while (this.#isInTime || this.#waitingBytes > waitingBytesMax) {
      const one = this.#waiting.take()
      if (one === undefined) return
      this.#waitingBytes -= one.waitingBytes
      one.read()
    }
  }
}
