import { LRUCache } from 'lru-cache'
import { fault, Faults } from '#core/fault/fault.ts'
import { TokenBucket } from '#core/limit/token-bucket.ts'

export interface RateRule {
  readonly requestsPerSecond: number
  readonly burst: number
}
/** Of a key. A person and their scripts never meet it; a loop that ran away does. */
export const RATE_DEFAULT: RateRule = { requestsPerSecond: 500, burst: 2000 }
/** Of a network that shows keys which were not accepted lately: guesses, and the first use of a new key. */
export const STRANGER_RATE: RateRule = { requestsPerSecond: 20, burst: 200 }

/**
 * A bucket for each caller, the most recent ones. Those who are forgotten begin anew with a full one.
 * Callers are what somebody had to prove or to have, a key's id or a network, never a text that they can make up.
 * Kept by this replica alone: behind a balancer, a caller has as many as there are replicas.
 */
export class Rates {
  readonly #rule: RateRule
  readonly #wallMs: () => number
  readonly #buckets: LRUCache<string, TokenBucket>

  constructor(rule: RateRule, wallMs: () => number, callersMax = 20_000) {
    this.#rule = rule
    this.#wallMs = wallMs
    this.#buckets = new LRUCache({ max: callersMax })
  }

  /** Whether the caller had one left. */
  spend(caller: string): boolean {
    const nowMs = this.#wallMs()
    const { requestsPerSecond, burst } = this.#rule
    const bucket = this.#buckets.get(caller) ?? new TokenBucket({ tokensMax: burst, tokensPerFill: requestsPerSecond, fillIntervalMs: 1000 }, nowMs)
    this.#buckets.set(caller, bucket)
    return bucket.take(nowMs)
  }

  /** @throws Faults 'access.rate-limited' when the caller has none left */
  take(caller: string): void {
    const { requestsPerSecond, burst } = this.#rule
    if (!this.spend(caller)) throw rateLimited(`at most ${requestsPerSecond} requests a second, ${burst} at once`)
  }

  /** How many callers are remembered. */
  get size(): number {
    return this.#buckets.size
  }
}

export const rateLimited = (rule: string): Faults => new Faults([fault('access.rate-limited', { path: '', rule, hint: 'wait a second and try again' })])
