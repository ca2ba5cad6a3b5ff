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
    this.#fill(nowMs)
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  get tokensMax(): number {
    return this.#tokensMax
  }

  get tokensPerMs(): number {
    return this.#tokensPerMs
  }

  /** Whole tokens that are there. */
  left(nowMs: number): number {
    this.#fill(nowMs)
    return Math.floor(this.#tokens)
  }

  /** Until there is one to take. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#tokens >= 1 ? 0 : Math.ceil((1 - this.#tokens) / this.#tokensPerMs)
  }

  #fill(nowMs: number): void {
    if (nowMs <= this.#filledMs) return
    this.#tokens = Math.min(this.#tokensMax, this.#tokens + (nowMs - this.#filledMs) * this.#tokensPerMs)
    this.#filledMs = nowMs
  }
}
