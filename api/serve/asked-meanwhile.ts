const NOTHING: readonly string[] = []

/** Names that a client asked for while it owed an answer: they do not wait for that. */
export class AskedMeanwhile {
  #names: Set<string> | 'all' | undefined

  /** Something was asked. */
  get isAny(): boolean {
    return this.#names !== undefined
  }

  /** A wildcard was. */
  get isAll(): boolean {
    return this.#names === 'all'
  }

  /** Those by name. */
  get names(): Iterable<string> {
    return this.#names === undefined || this.#names === 'all' ? NOTHING : this.#names
  }

  all(): void {
    this.#names = 'all'
  }

  /** @param isDue what of a name is still to be sent */
  add(names: Iterable<string>, isDue: (name: string) => boolean): void {
    if (this.#names === 'all') return
    const asked = this.#names ?? new Set<string>()
    for (const name of names) if (isDue(name)) asked.add(name)
    if (asked.size > 0) this.#names = asked
  }

  /** Of those by name what is no longer due is forgotten. */
  keep(isDue: (name: string) => boolean): void {
    const left = [...this.names].filter(isDue)
    this.#names = left.length > 0 ? new Set(left) : undefined
  }

  forget(name: string): void {
    if (this.#names !== 'all') this.#names?.delete(name)
  }

  clear(): void {
    this.#names = undefined
  }
}
