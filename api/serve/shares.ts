import { status } from '@grpc/grpc-js'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import { CallRefused } from './credentials.ts'
import type { Peer } from './peer.ts'

/** Streams that a process holds at once, and what parts of them are for one. */
export interface ShareLimits {
  readonly all: number
  /** Of one organization: others must have room beside the largest. */
  readonly organization: number
  /** Of one identity: a service account's workloads together. */
  readonly identity: number
  /** From here on only organizations that hold less than an equal share get more. */
  readonly crowded: number
}

/** What one identity's streams may hold together of names that nobody has, beyond the little that each may. */
const unknownBytesMost = 32 << 20
const unknownBytesLeast = 4 << 20
/** So much of the memory that the process may take. */
const unknownShare = 1 / 64

/** That bound in a process that may take so much memory. */
export const unknownBytesWithin = (memoryBytes: number): number => Math.min(unknownBytesMost, Math.max(unknownBytesLeast, Math.floor(memoryBytes * unknownShare)))

export const shareLimits = (all: number): ShareLimits => ({ all, organization: Math.ceil(all * 0.6), identity: Math.ceil(all * 0.4), crowded: Math.ceil(all * 0.8) })

/** Who holds how many of a process's streams, and what they hold of names that nobody has, so that one tenant or one stolen certificate does not take what the others need. */
export class Shares {
  readonly #limits: ShareLimits
  readonly #organizations = new Map<string, number>()
  readonly #identities = new Map<string, number>()
  /** Bytes, by identity. */
  readonly #unknown = new Map<string, number>()
  readonly #unknownBytesMax: number
  #held = 0

  /** @param unknownBytesMax see `unknownBytesWithin` */
  constructor(limits: ShareLimits, unknownBytesMax = unknownBytesMost) {
    this.#limits = limits
    this.#unknownBytesMax = unknownBytesMax
  }

  /**
   * Takes one in. Answers the way to give it back.
   * @throws CallRefused RESOURCE_EXHAUSTED, saying whose share is used up
   */
  enter(peer: Peer): () => void {
    const { organizationId } = peer
    const { all, organization, identity: identityMax, crowded } = this.#limits
    const ofOrganization = this.#organizations.get(organizationId) ?? 0
    const who = whoIs(peer)
    const ofIdentity = this.#identities.get(who) ?? 0
    if (this.#held >= all) throw new CallRefused(status.RESOURCE_EXHAUSTED, 'this replica holds as many streams as it can', true)
    if (ofOrganization >= organization) throw new CallRefused(status.RESOURCE_EXHAUSTED, 'this organization holds as many streams of this replica as it may', true)
    if (ofIdentity >= identityMax) throw new CallRefused(status.RESOURCE_EXHAUSTED, 'this identity holds as many streams of this replica as it may', true)
    const sharers = this.#organizations.size + (ofOrganization === 0 ? 1 : 0)
    if (this.#held >= crowded && ofOrganization >= all / sharers) throw new CallRefused(status.RESOURCE_EXHAUSTED, 'this replica is crowded, and this organization holds its share of it', true)
    this.#held += 1
    this.#organizations.set(organizationId, ofOrganization + 1)
    this.#identities.set(who, ofIdentity + 1)
    let inside = true
    return () => {
      if (!inside) return
      inside = false
      this.#held -= 1
      less(this.#organizations, organizationId)
      less(this.#identities, who)
    }
  }

  /** Takes of what a caller's identity may hold of names that nobody has; less than nothing gives it back. Answers whether it is within bounds. */
  holdUnknown(peer: Peer, bytes: number): boolean {
    const who = whoIs(peer)
    const held = (this.#unknown.get(who) ?? 0) + bytes
    if (held > 0) this.#unknown.set(who, held)
    else this.#unknown.delete(who)
    return held <= this.#unknownBytesMax
  }
}

const whoIs = ({ meshId, identity, how }: Peer): string => `${meshId} ${identity ? formatSpiffeId(identity) : how}`

function less(counts: Map<string, number>, key: string): void {
  const count = (counts.get(key) ?? 0) - 1
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
