/** Asked for, and not come. */
const MISSING = 0xffffffff

/** What one proxy has of one type: a version by name, both as numbers. */
export class HeldNames {
  #versions: Uint32Array
  missing = 0

  constructor(versions = new Uint32Array(0)) {
    this.#versions = versions
  }

  has(name: number): boolean {
    return (this.#versions[name] ?? 0) > 0
  }

  ask(name: number): void {
    this.#put(name, MISSING)
    this.missing += 1
  }

  set(name: number, version: number): void {
    if (this.#versions[name] === MISSING) this.missing -= 1
    this.#put(name, version)
  }

  delete(name: number): void {
    this.set(name, 0)
  }

  /** The same as a stream that comes back has it: what had not come was never there. */
  afterwards(): HeldNames {
    return new HeldNames(this.#versions.map((version) => (version === MISSING ? 0 : version)))
  }

  /** Names with their versions. */
  *[Symbol.iterator](): Iterator<[number, number]> {
    for (const [name, version] of this.#versions.entries()) if (version !== 0 && version !== MISSING) yield [name, version]
  }

  equals(other: HeldNames): boolean {
    const [mine, theirs] = [this.#versions, other.#versions]
    return mine.length === theirs.length && Buffer.from(mine.buffer, mine.byteOffset, mine.byteLength).equals(Buffer.from(theirs.buffer, theirs.byteOffset, theirs.byteLength))
  }

  #put(name: number, version: number): void {
    if (name >= this.#versions.length) {
      const grown = new Uint32Array(Math.max(name + 1, 16, Math.ceil(this.#versions.length * 1.5)))
      grown.set(this.#versions)
      this.#versions = grown
    }
    this.#versions[name] = version
  }
}
