import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { seededRandom } from '#core/time/seeded.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { systemDoors } from '#core/time/system.ts'
import { Cluster_DiscoveryType, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { discoveryApp } from '#api/discovery-app.ts'
import { startConformance } from '#api/serve/conformance.ts'
import type { ClusterLoad, LocalityLoad } from '#api/serve/load-reports.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import { NodeStates } from '#api/serve/node-states.ts'
import type { Peer, ServeDoors } from '#api/serve/peer.ts'
import type { Resource } from '#api/serve/resource.ts'
import { startXds, type XdsServer } from '#api/serve/server.ts'
import { meshOf, nodeFrom, putChange, storedFrom, workloadChange, workloadFrom } from '#api/translate/testing/mesh-case.ts'
import { placeholderFor, resourceOf } from '#api/translate/resource.ts'
import { startLoad } from '../mesh/load.ts'
import { send, until } from '../mesh/shop.ts'
import { serveApp } from '../parts/api.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { EnvoyProcess, type EnvoyOptions } from './envoy-process.ts'
import { cluster, endpoints, listener, polledCluster, polledListener, routes } from './hand-made.ts'
import { Relay } from './relay.ts'
import { startUpstream, type Upstream } from './upstream.ts'

const loopback: Peer = { organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }
const call = { host: 'any', path: '/' }
/** Connections stay warm, and a change always finds requests under way. */
const perSecond = 400

/** What a rule allows in milliseconds, on a machine that other tests share; what breaks the rule takes Envoy's own 15 s or for ever. */
const withinMs = (rule: number): number => rule + 60_000

interface World {
  readonly server: XdsServer
  readonly view: MemoryView
  readonly connectedAtMs: () => number
  envoy(options?: Partial<EnvoyOptions>): Promise<EnvoyProcess>
  upstream(version: string): Promise<Upstream>
  /** Resolves when Envoy has acknowledged all of the view: milliseconds since the call. */
  synced(): Promise<number>
}

async function world(t: TestContext, version: string, resources: Iterable<Resource> = []): Promise<World> {
  const view = new MemoryView(resources, 1, placeholderFor)
  let connectedAtMs = 0
  const serve: ServeDoors = {
    authenticate: () => Promise.resolve(loopback),
    viewFor: () => Promise.resolve(view),
    connected: () => void (connectedAtMs ||= performance.now()),
    disconnected() {},
  }
  const server = await startXds({ clock: systemDoors.clock, random: seededRandom(1), serve }, { plaintext: { address: '127.0.0.1', port: 0 } })
  t.after(() => server.close(0))
  return {
    server,
    view,
    connectedAtMs: () => connectedAtMs,
    async envoy(options = {}) {
      const envoy = await EnvoyProcess.start({ version, xds: `127.0.0.1:${server.port}`, nodeId: 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', ...options })
      t.after(() => envoy.stop())
      return envoy
    },
    async upstream(name) {
      const upstream = await startUpstream(name)
      t.after(() => upstream.close())
      return upstream
    },
    async synced() {
      const startedMs = performance.now()
      const { acked, rejected, stragglers } = await server.ledger.whenSynced('m', view.revision, 300_000)
      assert.deepEqual([acked.length, rejected, stragglers], [1, [], []])
      return performance.now() - startedMs
    },
  }
}

for (const version of ENVOY_VERSIONS) {
  describe(`stock Envoy ${version}`, () => {
    test('rule 4: the control plane drains under load and goes, and no request fails', async (t) => {
      const { server, view, envoy: start, upstream } = await world(t, version, [listener('l', 'r'), cluster('a'), routes('r', { a: 1 })])
      view.set(endpoints('a', (await upstream('a')).address))
      const envoy = await start()
      const at = await envoy.listening('l')
      await envoy.ready()
      const load = startLoad(at, call, perSecond)
      await until('load runs', () => load.sent() > 50)
      await server.close(200)
      await until('Envoy knows that it is alone', async () => (await envoy.stat('control_plane.connected_state')) === 0)
      const sentThen = load.sent()
      await until('requests follow', () => load.sent() > sentThen + 100)
      assert.deepEqual((await load.stop()).failed, [])
    })

    test('rule 10: of one good and one bad cluster in one response the good one serves, and so does a third that comes later', async (t) => {
      const { server, view, envoy: start, upstream } = await world(t, version, [listener('l', 'r'), routes('r', { good: 1 })])
      const [good, third] = [await upstream('good'), await upstream('third')]
      // Envoy refuses a cluster that says that it is found by its original destination and where its endpoints are.
      const bad = resourceOf(ClusterSchema, 'bad', create(ClusterSchema, { name: 'bad', clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST } }), ['DestinationRule/prod/bad'])
      view.set(cluster('good'), endpoints('good', good.address), bad)
      const envoy = await start()
      const at = await envoy.listening('l')
      await envoy.ready()
      await until('the bad one is refused', () => server.ledger.statuses('m').some((one) => one.types.some((type) => type.rejection?.resources.includes('bad'))))
      await until('the good one serves', async () => (await send(at, call)).body === 'good')
      view.set(cluster('third'), endpoints('third', third.address), routes('r', { third: 1 }))
      await until('the third one serves', async () => (await send(at, call)).body === 'third')
      assert.equal(server.counts.of(CLUSTER).nacks, 1, 'what was refused did not come again')
      view.set(cluster('bad'), endpoints('bad', good.address), routes('r', { bad: 1 }))
      await until('mended, it serves', async () => (await send(at, call)).body === 'good')
      assert.ok(server.ledger.statuses('m').every((one) => one.types.every((type) => type.rejection === undefined)))
    })

    test('what one Envoy refused the next is not tried with: it is ready with all else, and the repair reaches both', async (t) => {
      const { server, view, envoy: start, upstream } = await world(t, version, [listener('l', 'r'), routes('r', { good: 1 })])
      const good = await upstream('good')
      const bad = resourceOf(ClusterSchema, 'bad', create(ClusterSchema, { name: 'bad', clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST } }), ['DestinationRule/prod/bad'])
      view.set(cluster('good'), endpoints('good', good.address), bad)
      await start()
      await until('it is refused', () => server.counts.of(CLUSTER).nacks === 1)
      const next = await start({ nodeId: 'sidecar~127.0.0.1~b.prod~prod.svc.cluster.local' })
      const at = await next.listening('l')
      await next.ready()
      assert.equal((await send(at, call)).body, 'good')
      await until('both are told of', () => server.ledger.statuses('m').filter((one) => one.types.some((type) => type.refusals?.some((refused) => refused.resources.includes('bad')))).length === 2)
      assert.equal(server.counts.of(CLUSTER).nacks, 1)
      view.set(cluster('bad'), endpoints('bad', good.address), routes('r', { bad: 1 }))
      await until('mended, it reaches the next', async () => (await next.get('/clusters')).includes(`bad::${good.address}::health_flags::healthy`))
      await until('nobody refuses anything', () => server.ledger.statuses('m').every((one) => one.types.every((type) => type.refusals === undefined && type.rejection === undefined)))
    })

    test('rule 14: cut between a new cluster and its endpoints, it has the cluster within a second of the cut', async (t) => {
      const app = await startUpstream('a')
      t.after(() => app.close())
      const { server, view, envoy: start } = await world(t, version, [cluster('a'), endpoints('a', app.address), listener('l', 'r'), routes('r', { a: 1 })])
      const relay = await Relay.start(server.port)
      t.after(() => relay.close())
      const envoy = await start({ xds: relay.address })
      await envoy.ready()
      let cutAtMs = 0
      // Envoy has taken the cluster and asks for its endpoints: this request is lost, and the stream with it.
      relay.cutWhen = (chunk) => {
        if (!chunk.includes('half-way')) return false
        relay.cutWhen = undefined
        cutAtMs = performance.now()
        return true
      }
      view.set(cluster('half-way'), endpoints('half-way', app.address), routes('r', { 'half-way': 1 }))
      await until('the stream was cut', () => cutAtMs > 0)
      await until('the new cluster is live', async () => (await envoy.get('/clusters')).includes(`half-way::${app.address}::health_flags::healthy`))
      const tookMs = performance.now() - cutAtMs
      t.diagnostic(`live ${Math.round(tookMs)} ms after the cut`)
      assert.ok(tookMs < withinMs(1000), `${tookMs} ms`)
      assert.equal(await envoy.stat('cluster_manager.warming_clusters'), 0)
    })

    test('rule 19: a listener whose routes are nowhere does not keep it from being ready', async (t) => {
      const { envoy: start, connectedAtMs } = await world(t, version, [listener('l', 'nowhere'), cluster('empty')])
      const envoy = await start()
      await envoy.ready()
      const tookMs = performance.now() - connectedAtMs()
      t.diagnostic(`ready ${Math.round(tookMs)} ms after it connected`)
      assert.ok(tookMs < withinMs(1000), `${tookMs} ms`)
    })

    test('rule 20: a changed cluster is warm and acknowledged at once', async (t) => {
      const { view, envoy: start, synced } = await world(t, version, [cluster('a'), endpoints('a', '127.0.0.1:1'), cluster('b'), endpoints('b', '127.0.0.1:1')])
      const envoy = await start()
      await envoy.ready()
      await synced()
      const took: number[] = []
      for (let seconds = 2; seconds < 12; seconds += 1) {
        view.set(cluster('a', `${seconds}s`))
        took.push(await synced())
        await until('no cluster is warming', async () => (await envoy.stat('cluster_manager.warming_clusters')) === 0)
      }
      took.sort((a, b) => a - b)
      t.diagnostic(`acknowledged after ${took.map((ms) => Math.round(ms)).join(' ')} ms`)
      // What an Envoy warms in vain takes it fifteen seconds, each time.
      assert.ok((took[5] ?? Infinity) < 10_000, `the median of ${took.join(' ')} ms`)
    })

    test('rule 21: a route moves from one cluster to another that is new, the first is deleted, and under load no request fails', async (t) => {
      const { view, envoy: start, synced, upstream } = await world(t, version, [listener('l', 'r')])
      const [a, b] = [await upstream('a'), await upstream('b')]
      view.set(cluster('a'), endpoints('a', a.address), routes('r', { a: 1 }))
      const envoy = await start()
      const at = await envoy.listening('l')
      await envoy.ready()
      await synced()
      const load = startLoad(at, call, perSecond)
      for (let round = 0; round < 10; round += 1) {
        const [from, to, app] = round % 2 === 0 ? (['a', 'b', b] as const) : (['b', 'a', a] as const)
        view.update({
          changed: [cluster(to), endpoints(to, app.address), routes('r', { [to]: 1 })],
          removed: [{ type: CLUSTER, name: from }, { type: CLUSTER_LOAD_ASSIGNMENT, name: from }],
        })
        await synced()
        const before = load.sent()
        await until('requests follow', () => load.sent() > before + 20)
      }
      const { failed, sent, byVersion } = await load.stop()
      t.diagnostic(`${sent} requests, ${failed.length} failed`)
      assert.deepEqual(failed, [])
      assert.ok((byVersion.get('a') ?? 0) > 0 && (byVersion.get('b') ?? 0) > 0)
    })

    test('rule 22: an endpoint is removed and a weight moved under load: no request fails, and the weight opens no connection', async (t) => {
      const { view, envoy: start, synced, upstream } = await world(t, version, [listener('l', 'r')])
      const [a, b] = [await upstream('a'), await upstream('b')]
      view.set(cluster('a'), cluster('b'), endpoints('a', a.address, b.address), endpoints('b', b.address), routes('r', { a: 50, b: 50 }))
      const envoy = await start()
      const at = await envoy.listening('l')
      await envoy.ready()
      await synced()
      const load = startLoad(at, call, perSecond)
      t.after(() => load.stop())
      await until('load runs', () => load.sent() > 100)
      const connections = (): Promise<number[]> => Promise.all(['http.l.downstream_cx_total', 'cluster.a.upstream_cx_total', 'cluster.b.upstream_cx_total'].map((name) => envoy.stat(name)))
      await synced()
      // Warm first: each direction has had its share of connections.
      const settled = await settledConnections(connections)
      for (const share of [60, 40, 55, 45]) {
        view.set(routes('r', { a: share, b: 100 - share }))
        await synced()
      }
      assert.ok(settled.length > 0)
      // A busy machine may open more of them; what a drained listener would do is close some.
      assert.equal(await envoy.stat('http.l.downstream_cx_destroy'), 0, 'a weight keeps the callers connected')
      view.set(endpoints('a', a.address))
      await synced()
      const sentThen = load.sent()
      await until('requests follow', () => load.sent() > sentThen + 50)
      view.set(routes('r', { a: 100 }))
      await synced()
      view.set(endpoints('b'))
      await synced()
      const sentLater = load.sent()
      await until('requests follow', () => load.sent() > sentLater + 50)
      const { failed, sent } = await load.stop()
      t.diagnostic(`${sent} requests, ${failed.length} failed`)
      assert.deepEqual(failed, [])
    })

    test('rule 23: a cluster that changes renews its connections and loses no request; one that does not is left alone', async (t) => {
      const { view, envoy: start, synced, upstream } = await world(t, version, [listener('l', 'r')])
      const a = await upstream('a')
      view.set(cluster('a'), cluster('b'), endpoints('a', a.address), endpoints('b', a.address), routes('r', { a: 50, b: 50 }))
      const envoy = await start()
      const at = await envoy.listening('l')
      await envoy.ready()
      await synced()
      const load = startLoad(at, call, perSecond)
      await until('load runs', () => load.sent() > 100)
      const opened = (): Promise<number[]> => Promise.all(['cluster.a.upstream_cx_destroy', 'cluster.b.upstream_cx_destroy'].map((name) => envoy.stat(name)))
      const before = await opened()
      view.set(cluster('a', '3s'))
      await synced()
      const sentThen = load.sent()
      await until('requests follow', () => load.sent() > sentThen + 50)
      const after = await opened()
      const { failed } = await load.stop()
      assert.deepEqual(failed, [])
      assert.equal(after[1], before[1], 'the other cluster keeps its connections')
      t.diagnostic(`connections renewed: ${(after[0] ?? 0) - (before[0] ?? 0)}`)
    })

    test('rule 27: heartbeats keep a listener with a time to live and are no updates; without them it is forgotten', async (t) => {
      const { server, view, envoy: start, synced } = await world(t, version, [routes('r', { a: 1 }), cluster('a'), endpoints('a')])
      view.set({ ...listener('l', 'r'), ttlMs: 4000 })
      const relay = await Relay.start(server.port)
      t.after(() => relay.close())
      const envoy = await start({ xds: relay.address })
      await envoy.ready()
      await synced()
      // `lds.update_success` counts messages, empty ones too; these count what became of them.
      const updates = (): Promise<number[]> => Promise.all(['added', 'modified', 'in_place_updated', 'removed'].map((what) => envoy.stat(`listener_manager.listener_${what}`)))
      const before = await updates()
      const startedMs = performance.now()
      await until('more than a lifetime passes', () => performance.now() - startedMs > 5000)
      assert.deepEqual(await updates(), before, 'no heartbeat is an update')
      assert.notEqual(await envoy.listener('l'), undefined)
      relay.open = false
      relay.cut()
      await until('the listener is forgotten', async () => (await envoy.listener('l')) === undefined)
    })

    test('rule 30: it polls over REST, is answered on change, and serves by what it got', async (t) => {
      const { server, view, upstream, envoy: start } = await world(t, version)
      const http = await serveApp(discoveryApp(server.longPoll))
      t.after(() => http.close())
      const a = await upstream('a')
      // REST has no ADS, so what names another resource says where to poll for it.
      view.set(polledListener('l', 'r'), polledCluster('a'), endpoints('a', a.address), routes('r', { a: 1 }))
      const envoy = await start({ xds: http.url.replace('http://', ''), api: 'REST' })
      const at = await envoy.listening('l')
      await envoy.ready()
      assert.equal((await send(at, call)).body, 'a')
      const attempts = await envoy.stat('http.l.rds.r.update_attempt')
      const b = await upstream('b')
      view.set(endpoints('a', b.address))
      await until('requests go to the new endpoint', async () => (await send(at, call)).body === 'b')
      assert.ok((await envoy.stat('http.l.rds.r.update_attempt')) - attempts <= 1, 'the routes were not polled for nothing')
    })
  })
}

for (const version of ENVOY_VERSIONS) {
  test(`rule 30: the sums of what stock Envoy ${version} reports are the requests that it was sent, across a reconnect`, async (t) => {
    const states = new NodeStates()
    const reported: ClusterLoad[] = []
    const server = await startConformance(systemDoors, states, { address: '127.0.0.1', port: 0 }, (_node, clusters) => void reported.push(...clusters))
    const relay = await Relay.start(server.port)
    const app = await startUpstream('a')
    states.set('reporter', '', [listener('l', 'r'), routes('r', { a: 1 }), cluster('a'), endpoints('a', app.address)])
    const envoy = await EnvoyProcess.start({ version, xds: relay.address, nodeId: 'reporter', loadReports: true })
    t.after(async () => {
      await envoy.stop()
      await relay.close()
      await server.close(0)
      await app.close()
    })
    const at = await envoy.listening('l')
    await envoy.ready()
    const localities = (): LocalityLoad[] => reported.filter((one) => one.cluster === 'a').flatMap((one) => [...one.localities])
    const sum = (): number => localities().reduce((total, one) => total + one.succeeded + one.failed, 0)
    const ask = async (count: number): Promise<void> => {
      for (let sent = 0; sent < count; sent += 1) assert.equal((await send(at, call)).status, 200)
    }
    // Envoy counts from the moment that it is asked to.
    await until('it reports', () => reported.some((one) => one.cluster === 'a'))
    await ask(40)
    await until('all are reported', () => sum() === 40)
    relay.cut()
    const before = reported.length
    await until('it reports again', () => reported.slice(before).some((one) => one.cluster === 'a'))
    await ask(25)
    await until('those since are, too', () => sum() >= 65)
    const reports = reported.length
    await until('it has reported again', () => reported.length > reports)
    assert.deepEqual([sum(), new Set(localities().map((one) => one.locality))], [65, new Set(['r'])])
  })
}

test('rule 23: weights, endpoints, policies and other services leave every cluster as it was, to the byte', () => {
  const service = (name: string): ResourceObject => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'prod' }, spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } })
  const split = (weight: number): ResourceObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'a', namespace: 'prod' },
    spec: { hosts: ['a'], http: [{ route: [{ destination: { host: 'a', subset: 'v1' }, weight }, { destination: { host: 'b' }, weight: 100 - weight }] }] },
  })
  const rule: ResourceObject = { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name: 'a', namespace: 'prod' }, spec: { host: 'a', subsets: [{ name: 'v1', labels: { version: 'v1' } }] } }
  const policy: ResourceObject = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: 'p', namespace: 'prod' }, spec: { action: 'DENY', rules: [{}] } }
  const workload = (address: string) => workloadFrom({ name: `w-${address}`, namespace: 'prod', labels: { app: 'a', version: 'v1' }, address, ports: [{ port: 8080, name: 'http' }] })
  // A cluster names the accounts of its workloads, so it is another when the first of an account comes; not with each that follows.
  const { views } = meshOf([service('a'), service('b'), rule, split(90)], [workload('10.0.0.1')])
  const view = views.viewFor(nodeFrom({ name: 'client', namespace: 'prod', outbound: '127.0.0.1:15001' }), undefined)
  const hashes = (): Map<string, string> => new Map([...view.list(CLUSTER)].map((one) => [one.name, one.version]))
  const before = hashes()
  assert.ok(before.size >= 3)
  const edits = [
    putChange(storedFrom(split(10), 10)),
    workloadChange(workload('10.0.0.2'), 11),
    putChange(storedFrom(policy, 12)),
    putChange(storedFrom(service('c'), 13)),
  ]
  for (const edit of edits) {
    views.apply([edit], edit.revision)
    const after = hashes()
    for (const [name, version] of before) assert.equal(after.get(name), version, `${name} after revision ${edit.revision}`)
  }
})

/** Reads until two readings are equal: no connection is being opened any more. */
async function settledConnections(read: () => Promise<number[]>): Promise<number[]> {
  let last = await read()
  await until('connections settle', async () => {
    await new Promise((resolve) => setTimeout(resolve, 200))
    const now = await read()
    const same = now.every((count, at) => count === last[at])
    last = now
    return same
  })
  return last
}
