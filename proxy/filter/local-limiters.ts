import { LocalLimiter } from '#core/limit/local-limiter.ts'
import type { LocalRateLimitPlan } from '#core/plan/local-rate-limit.ts'
import type { PeerInfo } from '#core/route/request.ts'
import type { Clock } from '#core/time/clock.ts'

/** The buckets of all local rate limits of a proxy: each plan has its own, until another replaces it, and each connection that has some of its own keeps them while it is there. */
export class LocalLimiters {
  readonly #clock: Clock
  readonly #ofPlans = new WeakMap<LocalRateLimitPlan, LocalLimiter>()
  readonly #ofConnections = new WeakMap<PeerInfo, LocalLimiter>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `connection`: the client's end of it, one value for each. As in Envoy it has one set of buckets, after the limit that was asked for first. */
  limiterOf(plan: LocalRateLimitPlan, connection: PeerInfo): LocalLimiter {
    return plan.perConnection ? this.#made(this.#ofConnections, connection, plan) : this.#made(this.#ofPlans, plan, plan)
  }

  #made<Key extends WeakKey>(all: WeakMap<Key, LocalLimiter>, key: Key, plan: LocalRateLimitPlan): LocalLimiter {
    const known = all.get(key)
    if (known !== undefined) return known
    const made = new LocalLimiter(plan, this.#clock.monotonicMs())
    all.set(key, made)
    return made
  }
}
