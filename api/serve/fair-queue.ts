/** Who waits belongs to a share: a mesh. */
export interface Sharer {
  readonly share: string
}

/** Takes from each share in turn, and within one in the order of coming: a share with a thousand that wait delays one of another by one. */
export class FairQueue<T extends Sharer> {
  /** The next to be taken from is the first. */
  readonly #shares = new Map<string, Set<T>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  has(one: T): boolean {
    return this.#shares.get(one.share)?.has(one) === true
  }

  add(one: T): void {
    const share = this.#shares.get(one.share)
    if (share?.has(one) === true) return
    this.#size += 1
    if (share) share.add(one)
    else this.#shares.set(one.share, new Set([one]))
  }

  /** Whether it waited. */
  delete(one: T): boolean {
    const share = this.#shares.get(one.share)
    if (share?.delete(one) !== true) return false
    this.#size -= 1
    if (share.size === 0) this.#shares.delete(one.share)
    return true
  }

  take(): T | undefined {
    for (const name of this.#shares.keys()) return this.takeOf(name)
    return undefined
  }

  /** The next of one share, out of its turn. */
  takeOf(name: string): T | undefined {
    const share = this.#shares.get(name)
    if (share === undefined) return undefined
    for (const one of share) {
      share.delete(one)
      this.#size -= 1
      this.#shares.delete(name)
      if (share.size > 0) this.#shares.set(name, share)
      return one
    }
    return undefined
  }
}
