const HOUR_MS = 3_600_000

/** How many orders a mesh begins: so many at once and so many an hour. Authorities count what comes from one address, and every mesh's orders come from the same. */
export class OrderPace {
  readonly #atOnce: number
  readonly #perHour: number
  #beganAtMs: number[] = []
  readonly #running = new Set<Promise<void>>()

  constructor(limits: { readonly atOnce: number; readonly perHour: number }) {
    this.#atOnce = limits.atOnce
    this.#perHour = limits.perHour
  }

  /** Whether one more may begin within this hour. */
  allows(nowMs: number): boolean {
    this.#beganAtMs = this.#beganAtMs.filter((atMs) => atMs > nowMs - HOUR_MS)
    return this.#beganAtMs.length < this.#perHour
  }

  /** Resolves when fewer run than may. */
  async turn(): Promise<void> {
    while (this.#running.size >= this.#atOnce) await Promise.race(this.#running)
  }

  /** @param order never rejects */
  run(order: Promise<void>, nowMs: number): void {
    this.#beganAtMs.push(nowMs)
    const running = order.finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }
}
