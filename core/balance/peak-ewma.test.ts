import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndpointPlan } from '../plan/endpoints.ts'
import { seededRandom } from '../time/seeded.ts'
import { hostState } from './host.ts'
import { buildGroup } from './locality.ts'
import { observeLatency, pickPeakEwma } from './peak-ewma.ts'

const endpoint = (key: string, weight = 1): EndpointPlan => ({ key, address: key, port: 80, weight, health: 'healthy', hostname: '', transport: {}, workload: undefined })

/** Requests of three hosts, one after another, each answered in its host's time. */
function served(latenciesMs: readonly number[], count: number, weights: readonly number[] = []): number[] {
  const hosts = latenciesMs.map((_, at) => hostState(endpoint(`h${at}`, weights[at])))
  const group = buildGroup(hosts)
  const random = seededRandom(3)
  const counts = hosts.map(() => 0)
  let nowMs = 0
  for (let n = 0; n < count; n++) {
    const host = pickPeakEwma(group, nowMs, random.draw(), random.draw())
    const at = hosts.findIndex((one) => one === host)
    counts[at] = (counts[at] ?? 0) + 1
    nowMs += 1
    observeLatency(hosts[at] ?? hostState(endpoint('')), latenciesMs[at] ?? 0, true, nowMs)
  }
  return counts
}

test('a host that is slower gets next to nothing, and equal ones the same', () => {
  const [a = 0, b = 0, slow = 0] = served([10, 10, 200], 3000)
  assert.ok(slow < 60, `${slow} of 3000`)
  assert.ok(Math.abs(a - b) < 300, `${a} and ${b}`)
})

test('what was slow is tried again when time has passed', () => {
  const [slow, fast] = [hostState(endpoint('slow')), hostState(endpoint('fast'))]
  const group = buildGroup([slow, fast])
  observeLatency(slow, 500, true, 0)
  observeLatency(fast, 10, true, 0)
  assert.equal(pickPeakEwma(group, 1000, 0, 0), fast)
  observeLatency(fast, 10, true, 60_000)
  assert.equal(pickPeakEwma(group, 60_000, 0, 0), slow)
})

test('failures that come fast do not make a host look fast', () => {
  const host = hostState(endpoint('a'))
  observeLatency(host, 100, true, 0)
  for (let n = 0; n < 100; n++) observeLatency(host, 1, false, 1)
  assert.ok((host.latencyMs ?? 0) > 99)
})

test('one slow answer counts at once', () => {
  const host = hostState(endpoint('a'))
  for (let n = 0; n < 100; n++) observeLatency(host, 1, true, n)
  observeLatency(host, 900, true, 100)
  assert.equal(host.latencyMs, 900)
})
