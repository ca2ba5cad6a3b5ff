/** A sidecar's data path for the soak, in a process of its own: `PORT_A PORT_B`. Changes its configuration each second; answers 'report' with what it holds. */
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointPlan } from '#core/plan/endpoints.ts'
import { parseRetryOn } from '#core/balance/retry.ts'
import { systemDoors } from '#core/time/system.ts'
import { Runtime } from '#proxy/runtime.ts'
import { chainPlan, clusterPlan, endpointPlan, forward, httpPlan, listenerPlan, noSecrets, routePlan, tablePlan, TestPlans, testNode, toClusters } from '#proxy/testing/plan.ts'

/** What the proxy says of itself. */
export interface SoakReport {
  readonly rssBytes: number
  readonly heapBytes: number
  readonly active: number
  readonly connections: number
  readonly endpointsBusy: number
  readonly changes: number
}

const [portA = 0, portB = 0] = process.argv.slice(2).map(Number)
const plans = new TestPlans()
const runtime = new Runtime(systemDoors, plans, noSecrets, { node: testNode, accessLog: { write() {} } })
const { flags } = parseRetryOn('connect-failure,refused-stream')
const retry = { on: flags, statusCodes: new Set<number>(), retriesMax: 2, perTryTimeoutMs: 0, backoffBaseMs: 5, backoffMaxMs: 20, avoidTriedHosts: true, hostSelectionAttemptsMax: 3 }
let changes = 0

/** The cluster of one application; every other time an endpoint more, at another address of the same server. */
function cluster(name: string, port: number): ClusterPlan {
  const endpoints: EndpointPlan[] = [endpointPlan(port)]
  if (changes % 2 === 0) endpoints.push(endpointPlan(port, { address: '127.0.0.2' }))
  return clusterPlan(name, endpoints, { connectTimeoutMs: 1000, balancer: changes % 3 === 0 ? 'round-robin' : 'least-request' })
}

async function change(): Promise<void> {
  changes += 1
  const share = 10 + ((changes * 7) % 80)
  const weighted = (name: string, weight: number) => ({ cluster: name, weight, origin: undefined, requestHeaders: undefined, responseHeaders: undefined })
  const table = tablePlan([routePlan('/', forward('a', { clusters: toClusters(weighted('a', share), weighted('b', 100 - share)), timeoutMs: 2000, retry }))])
  const http = httpPlan(table, { streamIdleTimeoutMs: 5000, accessLog: [{ path: '/dev/null', json: true, fields: [] }] })
  plans.listeners.set('main', listenerPlan('main', [chainPlan(http)]))
  plans.clusters.set('a', cluster('a', portA))
  plans.clusters.set('b', cluster('b', portB))
  runtime.applyCluster('a')
  runtime.applyCluster('b')
  const failure = await runtime.applyListener('main')
  if (failure !== '') throw new Error(failure)
}

process.on('message', () => {
  const { rss, heapUsed } = process.memoryUsage()
  let endpointsBusy = 0
  for (const name of ['a', 'b']) for (const host of runtime.cluster(name)?.hosts.values() ?? []) endpointsBusy += host.active
  process.send?.({ rssBytes: rss, heapBytes: heapUsed, active: runtime.active.size, connections: runtime.connections.size, endpointsBusy, changes } satisfies SoakReport)
})
process.on('disconnect', () => process.exit(0))
await change()
systemDoors.clock.every(1000, () => void change())
process.send?.({ port: runtime.portOf('main') ?? 0 })
