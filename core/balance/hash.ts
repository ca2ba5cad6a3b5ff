import type { HashPlan } from '../plan/route.ts'
import type { RequestHead } from '../route/request.ts'
import { readHeader } from '../match/header.ts'
import { queryParameter } from '../match/query.ts'
import { murmurHash2 } from './murmur2.ts'
import { xxHash64Text } from './xxhash.ts'

/**
 * The hash by which ring-hash and maglev choose; undefined when no policy found anything (the host is then random).
 * Policies are combined in order; a `terminal` one that found something ends the list (envoy.config.route.v3.RouteAction.HashPolicy).
 */
export function requestHash(policies: readonly HashPlan[], request: RequestHead, sourceAddress: string): bigint | undefined {
  let hash: bigint | undefined
  for (const policy of policies) {
    const text = hashedText(policy, request, sourceAddress)
    if (text !== undefined) {
      const one = xxHash64Text(text)
      // Turned by one bit, so that two equal policies do not cancel each other out.
      hash = hash === undefined ? one : BigInt.asUintN(64, (hash << 1n) | (hash >> 63n)) ^ one
    }
    if (policy.terminal && hash !== undefined) break
  }
  return hash
}

function hashedText(policy: HashPlan, request: RequestHead, sourceAddress: string): string | undefined {
  switch (policy.by) {
    case 'header':
      return readHeader(request, policy.name)
    case 'cookie':
      return cookieValue(request.header('cookie'), policy.name)
    case 'query-parameter':
      return queryParameter(request.path, policy.name)
    case 'source-address':
      return sourceAddress
  }
}

/** The value of one cookie in a Cookie header (RFC 6265 §4.2.1), quotes removed; undefined when it is not there. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  let from = 0
  while (from < header.length) {
    let to = header.indexOf(';', from)
    if (to < 0) to = header.length
    while (header.charCodeAt(from) === 32) from += 1
    if (header.startsWith(name, from) && header.charCodeAt(from + name.length) === 61 /* = */) {
      const value = header.slice(from + name.length + 1, to)
      return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
    }
    from = to + 1
  }
  return undefined
}

/** Something with a stable name and a share. */
export interface Bucket {
  readonly key: string
  readonly weight: number
}

/** A consistent-hash ring: sorted points, and the bucket that owns each. */
export interface Ring {
  readonly points: BigUint64Array
  readonly owners: Uint32Array
}

/** Envoy's defaults. */
export const RING_SIZE_MIN = 1024
export const RING_SIZE_MAX = 8 * 1024 * 1024

export interface RingShape {
  readonly sizeMin: number
  readonly sizeMax: number
  readonly hash: 'xx' | 'murmur2'
}

/**
 * A ring shared out by weight, point for point as Envoy's (ring_hash_lb.cc): the lightest bucket gets a whole number of points, the others what their running sum makes due.
 * A bucket's nth point hangs on `key_n` alone, so another's coming or going moves only the keys that it takes or gives.
 */
export function buildRing(buckets: readonly Bucket[], shape: RingShape): Ring {
  const shares = normalized(buckets)
  const lightest = shares.reduce((min, share) => Math.min(min, share), 1)
  const scale = Math.min(Math.ceil(lightest * shape.sizeMin) / lightest, shape.sizeMax)
  const points: { at: bigint; owner: number }[] = []
  let wanted = 0
  for (const [owner, bucket] of buckets.entries()) {
    wanted += scale * (shares[owner] ?? 0)
    for (let nth = 0; points.length < wanted; nth++) {
      const name = `${bucket.key}_${nth}`
      points.push({ at: shape.hash === 'xx' ? xxHash64Text(name) : murmurHash2(name), owner })
    }
  }
  points.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
  return { points: BigUint64Array.from(points, (point) => point.at), owners: Uint32Array.from(points, (point) => point.owner) }
}

/** Shares of 1. */
function normalized(buckets: readonly Bucket[]): number[] {
  const total = buckets.reduce((sum, bucket) => sum + bucket.weight, 0)
  return buckets.map((bucket) => (total === 0 ? 1 / buckets.length : bucket.weight / total))
}

/** Index of the bucket whose point is the first at or after the hash, or so many points further, around the ring. −1 for an empty ring. */
export function pickFromRing(ring: Ring, hash: bigint, further = 0): number {
  const { points, owners } = ring
  if (points.length === 0) return -1
  let low = 0
  let high = points.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((points[middle] ?? 0n) < hash) low = middle + 1
    else high = middle
  }
  return owners[(low + further) % points.length] ?? -1
}

/** Envoy's default size of a Maglev table; a prime. */
const MAGLEV_TABLE_SIZE = 65537

/**
 * Maglev's table (Eisenbud et al., NSDI 2016, §3.4), slot for slot as Envoy's (maglev_lb.cc): each bucket claims slots in an order of its own, turns shared out by weight.
 * `size` is a prime.
 */
export function buildMaglev(buckets: readonly Bucket[], size: number = MAGLEV_TABLE_SIZE): Uint32Array {
  if (buckets.length === 0) return new Uint32Array(0)
  const shares = normalized(buckets)
  const heaviest = shares.reduce((max, share) => Math.max(max, share), 0)
  // Slots are claimed in the order of names: else the order in which endpoints are listed would move keys.
  const order = [...buckets.entries()].sort(([, a], [, b]) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  const turns = order.map(([owner, bucket]) => ({
    owner,
    offset: Number(xxHash64Text(bucket.key) % BigInt(size)),
    skip: Number(xxHash64Text(bucket.key, 1n) % BigInt(size - 1)) + 1,
    next: 0,
    weight: shares[owner] ?? 0,
    due: 0,
  }))
  const free = 0xffffffff
  const table = new Uint32Array(size).fill(free)
  let filled = 0
  for (let iteration = 1; filled < size; iteration++) {
    for (const turn of turns) {
      if (filled === size) break
      if (iteration * turn.weight < turn.due) continue
      turn.due += heaviest
      // Below 2^53: both factors are below five million.
      let slot = (turn.offset + turn.next * turn.skip) % size
      while (table[slot] !== free) {
        turn.next += 1
        slot = (turn.offset + turn.next * turn.skip) % size
      }
      table[slot] = turn.owner
      turn.next += 1
      filled += 1
    }
  }
  return table
}
