import type { Clock, Timer } from '#core/time/clock.ts'
import { systemDoors } from '#core/time/system.ts'

interface Pending {
  dueMs: number
  readonly periodMs: number | undefined
  readonly fire: () => void
  timer: Timer | undefined
}

/** The system's clock, which a test may set forward: sockets take the time that they take, and minutes of waiting are over at once. */
export class LeapingClock implements Clock {
  readonly #system = systemDoors.clock
  readonly #pending = new Set<Pending>()
  #leaptMs = 0

  monotonicMs(): number {
    return this.#system.monotonicMs() + this.#leaptMs
  }

  wallMs(): number {
    // TLS has its own, and certificates are judged by both.
    return this.#system.wallMs()
  }

  after(delayMs: number, fire: () => void): Timer {
    return this.#add(delayMs, undefined, fire)
  }

  every(periodMs: number, fire: () => void): Timer {
    return this.#add(periodMs, periodMs, fire)
  }

  leap(ms: number): void {
    this.#leaptMs += ms
    for (const pending of this.#pending) this.#arm(pending)
  }

  #add(delayMs: number, periodMs: number | undefined, fire: () => void): Timer {
    const pending: Pending = { dueMs: this.monotonicMs() + delayMs, periodMs, fire, timer: undefined }
    this.#pending.add(pending)
    this.#arm(pending)
    return {
      cancel: () => {
        this.#pending.delete(pending)
        pending.timer?.cancel()
      },
    }
  }

  #arm(pending: Pending): void {
    pending.timer?.cancel()
    pending.timer = this.#system.after(Math.max(0, pending.dueMs - this.monotonicMs()), () => {
      if (pending.periodMs === undefined) this.#pending.delete(pending)
      else {
        pending.dueMs = Math.max(pending.dueMs + pending.periodMs, this.monotonicMs())
        this.#arm(pending)
      }
      pending.fire()
    })
  }
}
