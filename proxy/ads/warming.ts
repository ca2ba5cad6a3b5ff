import type { Clock, Timer } from '#core/time/clock.ts'

/** As long as Envoy's initial_fetch_timeout: then what waits goes into force without what it waited for. */
const PATIENCE_MS = 15_000
const SWEEP_MS = 1000

interface Held {
  readonly needs: Set<string>
  readonly untilMs: number
  readonly settle: (inForce: boolean) => void
}

/**
 * What has arrived but may not serve yet, because something that it points at is not here (make before break).
 * Each held value waits for keys; it goes into force when the last arrives, or when its patience ends, and is dropped when a newer one takes its place.
 */
export class Warming {
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()
  readonly #waiters = new Map<string, Set<string>>()
  readonly #overdue: (id: string, needs: readonly string[]) => void
  #sweep: Timer | undefined

  /** `overdue` hears of what ran out of patience, and for what it waited. */
  constructor(clock: Clock, overdue: (id: string, needs: readonly string[]) => void) {
    this.#clock = clock
    this.#overdue = overdue
  }

  has(id: string): boolean {
    return this.#held.has(id)
  }

  get size(): number {
    return this.#held.size
  }

  /** What waits, and for what: for people. */
  list(): { id: string; needs: string[] }[] {
    return [...this.#held].map(([id, { needs }]) => ({ id, needs: [...needs] }))
  }

  /** Calls `settle` once: true when in force (at once if nothing is needed), false when dropped or replaced by a newer value of this id. */
  hold(id: string, needs: Iterable<string>, settle: (inForce: boolean) => void): void {
    this.drop(id)
    const open = new Set(needs)
    if (open.size === 0) {
      settle(true)
      return
    }
    this.#held.set(id, { needs: open, untilMs: this.#clock.monotonicMs() + PATIENCE_MS, settle })
    for (const key of open) {
      const waiters = this.#waiters.get(key)
      if (waiters) waiters.add(id)
      else this.#waiters.set(key, new Set([id]))
    }
    this.#sweep ??= this.#clock.every(SWEEP_MS, () => this.#release())
  }

  arrived(key: string): void {
    const waiters = this.#waiters.get(key)
    if (!waiters) return
    this.#waiters.delete(key)
    for (const id of waiters) {
      const held = this.#held.get(id)
      held?.needs.delete(key)
      if (held?.needs.size === 0) this.#finish(id, held, true)
    }
  }

  drop(id: string): void {
    const held = this.#held.get(id)
    if (held) this.#finish(id, held, false)
  }

  stop(): void {
    this.#sweep?.cancel()
    this.#sweep = undefined
  }

  #release(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [id, held] of this.#held) {
      if (held.untilMs > nowMs) continue
      this.#overdue(id, [...held.needs])
      this.#finish(id, held, true)
    }
  }

  #finish(id: string, held: Held, inForce: boolean): void {
    this.#held.delete(id)
    for (const key of held.needs) {
      const waiters = this.#waiters.get(key)
      waiters?.delete(id)
      if (waiters?.size === 0) this.#waiters.delete(key)
    }
    if (this.#held.size === 0) this.stop()
    held.settle(inForce)
  }
}
