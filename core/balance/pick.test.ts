import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { ClusterPlan } from '../plan/cluster.ts'
import type { EndpointPlan, EndpointsPlan } from '../plan/endpoints.ts'
import { seededRandom } from '../time/seeded.ts'
import { buildGroup } from './locality.ts'
import { type HostState, hostState } from './host.ts'
import { buildPickSet } from './locality.ts'
import { pick, pickLeastRequest, pickRoundRobin } from './pick.ts'

const endpoint = (key: string, more: Partial<EndpointPlan> = {}): EndpointPlan => ({ key, address: key, port: 80, weight: 1, health: 'healthy', hostname: '', transport: {}, workload: undefined, ...more })
const localities = (...list: { weight?: number; priority?: number; endpoints: EndpointPlan[] }[]): EndpointsPlan => ({
  name: 'c',
  version: 'v',
  localities: list.map((one, at) => ({ locality: `l${at}`, weight: one.weight ?? 0, priority: one.priority ?? 0, endpoints: one.endpoints })),
})
const statesOf = (plan: EndpointsPlan): Map<string, HostState> => new Map(plan.localities.flatMap((one) => one.endpoints.map((each) => [each.key, hostState(each)])))

const cluster = (balancer: ClusterPlan['balancer']): ClusterPlan => ({
  name: 'c', version: 'v', origin: undefined, discovery: 'eds', endpointsName: 'c', inlineEndpoints: undefined, connectTimeoutMs: 1, balancer, choiceCount: 2,
  limits: { connectionsMax: 1, pendingMax: 1, requestsMax: 1, retriesMax: 1 }, outlier: undefined, transports: [], protocol: 'http1', requestsPerConnectionMax: 0, idleTimeoutMs: 1,
  panicThresholdPercent: 50, destination: { host: '', name: '', namespace: '', subset: '', port: 0 },
})

/** Picks per host, of `count`. */
function shares(plan: EndpointsPlan, balancer: ClusterPlan['balancer'], options: { hosts?: Map<string, HostState>; panicPercent?: number; count?: number; localityWeighted?: boolean } = {}): Record<string, number> {
  const { hosts = statesOf(plan), panicPercent = 50, count = 4000, localityWeighted } = options
  const set = buildPickSet(plan, hosts, panicPercent, localityWeighted)
  const random = seededRandom(7)
  const counts: Record<string, number> = {}
  for (let nth = 0; nth < count; nth++) {
    const key = pick(set, cluster(balancer), random, undefined)?.plan.key ?? 'none'
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

const about = (counts: Record<string, number>, key: string, share: number) => {
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0)
  assert.ok(Math.abs((counts[key] ?? 0) / total - share) < 0.03, `${key}: ${counts[key]} of ${total}, not ${share}`)
}

test('a full turn of round robin gives every host its weight exactly', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }), (weights) => {
      const group = buildGroup(weights.map((weight, at) => hostState(endpoint(`h${at}`, { weight }))))
      const counts = weights.map(() => 0)
      const turn = weights.reduce((sum, one) => sum + one, 0)
      for (let nth = 0; nth < turn; nth++) {
        const picked = pickRoundRobin(group, { draw: () => 0.5 })
        const at = group.hosts.findIndex((host) => host === picked)
        counts[at] = (counts[at] ?? 0) + 1
      }
      assert.deepEqual(counts, weights)
    }),
  )
})

for (const balancer of ['random', 'least-request', 'round-robin', 'ring-hash', 'maglev'] as const) {
  test(`${balancer} shares an idle cluster out by weight`, () => {
    const counts = shares(localities({ endpoints: [endpoint('a', { weight: 3 }), endpoint('b')] }), balancer)
    const share = (counts['a'] ?? 0) / 4000
    assert.ok(Math.abs(share - 0.75) < (balancer === 'ring-hash' ? 0.08 : 0.03), String(share))
  })
}

test('of two choices least request takes the one with less to do, and they are never one host', () => {
  const busy = hostState(endpoint('busy'))
  busy.active = 5
  const idle = hostState(endpoint('idle'))
  for (let nth = 0; nth < 100; nth++) assert.equal(pickLeastRequest([busy, idle], 2, nth / 100, (nth * 7) % 1), idle)
})

test('weights of localities count when they are there, and not when the cluster does not want them', () => {
  const plan = localities({ weight: 9, endpoints: [endpoint('near')] }, { weight: 1, endpoints: [endpoint('far')] })
  about(shares(plan, 'random'), 'near', 0.9)
  about(shares(plan, 'random', { localityWeighted: false }), 'near', 0.5)
})

test('the next priority takes what the first cannot: 50 % healthy carries 70 % of the load', () => {
  const plan = localities({ endpoints: [endpoint('a'), endpoint('b', { health: 'unhealthy' })] }, { priority: 1, endpoints: [endpoint('c')] })
  const counts = shares(plan, 'round-robin')
  about(counts, 'a', 0.7)
  about(counts, 'c', 0.3)
})

test('three of four healthy carry everything', () => {
  const plan = localities({ endpoints: [endpoint('a'), endpoint('b'), endpoint('c'), endpoint('d', { health: 'unhealthy' })] }, { priority: 1, endpoints: [endpoint('e')] })
  assert.equal(shares(plan, 'random')['e'], undefined)
})

test('below the panic threshold all hosts are used; with none there is no host', () => {
  const plan = localities({ endpoints: [endpoint('a'), endpoint('b', { health: 'unhealthy' }), endpoint('c', { health: 'unhealthy' })] })
  about(shares(plan, 'random'), 'b', 1 / 3)
  assert.deepEqual(Object.keys(shares(plan, 'random', { panicPercent: 0 })), ['a'])
  const down = localities({ endpoints: [endpoint('a', { health: 'unhealthy' })] })
  assert.deepEqual(Object.keys(shares(down, 'random', { panicPercent: 0 })), ['none'])
  assert.deepEqual(Object.keys(shares(down, 'random', { panicPercent: 50 })), ['a'])
})

test('ejected hosts and draining ones are left out', () => {
  const plan = localities({ endpoints: [endpoint('a'), endpoint('b'), endpoint('c', { health: 'draining' })] })
  const hosts = statesOf(plan)
  const ejected = hosts.get('b')
  assert.ok(ejected)
  ejected.ejectedUntilMs = 1
  assert.deepEqual(Object.keys(shares(plan, 'random', { hosts, panicPercent: 0 })), ['a'])
})

test('an empty cluster has no host', () => {
  assert.deepEqual(shares(localities(), 'least-request', { count: 1 }), { none: 1 })
})

test('one hash finds one host, and another for most other hashes', () => {
  const plan = localities({ endpoints: ['a', 'b', 'c', 'd'].map((key) => endpoint(key)) })
  for (const balancer of ['ring-hash', 'maglev'] as const) {
    const set = buildPickSet(plan, statesOf(plan), 50)
    const found = new Set<string>()
    for (let hash = 0n; hash < 1n << 64n; hash += (1n << 56n) + 12345n) {
      const first = pick(set, cluster(balancer), seededRandom(1), hash)
      assert.equal(pick(set, cluster(balancer), seededRandom(2), hash), first)
      // Who may not have the first has others, always the same.
      const others = Array.from({ length: 40 }, (_, index) => pick(set, cluster(balancer), seededRandom(3), hash, 0, index + 1))
      assert.ok(others.some((one) => one !== undefined && one !== first))
      found.add(first?.plan.key ?? '')
    }
    assert.equal(found.size, 4)
  }
})
