import type { Ask } from './asks.ts'

const NONE: readonly string[] = []
/** What a name takes beside its characters, where it is held by one stream alone: in what that wants, was told and is due. */
const nameBytes = 256

/** Names that one stream gave and that its view does not have: the only ones of which it decides how many there are, and that nobody else holds as well. */
export class UnknownNames {
  /** Undefined for most streams at all times. */
  #names: Set<string> | undefined
  #bytes = 0

  /** About how much memory they take. */
  get bytes(): number {
    return this.#bytes
  }

  add(name: string): void {
    const names = (this.#names ??= new Set())
    if (names.has(name)) return
    names.add(name)
    this.#bytes += nameBytes + name.length
  }

  delete(name: string): void {
    if (this.#names?.delete(name) !== true) return
    this.#bytes -= nameBytes + name.length
    if (this.#names.size === 0) this.#names = undefined
  }

  /** Those of them that a request brings. */
  among({ names, held }: Ask): readonly string[] {
    const known = this.#names
    return known === undefined ? NONE : [...names, ...held.keys()].filter((name) => known.has(name))
  }
}
