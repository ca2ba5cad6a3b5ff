import type { Log } from '../admin/log.ts'
import type { Bound, Overload } from './overload.ts'

/** What is turned away is told of so often at most, for each bound: a flood of clients must not become one of lines. */
const QUIET_MS = 10_000

/** Says in the log what was turned away: soon after the first, and then as a count of those since. */
export class ShedLog {
  readonly #overload: Overload
  readonly #log: Log
  readonly #told = new Map<Bound, { count: number; atMs: number }>()

  constructor(overload: Overload, log: Log) {
    this.#overload = overload
    this.#log = log
  }

  /** Called once a second, with monotonic milliseconds. */
  tell(nowMs: number): void {
    for (const [bound, count] of this.#overload.counts()) {
      const told = this.#told.get(bound) ?? { count: 0, atMs: -QUIET_MS }
      if (count === told.count || nowMs - told.atMs < QUIET_MS) continue
      this.#log.warn('overload.shed', { bound, count: count - told.count, limit: this.#overload.limitOf(bound) })
      this.#told.set(bound, { count, atMs: nowMs })
    }
  }
}
