import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import type { DeltaDiscoveryResponse } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, HEALTH_INFORMATION } from '#core/wire/type-url.ts'
import { nodeNamed } from '#api/serve/raw-client.ts'
import { startPlane } from '../parts/control-plane.ts'

const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'orders', namespace: 'prod' }, spec: { selector: { app: 'orders' }, ports: [{ name: 'http', port: 8080 }] } }

/** Endpoints in one response. */
const endpointsIn = (response: DeltaDiscoveryResponse): number =>
  fromBinary(ClusterLoadAssignmentSchema, response.resources[0]?.resource?.value ?? new Uint8Array()).endpoints.reduce((sum, { lbEndpoints }) => sum + lbEndpoints.length, 0)

test('a workload is called from the moment when its proxy says that the application is ready, and no longer than that', async (t) => {
  const world = await startPlane()
  t.after(() => world.close())
  await world.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } }, service)

  const caller = await world.proxy('prod', 'caller')
  const watching = caller.client.delta({ bearer: caller.bearer })
  watching.ask({ node: nodeNamed('sidecar~127.0.0.1~caller.prod~prod.svc.cluster.local', { NAMESPACE: 'prod', WEFT_OUTBOUND: '127.0.0.1:15001' }), type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['outbound|8080||orders.prod.svc.cluster.local'] })
  assert.equal(endpointsIn(await watching.take()), 0)

  const owner = await world.proxy('prod', 'orders')
  const ports = JSON.stringify([{ port: 8080, name: 'http', listen: { address: '127.0.1.2', port: 15006 }, app: { address: '127.0.0.1', port: 8080 } }])
  const node = (health?: string) => nodeNamed('sidecar~127.0.1.2~orders.prod~prod.svc.cluster.local', { NAMESPACE: 'prod', LABELS: { app: 'orders' }, WEFT_PORTS: ports, ...(health === undefined ? {} : { WEFT_HEALTH: health }) })
  const stream = owner.client.delta({ bearer: owner.bearer })
  stream.ask({ node: node('unhealthy'), type: CLUSTER })
  await stream.take()
  // It is in the mesh, and nobody was told of an endpoint: the next thing that the caller hears is the one below.
  stream.ask({ type: HEALTH_INFORMATION })
  assert.equal(endpointsIn(await watching.take()), 1)
  stream.ask({ type: HEALTH_INFORMATION, error: 'the probe failed' })
  assert.equal(endpointsIn(await watching.take()), 0)
  stream.ask({ type: HEALTH_INFORMATION })
  assert.equal(endpointsIn(await watching.take()), 1)

  // A goodbye takes it out; one that comes back well is called at once.
  stream.end()
  assert.equal(endpointsIn(await watching.take()), 0)
  const again = owner.client.delta({ bearer: owner.bearer })
  again.ask({ node: node(), type: CLUSTER })
  assert.equal(endpointsIn(await watching.take()), 1)
})
