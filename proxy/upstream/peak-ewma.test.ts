import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBinary } from '@bufbuild/protobuf'
import { readCluster } from '#core/plan/read-cluster.ts'
import { SteppedClock, seededRandom } from '#core/time/seeded.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { ask, httpServer, startProxy } from '../testing/peers.ts'
import { forward, routePlan } from '../testing/plan.ts'

const policies = (...typed: readonly object[]): readonly object[] => typed.map((one, at) => ({ typed_extension_config: { name: `p${at}`, typed_config: one } }))
const ours = { '@type': 'type.googleapis.com/xds.type.v3.TypedStruct', type_url: 'type.googleapis.com/weft.load_balancing.v1.PeakEwma' }
const leastRequest = { '@type': 'type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest' }

function balancerOf(...typed: readonly object[]): string {
  const json = { name: 'a', type: 'STATIC', load_assignment: { cluster_name: 'a' }, load_balancing_policy: { policies: policies(...typed) } }
  const read = readCluster(toBinary(ClusterSchema, messageFromJson(ClusterSchema, JSON.parse(JSON.stringify(json)))), '1')
  return read.ok ? read.plan.balancer : read.faults.map((one) => one.rule).join()
}

test('it is named by a type of its own, and others of that form are passed over', () => {
  assert.equal(balancerOf(ours, leastRequest), 'peak-ewma')
  assert.equal(balancerOf({ ...ours, type_url: 'type.googleapis.com/somebody.else' }, leastRequest), 'least-request')
})

test('a slow host gets few requests', async (t) => {
  const clock = new SteppedClock()
  const asked = [0, 0, 0]
  const ports = await Promise.all(
    [1, 1, 300].map(async (ms, at) => {
      const server = await httpServer(t, (_request, response) => {
        asked[at] = (asked[at] ?? 0) + 1
        clock.advance(ms)
        response.end()
      })
      return server.port
    }),
  )
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', ports, { balancer: 'peak-ewma' }]], doors: { clock, random: seededRandom(5) } })
  for (let n = 0; n < 200; n++) assert.equal((await ask(proxy.port, '/')).status, 200)
  const [one = 0, other = 0, slow = 0] = asked
  assert.ok(slow >= 1 && slow <= 6, asked.join())
  assert.ok(one > 40 && other > 40, asked.join())
})
