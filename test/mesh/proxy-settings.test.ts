import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { nodeNamed } from '#api/serve/raw-client.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import type { DeltaDiscoveryResponse } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { deadPort } from '#proxy/testing/peers.ts'
import { startPlane } from '../parts/control-plane.ts'
import { proxyProcesses } from '../parts/proxy-process.ts'
import { until } from './shop.ts'

/** What a loaded machine may take for one step. */
const PATIENCE_MS = 240_000

/** Endpoints in one response. */
const endpointsIn = (response: DeltaDiscoveryResponse): number =>
  fromBinary(ClusterLoadAssignmentSchema, response.resources[0]?.resource?.value ?? new Uint8Array()).endpoints.reduce((sum, { lbEndpoints }) => sum + lbEndpoints.length, 0)

/** Sockets that listen on a port of an IPv4 address (proc_net_tcp(5): address, state 0A). */
function listenersAt(address: string, port: number): number {
  const place = `${address.split('.').reverse().map((part) => Number(part).toString(16).padStart(2, '0')).join('')}:${port.toString(16).padStart(4, '0')}`.toUpperCase()
  return readFileSync('/proc/net/tcp', 'utf8').split('\n').filter((line) => line.split(/\s+/)[2] === place && line.split(/\s+/)[4] === '0A').length
}

/** The environment of a process's child that runs Envoy. */
function environmentOfEnvoy(parent: number): string[] {
  const child = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && isEnvoyOf(pid, parent))
  return child === undefined ? [] : readFileSync(`/proc/${child}/environ`, 'utf8').split('\0')
}

function isEnvoyOf(pid: string, parent: number): boolean {
  try {
    return /\(.*\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] === String(parent) && /envoy/.test(readlinkSync(`/proc/${pid}/exe`))
  } catch {
    // It has ended meanwhile, or is another user's.
    return false
  }
}

for (const engine of ['weft', 'envoy'] as const) test(`a proxy starts with what the mesh says, and is called for as long as its workload’s probe succeeds: ${engine}`, async (t) => {
  const world = await startPlane()
  const proxies = await proxyProcesses(world, 'prod', 'orders')
  let isReady = false
  // As many as neither the mesh nor the machine says by itself.
  const threads = engine === 'weft' ? 2 : availableParallelism() + 1
  const app = createServer((request, response) => void response.writeHead(isReady && request.url === '/ready' && request.headers['x-probe'] === 'mesh' ? 200 : 503).end())
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  t.after(async () => {
    await proxies.close()
    await world.close()
    app.closeAllConnections()
    app.close()
  })
  await world.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'orders', namespace: 'prod' }, spec: { selector: { app: 'orders' }, ports: [{ name: 'http', port: 8080 }] } },
    { apiVersion: 'networking.istio.io/v1beta1', kind: 'ProxyConfig', metadata: { name: 'all', namespace: 'prod' }, spec: { concurrency: 1, environmentVariables: { PLACE: 'attic', ISTIO_META_TEAM: 'blue' } } },
    { apiVersion: 'networking.istio.io/v1beta1', kind: 'ProxyConfig', metadata: { name: 'orders', namespace: 'prod' }, spec: { selector: { matchLabels: { app: 'orders' } }, concurrency: threads, environmentVariables: { PLACE: 'cellar' } } },
    {
      apiVersion: 'networking.istio.io/v1', kind: 'WorkloadGroup', metadata: { name: 'orders', namespace: 'prod' },
      spec: {
        metadata: { labels: { app: 'orders' } },
        template: { serviceAccount: 'orders' },
        probe: { periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 1, httpGet: { path: '/ready', port: 8080, httpHeaders: [{ name: 'x-probe', value: 'mesh' }] } },
      },
    },
    {
      apiVersion: 'networking.istio.io/v1alpha3', kind: 'EnvoyFilter', metadata: { name: 'team', namespace: 'prod' },
      spec: {
        configPatches: [
          { applyTo: 'VIRTUAL_HOST', match: { context: 'SIDECAR_INBOUND', proxy: { metadata: { TEAM: 'blue' } } }, patch: { operation: 'MERGE', value: { response_headers_to_add: [{ header: { key: 'x-team', value: 'blue' } }] } } },
        ],
      },
    },
  )
  const caller = await world.proxy('prod', 'caller')
  const watching = caller.client.delta({ bearer: caller.bearer })
  watching.ask({ node: nodeNamed('sidecar~127.0.0.1~caller.prod~prod.svc.cluster.local', { NAMESPACE: 'prod', WEFT_OUTBOUND: '127.0.0.1:15001' }), type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['outbound|8080||orders.prod.svc.cluster.local'] })
  assert.equal(endpointsIn(await watching.take()), 0)

  const address = engine === 'weft' ? '127.0.6.1' : '127.0.6.2'
  const listen = await deadPort()
  const ports = [{ port: 8080, name: 'http', listen: { address, port: listen }, app: { address: '127.0.0.1', port: (app.address() as AddressInfo).port } }]
  const variables = { WEFT_ADDRESS: address, WEFT_PORTS: JSON.stringify(ports), ...(engine === 'weft' ? {} : { WEFT_ENGINE: 'envoy', WEFT_ENVOY: await installEnvoy() }) }
  const child = await proxies.start('orders-1', variables)
  await until('a thread each listens', () => listenersAt(address, listen) === threads, PATIENCE_MS)
  if (engine === 'envoy') assert.ok(environmentOfEnvoy(child.pid ?? 0).includes('PLACE=cellar'))
  assert.equal((await fetch(`http://${address}:${listen}/`)).headers.get('x-team'), 'blue', 'its node has said the word')

  // Nobody was told of an endpoint: the next thing that the caller hears is the one below.
  isReady = true
  assert.equal(endpointsIn(await watching.take()), 1)
  isReady = false
  assert.equal(endpointsIn(await watching.take()), 0)
  isReady = true
  assert.equal(endpointsIn(await watching.take()), 1)
  await until('the registry says so', () => world.plane.workloads(world.mesh.id).some(({ name, health }) => name === 'orders-1' && health === 'healthy'), PATIENCE_MS)
})
