/** A count with a bound: connections, pending requests, requests, retries of a cluster (flag UO when it refuses). */
export class InFlight {
  readonly #max: number
  #count = 0

  constructor(max: number) {
    this.#max = max
  }

  get count(): number {
    return this.#count
  }

  /** False when the bound is reached; nothing is counted then. */
  enter(): boolean {
    if (this.#count >= this.#max) return false
    this.#count += 1
    return true
  }

  /** Once for every `enter` that answered true. */
  leave(): void {
    if (this.#count === 0) throw new Error('left more often than entered')
    this.#count -= 1
  }
}
