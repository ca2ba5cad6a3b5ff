import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { conditionsOf, standingOf } from '#api/observe/conditions.ts'
import { seededRandom } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { CLUSTER, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { MemoryView } from './memory-view.ts'
import type { Peer } from './peer.ts'
import { stringField } from './protobuf.ts'
import { type DeltaStream, nodeNamed, RawClient } from './raw-client.ts'
import type { Resource } from './resource.ts'
import { startXds, type XdsServer } from './server.ts'

const of = (type: string, name: string, version: string): Resource => ({ type, name, version, bytes: Buffer.from(stringField(1, name)), origins: [`DestinationRule/prod/${name}`] })
const cluster = (name: string, version = '1'): Resource => of(CLUSTER, name, version)
const node = (name: string, version = '1.40.0') => ({ ...nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`), userAgentName: 'envoy', userAgentVersionType: { case: 'userAgentVersion' as const, value: version } })
const words = 'Error adding/updating cluster(s) bad: no such thing'

interface World {
  readonly view: MemoryView
  readonly server: XdsServer
  readonly client: RawClient
}

/** Bearers are service accounts here. */
async function world(t: TestContext, view: MemoryView): Promise<World> {
  const peer = (serviceAccount = ''): Peer => ({ organizationId: 'o', meshId: 'm', identity: { trustDomain: 'cluster.local', namespace: 'prod', serviceAccount }, how: 'join-token', expiresAtMs: Date.UTC(2100, 0) })
  const server = await startXds(
    { clock: systemDoors.clock, random: seededRandom(1), serve: { authenticate: ({ bearer }) => Promise.resolve(peer(bearer)), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} } },
    { plaintext: { address: '127.0.0.1', port: 0 } },
  )
  const client = new RawClient(`127.0.0.1:${server.port}`)
  t.after(async () => {
    client.close()
    await server.close(0)
  })
  return { view, server, client }
}

const namesOf = (response: { resources: readonly { name: string }[] }): string[] => response.resources.map((one) => one.name).sort()

function connect(client: RawClient, name: string, account: string, version?: string): DeltaStream {
  const stream = client.delta({ bearer: account })
  stream.ask({ node: node(name, version), type: CLUSTER })
  return stream
}

/** A change after which whatever else was due has come. */
async function nextIs(stream: DeltaStream, view: MemoryView, name: string): Promise<void> {
  view.set(cluster(name))
  assert.deepEqual(namesOf(await stream.take()), [name])
}

async function refusal(stream: DeltaStream, view: MemoryView, server: XdsServer): Promise<void> {
  const nacks = server.counts.of(CLUSTER).nacks
  stream.nack(await stream.next(), words)
  // Its next answer comes after the refusal was read.
  await nextIs(stream, view, `after-${nacks}`)
}

test('what one proxy refused is kept from the others of its account and engine: they get all else, the object says so, and its repair reaches all', async (t) => {
  const { view, server, client } = await world(t, new MemoryView([cluster('good'), cluster('bad')]))
  const first = connect(client, 'first', 'a')
  await refusal(first, view, server)
  const second = connect(client, 'second', 'a')
  assert.deepEqual(namesOf(await second.take()), ['after-0', 'good'])
  await nextIs(second, view, 'later')
  assert.deepEqual(namesOf(await first.take()), ['later'])
  const outcome = await server.ledger.whenSynced('m', view.revision, 120_000)
  assert.deepEqual([outcome.acked.length, outcome.stragglers], [2, []])
  const object = { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name: 'bad', namespace: 'prod' } }
  const condition = () => conditionsOf(object, standingOf(server.ledger.statuses('m'))).at(-1)
  const told = condition()
  assert.deepEqual([told?.status, told?.reason], ['False', 'Rejected'])
  assert.match(told?.message ?? '', /first, second refused it: .*no such thing/)
  assert.deepEqual(server.ledger.statuses('m').map((one) => one.types[0]?.state), ['REJECTED', 'REJECTED'])
  assert.deepEqual(server.ledger.statuses('m').map((one) => one.types[0]?.refusals?.map((refused) => refused.resources)), [[['bad']], [['bad']]])
  // Whoever waits for the change that brought it hears of both.
  const { rejected } = await server.ledger.whenSynced('m', 1, 120_000)
  assert.deepEqual(rejected.map((one) => one.rejection.resources), [['bad'], ['bad']])
  view.set(cluster('bad', '2'))
  for (const stream of [first, second]) assert.deepEqual(namesOf(await stream.take()), ['bad'])
  await server.ledger.whenSynced('m', view.revision, 120_000)
  assert.deepEqual(server.ledger.statuses('m').map((one) => one.types[0]?.state), ['SYNCED', 'SYNCED'])
  assert.notEqual(condition()?.reason, 'Rejected')
})

test('no single account decides for the others: the second is tried, and only when it refuses as well is the third spared', async (t) => {
  const { view, server, client } = await world(t, new MemoryView([cluster('good'), cluster('bad')]))
  await refusal(connect(client, 'first', 'a'), view, server)
  const second = connect(client, 'second', 'b')
  await refusal(second, view, server)
  const third = connect(client, 'third', 'c')
  assert.ok(!namesOf(await third.take()).includes('bad'))
  assert.ok(namesOf(await connect(client, 'other engine', 'c', '1.36.4').next()).includes('bad'), 'another version of the engine is asked for itself')
})

test('when one takes it the matter is over: those from whom it was kept are sent it', async (t) => {
  const { view, server, client } = await world(t, new MemoryView([cluster('good'), cluster('bad')]))
  await refusal(connect(client, 'first', 'a'), view, server)
  const spared = connect(client, 'spared', 'a')
  assert.ok(!namesOf(await spared.take()).includes('bad'))
  const brave = connect(client, 'brave', 'b')
  assert.ok(namesOf(await brave.take()).includes('bad'))
  assert.deepEqual(namesOf(await spared.take()), ['bad'])
})

test('what another has taken before is no bad object: whoever refuses it does so for reasons of its own', async (t) => {
  const { view, server, client } = await world(t, new MemoryView([cluster('good'), cluster('bad')]))
  await connect(client, 'well', 'a').take()
  await server.ledger.whenSynced('m', 1, 120_000)
  await refusal(connect(client, 'odd', 'a'), view, server)
  assert.ok(namesOf(await connect(client, 'next', 'a').take()).includes('bad'))
})

test('who has an older version keeps it, and who asks for one by name that is kept back gets what stands for absence', async (t) => {
  const placeholder = (type: string, name: string): Resource | undefined => (type === ROUTE_CONFIGURATION ? { ...of(type, name, 'empty'), bytes: Buffer.from(stringField(1, '')) } : undefined)
  const view = new MemoryView([cluster('bad'), of(ROUTE_CONFIGURATION, 'r', '1')], 1, placeholder)
  const { client, server } = await world(t, view)
  const [first, second] = [connect(client, 'first', 'a'), connect(client, 'second', 'a')]
  await first.take()
  const waits = await second.next()
  first.ask({ type: ROUTE_CONFIGURATION, subscribe: ['r'] })
  await first.take()
  // The second owes an answer, so it has not been sent the version that the first refuses meanwhile.
  view.set(cluster('bad', '2'), of(ROUTE_CONFIGURATION, 'r', '2'))
  for (let count = 0; count < 2; count += 1) first.nack(await first.next(), 'bad and r are wrong')
  view.set(cluster('good'))
  assert.deepEqual(namesOf(await first.take()), ['good'])
  second.ack(waits)
  assert.deepEqual(namesOf(await second.take()), ['good'], 'neither the bad version nor a removal')
  second.ask({ type: ROUTE_CONFIGURATION, subscribe: ['r'] })
  const routes = await second.take()
  assert.deepEqual(routes.resources.map((one) => [one.name, one.version]), [['r', 'empty']])
  view.set(of(ROUTE_CONFIGURATION, 'r', '3'))
  assert.deepEqual((await second.take()).resources.map((one) => [one.name, one.version]), [['r', '3']])
  assert.equal(server.counts.of(CLUSTER).nacks, 1)
})

test('SotW: a set leaves out what is kept back from one that has none of it', async (t) => {
  const { view, server, client } = await world(t, new MemoryView([cluster('good'), cluster('bad')]))
  await refusal(connect(client, 'first', 'a'), view, server)
  const stream = client.sotw({ bearer: 'a' })
  stream.ask({ node: node('second'), type: CLUSTER })
  const response = await stream.next()
  assert.deepEqual(response.resources.map((one) => fromBinary(ClusterLoadAssignmentSchema, one.value).clusterName).sort(), ['after-0', 'good'])
})
