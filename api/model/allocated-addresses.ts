/** Addresses there are: 240.240.0.1 … 240.240.255.254, without those that end in 0 and 255. */
const SLOTS = 256 * 254

/** Who holds an address, or wants one: a host of a namespace, for as many ServiceEntries as declare it there. */
interface Claim {
  readonly key: string
  readonly hash: number
  /** When each entry that declares it came to be, by the entry's id. */
  readonly since: Map<string, number>
  oldestMs: number
  slot: number | undefined
  /** Slots that it would rather have, in order, each held by an older claim. */
  readonly passed: number[]
}

/**
 * Addresses for hosts that have none of their own, of 240.240.0.0/16 and 2001:2::/48 as Istio's (istio.io/latest/docs/ops/configuration/traffic-management/dns-proxy).
 * Where a host's own slot is taken the older of the two has it, and the younger looks further. So the whole is a function of what there is, in whatever order it came: replicas agree
 * without a word, a new host moves none, and one that goes moves none but those that stood back for it.
 */
export class AllocatedAddresses {
  readonly #claims = new Map<string, Claim>()
  readonly #held = new Map<number, Claim>()
  readonly #waiting = new Map<number, Set<Claim>>()
  readonly #ofEntry = new Map<string, readonly string[]>()

  /** An entry declares exactly these (`NAMESPACE/HOST`) from now on. Answers with the other entries whose addresses that changed. */
  declare(entry: string, keys: readonly string[], sinceMs: number): ReadonlySet<string> {
    const moved = new Set<Claim>()
    const before = this.#ofEntry.get(entry) ?? []
    for (const key of new Set([...before, ...keys])) {
      const claim = this.#claims.get(key) ?? { key, hash: hashOf(key), since: new Map<string, number>(), oldestMs: Infinity, slot: undefined, passed: [] }
      if (keys.includes(key)) claim.since.set(entry, sinceMs)
      else claim.since.delete(entry)
      this.#settle(claim, moved)
    }
    if (keys.length > 0) this.#ofEntry.set(entry, keys)
    else this.#ofEntry.delete(entry)
    return new Set([...moved].flatMap((one) => [...one.since.keys()]).filter((one) => one !== entry))
  }

  /** An IPv4 and an IPv6 address, for an entry that declares the host; undefined: none is wanted, or none is left. */
  addressesOf(entry: string, key: string): readonly [string, string] | undefined {
    const claim = this.#claims.get(key)
    if (claim?.slot === undefined || !claim.since.has(entry)) return undefined
    const third = Math.floor(claim.slot / 254)
    const fourth = (claim.slot % 254) + 1
    return [`240.240.${third}.${fourth}`, `2001:2::f0f0:${(third * 256 + fourth).toString(16)}`]
  }

  #settle(claim: Claim, moved: Set<Claim>): void {
    const oldestMs = Math.min(...claim.since.values())
    if (this.#claims.has(claim.key) && oldestMs === claim.oldestMs) return
    // Its age decides whom it stands back for.
    this.#forget(claim, 0)
    const { slot } = claim
    claim.slot = undefined
    if (slot !== undefined) this.#vacate(slot, moved)
    claim.oldestMs = oldestMs
    if (claim.since.size === 0) {
      this.#claims.delete(claim.key)
      return
    }
    this.#claims.set(claim.key, claim)
    this.#place(claim, moved)
  }

  /** Finds it the first of its slots that no older claim holds; a younger holder looks on from there. */
  #place(claim: Claim, moved: Set<Claim>): void {
    for (let current = claim; ; ) {
      if (current.passed.length === SLOTS) return
      const slot = slotOf(current.hash, current.passed.length)
      const holder = this.#held.get(slot)
      if (holder !== undefined && precedes(holder, current)) {
        this.#standBack(current, slot)
        continue
      }
      this.#held.set(slot, current)
      current.slot = slot
      moved.add(current)
      if (holder === undefined) return
      holder.slot = undefined
      this.#standBack(holder, slot)
      current = holder
    }
  }

  /** The oldest that would rather have had a slot gets it, and leaves its own to others. */
  #vacate(slot: number, moved: Set<Claim>): void {
    this.#held.delete(slot)
    const next = [...(this.#waiting.get(slot) ?? [])].reduce<Claim | undefined>((best, one) => (best === undefined || precedes(one, best) ? one : best), undefined)
    if (next === undefined) return
    const { slot: left } = next
    this.#forget(next, next.passed.indexOf(slot))
    this.#held.set(slot, next)
    next.slot = slot
    moved.add(next)
    if (left !== undefined) this.#vacate(left, moved)
  }

  #standBack(claim: Claim, slot: number): void {
    claim.passed.push(slot)
    const waiting = this.#waiting.get(slot)
    if (waiting === undefined) this.#waiting.set(slot, new Set([claim]))
    else waiting.add(claim)
  }

  #forget(claim: Claim, from: number): void {
    for (const slot of claim.passed.splice(from)) {
      const waiting = this.#waiting.get(slot)
      waiting?.delete(claim)
      if (waiting?.size === 0) this.#waiting.delete(slot)
    }
  }
}

const precedes = (a: Claim, b: Claim): boolean => a.oldestMs < b.oldestMs || (a.oldestMs === b.oldestMs && a.key < b.key)

/** The slots of a hash in the order in which they are tried: double hashing, by a step that has no factor in common with their number (2⁹·127), so that each comes once. */
function slotOf(hash: number, attempt: number): number {
  const step = Math.floor(hash / SLOTS) * 2 + 1
  return (hash + attempt * (step % 127 === 0 ? step + 2 : step)) % SLOTS
}

/** FNV-1a, 32 bits (RFC 9923). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}
