import type { Clock } from '#core/time/clock.ts'
import type { Turns } from './translate/view.ts'

/** To fill the model of a large mesh and to make its first views takes seconds: so much of it at a time. */
const TURN_MS = 8

/** Long work in turns of the event loop, each of which lets all else run that waits. Where there are several such works, a turn is of one of them, in order. */
export class LongWork {
  readonly #clock: Clock
  readonly #waiting: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The turns of one work, of which the first begins now. */
  turns(): Turns {
    let endsAtMs = this.#clock.monotonicMs() + TURN_MS
    return {
      isOver: () => this.#clock.monotonicMs() > endsAtMs,
      next: async () => {
        await new Promise<void>((resolve) => this.#wait(resolve))
        endsAtMs = this.#clock.monotonicMs() + TURN_MS
      },
    }
  }

  #wait(begin: () => void): void {
    this.#waiting.push(begin)
    if (this.#waiting.length === 1) setImmediate(() => this.#go())
  }

  #go(): void {
    const begin = this.#waiting.shift()
    if (this.#waiting.length > 0) setImmediate(() => this.#go())
    begin?.()
  }
}

/** Steps that nobody waits behind for long: each in the next turn of the event loop after the one before, and the first at once. */
export async function inTurns(steps: Iterator<void>): Promise<void> {
  while (steps.next().done !== true) await new Promise((resolve) => setImmediate(resolve))
}
