/** Tokens that come back with time, for a local rate limit. Filled continuously, as Envoy does: one interval's tokens are spread over the interval. */
export class TokenBucket {
  readonly #tokensMax: number
  readonly #tokensPerMs: number
  #tokens: number
  #filledMs: number

  /** Starts full. Intervals and times in milliseconds. */
  constructor(rule: { tokensMax: number; tokensPerFill: number; fillIntervalMs: number }, nowMs: number) {
    this.#tokensMax = rule.tokensMax
    this.#tokensPerMs = rule.tokensPerFill / rule.fillIntervalMs
    this.#tokens = rule.tokensMax
    this.#filledMs = nowMs
  }

  /** Takes one token; false when there is none (flag RL). */
  take(nowMs: number): boolean {
    if (nowMs > this.#filledMs) {
      this.#tokens = Math.min(this.#tokensMax, this.#tokens + (nowMs - this.#filledMs) * this.#tokensPerMs)
      this.#filledMs = nowMs
    }
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
