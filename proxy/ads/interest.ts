/** Who is told when a name is first needed, and when nobody needs it any more. */
export interface InterestWatcher {
  added(name: string): void
  dropped(name: string): void
}

/** Counts who needs which names, so that each is subscribed once and dropped with its last user. A change costs what its owner names. */
export class Interest {
  readonly #byOwner = new Map<string, ReadonlySet<string>>()
  readonly #counts = new Map<string, number>()
  readonly #watcher: InterestWatcher

  constructor(watcher: InterestWatcher) {
    this.#watcher = watcher
  }

  has(name: string): boolean {
    return this.#counts.has(name)
  }

  /** `owner` needs exactly these names from now on; none: it is gone. */
  set(owner: string, names: Iterable<string>): void {
    const next = new Set(names)
    const before = this.#byOwner.get(owner)
    if (next.size === 0) this.#byOwner.delete(owner)
    else this.#byOwner.set(owner, next)
    for (const name of next) {
      if (before?.has(name)) continue
      const count = this.#counts.get(name) ?? 0
      this.#counts.set(name, count + 1)
      if (count === 0) this.#watcher.added(name)
    }
    for (const name of before ?? []) {
      if (next.has(name)) continue
      const count = (this.#counts.get(name) ?? 0) - 1
      if (count > 0) this.#counts.set(name, count)
      else {
        this.#counts.delete(name)
        this.#watcher.dropped(name)
      }
    }
  }
}
