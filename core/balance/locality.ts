import type { EndpointsPlan } from '../plan/endpoints.ts'
import type { HostState } from './host.ts'
import type { Ring } from './hash.ts'

/** What a cluster may choose from just now. Prepared when endpoints or health change, so that a pick only looks up. */
export interface PickSet {
  /** One per priority that gets any load. */
  readonly levels: readonly PickLevel[]
  /** cumulative[i] is the load up to and with level i; the last is 100. */
  readonly cumulative: readonly number[]
}

export interface PickLevel {
  /** Localities by weight, or one group of all when localities do not count. */
  readonly groups: readonly PickGroup[]
  readonly cumulative: readonly number[]
  readonly total: number
  /** All hosts of all groups, and their share of the level: what ring and table are made of. */
  readonly hosts: readonly HostState[]
  readonly shares: readonly number[]
  /** Made by the first pick that needs it. */
  ring: Ring | undefined
  maglev: Uint32Array | undefined
}

export interface PickGroup {
  readonly hosts: readonly HostState[]
  /** Undefined when all weights are equal. */
  readonly cumulative: readonly number[] | undefined
  readonly total: number
  /** Indexes into hosts, spread by weight; empty when all weights are equal. */
  readonly schedule: Uint32Array
  /** Where round robin stands; −1 before the first pick. */
  cursor: number
}

/** With fewer than all hosts healthy a level still takes its full load, until this factor no longer makes up for them (Envoy's default). */
const OVERPROVISIONING = 1.4

type Locality = EndpointsPlan['localities'][number]

/**
 * Priorities, locality weights and panic, by Envoy's rules: a priority takes min(100, 140 × healthy share) percent, what is missing goes to the next;
 * below `panicPercent` healthy hosts in a priority, when health does not suffice over all, it is balanced over all of its hosts. Endpoints that `hosts` does not hold are left out.
 * `localityWeighted` false: localities are only groups of endpoints, and their weights do not count.
 */
export function buildPickSet(endpoints: EndpointsPlan, hosts: ReadonlyMap<string, HostState>, panicPercent: number, localityWeighted = true): PickSet {
  const priorities = [...new Set(endpoints.localities.map((one) => one.priority))].sort((a, b) => a - b)
  const tiers = priorities.map((priority) => {
    const localities = endpoints.localities.filter((one) => one.priority === priority)
    let all = 0
    let healthy = 0
    for (const one of localities) {
      const states = statesOf(one, hosts)
      all += states.length
      healthy += states.filter(isHealthy).length
    }
    return { localities, all, healthy, availability: all === 0 ? 0 : Math.min(100, (100 * OVERPROVISIONING * healthy) / all) }
  })
  const available = tiers.reduce((sum, tier) => sum + tier.availability, 0)
  const levels: PickLevel[] = []
  const cumulative: number[] = []
  let given = 0
  for (const tier of tiers) {
    // With nothing healthy anywhere the first priority that has hosts answers for all: by panic, or with no host.
    const share = available === 0 ? (tier.all > 0 ? 100 : 0) : available >= 100 ? tier.availability : (100 * tier.availability) / available
    const load = Math.min(100 - given, share)
    if (load <= 0) continue
    const panic = available < 100 && (100 * tier.healthy) / tier.all < panicPercent
    const level = buildLevel(tier.localities, hosts, panic, localityWeighted)
    if (level === undefined) continue
    given += load
    levels.push(level)
    cumulative.push(given)
  }
  return { levels, cumulative }
}

function statesOf(locality: Locality, hosts: ReadonlyMap<string, HostState>): HostState[] {
  return locality.endpoints.flatMap((endpoint) => hosts.get(endpoint.key) ?? [])
}

export function isHealthy(host: HostState): boolean {
  return host.plan.health === 'healthy' && host.ejectedUntilMs === 0 && !host.failsCheck
}

function buildLevel(localities: readonly Locality[], hosts: ReadonlyMap<string, HostState>, panic: boolean, localityWeighted: boolean): PickLevel | undefined {
  const counts = localityWeighted && localities.some((one) => one.weight > 0)
  const parts = localities.flatMap((one) => {
    const all = statesOf(one, hosts)
    const usable = panic ? all : all.filter(isHealthy)
    if (usable.length === 0 || (counts && one.weight === 0)) return []
    const availability = panic ? 1 : Math.min(1, (OVERPROVISIONING * usable.length) / all.length)
    return [{ usable, weight: one.weight * availability }]
  })
  if (parts.length === 0) return undefined
  const joined = counts ? parts : [{ usable: parts.flatMap((part) => part.usable), weight: 1 }]
  const groups = joined.map((part) => buildGroup(part.usable))
  const cumulative: number[] = []
  let total = 0
  for (const part of joined) cumulative.push((total += part.weight))
  const shares = joined.flatMap((part) => part.usable.map((host) => (host.plan.weight * host.ramp * part.weight) / part.usable.reduce((sum, one) => sum + one.plan.weight * one.ramp, 0)))
  return { groups, cumulative, total, hosts: joined.flatMap((part) => part.usable), shares, ring: undefined, maglev: undefined }
}

/** A group of hosts, by their weights. */
export function buildGroup(hosts: readonly HostState[]): PickGroup {
  // In thousandths where a host warms up, so that the schedule has whole numbers.
  const warms = hosts.some((host) => host.ramp < 1)
  const weights = hosts.map((host) => (warms ? Math.max(1, Math.round(1000 * host.plan.weight * host.ramp)) : host.plan.weight))
  const equal = weights.every((weight) => weight === weights[0])
  if (equal) return { hosts, cumulative: undefined, total: hosts.reduce((sum, host) => sum + host.plan.weight * host.ramp, 0), schedule: new Uint32Array(0), cursor: -1 }
  const cumulative: number[] = []
  let total = 0
  for (const weight of weights) cumulative.push((total += weight))
  return { hosts, cumulative, total, schedule: spread(weights), cursor: -1 }
}

const SCHEDULE_MAX = 8192

/** One round of a weighted round robin: index i stands in it in proportion to its weight, evenly spread. */
function spread(weights: readonly number[]): Uint32Array {
  const divisor = weights.reduce(greatestCommonDivisor)
  const sum = weights.reduce((total, weight) => total + weight, 0) / divisor
  const scale = sum > SCHEDULE_MAX ? SCHEDULE_MAX / sum : 1
  const turns: { at: number; index: number }[] = []
  for (const [index, weight] of weights.entries()) {
    const count = Math.max(1, Math.round((weight / divisor) * scale))
    for (let nth = 0; nth < count; nth++) turns.push({ at: (nth + 0.5) / count, index })
  }
  turns.sort((a, b) => a.at - b.at || a.index - b.index)
  return Uint32Array.from(turns, (turn) => turn.index)
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
