import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { seededRandom, SteppedClock } from '#core/time/seeded.ts'
import { CLUSTER, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { MemoryView } from './memory-view.ts'
import type { Peer } from './peer.ts'
import type { PushTimes } from './pushes.ts'
import { nodeNamed, RawClient } from './raw-client.ts'
import type { Resource } from './resource.ts'
import { startXds } from './server.ts'

const loopback: Peer = { organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }
const node = (name: string) => nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`)
const resource = (type: string, name: string, version: string): Resource => ({ type, name, version, bytes: Buffer.from(name), origins: [] })
const cluster = (name: string, version = '1'): Resource => resource(CLUSTER, name, version)

async function world(t: TestContext, view: MemoryView) {
  const clock = new SteppedClock()
  const notes: string[] = []
  const server = await startXds(
    { clock, random: seededRandom(1), serve: { authenticate: () => Promise.resolve(loopback), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} } },
    { plaintext: { address: '127.0.0.1', port: 0 }, note: (event, fields) => notes.push(`${event} ${String(fields['forMs'] ?? '')}`.trim()) },
  )
  const clients: RawClient[] = []
  t.after(async () => {
    for (const client of clients) client.close()
    const closing = server.close(0)
    clock.advance(1)
    await closing
  })
  const connect = async (name: string) => {
    const client = new RawClient(`127.0.0.1:${server.port}`)
    clients.push(client)
    const stream = client.delta()
    stream.ask({ node: node(name), type: CLUSTER })
    await stream.take()
    await acknowledged(server, name)
    return stream
  }
  return { clock, server, connect, notes, clients }
}

/** Waits until the server has read all of a proxy's answers. */
async function acknowledged(server: Awaited<ReturnType<typeof startXds>>, name: string): Promise<void> {
  while (![...server.ledger.streamsOf('m')].some((one) => one.node.name === name && one.unackedSince === undefined && !one.isStarting)) await turn()
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('each change is timed from the moment it was heard of to the last answer, over those whom it concerns', async (t) => {
  const view = new MemoryView([cluster('a'), resource(ROUTE_CONFIGURATION, 'r', '1')])
  const { clock, server, connect } = await world(t, view)
  const [quick, slow] = [await connect('quick'), await connect('slow')]
  const told: PushTimes[] = []
  server.ledger.onPush((times) => told.push(times))
  server.ledger.pushes.begins('m', 2, clock.monotonicMs())
  clock.advance(3)
  view.set(cluster('a', '2'))
  server.ledger.advanced('m')
  const [first, second] = [await quick.next(), await slow.next()]
  clock.advance(7)
  quick.ack(first)
  await acknowledged(server, 'quick')
  clock.advance(40)
  slow.nack(second, 'cluster a is bad')
  while (told.length === 0) await turn()
  assert.deepEqual(told, [{ from: 2, revision: 2, proxies: 2, rejected: 1, p50Ms: 10, p99Ms: 50, maxMs: 50 }])
  assert.deepEqual(server.ledger.pushes.timesOf('m', 2), told[0])
  // A change that concerns nobody has no time.
  view.set(resource(ROUTE_CONFIGURATION, 'r', '2'))
  assert.equal(server.ledger.pushes.timesOf('m', 3), undefined)
  const counts = server.counts.of(CLUSTER)
  assert.deepEqual([counts.responses, counts.resources, counts.nacks], [4, 4, 1])
})

test('rule 25: a proxy that lags for more than 30 s is sent it again unasked and raised, ever more rarely, and its late answer counts', async (t) => {
  const view = new MemoryView([cluster('a')])
  const { clock, server, connect, notes } = await world(t, view)
  const stream = await connect('late')
  view.set(cluster('a', '2'))
  const lost = await stream.next()
  clock.advance(20_000)
  assert.deepEqual(notes, [])
  clock.advance(10_000)
  const again = await stream.next()
  assert.deepEqual([again.resources[0]?.version, notes], ['2', ['xds.resynced 30000']])
  assert.notEqual(again.nonce, lost.nonce)
  assert.equal([...server.ledger.streams()][0]?.isLate(30_000), true)
  clock.advance(20_000)
  assert.equal(notes.length, 1)
  clock.advance(10_000)
  await stream.take()
  assert.deepEqual(notes, ['xds.resynced 30000', 'xds.resynced 60000'])
  await acknowledged(server, 'late')
  assert.equal(server.ledger.statuses('m')[0]?.types[0]?.state, 'SYNCED')
  clock.advance(120_000)
  assert.equal(notes.length, 2)
})

test('who waits for a revision waits for a proxy that is starting, and for one whose stream broke until it is back', async (t) => {
  const view = new MemoryView([cluster('a')])
  const { clock, server, connect, clients } = await world(t, view)
  const client = new RawClient(`127.0.0.1:${server.port}`)
  clients.push(client)
  const starting = client.delta()
  starting.ask({ node: node('starting'), type: CLUSTER })
  const first = await starting.next()
  const waiting = server.ledger.whenSynced('m', view.revision, 120_000)
  starting.ack(first)
  assert.deepEqual((await waiting).acked.length, 1)
  const broken = await connect('broken')
  view.set(cluster('a', '2'))
  await starting.take()
  let done = false
  const outcome = server.ledger.whenSynced('m', view.revision, 60_000).finally(() => (done = true))
  await broken.next()
  broken.cancel()
  while ([...server.ledger.streams()].length > 1) await turn()
  await acknowledged(server, 'starting')
  await turn()
  assert.equal(done, false, 'what the proxy serves is still the old')
  const back = await connect('broken')
  assert.deepEqual([(await outcome).acked.length, (await outcome).stragglers], [2, []])
  // One that does not come back is given up.
  const gone = await connect('gone')
  view.set(cluster('a', '3'))
  const given = server.ledger.whenSynced('m', view.revision, 60_000)
  gone.cancel()
  while ([...server.ledger.streams()].length > 2) await turn()
  await Promise.all([starting.take(), back.take()])
  await acknowledged(server, 'broken')
  await acknowledged(server, 'starting')
  clock.advance(10_001)
  assert.deepEqual([(await given).acked.length, (await given).stragglers], [2, []])
})
