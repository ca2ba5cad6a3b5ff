import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { fault, Faults } from '#core/fault/fault.ts'
import { seededRandom, SteppedClock } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Clock } from '#core/time/clock.ts'
import { contentHash, encodeCanonical } from '#core/wire/encode.ts'
import { type Cluster, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { type DeltaDiscoveryResponse, type DiscoveryResponse, ResourceSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { cds, eds } from '#core/wire/grpc.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, EXTENSION_CONFIG, LISTENER, ROUTE_CONFIGURATION, RUNTIME, SCOPED_ROUTE_CONFIGURATION, SECRET, VIRTUAL_HOST } from '#core/wire/type-url.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { MemoryView } from './memory-view.ts'
import type { Peer, ServeDoors } from './peer.ts'
import { type DeltaStream, nodeNamed, RawClient, type SotwStream } from './raw-client.ts'
import type { Resource } from './resource.ts'
import { startXds, type XdsServer } from './server.ts'

const farAwayMs = Date.UTC(2100, 0)
const loopback: Peer = { organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: farAwayMs }
const node = nodeNamed('sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', { NAMESPACE: 'prod' })

/** A resource of any type whose content is its version: the serving layer never looks inside. */
const resource = (type: string, name: string, version: string, origins: string[] = []): Resource => ({ type, name, version, bytes: Buffer.from(`\x0a${String.fromCharCode(name.length)}${name}`), origins })
const cluster = (name: string, version = '1'): Resource => resource(CLUSTER, name, version)
const endpoints = (name: string, version = '1'): Resource => resource(CLUSTER_LOAD_ASSIGNMENT, name, version)
const listener = (name: string, version = '1'): Resource => resource(LISTENER, name, version)
const routes = (name: string, version = '1'): Resource => resource(ROUTE_CONFIGURATION, name, version)

interface World {
  readonly server: XdsServer
  readonly view: MemoryView
  readonly client: RawClient
  readonly notes: string[]
  readonly gone: string[]
}

async function world(t: TestContext, options: { view?: MemoryView; clock?: Clock; peer?: Partial<Peer>; serve?: Partial<ServeDoors> } = {}): Promise<World> {
  const view = options.view ?? new MemoryView()
  const notes: string[] = []
  const gone: string[] = []
  const serve: ServeDoors = {
    authenticate: () => Promise.resolve({ ...loopback, ...options.peer }),
    viewFor: () => Promise.resolve(view),
    connected() {},
    disconnected(_peer: Peer, who: ProxyNode, how: 'clean' | 'lost') {
      gone.push(`${who.name} ${how}`)
    },
    ...options.serve,
  }
  const clock = options.clock ?? systemDoors.clock
  const server = await startXds({ clock, random: seededRandom(1), serve }, { plaintext: { address: '127.0.0.1', port: 0 }, sockets: systemDoors.clock, note: (event) => notes.push(event) })
  const client = new RawClient(`127.0.0.1:${server.port}`)
  t.after(async () => {
    client.close()
    // A stepped clock stands still, and with it the grace.
    const closing = server.close(0)
    if (clock instanceof SteppedClock) clock.advance(1)
    await closing
  })
  return { server, view, client, notes, gone }
}

const namesOf = (response: DeltaDiscoveryResponse): string[] => response.resources.map((one) => one.name).sort()
/** Test resources carry their name as field 1. */
const anyNames = (response: DiscoveryResponse): string[] => response.resources.map((any) => fromBinary(ClusterLoadAssignmentSchema, any.value).clusterName).sort()

/**
 * Proof of silence without waiting for time: another type's question is asked after, and its answer is the next thing that comes.
 * Requests of a stream are read in order, and a stream's turn sends all that it has.
 */
async function silence(stream: DeltaStream | SotwStream, view: MemoryView): Promise<void> {
  const name = `probe-${view.revision}-${stream.received.length}`
  view.set(resource(SECRET, name, '1'))
  if ('take' in stream) {
    stream.ask({ type: SECRET, subscribe: [name] })
    const response = await stream.take()
    assert.deepEqual([response.typeUrl, namesOf(response)], [SECRET, [name]])
  } else {
    const nonce = stream.received.findLast((one) => one.typeUrl === SECRET)?.nonce ?? ''
    stream.ask({ type: SECRET, names: [name], nonce })
    const response = await stream.next()
    assert.equal(response.typeUrl, SECRET)
    stream.ack(response, [name])
  }
}

test('delta: a first wildcard request is answered with everything, and resources decode as the real messages', async (t) => {
  const real: Cluster = create(ClusterSchema, { name: 'outbound|80||a', connectTimeout: { seconds: 1n, nanos: 0 } })
  const bytes = encodeCanonical(ClusterSchema, real)
  const { client } = await world(t, { view: new MemoryView([{ type: CLUSTER, name: real.name, version: contentHash(bytes), bytes, origins: [] }], 7) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  const response = await stream.next()
  assert.equal(response.systemVersionInfo, '7')
  assert.equal(response.typeUrl, CLUSTER)
  const [first] = response.resources
  assert.deepEqual([first?.name, first?.version, first?.resource?.typeUrl], [real.name, contentHash(bytes), CLUSTER])
  assert.deepEqual(toBinary(ClusterSchema, fromBinary(ClusterSchema, first?.resource?.value ?? new Uint8Array())), bytes)
})

test('SotW: a first wildcard request is answered with everything', async (t) => {
  const { client } = await world(t, { view: new MemoryView([cluster('a'), cluster('b')]) })
  const stream = client.sotw()
  stream.ask({ node, type: CLUSTER })
  const response = await stream.next()
  assert.deepEqual([response.typeUrl, response.versionInfo, anyNames(response)], [CLUSTER, '1', ['a', 'b']])
})

test('rule 1: later requests may omit the node or repeat it, but not change it', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  stream.ack(await stream.next())
  view.set(cluster('a', '2'))
  stream.ask({ node, type: CLUSTER, nonce: (await stream.next()).nonce })
  await silence(stream, view)
  stream.ask({ node: nodeNamed('sidecar~127.0.0.1~other.prod~prod.svc.cluster.local'), type: CLUSTER })
  assert.equal((await stream.status()).code, status.INVALID_ARGUMENT)
})

test('rule 2: no node, no credentials, or a node that the credential contradicts: a status for each, and no resource', async (t) => {
  const identity = { trustDomain: 'cluster.local', namespace: 'prod', serviceAccount: 'a' }
  const { client } = await world(t, { peer: { identity, how: 'certificate' } })
  const cases = [
    { node: undefined, code: status.INVALID_ARGUMENT },
    { node: nodeNamed('sidecar~127.0.0.1~b.other~other.svc.cluster.local', {}), code: status.PERMISSION_DENIED },
    { node: nodeNamed('sidecar~127.0.0.1~b.prod~prod.svc.cluster.local', { NAMESPACE: 'other' }), code: status.PERMISSION_DENIED },
    { node: nodeNamed('sidecar~127.0.0.1~b.prod~prod.svc.cluster.local', { SERVICE_ACCOUNT: 'b' }), code: status.PERMISSION_DENIED },
    { node: nodeNamed(''), code: status.INVALID_ARGUMENT },
  ]
  for (const { node: said, code } of cases) {
    const stream = client.delta()
    stream.ask({ ...(said ? { node: said } : {}), type: CLUSTER })
    assert.equal((await stream.status()).code, code)
    assert.equal(stream.received.length, 0)
  }
})

test('rule 2: whoever proves nothing is gone before a first message, and holds no call', async (t) => {
  const { client } = await world(t, { serve: { authenticate: () => Promise.reject(new Faults([fault('access.unauthenticated', { path: '', rule: 'a token that is known' })])) } })
  const stranger = client.delta({ bearer: 'a guess' })
  assert.equal((await stranger.status()).code, status.UNAUTHENTICATED)
})

test('rule 2: a token that is bound to a namespace lets its bearer say nothing else, and completes what it leaves out', async (t) => {
  const nodes: ProxyNode[] = []
  const { client } = await world(t, {
    peer: { how: 'join-token', bound: { namespace: 'prod', serviceAccount: '*' } },
    serve: {
      viewFor(_peer, asked) {
        nodes.push(asked)
        return Promise.resolve(new MemoryView([cluster('a')]))
      },
    },
  })
  const other = client.delta()
  other.ask({ node: nodeNamed('sidecar~127.0.0.1~b.other~other.svc.cluster.local'), type: CLUSTER })
  assert.equal((await other.status()).code, status.PERMISSION_DENIED)
  const own = client.delta()
  own.ask({ node: nodeNamed('a-grpc-client', { SERVICE_ACCOUNT: 'any' }), type: CLUSTER })
  await own.take()
  assert.deepEqual(nodes.map((one) => [one.namespace, one.serviceAccount]), [['prod', 'any']])
})

test('rule 2: a credential that expires ends its stream', async (t) => {
  const clock = new SteppedClock()
  const { client } = await world(t, { clock, peer: { expiresAtMs: clock.wallMs() + 60_000 }, view: new MemoryView([cluster('a')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  await stream.next()
  clock.advance(60_001)
  assert.equal((await stream.status()).code, status.UNAUTHENTICATED)
})

test('rule 3: an unknown type is answered with nothing, noted once, and harms no other', async (t) => {
  const { client, notes, view } = await world(t, { view: new MemoryView([cluster('a')]) })
  const stream = client.delta()
  for (let count = 0; count < 2; count += 1) stream.ask({ node, type: 'type.googleapis.com/some.Thing' })
  stream.ask({ type: CLUSTER })
  assert.deepEqual(namesOf(await stream.take()), ['a'])
  await silence(stream, view)
  assert.deepEqual(notes, ['xds.unknown-type'])
})

test('rule 4: on shutdown streams end with UNAVAILABLE', async (t) => {
  const { client, server } = await world(t, { view: new MemoryView([cluster('a')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  await stream.next()
  await Promise.all([server.close(200), stream.status().then((ended) => assert.equal(ended.code, status.UNAVAILABLE))])
})

test('rule 4: at a shutdown streams end one after the other, within half of the time', async (t) => {
  const clock = new SteppedClock()
  const { client, server, gone } = await world(t, { clock, view: new MemoryView([cluster('a')]) })
  const streams = Array.from({ length: 5 }, () => client.delta())
  for (const stream of streams) stream.ask({ node, type: CLUSTER })
  for (const stream of streams) await stream.next()
  const closed = server.close(1000)
  const endedAtMs: number[] = []
  for (let ms = 1; ms <= 500; ms += 1) {
    clock.advance(1)
    while (endedAtMs.length < gone.length) endedAtMs.push(ms)
  }
  assert.equal(new Set(endedAtMs).size, 5, endedAtMs.join(' '))
  for (const stream of streams) assert.equal((await stream.status()).code, status.UNAVAILABLE)
  // Connections that are idle now would be cut only when the time is over.
  clock.advance(500)
  await closed
})

test('rule 5: a delta reconnect to another replica with the same state sends no resource', async (t) => {
  const first = await world(t, { view: new MemoryView([cluster('a'), cluster('b')]) })
  const second = await world(t, { view: new MemoryView([cluster('a'), cluster('b')], 9) })
  const before = first.client.delta()
  before.ask({ node, type: CLUSTER })
  const held = Object.fromEntries((await before.next()).resources.map((one) => [one.name, one.version]))
  const after = second.client.delta()
  after.ask({ node, type: CLUSTER, held })
  const response = await after.next()
  assert.deepEqual([response.resources.length, response.removedResources.length], [0, 0])
})

test('rule 6: an old nonce makes SotW deaf, names included, and delta hears the names', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([endpoints('a'), endpoints('b')]) })
  const sotw = client.sotw()
  sotw.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, names: ['a'] })
  const first = await sotw.next()
  view.set(endpoints('a', '2'))
  sotw.ack(first, ['a'])
  await sotw.next()
  sotw.ask({ type: CLUSTER_LOAD_ASSIGNMENT, names: ['a', 'b'], nonce: first.nonce })
  await silence(sotw, view)
  const delta = client.delta()
  delta.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  await delta.take()
  delta.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['b'], nonce: 'of another stream' })
  assert.deepEqual(namesOf(await delta.next()), ['b'])
})

test('rule 7: a grown SotW subscription that repeats an old version is no NACK', async (t) => {
  const { client, server } = await world(t, { view: new MemoryView([endpoints('a'), endpoints('b')]) })
  const refusals: string[] = []
  server.ledger.onRejection((news) => refusals.push(news.type))
  const stream = client.sotw()
  stream.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, names: ['a'] })
  const first = await stream.next()
  stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, names: ['a', 'b'], nonce: first.nonce, version: '' })
  assert.deepEqual(anyNames(await stream.next()), ['b'])
  assert.deepEqual(refusals, [])
})

test('rule 8: an ACK is answered with silence, for all types and both protocols', async (t) => {
  const all = [cluster('x'), endpoints('x'), listener('x'), resource(SCOPED_ROUTE_CONFIGURATION, 'x', '1'), routes('x'), resource(EXTENSION_CONFIG, 'x', '1'), resource(RUNTIME, 'x', '1'), resource(VIRTUAL_HOST, 'x', '1'), resource(SECRET, 'x', '1')]
  const { client, view } = await world(t, { view: new MemoryView(all) })
  const delta = client.delta()
  const sotw = client.sotw()
  for (const { type } of all) {
    delta.ask({ node, type, subscribe: ['x'] })
    await delta.take()
    await silence(delta, view)
    // Virtual hosts have no SotW; secrets are asked for by the proof of silence itself, whose answer is then acknowledged.
    if (type === VIRTUAL_HOST || type === SECRET) continue
    sotw.ask({ node, type, names: ['x'] })
    sotw.ack(await sotw.next(), ['x'])
    await silence(sotw, view)
  }
})

test('rules 9 and 10: what was refused is not sent again; the good ones count as sent, and later changes go out', async (t) => {
  const { client, view, server } = await world(t, { view: new MemoryView([cluster('good'), resource(CLUSTER, 'bad', '1', ['DestinationRule/prod/bad'])]) })
  const news: unknown[] = []
  server.ledger.onRejection(({ node: who, type, rejection }) => news.push([who, type, rejection.resources, rejection.origins, rejection.message]))
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  stream.nack(await stream.next(), 'Error adding/updating cluster(s) bad: no such thing')
  await silence(stream, view)
  assert.deepEqual(news, [[node.id, CLUSTER, ['bad'], ['DestinationRule/prod/bad'], 'Error adding/updating cluster(s) bad: no such thing']])
  view.set(cluster('third'))
  assert.deepEqual(namesOf(await stream.take()), ['third'])
  stream.ask({ type: CLUSTER, subscribe: ['bad'] })
  await silence(stream, view)
  view.set(cluster('bad', '2'))
  assert.deepEqual(namesOf(await stream.take()), ['bad'])
})

test('rule 11: the first SotW request is answered in full, whatever version it names', async (t) => {
  const { client } = await world(t, { view: new MemoryView([endpoints('a')]) })
  const stream = client.sotw()
  stream.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, names: ['a'], version: '1' })
  assert.deepEqual(anyNames(await stream.next()), ['a'])
})

test('rule 12, delta: the wildcard and names come and go apart from each other', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a'), cluster('b')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  assert.deepEqual(namesOf(await stream.take()), ['a', 'b'])
  stream.ask({ type: CLUSTER, subscribe: ['a'] })
  assert.deepEqual(namesOf(await stream.take()), ['a'])
  view.set(cluster('b', '2'))
  assert.deepEqual(namesOf(await stream.take()), ['b'])
  stream.ask({ type: CLUSTER, unsubscribe: ['*'] })
  // Its answer tells that the server has read what was asked before it.
  await silence(stream, view)
  view.set(cluster('b', '3'))
  await silence(stream, view)
  view.set(cluster('a', '2'))
  assert.deepEqual(namesOf(await stream.take()), ['a'])
  stream.ask({ type: CLUSTER, unsubscribe: ['a'] })
  await silence(stream, view)
  view.set(cluster('a', '3'))
  await silence(stream, view)
  stream.ask({ type: CLUSTER, subscribe: ['*'] })
  assert.deepEqual(namesOf(await stream.take()), ['a', 'b'])
})

test('rule 12, SotW: the wildcard and names come and go apart from each other', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a'), cluster('b')]) })
  const stream = client.sotw()
  let names: string[] = []
  const answer = async (): Promise<string[]> => {
    const response = await stream.next()
    stream.ack(response, names)
    return anyNames(response)
  }
  const ask = (wanted: string[]): void => {
    names = wanted
    const nonce = stream.received.findLast((one) => one.typeUrl === CLUSTER)?.nonce ?? ''
    stream.ask({ node, type: CLUSTER, names, nonce })
  }
  ask([])
  assert.deepEqual(await answer(), ['a', 'b'])
  ask(['*', 'a'])
  assert.deepEqual(await answer(), ['a', 'b'])
  ask(['a'])
  await silence(stream, view)
  view.set(cluster('b', '2'))
  await silence(stream, view)
  view.set(cluster('a', '2'))
  assert.deepEqual(await answer(), ['a'])
  ask([])
  await silence(stream, view)
  view.set(cluster('a', '3'))
  await silence(stream, view)
  ask(['*'])
  assert.deepEqual(await answer(), ['a', 'b'])
})

test('rule 12: a first request without names is a wildcard for listeners, clusters, scopes and virtual hosts, and for nothing else', async (t) => {
  const types = [LISTENER, CLUSTER, SCOPED_ROUTE_CONFIGURATION, VIRTUAL_HOST, ROUTE_CONFIGURATION, CLUSTER_LOAD_ASSIGNMENT, EXTENSION_CONFIG]
  const { client, view } = await world(t, { view: new MemoryView(types.map((type) => resource(type, 'x', '1'))) })
  for (const [at, type] of types.entries()) {
    const [delta, sotw] = [client.delta(), client.sotw()]
    delta.ask({ node, type })
    if (at < 4) assert.deepEqual(namesOf(await delta.take()), ['x'])
    await silence(delta, view)
    if (type === VIRTUAL_HOST) continue
    sotw.ask({ node, type })
    if (at < 4) {
      const response = await sotw.next()
      assert.deepEqual([response.typeUrl, anyNames(response)], [type, ['x']])
      sotw.ack(response)
    }
    await silence(sotw, view)
  }
})

test('rule 13: a name subscribed again is sent again', async (t) => {
  const { client } = await world(t, { view: new MemoryView([endpoints('a'), endpoints('b')]) })
  const delta = client.delta()
  delta.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  await delta.take()
  delta.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  assert.deepEqual(namesOf(await delta.next()), ['a'])
  const sotw = client.sotw()
  sotw.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, names: ['a', 'b'] })
  const first = await sotw.next()
  sotw.ack(first, ['b'])
  sotw.ack(first, ['a', 'b'])
  assert.deepEqual(anyNames(await sotw.next()), ['a'])
})

test('rule 14: a delta reconnect is sent what differs and what is gone', async (t) => {
  const { client } = await world(t, { view: new MemoryView([cluster('stale', '2'), cluster('equal', '1'), cluster('new', '1')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER, held: { stale: '1', equal: '1', deleted: '1' } })
  const response = await stream.next()
  assert.deepEqual([namesOf(response), response.removedResources], [['new', 'stale'], ['deleted']])
})

test('rule 14: on a reconnect clusters, endpoints and routes that are gone leave after what pointed at them is acknowledged', async (t) => {
  const { client } = await world(t, { view: new MemoryView([cluster('new'), endpoints('new'), resource(ROUTE_CONFIGURATION, 'r', '2')]) })
  const stream = client.delta()
  // As Envoy sends them, without a wait between.
  stream.ask({ node: { ...node, userAgentName: 'envoy' }, type: CLUSTER, held: { gone: '1' } })
  stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['gone', 'new'], held: { gone: '1' } })
  stream.ask({ type: ROUTE_CONFIGURATION, subscribe: ['r', 'closed'], held: { r: '1', closed: '1' } })
  const before: DeltaDiscoveryResponse[] = []
  while (!before.some((response) => response.typeUrl === ROUTE_CONFIGURATION)) before.push(await stream.take())
  assert.deepEqual(before.flatMap((response) => [...namesOf(response), ...response.removedResources]), ['new', 'new', 'r'])
  const after = [await stream.take(), await stream.take(), await stream.take()]
  assert.deepEqual(after.map((response) => [response.typeUrl, namesOf(response), response.removedResources]), [[CLUSTER, [], ['gone']], [CLUSTER_LOAD_ASSIGNMENT, [], ['gone']], [ROUTE_CONFIGURATION, [], ['closed']]])
})

test('rule 14: endpoints are sent in full on a reconnect', async (t) => {
  const { client } = await world(t, { view: new MemoryView([endpoints('a')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'], held: { a: '1' } })
  assert.deepEqual(namesOf(await stream.next()), ['a'])
})

test('our own sidecar, which goes on with the endpoints that it has, is sent those that differ on a reconnect', async (t) => {
  const { client } = await world(t, { view: new MemoryView([endpoints('equal'), endpoints('stale'), endpoints('new')]) })
  const stream = client.delta()
  stream.ask({ node: { ...node, userAgentName: 'weft' }, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['equal', 'stale', 'new'], held: { equal: '1', stale: '0' } })
  assert.deepEqual(namesOf(await stream.next()), ['new', 'stale'])
})

test('rule 15: unsubscribing is silent, phantoms too; under a wildcard the name comes back as resource or removal', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a')]) })
  const stream = client.delta()
  stream.ask({ node, type: ROUTE_CONFIGURATION, subscribe: ['r'] })
  await stream.take()
  stream.ask({ type: ROUTE_CONFIGURATION, unsubscribe: ['r', 'phantom'] })
  await silence(stream, view)
  stream.ask({ type: CLUSTER, subscribe: ['*', 'a', 'nowhere'] })
  await stream.take()
  stream.ask({ type: CLUSTER, unsubscribe: ['a', 'nowhere'] })
  const response = await stream.next()
  assert.deepEqual([namesOf(response), response.removedResources], [['a'], ['nowhere']])
})

test('rule 16: SotW sends whole sets of clusters, single endpoints, and answers for unknown names at once', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a'), cluster('b'), cluster('c'), endpoints('a'), endpoints('b'), endpoints('c')]) })
  const stream = client.sotw()
  stream.ask({ node, type: CLUSTER })
  stream.ack(await stream.next())
  stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, names: ['a', 'b', 'c'] })
  stream.ack(await stream.next(), ['a', 'b', 'c'])
  view.set(endpoints('b', '2'))
  const one = await stream.next()
  assert.deepEqual(anyNames(one), ['b'])
  stream.ack(one, ['a', 'b', 'c'])
  view.set(cluster('b', '2'))
  assert.deepEqual(anyNames(await stream.next()), ['a', 'b', 'c'])
  stream.ask({ type: LISTENER, names: ['nowhere'] })
  for (;;) {
    const response = await stream.next()
    if (response.typeUrl !== LISTENER) continue
    assert.equal(response.resources.length, 0)
    break
  }
})

test('rule 17: under random edits no delta response names a resource twice, and the client ends where the view is', async (t) => {
  const { client, view } = await world(t)
  const draw = seededRandom(17)
  const stream = client.delta()
  const held = new Map<string, string>()
  stream.ask({ node, type: CLUSTER })
  for (let round = 0; round < 60; round += 1) {
    for (let edit = 0; edit < 5; edit += 1) {
      const name = `c${Math.floor(draw.draw() * 8)}`
      if (draw.draw() < 0.4) view.remove(CLUSTER, name)
      else view.set(cluster(name, String(Math.floor(draw.draw() * 3))))
    }
    if (draw.draw() < 0.3) {
      const name = `c${Math.floor(draw.draw() * 8)}`
      stream.ask({ type: CLUSTER, ...(draw.draw() < 0.5 ? { subscribe: [name] } : { unsubscribe: [name] }) })
    }
    await silenceOrMore()
  }
  const expected = [...view.list(CLUSTER)].map((one) => [one.name, one.version]).sort()
  assert.deepEqual([...held].sort(), expected)

  async function silenceOrMore(): Promise<void> {
    view.set(cluster('last', String(view.revision)))
    while (held.get('last') !== view.get(CLUSTER, 'last')?.version || stream.unread > 0) {
      const response = await stream.take()
      const names = [...namesOf(response), ...response.removedResources]
      assert.equal(new Set(names).size, names.length)
      for (const one of response.resources) held.set(one.name, one.version)
      for (const name of response.removedResources) held.delete(name)
    }
  }
})

test('rule 18: a name asked for before it exists is sent when it comes to be', async (t) => {
  const { client, view } = await world(t)
  const delta = client.delta()
  delta.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['later'] })
  assert.deepEqual((await delta.take()).removedResources, ['later'])
  const sotw = client.sotw()
  sotw.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, names: ['later'] })
  await silence(sotw, view)
  view.set(endpoints('later'))
  assert.deepEqual(namesOf(await delta.next()), ['later'])
  assert.deepEqual(anyNames(await sotw.next()), ['later'])
})

test('rule 19: what is not there is answered by its placeholder, and a secret by removal', async (t) => {
  const empty = (type: string, name: string): Resource | undefined => (type === ROUTE_CONFIGURATION ? routes(name, 'empty') : undefined)
  const { client, view } = await world(t, { view: new MemoryView([], 1, empty) })
  const stream = client.delta()
  stream.ask({ node, type: ROUTE_CONFIGURATION, subscribe: ['dangling'] })
  const response = await stream.take()
  assert.deepEqual([namesOf(response), response.removedResources], [['dangling'], []])
  assert.equal(fromBinary(RouteConfigurationSchema, response.resources[0]?.resource?.value ?? new Uint8Array()).name, 'dangling')
  stream.ask({ type: SECRET, subscribe: ['of another'] })
  assert.deepEqual((await stream.take()).removedResources, ['of another'])
  view.set(routes('dangling', '1'))
  assert.deepEqual(namesOf(await stream.next()), ['dangling'])
})

test('rule 20: an EDS cluster is followed at once by its endpoints, without its ACK', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a'), cluster('b'), endpoints('a'), endpoints('b')]) })
  for (const open of ['delta', 'sotw'] as const) {
    const stream = client[open]()
    if ('take' in stream) {
      stream.ask({ node, type: CLUSTER })
      await stream.take()
      stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a', 'b'] })
      await stream.take()
    } else {
      stream.ask({ node, type: CLUSTER })
      stream.ack(await stream.next())
      stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, names: ['a', 'b'] })
      stream.ack(await stream.next(), ['a', 'b'])
    }
    view.set(cluster('a', `of ${open}`))
    assert.equal((await stream.next()).typeUrl, CLUSTER)
    const following = await stream.next()
    assert.equal(following.typeUrl, CLUSTER_LOAD_ASSIGNMENT)
    assert.ok(following.resources.length >= 1)
    stream.cancel()
  }
})

test('rule 21: within a pass what is pointed at goes first, and routes wait for clusters that are new', async (t) => {
  const clock = new SteppedClock()
  const { client, view } = await world(t, { clock, view: new MemoryView([cluster('a'), endpoints('a'), listener('l'), routes('r')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  await stream.take()
  for (const [type, name] of [[CLUSTER_LOAD_ASSIGNMENT, 'a'], [LISTENER, '*'], [ROUTE_CONFIGURATION, 'r']] as const) {
    stream.ask({ type, subscribe: [name] })
    await stream.take()
  }
  view.set(routes('r', '2'), listener('l', '2'), endpoints('a', '2'), cluster('a', '2'))
  const order = []
  for (let count = 0; count < 4; count += 1) order.push((await stream.take()).typeUrl)
  assert.deepEqual(order, [CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION])
  view.set(routes('r', '3'), cluster('b'))
  const clusters = await stream.next()
  assert.deepEqual(namesOf(clusters), ['b'])
  await silence(stream, view)
  stream.ack(clusters)
  assert.equal((await stream.take()).typeUrl, ROUTE_CONFIGURATION)
  // Not for ever: a client that does not acknowledge clusters gets its routes after a second.
  view.set(routes('r', '4'), cluster('c'))
  assert.deepEqual(namesOf(await stream.next()), ['c'])
  await silence(stream, view)
  clock.advance(1001)
  assert.equal((await stream.take()).typeUrl, ROUTE_CONFIGURATION)
})

test('rule 21: a cluster leaves after the routes that left it are acknowledged, or after a second', async (t) => {
  const clock = new SteppedClock()
  const { client, view } = await world(t, { clock, view: new MemoryView([cluster('a'), cluster('b'), cluster('c'), routes('r')]) })
  const delta = client.delta()
  delta.ask({ node, type: CLUSTER })
  await delta.take()
  delta.ask({ type: ROUTE_CONFIGURATION, subscribe: ['r'] })
  await delta.take()
  view.update({ changed: [routes('r', '2')], removed: [{ type: CLUSTER, name: 'b' }] })
  const moved = await delta.next()
  assert.equal(moved.typeUrl, ROUTE_CONFIGURATION)
  await silence(delta, view)
  delta.ack(moved)
  assert.deepEqual((await delta.take()).removedResources, ['b'])
  view.update({ changed: [routes('r', '3')], removed: [{ type: CLUSTER, name: 'c' }] })
  await delta.next()
  await silence(delta, view)
  clock.advance(1001)
  assert.deepEqual((await delta.take()).removedResources, ['c'])
})

test('rule 21, SotW: a cluster that leaves stays in the set until its routes are acknowledged', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a'), cluster('b'), routes('r')]) })
  const stream = client.sotw()
  stream.ask({ node, type: CLUSTER })
  stream.ack(await stream.next())
  stream.ask({ type: ROUTE_CONFIGURATION, names: ['r'] })
  stream.ack(await stream.next(), ['r'])
  view.update({ changed: [routes('r', '2'), cluster('c')], removed: [{ type: CLUSTER, name: 'b' }] })
  const grown = await stream.next()
  assert.deepEqual(anyNames(grown), ['a', 'b', 'c'])
  stream.ack(grown)
  const moved = await stream.next()
  assert.equal(moved.typeUrl, ROUTE_CONFIGURATION)
  stream.ack(moved, ['r'])
  assert.deepEqual(anyNames(await stream.next()), ['a', 'c'])
})

test('rule 24: 20 000 clusters reach a client that takes 4 MiB, in parts below 1 MiB', async (t) => {
  const many = Array.from({ length: 20_000 }, (_, index): Resource => ({ ...cluster(`outbound|80||service-${index}.prod.svc.cluster.local`), bytes: Buffer.alloc(300) }))
  const { client } = await world(t, { view: new MemoryView(many) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  const names = new Set<string>()
  const nonces = new Set<string>()
  while (names.size < many.length) {
    const response = await stream.take()
    nonces.add(response.nonce)
    for (const one of response.resources) names.add(one.name)
    assert.ok(response.resources.reduce((bytes, one) => bytes + one.name.length + 300, 0) < 1 << 20)
  }
  assert.ok(nonces.size > 7)
})

test('rule 24: what points at a first answer in parts waits for its last part: Envoy is ready with what the first brought', async (t) => {
  const scope = (name: string): Resource => ({ ...resource(SCOPED_ROUTE_CONFIGURATION, name, '1'), bytes: Buffer.alloc(600_000) })
  const { client } = await world(t, { view: new MemoryView([...['a', 'b', 'c'].map((name): Resource => ({ ...cluster(name), bytes: Buffer.alloc(600_000) })), listener('l'), scope('x'), scope('y'), routes('r')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  const came: string[] = []
  const next = async (): Promise<DeltaDiscoveryResponse> => {
    const response = await stream.next()
    came.push(`${response.typeUrl.split('.').at(-1) ?? ''} ${namesOf(response).join(' ')}`)
    return response
  }
  const ack = ({ typeUrl, nonce }: DeltaDiscoveryResponse): void => void stream.ask({ type: typeUrl, nonce })
  const first = await next()
  stream.ask({ type: LISTENER })
  ack(first)
  const second = await next()
  ack(second)
  ack(await next())
  ack(await next())
  stream.ask({ type: SCOPED_ROUTE_CONFIGURATION })
  const scopes = await next()
  stream.ask({ type: ROUTE_CONFIGURATION, subscribe: ['r'] })
  ack(scopes)
  ack(await next())
  ack(await next())
  assert.deepEqual(came, ['Cluster a', 'Cluster b', 'Cluster c', 'Listener l', 'ScopedRouteConfiguration x', 'ScopedRouteConfiguration y', 'RouteConfiguration r'])
})

test('rule 25: changes merge while an ACK is owed, and other types go on', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a'), endpoints('a'), routes('r')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  await stream.take()
  stream.ask({ type: ROUTE_CONFIGURATION, subscribe: ['r'] })
  await stream.take()
  view.set(cluster('a', '2'))
  const owed = await stream.next()
  for (let version = 3; version <= 100; version += 1) view.set(cluster('a', String(version)))
  view.set(routes('r', '2'))
  assert.equal((await stream.take()).typeUrl, ROUTE_CONFIGURATION)
  stream.ack(owed)
  const merged = await stream.take()
  assert.deepEqual(merged.resources.map((one) => [one.name, one.version]), [['a', '100']])
  await silence(stream, view)
})

test('rule 13: what is asked for while an ACK is owed does not wait for it, in delta', async (t) => {
  const { client, view, server } = await world(t, { view: new MemoryView([endpoints('a'), endpoints('b'), endpoints('c')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  const first = await stream.next()
  stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['b'] })
  const second = await stream.next()
  assert.deepEqual(namesOf(second), ['b'])
  stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a', 'nobody'] })
  const again = await stream.next()
  assert.deepEqual([namesOf(again), again.removedResources], [['a'], ['nobody']])
  // What changes waits, and is no part of what was asked for.
  view.set(endpoints('a', '2'))
  stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['c'] })
  const third = await stream.next()
  assert.deepEqual(namesOf(third), ['c'])
  assert.equal(new Set([first, second, again, third].map((one) => one.nonce)).size, 4)
  // Each answer is to its own response, in any order.
  stream.nack(second, 'b: not this one')
  for (const owed of [third, first, again]) stream.ack(owed)
  const merged = await stream.take()
  assert.deepEqual(merged.resources.map((one) => [one.name, one.version]), [['a', '2']])
  while ([...server.ledger.streams()].some((one) => one.unackedSince !== undefined)) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([...server.ledger.streams()].flatMap((one) => [...one.sent()]).filter((one) => one.refused || one.stale).map((one) => one.name), ['b'])
  await silence(stream, view)
})

test('rule 13: so does a wildcard that is asked for while an ACK is owed', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([cluster('a'), cluster('b')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER, subscribe: ['a'] })
  const first = await stream.next()
  stream.ask({ type: CLUSTER, subscribe: ['*'] })
  const second = await stream.next()
  assert.deepEqual(namesOf(second), ['b'])
  stream.ask({ type: CLUSTER, unsubscribe: ['*'] })
  stream.ask({ type: CLUSTER, subscribe: ['*'] })
  const third = await stream.next()
  assert.deepEqual(namesOf(third), ['b'])
  for (const owed of [first, second, third]) stream.ack(owed)
  await silence(stream, view)
})

test('rule 14: to an Envoy that comes back and asks for clusters alone those that are gone are told, after a while', async (t) => {
  const clock = new SteppedClock()
  const { client, server } = await world(t, { view: new MemoryView([cluster('a')]), clock })
  const stream = client.delta()
  stream.ask({ node: create(NodeSchema, { ...node, userAgentName: 'envoy' }), type: CLUSTER, held: { a: '1', gone: '1' } })
  const [answer] = [await stream.take()]
  assert.deepEqual([namesOf(answer), answer.removedResources], [[], []])
  while ([...server.ledger.streams()].some((one) => one.isLate(0))) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(5000)
  assert.deepEqual((await stream.take()).removedResources, ['gone'])
})

test('rule 25: who asks all the time and never acknowledges is answered so often and then waits', async (t) => {
  const { client } = await world(t, { view: new MemoryView([endpoints('a')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  const first = await stream.next()
  for (let count = 0; count < 100; count += 1) stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  stream.ask({ type: SECRET, subscribe: ['probe'] })
  while (stream.received.at(-1)?.typeUrl !== SECRET) await stream.next()
  assert.ok(stream.received.length <= 10, `${stream.received.length} responses`)
  for (const one of stream.received.slice(0, -1)) stream.ack(one)
  assert.deepEqual(namesOf(first), ['a'])
})

test('rule 25: a client that stops reading delays nobody, and then gets the last state in one message', async (t) => {
  const big = (version: string): Resource => ({ ...cluster('a', version), bytes: Buffer.alloc(900_000) })
  const { client, view, server } = await world(t, { view: new MemoryView([big('1')]) })
  const other = new RawClient(`127.0.0.1:${server.port}`)
  t.after(() => other.close())
  const slow = client.delta()
  slow.ask({ node, type: CLUSTER })
  await slow.take()
  slow.pause()
  const quick = other.delta()
  quick.ask({ node, type: CLUSTER })
  await quick.take()
  for (let version = 2; version <= 30; version += 1) {
    view.set(big(String(version)))
    assert.equal((await quick.take()).resources[0]?.version, String(version))
  }
  slow.resume()
  const seen: string[] = []
  while (seen.at(-1) !== '30') seen.push((await slow.take()).resources[0]?.version ?? '')
  assert.ok(seen.length <= 2, `in flight and then the last, not ${seen.join(' ')}`)
})

test('rule 27: a time to live goes to clients that ask for it, with heartbeats of name, version and time, in both protocols', async (t) => {
  const clock = new SteppedClock()
  const living = { ...endpoints('a'), ttlMs: 30_000 }
  const { client, view } = await world(t, { clock, view: new MemoryView([living, endpoints('b')]) })
  const plain = client.delta()
  plain.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  assert.equal((await plain.take()).resources[0]?.ttl, undefined)
  const delta = client.delta()
  delta.ask({ node: { ...node, clientFeatures: ['xds.config.supports-resource-ttl'] }, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a', 'b'] })
  assert.deepEqual((await delta.take()).resources.map((one) => [one.name, one.version, one.ttl?.seconds, one.resource !== undefined]), [['a', '1', 30n, true], ['b', '1', undefined, true]])
  await silence(delta, view)
  for (let count = 0; count < 2; count += 1) {
    clock.advance(10_000)
    assert.deepEqual((await delta.take()).resources.map((one) => [one.name, one.version, one.ttl?.seconds, one.resource]), [['a', '1', 30n, undefined]])
  }
  await silence(plain, view)
  const sotw = client.sotw()
  sotw.ask({ node: { ...node, clientFeatures: ['xds.config.supports-resource-ttl'] }, type: CLUSTER_LOAD_ASSIGNMENT, names: ['a'] })
  const wrapped = async () => {
    const response = await sotw.next()
    sotw.ack(response, ['a'])
    const [any] = response.resources
    assert.equal(any?.typeUrl, 'type.googleapis.com/envoy.service.discovery.v3.Resource')
    return fromBinary(ResourceSchema, any.value)
  }
  assert.equal((await wrapped()).resource?.typeUrl, CLUSTER_LOAD_ASSIGNMENT)
  await silence(sotw, view)
  clock.advance(10_000)
  const beat = await wrapped()
  assert.deepEqual([beat.name, beat.version, beat.ttl?.seconds, beat.resource], ['a', '1', 30n, undefined])
})

test('rule 28: secrets have no wildcard', async (t) => {
  const { client, view } = await world(t, { view: new MemoryView([resource(SECRET, 'key', '1')]) })
  for (const subscribe of [[], ['*']]) {
    const stream = client.delta()
    stream.ask({ node, type: SECRET, subscribe })
    await silence(stream, view)
  }
})

test('rule 29: a client driven through the four states is told as it is', async (t) => {
  const { client, view, server } = await world(t, { view: new MemoryView([routes('r')]) })
  const states = (): string[] => server.ledger.statuses('m').flatMap((one) => one.types.map((type) => type.state))
  const stream = client.sotw()
  stream.ask({ node, type: ROUTE_CONFIGURATION, names: ['absent'] })
  await silence(stream, view)
  assert.equal(states()[0], 'NOT_SENT')
  stream.ask({ type: ROUTE_CONFIGURATION, names: ['absent', 'r'] })
  const sent = await stream.next()
  assert.equal(states()[0], 'STALE')
  stream.ack(sent, ['absent', 'r'])
  await silence(stream, view)
  assert.equal(states()[0], 'SYNCED')
  view.set(routes('r', '2'))
  stream.ask({ type: ROUTE_CONFIGURATION, names: ['absent', 'r'], nonce: (await stream.next()).nonce, error: 'no' })
  await silence(stream, view)
  assert.equal(states()[0], 'REJECTED')
  const [entry] = server.ledger.statuses('m')
  assert.deepEqual([entry?.types[0]?.rejection?.message, entry?.types[0]?.rejection?.resources], ['no', ['r']])
})

test('what a proxy was sent can be looked at, and of a secret only that it was', async (t) => {
  const { client, view, server } = await world(t, { view: new MemoryView([cluster('a'), cluster('bad'), resource(SECRET, 'key', '1')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  stream.nack(await stream.next(), 'cluster bad is bad')
  stream.ask({ type: SECRET, subscribe: ['key'] })
  await stream.take()
  await silence(stream, view)
  const sent = [...server.ledger.streamsOf('m')].flatMap((one) => [...one.sent()]).filter((one) => !one.name.startsWith('probe'))
  assert.deepEqual(
    sent.map((one) => [one.name, one.version, one.refused, one.resource?.name]),
    [['a', '1', false, 'a'], ['bad', '1', true, 'bad'], ['key', '1', false, undefined]],
  )
})

test('per-type services serve their own type by the same rules, with or without a type URL', async (t) => {
  const { client } = await world(t, { view: new MemoryView([cluster('a'), endpoints('a')]) })
  const clusters = client.delta({ path: cds.deltaClusters.path })
  clusters.ask({ node, type: '' })
  assert.deepEqual(namesOf(await clusters.take()), ['a'])
  const single = client.sotw({ path: eds.streamEndpoints.path })
  single.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, names: ['a'] })
  assert.deepEqual(anyNames(await single.next()), ['a'])
  const wrong = client.sotw({ path: eds.streamEndpoints.path })
  wrong.ask({ node, type: CLUSTER })
  assert.equal((await wrong.status()).code, status.INVALID_ARGUMENT)
})

test('whenSynced waits for those whom a revision concerns, counts the others, and names refusals and stragglers', async (t) => {
  const { client, view, server } = await world(t, { view: new MemoryView([cluster('a'), routes('r')]) })
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER })
  await stream.take()
  await silence(stream, view)
  // Nothing of it concerns this proxy.
  view.set(routes('r', '2'))
  assert.deepEqual(await server.ledger.whenSynced('m', view.revision, 120_000), { acked: [node.id], rejected: [], stragglers: [] })
  view.set(cluster('a', '2'))
  const waiting = server.ledger.whenSynced('m', view.revision, 120_000)
  await stream.take()
  assert.deepEqual((await waiting).acked, [node.id])
  view.set(cluster('a', '3'))
  const refused = server.ledger.whenSynced('m', view.revision, 120_000)
  stream.nack(await stream.next(), 'cluster a is bad')
  const outcome = await refused
  assert.deepEqual([outcome.acked, outcome.rejected.map((one) => [one.node, one.rejection.resources])], [[], [[node.id, ['a']]]])
  view.set(cluster('a', '4'))
  assert.deepEqual((await server.ledger.whenSynced('m', view.revision, 20)).stragglers, [node.id])
  await stream.take()
  // The revision has not reached the view yet, then reaches it without news.
  const ahead = server.ledger.whenSynced('m', view.revision + 1, 120_000)
  view.revision += 1
  server.ledger.advanced('m')
  assert.deepEqual((await ahead).acked, [node.id])
})

test('a stream that says goodbye is gone cleanly, one that breaks off is lost, and its view is let go', async (t) => {
  const { client, view, gone } = await world(t, { view: new MemoryView([cluster('a')]) })
  const polite = client.delta()
  polite.ask({ node, type: CLUSTER })
  await polite.next()
  polite.end()
  assert.equal((await polite.status()).code, status.OK)
  const rude = client.delta()
  rude.ask({ node, type: CLUSTER })
  await rude.next()
  rude.cancel()
  while (gone.length < 2) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(gone, ['a clean', 'a lost'])
  assert.equal(view.listeners, 0)
})

test('whoever asks, says goodbye in the same breath and listens is answered before the call ends', async (t) => {
  const { client } = await world(t, { view: new MemoryView([cluster('a'), { ...endpoints('a'), bytes: Buffer.alloc(400_000) }, listener('l')]) })
  const delta = client.delta()
  delta.ask({ node, type: CLUSTER })
  delta.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['a'] })
  delta.ask({ type: LISTENER })
  delta.end()
  assert.equal((await delta.status()).code, status.OK)
  assert.deepEqual(delta.received.map((one) => [one.typeUrl, namesOf(one)]), [[CLUSTER, ['a']], [CLUSTER_LOAD_ASSIGNMENT, ['a']], [LISTENER, ['l']]])
  const sotw = client.sotw()
  sotw.ask({ node, type: CLUSTER })
  sotw.end()
  assert.equal((await sotw.status()).code, status.OK)
  assert.deepEqual(sotw.received.map(anyNames), [['a']])
})

test('plaintext is refused on an address that is not loopback', async () => {
  const serve: ServeDoors = { authenticate: () => Promise.resolve(loopback), viewFor: () => Promise.resolve(new MemoryView()), connected() {}, disconnected() {} }
  await assert.rejects(startXds({ ...systemDoors, serve }, { plaintext: { address: '0.0.0.0', port: 0 } }), /loopback/)
})
