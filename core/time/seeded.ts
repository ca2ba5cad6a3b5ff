import type { Clock, Doors, Random, Timer } from './clock.ts'

/** Mulberry32: small, good enough to spread simulated traffic, and the same on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    draw() {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    },
  }
}

interface Pending {
  dueMs: number
  periodMs: number | undefined
  fire: () => void
}

/** A clock that stands still until told to advance; timers fire in order of their due time, then of their setting. */
export class SteppedClock implements Clock {
  #elapsedMs = 0
  readonly #pending = new Set<Pending>()
  readonly #epochMs: number

  constructor(epochMs = 1_700_000_000_000) {
    this.#epochMs = epochMs
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  wallMs(): number {
    return this.#epochMs + this.#elapsedMs
  }

  after(delayMs: number, fire: () => void): Timer {
    return this.#add({ dueMs: this.#elapsedMs + delayMs, periodMs: undefined, fire })
  }

  every(periodMs: number, fire: () => void): Timer {
    return this.#add({ dueMs: this.#elapsedMs + periodMs, periodMs, fire })
  }

  advance(ms: number): void {
    const endMs = this.#elapsedMs + ms
    for (;;) {
      let next: Pending | undefined
      for (const pending of this.#pending) if (pending.dueMs <= endMs && (!next || pending.dueMs < next.dueMs)) next = pending
      if (!next) break
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs)
      if (next.periodMs === undefined) this.#pending.delete(next)
      else next.dueMs += next.periodMs
      next.fire()
    }
    this.#elapsedMs = endMs
  }

  #add(pending: Pending): Timer {
    this.#pending.add(pending)
    return { cancel: () => this.#pending.delete(pending) }
  }
}

export const seededDoors = (seed: number): Doors & { clock: SteppedClock } => ({ clock: new SteppedClock(), random: seededRandom(seed) })
