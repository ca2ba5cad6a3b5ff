import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, beforeEach, test, type TestContext } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { packAny } from '#core/wire/any.ts'
import { create } from '@bufbuild/protobuf'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { RouterSchema } from '#core/wire/gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HttpConnectionManagerSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, HEALTH_INFORMATION, LISTENER, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { jsonLog } from './admin/log.ts'
import { readBootstrap } from './bootstrap/read-bootstrap.ts'
import { type Proxy, startProxy } from './start.ts'
import { TestControlPlane } from './testing/control-plane.ts'

const apps = ['v1', 'v2'].map((version) => createServer((_, response) => void response.end(version)))
const portOf = (server: ReturnType<typeof createServer>): number => {
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return address.port
}

let plane: TestControlPlane
let directory = ''

before(async () => {
  for (const app of apps) await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
})
after(() => {
  for (const app of apps) app.close()
})
beforeEach(async (t) => {
  plane = new TestControlPlane()
  await plane.start()
  directory = mkdtempSync(path.join(tmpdir(), 'weft-test-'))
  if ('after' in t) t.after(() => {
    plane.stop()
    rmSync(directory, { recursive: true, force: true })
  })
})

function putCluster(name: string): void {
  plane.put(ClusterSchema, name, {
    name,
    clusterDiscoveryType: { case: 'type', value: 3 },
    edsClusterConfig: { edsConfig: { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: 2 } },
    connectTimeout: { seconds: 1n },
  })
}

const putEndpoints = (name: string, port: number): void =>
  plane.put(ClusterLoadAssignmentSchema, name, {
    clusterName: name,
    endpoints: [
      {
        loadBalancingWeight: 1,
        lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: { address: { case: 'socketAddress', value: { address: '127.0.0.1', portSpecifier: { case: 'portValue', value: port } } } } } } }],
      },
    ],
  })

const putTable = (cluster: string): void =>
  plane.put(RouteConfigurationSchema, 'orders', {
    name: 'orders',
    virtualHosts: [
      { name: 'all', domains: ['*'], routes: [{ match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: cluster } } } }] },
    ],
  })

function putListener(name = 'outbound'): void {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: 'outbound',
    routeSpecifier: { case: 'rds', value: { routeConfigName: 'orders', configSource: { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: 2 } } },
    httpFilters: [{ name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: packAny(RouterSchema, create(RouterSchema)) } }],
  })
  plane.put(ListenerSchema, name, {
    name,
    trafficDirection: 2,
    address: { address: { case: 'socketAddress', value: { address: '127.0.0.1', portSpecifier: { case: 'portValue', value: 0 } } } },
    filterChains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, manager) } }] }],
  })
}

function putAll(): void {
  putCluster('v1')
  putEndpoints('v1', portOf(apps[0] ?? assert.fail()))
  putTable('v1')
  putListener()
}

async function start(t: TestContext, more: Record<string, string> = {}): Promise<Proxy & { lines: { event: string }[] }> {
  const lines: { event: string }[] = []
  const environment = {
    WEFT_XDS: plane.target,
    WEFT_XDS_ROOT: 'root',
    WEFT_JOIN_TOKEN: plane.token,
    WEFT_NAME: 'order-v1',
    WEFT_NAMESPACE: 'prod',
    WEFT_SERVICE_ACCOUNT: 'order-service',
    WEFT_ADDRESS: '127.0.0.1',
    WEFT_ADMIN: '127.0.0.1:0',
    WEFT_STATE_DIR: directory,
    WEFT_DRAIN_SECONDS: '1',
    ...more,
  }
  const bootstrap = readBootstrap(environment, 'sidecar', { readFile: () => plane.authority.rootPem, ownAddress: () => '127.0.0.1', hostName: () => 'h', version: '0' })
  const log = jsonLog(systemDoors.clock, (line) => lines.push(JSON.parse(line)), 'debug')
  const proxy = await startProxy(systemDoors, bootstrap, { log, readFile: () => '', memory: () => process.memoryUsage(), quit() {} })
  t.after(() => proxy.stop())
  return { ...proxy, lines }
}

async function ask(port: number, url = '/'): Promise<{ status: number; body: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => get({ host: '127.0.0.1', port, path: url, agent: false }, resolve).on('error', reject))
  let body = ''
  for await (const part of response) body += String(part)
  return { status: response.statusCode ?? 0, body }
}

const through = (proxy: Proxy): Promise<{ status: number; body: string }> => ask(proxy.runtime.portOf('outbound') ?? 0)
const nacks = (): string[] => plane.requests.flatMap(({ errorDetail }) => errorDetail?.message ?? [])
/** ACKs that the control plane has had of one type. */
const acks = (type: string): number => plane.requests.filter(({ typeUrl, responseNonce, errorDetail }) => typeUrl === type && responseNonce !== '' && !errorDetail).length

test('a sidecar joins by its token, gets an identity, subscribes and serves', async (t) => {
  putAll()
  const proxy = await start(t)
  assert.deepEqual(await ask(proxy.adminPort, '/ready'), { status: 503, body: 'INITIALIZING\n' })
  await proxy.ready
  assert.deepEqual(await ask(proxy.adminPort, '/ready'), { status: 200, body: 'LIVE\n' })
  assert.deepEqual(await through(proxy), { status: 200, body: 'v1' })
  assert.deepEqual(plane.credentials, ['token'])
  const [session] = plane.sessions
  assert.equal(session?.uri, 'URI:spiffe://cluster.local/ns/prod/sa/order-service')
  assert.equal(session.nodeId, 'sidecar~127.0.0.1~order-v1.prod~prod.svc.cluster.local')
  assert.equal(plane.requests.filter(({ node }) => node).length, 1, 'the node goes in the first request alone')
  await plane.until(() => [CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION].every((type) => acks(type) === 1))
  assert.equal(proxy.cell.revision, plane.revision)
})

test('a cluster waits for its endpoints and a route for its cluster: no request sees the gap, and the ACKs say so', async (t) => {
  putAll()
  const proxy = await start(t)
  await proxy.ready
  await plane.until(() => acks(ROUTE_CONFIGURATION) === 1)
  putCluster('v2')
  putTable('v2')
  await plane.until(() => plane.requests.some(({ typeUrl, resourceNamesSubscribe }) => typeUrl === CLUSTER_LOAD_ASSIGNMENT && resourceNamesSubscribe.includes('v2')))
  assert.deepEqual(await through(proxy), { status: 200, body: 'v1' })
  assert.equal(acks(CLUSTER), 1)
  assert.equal(acks(ROUTE_CONFIGURATION), 1)
  putEndpoints('v2', portOf(apps[1] ?? assert.fail()))
  await plane.until(() => acks(CLUSTER) === 2 && acks(ROUTE_CONFIGURATION) === 2)
  assert.deepEqual(await through(proxy), { status: 200, body: 'v2' })
  plane.remove(CLUSTER, 'v1')
  await plane.until(() => plane.requests.some(({ typeUrl, resourceNamesUnsubscribe }) => typeUrl === CLUSTER_LOAD_ASSIGNMENT && resourceNamesUnsubscribe.includes('v1')))
  assert.deepEqual(await through(proxy), { status: 200, body: 'v2' })
})

test('what cannot be read is refused with its faults, and what it stood for goes on', async (t) => {
  putAll()
  const proxy = await start(t)
  await proxy.ready
  plane.put(RouteConfigurationSchema, 'orders', {
    name: 'orders',
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ match: { pathSpecifier: { case: 'safeRegex', value: { regex: '(' } } }, action: { case: 'directResponse', value: { status: 200 } } }] }],
  })
  await plane.until(() => nacks().length > 0)
  assert.match(nacks()[0] ?? '', /^orders: .*regex/s)
  assert.deepEqual(await through(proxy), { status: 200, body: 'v1' })
  assert.equal(acks(ROUTE_CONFIGURATION), 1)
})

test('traffic goes on while the control plane is away, and the new stream names what is held', async (t) => {
  putAll()
  const proxy = await start(t)
  await proxy.ready
  await plane.until(() => acks(ROUTE_CONFIGURATION) === 1)
  plane.stop()
  assert.deepEqual(await through(proxy), { status: 200, body: 'v1' })
  plane.requests.length = 0
  await plane.start()
  await plane.until(() => plane.requests.some(({ typeUrl }) => typeUrl === ROUTE_CONFIGURATION))
  const first = (type: string) => plane.requests.find(({ typeUrl }) => typeUrl === type)
  assert.deepEqual(Object.keys(first(CLUSTER)?.initialResourceVersions ?? {}), ['v1'])
  assert.deepEqual(first(ROUTE_CONFIGURATION)?.resourceNamesSubscribe, ['orders'])
  assert.deepEqual(Object.keys(first(ROUTE_CONFIGURATION)?.initialResourceVersions ?? {}), ['orders'])
  assert.deepEqual(await through(proxy), { status: 200, body: 'v1' })
})

test('a renewed certificate moves the stream, and no configuration is sent again', async (t) => {
  putAll()
  plane.lifetimeMs = 4000
  const proxy = await start(t)
  await proxy.ready
  await plane.until(() => plane.credentials.includes('certificate') && plane.requests.filter(({ node }) => node).length === 2)
  assert.equal(plane.goodbyes, 0)
  assert.deepEqual(await through(proxy), { status: 200, body: 'v1' })
})

test('a proxy starts with what the mesh says, says so when that has changed, and starts so again without the control plane', async (t) => {
  plane.lifetimeMs = 4000
  plane.settings = { proxyMetadata: { ISTIO_META_TEAM: 'blue' }, readinessProbe: { periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 1, tcpSocket: { host: '127.0.0.1', port: portOf(apps[0] ?? assert.fail()) } } }
  putAll()
  const proxy = await start(t)
  await proxy.ready
  assert.equal(plane.requests.find(({ node }) => node !== undefined)?.node?.metadata?.['TEAM'], 'blue')
  assert.equal(proxy.runtime.variable('ISTIO_META_TEAM'), 'blue')
  assert.ok(!plane.requests.some(({ typeUrl }) => typeUrl === HEALTH_INFORMATION))
  proxy.announce()
  await plane.until(() => plane.requests.some(({ typeUrl, errorDetail }) => typeUrl === HEALTH_INFORMATION && errorDetail === undefined))

  plane.settings = { proxyMetadata: { ISTIO_META_TEAM: 'red' } }
  while (!proxy.lines.some(({ event }) => event === 'settings.differ')) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(proxy.runtime.variable('ISTIO_META_TEAM'), 'blue', 'it counts from the next start')
  while (!existsSync(path.join(directory, 'last-good.binpb'))) await new Promise((resolve) => setTimeout(resolve, 20))
  await proxy.stop()
  plane.stop()
  const again = await start(t)
  while (again.runtime.portOf('outbound') === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(again.runtime.variable('ISTIO_META_TEAM'), 'red')
})

test('a control plane that is away when it is asked what a proxy starts with is asked again', async (t) => {
  putAll()
  plane.settings = { proxyMetadata: { PLACE: 'cellar' } }
  plane.settingsUnavailable = 2
  const proxy = await start(t)
  await proxy.ready
  assert.equal(proxy.runtime.variable('PLACE'), 'cellar')
  assert.equal(plane.settingsAsked, 3)
})

test('a restarted sidecar serves its last configuration without the control plane; the file holds no key', async (t) => {
  putAll()
  const proxy = await start(t)
  await proxy.ready
  const file = path.join(directory, 'last-good.binpb')
  while (true) {
    try {
      assert.ok(readFileSync(file).length > 0)
      break
    } catch {
      // Not written yet: it is written when changes have been quiet.
      await new Promise((resolve) => systemDoors.clock.after(50, () => resolve(undefined)))
    }
  }
  assert.doesNotMatch(readFileSync(file, 'latin1'), /PRIVATE KEY/)
  await proxy.stop()
  plane.stop()
  const again = await start(t)
  while (again.runtime.portOf('outbound') === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(await through(again), { status: 200, body: 'v1' })
  assert.equal(again.state(), 'INITIALIZING', 'without an identity it serves and does not call itself ready')
  await plane.start()
  await again.ready
})

test('leaving says goodbye before listeners close, and lets a request in flight end', async (t) => {
  putAll()
  let release = (): void => {}
  const slow = createServer((_, response) => (release = () => void response.end('late')))
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
  t.after(() => slow.close())
  putEndpoints('v1', portOf(slow))
  const proxy = await start(t, { WEFT_DRAIN_SECONDS: '10' })
  await proxy.ready
  const reached = new Promise<void>((resolve) => slow.once('request', () => resolve()))
  const answer = through(proxy)
  await reached
  const stopped = proxy.stop()
  await plane.until(() => plane.goodbyes === 1)
  assert.equal(proxy.state(), 'DRAINING')
  release()
  assert.deepEqual(await answer, { status: 200, body: 'late' })
  await stopped
})

test('the admin port shows configuration, clusters and certificates, and never a key', async (t) => {
  putAll()
  const proxy = await start(t)
  await proxy.ready
  await through(proxy)
  const dump = await ask(proxy.adminPort, '/config_dump')
  assert.deepEqual(JSON.parse(dump.body).configs.map((one: { '@type': string }) => one['@type'].split('.').at(-1)), [
    'ClustersConfigDump', 'ListenersConfigDump', 'ScopedRoutesConfigDump', 'RoutesConfigDump', 'EndpointsConfigDump', 'SecretsConfigDump',
  ])
  assert.match((await ask(proxy.adminPort, '/clusters')).body, /v1::127\.0\.0\.1:\d+::rq_total::1/)
  assert.match((await ask(proxy.adminPort, '/certs')).body, /spiffe:\/\/cluster\.local\/ns\/prod\/sa\/order-service/)
  assert.match((await ask(proxy.adminPort, '/stats/prometheus')).body, /^istio_requests_total\{.*\} 1$/m)
  assert.match((await ask(proxy.adminPort, '/metrics')).body, /^weft_ads_connected 1$/m)
  assert.match((await ask(proxy.adminPort, '/server_info')).body, /"state": "LIVE"/)
  assert.equal((await ask(proxy.adminPort, '/drain')).status, 405)
  for (const page of ['/config_dump', '/certs', '/server_info']) assert.doesNotMatch((await ask(proxy.adminPort, page)).body, /PRIVATE KEY/)
})

test('what was sent where is reported once, by endpoint, with durations by bucket', async (t) => {
  putAll()
  const proxy = await start(t)
  await proxy.ready
  for (let count = 0; count < 5; count++) await through(proxy)
  const endpoints = () => plane.loads.flatMap(({ clusterStats }) => clusterStats.flatMap(({ upstreamLocalityStats }) => upstreamLocalityStats.flatMap(({ upstreamEndpointStats }) => upstreamEndpointStats)))
  const sum = (of: (one: ReturnType<typeof endpoints>[number]) => bigint): bigint => endpoints().reduce((total, one) => total + of(one), 0n)
  await plane.until(() => sum(({ totalSuccessfulRequests }) => totalSuccessfulRequests) >= 5n)
  assert.equal(sum(({ totalSuccessfulRequests }) => totalSuccessfulRequests), 5n)
  assert.equal(sum(({ loadMetricStats }) => loadMetricStats.filter(({ metricName }) => metricName.startsWith('weft.duration_ms_le_')).reduce((total, one) => total + one.numRequestsFinishedWithMetric, 0n)), 5n)
  assert.equal(plane.loads[0]?.node?.id, 'sidecar~127.0.0.1~order-v1.prod~prod.svc.cluster.local')
  assert.ok(plane.loads.some(({ clusterStats }) => clusterStats[0]?.clusterName === 'v1'))
})
