/** Stands in a level for an entry further down that is gone. */
export const GONE = Symbol('gone')

/** What is read of a map that others share and nobody writes to. */
export type Settled<V> = Pick<ReadonlyMap<string, V>, 'size' | 'get' | 'has' | typeof Symbol.iterator>

/** Entries, and what is gone, above others. */
export type Level<V> = ReadonlyMap<string, V | typeof GONE>

/** A level is made one with those above it when it has at most so many times their entries: so small ones are few, and an entry is copied a few times only. */
const ratio = 2
/** What comes together stays below this, or below a share of the whole where that is more: no step of a first answer costs as much as the whole, and a large map has about as many levels as a small one. */
const togetherMax = 2048
const shareMax = 1 / 2
/** All levels together have at most so many times the entries that there are, and this many: what is said anew again and again would pile up. They become one then, at the cost of the whole for as many changes. */
const pileMax = 2
const pileEntriesMin = 1024

/** A map in levels, the newest last, none of which is written to again: one that differs from another in little shares the rest with it, and making it costs about what differs. */
class LevelMap<V extends string | boolean> implements Settled<V> {
  readonly size: number
  readonly levels: readonly Level<V>[]

  constructor(levels: readonly Level<V>[], size: number) {
    this.levels = levels
    this.size = size
  }

  get(name: string): V | undefined {
    for (let at = this.levels.length - 1; at >= 0; at -= 1) {
      const found = this.levels[at]?.get(name)
      if (found !== undefined) return found === GONE ? undefined : found
    }
    return undefined
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  /** The older levels first, each entry where it was set last. */
  *[Symbol.iterator](): MapIterator<[string, V]> {
    for (const [at, level] of this.levels.entries()) {
      for (const [name, value] of level) if (value !== GONE && !isFrom(this.levels, at + 1, name)) yield [name, value]
    }
  }
}

const NOTHING = new LevelMap<never>([], 0)

/** Something is said of the name in a level from this one on. */
function isFrom(levels: readonly ReadonlyMap<string, unknown>[], from: number, name: string): boolean {
  for (let at = from; at < levels.length; at += 1) if (levels[at]?.has(name)) return true
  return false
}

/**
 * `base` with `own` above it, as a map that nobody writes to.
 * @param own the caller gives it away
 * @param size how many entries there are in all
 */
export function settle<V extends string | boolean>(base: Settled<V>, own: Level<V>, size: number): Settled<V> {
  if (size === 0) return NOTHING
  const levels = [...levelsOf(base), own]
  if (levels.reduce((sum, level) => sum + level.size, 0) > pileMax * size + pileEntriesMin) return new LevelMap([merged(levels, true)], size)
  const entriesMax = Math.max(togetherMax, size * shareMax)
  let together = own.size
  let from = levels.length - 1
  for (let below = levels[from - 1]; below !== undefined && below.size <= together * ratio && below.size + together <= entriesMax; below = levels[from - 1]) {
    together += below.size
    from -= 1
  }
  return new LevelMap(from === levels.length - 1 ? levels : [...levels.slice(0, from), merged(levels.slice(from), from === 0)], size)
}

/** @param isAll nothing is below these, so what is gone need not be said */
function merged<V extends string | boolean>([first, ...others]: readonly Level<V>[], isAll: boolean): Level<V> {
  const made = new Map(first)
  for (const level of others) {
    level.forEach((value, name) => {
      if (isAll && value === GONE) made.delete(name)
      else made.set(name, value)
    })
  }
  return made
}

function levelsOf<V extends string | boolean>(base: Settled<V>): readonly Level<V>[] {
  if (base.size === 0) return []
  return base instanceof LevelMap ? base.levels : [new Map(base)]
}
