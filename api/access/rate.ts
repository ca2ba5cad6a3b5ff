import { LRUCache } from 'lru-cache'
import { fault, Faults } from '#core/fault/fault.ts'
import { TokenBucket } from '#core/limit/token-bucket.ts'

export interface RateRule {
  readonly requestsPerSecond: number
  readonly burst: number
}
/** A person and their scripts never meet it; a loop that ran away does. */
export const RATE_DEFAULT: RateRule = { requestsPerSecond: 500, burst: 2000 }
/** Guesses at a password: by name and by address. */
export const LOGIN_RATE: RateRule = { requestsPerSecond: 0.2, burst: 10 }

/** A bucket for each caller, the most recent ones. Those who are forgotten begin anew with a full one. */
export class Rates {
  readonly #rule: RateRule
  readonly #wallMs: () => number
  readonly #buckets = new LRUCache<string, TokenBucket>({ max: 20_000 })

  constructor(rule: RateRule, wallMs: () => number) {
    this.#rule = rule
    this.#wallMs = wallMs
  }

  /** @throws Faults 'access.rate-limited' when the caller has none left */
  take(caller: string): void {
    const nowMs = this.#wallMs()
    const { requestsPerSecond, burst } = this.#rule
    const bucket = this.#buckets.get(caller) ?? new TokenBucket({ tokensMax: burst, tokensPerFill: requestsPerSecond, fillIntervalMs: 1000 }, nowMs)
    this.#buckets.set(caller, bucket)
    if (!bucket.take(nowMs)) throw new Faults([fault('access.rate-limited', { path: '', rule: `at most ${requestsPerSecond} requests a second, ${burst} at once`, hint: 'wait a second and try again' })])
  }
}
