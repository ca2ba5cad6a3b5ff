import { GONE, type Level, type Settled, settle } from './levels.ts'

const NOTHING: ReadonlyMap<string, never> = new Map<string, never>()

/** What a layer has of its own. */
export type Own<V> = Level<V>

/** A map that writes to a layer of its own above a base, which others may share and nobody writes to. Iterates over the base first; entries may be deleted meanwhile. */
export class LayeredMap<V extends string | boolean> {
  #base: Settled<V>
  /** Undefined while nothing differs from the base. */
  #own: Map<string, V | typeof GONE> | undefined
  #size: number

  constructor(base: Settled<V> = NOTHING) {
    this.#base = base
    this.#size = base.size
  }

  get size(): number {
    return this.#size
  }

  /** Entries by which it differs from its base. */
  get differences(): number {
    return this.#own?.size ?? 0
  }

  get(name: string): V | undefined {
    const own = this.#own?.get(name)
    if (own === undefined) return this.#base.get(name)
    return own === GONE ? undefined : own
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  set(name: string, value: V): void {
    const below = this.#base.get(name)
    const own = this.#own?.get(name)
    const before = own === undefined ? below : own === GONE ? undefined : own
    if (before === value) return
    if (before === undefined) this.#size += 1
    if (below === value) this.#own?.delete(name)
    else (this.#own ??= new Map()).set(name, value)
  }

  /** Entries where there are none yet: `value` under each of the names. */
  begin(names: Iterable<string>, value: V): void {
    this.clear()
    const own = new Map<string, V>()
    for (const name of names) own.set(name, value)
    if (own.size === 0) return
    this.#own = own
    this.#size = own.size
  }

  delete(name: string): boolean {
    if (this.get(name) === undefined) return false
    this.#size -= 1
    if (this.#base.has(name)) (this.#own ??= new Map()).set(name, GONE)
    else this.#own?.delete(name)
    return true
  }

  clear(): void {
    this.rest(NOTHING)
  }

  /** Takes another base, and drops what was its own, or keeps `own` of it. */
  rest(base: Settled<V>, own?: Own<V>): void {
    this.#base = base
    this.#own = undefined
    this.#size = base.size
    for (const [name, value] of own ?? NOTHING) {
      if (value === GONE) this.delete(name)
      else this.set(name, value)
    }
  }

  /** What is its own above the base; valid until it is written to. */
  get own(): Own<V> | undefined {
    return this.#own
  }

  *entries(): IterableIterator<[string, V]> {
    for (const entry of this.#base) {
      const own = this.#own?.get(entry[0])
      if (own === undefined) yield entry
      else if (own !== GONE) yield [entry[0], own]
    }
    for (const [name, value] of this.#own ?? NOTHING) if (value !== GONE && !this.#base.has(name)) yield [name, value]
  }

  *keys(): IterableIterator<string> {
    for (const [name] of this.entries()) yield name
  }

  [Symbol.iterator](): IterableIterator<[string, V]> {
    return this.entries()
  }

  /** By what it differs from its base; undefined for what is gone. */
  *changes(): IterableIterator<[string, V | undefined]> {
    for (const [name, value] of this.#own ?? NOTHING) yield [name, value === GONE ? undefined : value]
  }

  /** All of it, to be shared and written to no more: the base where nothing differs. This map then rests on it. */
  frozen(): Settled<V> {
    if (this.#own !== undefined && this.#own.size > 0) this.#base = settle(this.#base, this.#own, this.#size)
    this.#own = undefined
    return this.#base
  }
}

/** A set of names in the same way. */
export class LayeredSet {
  readonly #map = new LayeredMap<true>()

  get size(): number {
    return this.#map.size
  }

  get differences(): number {
    return this.#map.differences
  }

  has(name: string): boolean {
    return this.#map.has(name)
  }

  add(name: string): void {
    this.#map.set(name, true)
  }

  delete(name: string): boolean {
    return this.#map.delete(name)
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.#map.keys()
  }

  changes(): IterableIterator<[string, true | undefined]> {
    return this.#map.changes()
  }

  rest(base: Settled<true>, own?: Own<true>): void {
    this.#map.rest(base, own)
  }

  get own(): Own<true> | undefined {
    return this.#map.own
  }

  frozen(): Settled<true> {
    return this.#map.frozen()
  }
}
