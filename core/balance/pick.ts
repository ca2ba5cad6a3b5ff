import type { ClusterPlan } from '../plan/cluster.ts'
import type { Random } from '../time/clock.ts'
import type { HostState } from './host.ts'
import { buildMaglev, buildRing, pickFromRing, RING_SIZE_MAX, RING_SIZE_MIN } from './hash.ts'
import type { PickGroup, PickLevel, PickSet } from './locality.ts'
import { pickPeakEwma } from './peak-ewma.ts'

/**
 * The host for one request; undefined when none may be chosen (flag UH). Allocates nothing, except once per set for hash tables.
 * `hash` is `requestHash`'s; without it ring-hash and maglev choose at random. `nowMs` counts for peak-ewma alone, `attempt` for these two: from 1 on, where else the hash leads for who was not to be chosen (as Envoy's ring_hash_lb.cc and maglev_lb.cc). `cluster-provided` (original destination) has no hosts to choose from.
 */
export function pick(set: PickSet, cluster: ClusterPlan, random: Random, hash: bigint | undefined, nowMs = 0, attempt = 0): HostState | undefined {
  const { levels } = set
  if (levels.length === 0) return undefined
  if (cluster.balancer === 'ring-hash' || cluster.balancer === 'maglev') {
    const point = hash ?? (BigInt(Math.floor(random.draw() * 2 ** 32)) << 32n) | BigInt(Math.floor(random.draw() * 2 ** 32))
    const level = levels[levels.length === 1 ? 0 : indexOf(set.cumulative, Number(point % 100n) + 0.5)]
    return level === undefined ? undefined : pickByHash(level, cluster, point, attempt)
  }
  const level = levels[levels.length === 1 ? 0 : indexOf(set.cumulative, random.draw() * 100)]
  if (level === undefined) return undefined
  const group = level.groups[level.groups.length === 1 ? 0 : indexOf(level.cumulative, random.draw() * level.total)]
  if (group === undefined) return undefined
  switch (cluster.balancer) {
    case 'round-robin':
      return pickRoundRobin(group, random)
    case 'peak-ewma':
      return pickPeakEwma(group, nowMs, random.draw(), random.draw())
    case 'least-request':
      return pickLeastOf(group, cluster.choiceCount, random)
    default:
      return pickRandom(group, random.draw())
  }
}

/** First index whose running sum is above the point. */
function indexOf(cumulative: readonly number[], point: number): number {
  let low = 0
  let high = cumulative.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((cumulative[middle] ?? 0) > point) high = middle
    else low = middle + 1
  }
  return low
}

/** One host by weight. `draw` is uniform in [0, 1). */
function pickRandom(group: PickGroup, draw: number): HostState | undefined {
  if (group.cumulative === undefined) return group.hosts[Math.floor(draw * group.hosts.length)]
  return group.hosts[indexOf(group.cumulative, draw * group.total)]
}

/** The next host in turn, by weight; the first turn is drawn, so that proxies do not march in step. */
export function pickRoundRobin(group: PickGroup, random: Random): HostState | undefined {
  const length = group.schedule.length === 0 ? group.hosts.length : group.schedule.length
  const next = group.cursor < 0 ? Math.floor(random.draw() * length) : group.cursor + 1
  group.cursor = next >= length ? 0 : next
  return group.hosts[group.schedule.length === 0 ? group.cursor : (group.schedule[group.cursor] ?? 0)]
}

/** Among `choiceCount` hosts drawn by weight, the one with the fewest requests under way per weight. */
function pickLeastOf(group: PickGroup, choiceCount: number, random: Random): HostState | undefined {
  if (group.cumulative === undefined) return pickLeastRequest(group.hosts, choiceCount, random.draw(), random.draw())
  let best = pickRandom(group, random.draw())
  for (let tried = 1; tried < choiceCount; tried++) {
    const other = pickRandom(group, random.draw())
    if (best !== undefined && other !== undefined && other.active / other.plan.weight < best.active / best.plan.weight) best = other
  }
  return best
}

/**
 * Among `choiceCount` hosts of equal weight, the first two distinct, the one with the fewest requests under way; the first drawn wins a tie.
 * Draws are uniform in [0, 1): the first gives the start, the second the stride.
 */
export function pickLeastRequest(hosts: readonly HostState[], choiceCount: number, draw1: number, draw2: number): HostState | undefined {
  const count = hosts.length
  if (count <= 1) return hosts[0]
  let at = Math.floor(draw1 * count)
  const stride = 1 + Math.floor(draw2 * (count - 1))
  let best = hosts[at]
  for (let tried = 1; tried < choiceCount; tried++) {
    at += stride
    if (at >= count) at -= count
    const other = hosts[at]
    if (best !== undefined && other !== undefined && other.active < best.active) best = other
  }
  return best
}

/** A hash has 64 bits. */
const HASHES = 1n << 64n

function pickByHash(level: PickLevel, cluster: ClusterPlan, hash: bigint, attempt: number): HostState | undefined {
  if (cluster.balancer === 'maglev') {
    const table = (level.maglev ??= buildMaglev(buckets(level, cluster), cluster.hashTableSize))
    return table.length === 0 ? undefined : level.hosts[table[Number((attempt === 0 ? hash : hash ^ (HASHES - BigInt(attempt))) % BigInt(table.length))] ?? 0]
  }
  const ring = (level.ring ??= buildRing(buckets(level, cluster), { sizeMin: cluster.hashTableSize ?? RING_SIZE_MIN, sizeMax: cluster.ringSizeMax ?? RING_SIZE_MAX, hash: cluster.ringHash ?? 'xx' }))
  return level.hosts[pickFromRing(ring, hash, attempt)]
}

/** Hosts as the ring knows them: by address, or by name where the cluster says so and the host has one. */
function buckets(level: PickLevel, cluster: ClusterPlan): { key: string; weight: number }[] {
  return level.hosts.map((host, at) => ({ key: cluster.hashesHostname === true ? host.plan.hostname : host.plan.key, weight: level.shares[at] ?? 1 }))
}
