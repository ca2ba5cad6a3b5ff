import type { HashPlan } from '../plan/plan.ts'
import type { RequestHead } from '../route/request.ts'
import { readHeader } from '../match/header.ts'
import { queryParameter } from '../match/query.ts'

/** A uint32 of a text: FNV-1a over UTF-16 units, with a finalizer that spreads what differs in the last character only. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/**
 * The hash by which ring-hash and maglev choose; undefined when no policy found anything (the host is then random).
 * Policies are combined in order; a `terminal` one that found something ends the list (envoy.config.route.v3.RouteAction.HashPolicy).
 */
export function requestHash(policies: readonly HashPlan[], request: RequestHead, sourceAddress: string): number | undefined {
  let hash: number | undefined
  for (const policy of policies) {
    const text = hashedText(policy, request, sourceAddress)
    if (text !== undefined) {
      const one = hashText(text)
      hash = hash === undefined ? one : (((hash << 1) | (hash >>> 31)) ^ one) >>> 0
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
  readonly points: Uint32Array
  readonly owners: Uint32Array
}

/**
 * A ring with about `sizeMin` points, shared out by weight, at least one each. A bucket's points hang on its key alone, so another's coming or going moves only
 * the keys that it takes or gives.
 */
export function buildRing(buckets: readonly Bucket[], sizeMin: number): Ring {
  let total = 0
  for (const bucket of buckets) total += bucket.weight
  const points: { at: number; owner: number }[] = []
  for (const [owner, bucket] of buckets.entries()) {
    const count = total === 0 ? 1 : Math.max(1, Math.round((bucket.weight / total) * Math.max(sizeMin, buckets.length)))
    for (let nth = 0; nth < count; nth++) points.push({ at: hashText(`${bucket.key}_${nth}`), owner })
  }
  points.sort((a, b) => a.at - b.at || compare(buckets[a.owner]?.key ?? '', buckets[b.owner]?.key ?? ''))
  return { points: Uint32Array.from(points, (point) => point.at), owners: Uint32Array.from(points, (point) => point.owner) }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Index of the bucket whose point is the first at or after the hash, around the ring. −1 for an empty ring. */
export function pickFromRing(ring: Ring, hash: number): number {
  const { points, owners } = ring
  if (points.length === 0) return -1
  let low = 0
  let high = points.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((points[middle] ?? 0) < hash) low = middle + 1
    else high = middle
  }
  return owners[low === points.length ? 0 : low] ?? -1
}

/** Envoy's default size of a Maglev table; a prime. */
const MAGLEV_TABLE_SIZE = 65537

/** Maglev's table (Eisenbud et al., NSDI 2016, §3.4): each bucket claims slots in an order of its own, turns shared out by weight. `size` is a prime. */
export function buildMaglev(buckets: readonly Bucket[], size: number = MAGLEV_TABLE_SIZE): Uint32Array {
  if (buckets.length === 0) return new Uint32Array(0)
  const order = [...buckets.entries()].sort(([, a], [, b]) => compare(a.key, b.key))
  const weightMax = buckets.reduce((max, bucket) => Math.max(max, bucket.weight), 0)
  const turns = order.map(([owner, bucket]) => ({
    owner,
    offset: hashText(bucket.key) % size,
    skip: (hashText(`${bucket.key}#skip`) % (size - 1)) + 1,
    next: 0,
    share: weightMax === 0 ? 1 : bucket.weight / weightMax,
    credit: 0,
  }))
  const free = 0xffffffff
  const table = new Uint32Array(size).fill(free)
  let filled = 0
  while (filled < size) {
    for (const turn of turns) {
      turn.credit += turn.share
      if (turn.credit < 1) continue
      turn.credit -= 1
      let slot = (turn.offset + turn.next * turn.skip) % size
      while (table[slot] !== free) {
        turn.next += 1
        slot = (turn.offset + turn.next * turn.skip) % size
      }
      table[slot] = turn.owner
      turn.next += 1
      filled += 1
      if (filled === size) break
    }
  }
  return table
}
