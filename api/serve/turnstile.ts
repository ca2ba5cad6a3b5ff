/** As many wait as may. */
export class TurnstileFull extends Error {}

/** Lets so many through at once; the others wait in order. */
export class Turnstile {
  readonly #width: number
  readonly #waitingMax: number
  readonly #waiting: (() => void)[] = []
  #inside = 0

  /** @param waitingMax beyond so many who wait, the next is turned away */
  constructor(width: number, waitingMax = Number.POSITIVE_INFINITY) {
    this.#width = width
    this.#waitingMax = waitingMax
  }

  /** @throws TurnstileFull */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#width) this.#inside += 1
    else if (this.#waiting.length >= this.#waitingMax) throw new TurnstileFull('too many wait already')
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#inside -= 1
    }
  }
}
