import type { Clock } from '#core/time/clock.ts'
import { ForgottenUnused } from './forgotten-unused.ts'

/** What a request asks for: one object for all that ask for the same in the same bytes at about the same time, so never written to. */
export interface Ask {
  /** SotW: resource_names. Delta: resource_names_subscribe. */
  readonly names: readonly string[]
  /** Delta only. */
  readonly dropped: readonly string[]
  /** Delta only: initial_resource_versions. */
  readonly held: ReadonlyMap<string, string>
}

export const nothingAsked: Ask = { names: [], dropped: [], held: new Map() }

const keptMs = 10_000
const keptBytesMax = 32 << 20
/** What a name takes beside its characters, once it is read. */
const nameBytes = 40
/** Of one length. */
const alikeMax = 8

interface Kept {
  readonly bytes: Buffer
  /** What it takes of memory. */
  readonly size: number
  readonly ask: Ask
}

/** Reads long lists of names and versions once for all streams that bring the same: a thousand proxies that come back bring a few hundred kilobytes each. */
export class Asks {
  /** Shorter ones are read faster than looked up. */
  readonly #bytesMin: number
  readonly #kept = new Map<number, Kept[]>()
  #bytes = 0
  readonly #unused: ForgottenUnused

  constructor(clock: Clock, bytesMin: number) {
    this.#bytesMin = bytesMin
    this.#unused = new ForgottenUnused(clock, keptMs, () => this.#clear())
  }

  /** What `bytes`, the fields of a request that name resources, ask for. */
  read(bytes: Uint8Array, read: (bytes: Uint8Array) => Ask): { readonly ask: Ask; readonly isShared: boolean } {
    if (bytes.length < this.#bytesMin) return { ask: read(bytes), isShared: false }
    const alike = this.#kept.get(bytes.length)
    const known = alike?.find((one) => one.bytes.equals(bytes))
    if (known) {
      this.#unused.used()
      return { ask: known.ask, isShared: true }
    }
    const ask = read(bytes)
    this.#keep({ bytes: Buffer.from(bytes), size: bytes.length + nameBytes * (ask.names.length + ask.held.size), ask }, alike)
    return { ask, isShared: true }
  }

  #keep(made: Kept, alike: Kept[] | undefined): void {
    if (this.#bytes + made.size > keptBytesMax) this.#clear()
    this.#bytes += made.size
    if (alike === undefined || this.#kept.size === 0) this.#kept.set(made.bytes.length, [made])
    else {
      alike.push(made)
      if (alike.length > alikeMax) this.#bytes -= alike.shift()?.size ?? 0
    }
    this.#unused.used()
  }

  #clear(): void {
    this.#kept.clear()
    this.#bytes = 0
  }
}
