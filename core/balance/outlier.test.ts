import assert from 'node:assert/strict'
import test from 'node:test'
import type { OutlierPlan } from '../plan/cluster.ts'
import type { EndpointPlan } from '../plan/endpoints.ts'
import { hostState } from './host.ts'
import { eject, judgeRates, newOutlierState, recordResult, sweep } from './outlier.ts'

const plan: OutlierPlan = {
  consecutive5xx: 3, consecutiveGatewayFailure: 2, consecutiveLocalOrigin: 2, splitLocalOrigin: false, intervalMs: 1000, baseEjectionMs: 10_000, maxEjectionMs: 25_000, maxEjectionPercent: 50, minHealthPercent: 0,
}
const host = (key: string) => {
  const endpoint: EndpointPlan = { key, address: key, port: 1, weight: 1, health: 'healthy', hostname: '', transport: {}, workload: undefined }
  return hostState(endpoint)
}

test('errors in a row reach the threshold, and one success starts the count anew', () => {
  const state = newOutlierState()
  assert.equal(recordResult(plan, state, 500), undefined)
  assert.equal(recordResult(plan, state, 500), undefined)
  assert.equal(recordResult(plan, state, 200), undefined)
  assert.equal(recordResult(plan, state, 500), undefined)
  assert.equal(recordResult(plan, state, 500), undefined)
  assert.equal(recordResult(plan, state, 500), '5xx')
})

test('gateway failures have a threshold of their own, and local failures count as such', () => {
  const state = newOutlierState()
  assert.equal(recordResult(plan, state, 502), undefined)
  assert.equal(recordResult(plan, state, 'timeout'), 'gateway-failure')
})

test('local failures are counted apart when they are split', () => {
  const state = newOutlierState()
  const split = { ...plan, splitLocalOrigin: true }
  assert.equal(recordResult(split, state, 'connect-failure'), undefined)
  assert.equal(recordResult(split, state, 503), undefined)
  assert.equal(recordResult(split, state, 'connect-failure'), undefined)
  assert.equal(recordResult(split, state, 'connect-failure'), 'local-origin')
})

test('a threshold of 0 is off', () => {
  const state = newOutlierState()
  for (let nth = 0; nth < 20; nth++) assert.equal(recordResult({ ...plan, consecutive5xx: 0, consecutiveGatewayFailure: 0 }, state, 503), undefined)
})

test('no more hosts than the percentage allows are ejected, unless one must always go', () => {
  const hosts = ['a', 'b', 'c'].map(host)
  const [a, b] = hosts
  assert.ok(a && b)
  assert.equal(eject(plan, a, hosts, 0), true)
  assert.equal(eject(plan, b, hosts, 0), false)
  const alone = [host('x')]
  assert.equal(eject(plan, alone[0] ?? a, alone, 0), false)
  assert.equal(eject({ ...plan, alwaysEjectOne: true }, alone[0] ?? a, alone, 0), true)
})

test('each ejection lasts longer, up to the bound, and good conduct shortens the next', () => {
  const hosts = ['a', 'b'].map(host)
  const [a] = hosts
  assert.ok(a)
  const lasts: number[] = []
  for (const nowMs of [0, 100_000, 200_000]) {
    eject(plan, a, hosts, nowMs)
    lasts.push(a.ejectedUntilMs - nowMs)
    assert.equal(sweep(plan, hosts, a.ejectedUntilMs - 1), false)
    assert.equal(sweep(plan, hosts, a.ejectedUntilMs), true)
    assert.equal(a.ejectedUntilMs, 0)
  }
  assert.deepEqual(lasts, [10_000, 20_000, 25_000])
  sweep(plan, hosts, 300_000)
  assert.equal(a.outlier.ejections, 2)
})

test('without a plan all come back', () => {
  const hosts = ['a', 'b'].map(host)
  const [a] = hosts
  assert.ok(a)
  eject(plan, a, hosts, 0)
  assert.equal(sweep(undefined, hosts, 1), true)
  assert.equal(a.ejectedUntilMs, 0)
})

test('a host that does much worse than the others is ejected by its success rate, one that merely fails with all is not', () => {
  const rates: OutlierPlan = { ...plan, consecutive5xx: 0, consecutiveGatewayFailure: 0, maxEjectionPercent: 50, successRate: { hostsMin: 5, requestsMin: 10, deviations: 1.9 } }
  const hosts = ['a', 'b', 'c', 'd', 'e', 'f'].map(host)
  const send = (failuresOf: (at: number) => number): void => {
    for (const [at, one] of hosts.entries()) for (let nth = 0; nth < 20; nth++) recordResult(rates, one.outlier, nth < failuresOf(at) ? 500 : 200)
  }
  send(() => 10)
  assert.equal(judgeRates(rates, hosts, 0, () => 0), false)
  send((at) => (at === 2 ? 10 : 0))
  assert.equal(judgeRates(rates, hosts, 0, () => 0), true)
  assert.deepEqual(hosts.map((one) => one.ejectedUntilMs > 0), [false, false, true, false, false, false])
  // Too few requests to say anything.
  assert.equal(judgeRates(rates, hosts, 0, () => 0), false)
})

test('a host with too large a share of failures is ejected', () => {
  const rates: OutlierPlan = { ...plan, consecutive5xx: 0, consecutiveGatewayFailure: 0, failurePercentage: { threshold: 85, hostsMin: 2, requestsMin: 10 } }
  const hosts = ['a', 'b'].map(host)
  for (const [at, one] of hosts.entries()) for (let nth = 0; nth < 10; nth++) recordResult(rates, one.outlier, at === 0 && nth > 0 ? 500 : 200)
  assert.equal(judgeRates(rates, hosts, 0, () => 0), true)
  assert.deepEqual(hosts.map((one) => one.ejectedUntilMs > 0), [true, false])
})
