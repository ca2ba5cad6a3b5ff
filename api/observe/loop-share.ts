import { rateLimited } from '../access/rate.ts'
import type { Clock } from '#core/time/clock.ts'

/** Who has had the event loop for so long waits this many times as long before the next turn: at most a tenth of it is any one organization's. */
const REST = 9
/** What is over at once counts for nothing. */
const FREE_MS = 20
/** Whoever would wait longer is told to come again. */
const WAIT_MS_MAX = 5000

/** Work that holds the event loop as long as it lasts, shared among organizations. */
export class LoopShare {
  readonly #clock: Clock
  /** Monotonic, by organization: when its next turn may begin. Those whose time has come are forgotten. */
  readonly #from = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Does the work, which is synchronous, once the organization's last turn does not count any more. @throws Faults 'access.rate-limited' when that is far away */
  async run<Result>(organizationId: string, work: () => Result): Promise<Result> {
    for (;;) {
      const leftMs = (this.#from.get(organizationId) ?? 0) - this.#clock.monotonicMs()
      if (leftMs <= 0) return this.#turn(organizationId, work)
      if (leftMs > WAIT_MS_MAX) throw rateLimited(`what cost so much may be asked again in ${Math.ceil(leftMs / 1000)} s`)
      await new Promise<void>((resolve) => this.#clock.after(leftMs, resolve))
    }
  }

  #turn<Result>(organizationId: string, work: () => Result): Result {
    const startMs = this.#clock.monotonicMs()
    for (const [id, fromMs] of this.#from) if (fromMs <= startMs) this.#from.delete(id)
    try {
      return work()
    } finally {
      const endMs = this.#clock.monotonicMs()
      if (endMs - startMs > FREE_MS) this.#from.set(organizationId, endMs + REST * (endMs - startMs))
    }
  }
}
