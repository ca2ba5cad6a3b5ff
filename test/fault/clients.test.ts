import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { seededRandom, SteppedClock } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Clock } from '#core/time/clock.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import type { Peer } from '#api/serve/peer.ts'
import { nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import type { Resource } from '#api/serve/resource.ts'
import { startXds } from '#api/serve/server.ts'
import { until } from '../mesh/shop.ts'
import { ENVOY_NEWEST } from '#infra/parts/envoy.ts'
import { EnvoyProcess } from '../peers/envoy-process.ts'
import { cluster as realCluster, endpoints as realEndpoints, listener as realListener, routes as realRoutes } from '../peers/hand-made.ts'
import { Relay } from '../peers/relay.ts'
import { startUpstream } from '../peers/upstream.ts'
import { startLoad } from '../mesh/load.ts'

setFlagsFromString('--expose-gc')
/** V8's collector: garbage that waits is no leak. */
const collect = runInNewContext('gc') as () => void

const hourMs = 3_600_000
/** Updates that are cut, each within a tenth of a second or so: WEFT_CUT_ROUNDS=3000 is for minutes on end. */
const cutRounds = Number(process.env['WEFT_CUT_ROUNDS'] ?? 40)
const node = (name: string) => nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`)
const cluster = (name: string, version: string, bytes = 100): Resource => ({ type: CLUSTER, name, version, bytes: Buffer.alloc(bytes), origins: [] })

async function world(t: TestContext, view: MemoryView, options: { clock?: Clock; expiresAtMs?: () => number } = {}) {
  const clock = options.clock ?? systemDoors.clock
  const notes: string[] = []
  const peer = (): Peer => ({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: options.expiresAtMs?.() ?? Date.UTC(2100, 0) })
  const server = await startXds(
    { clock, random: seededRandom(1), serve: { authenticate: () => Promise.resolve(peer()), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} } },
    { plaintext: { address: '127.0.0.1', port: 0 }, sockets: systemDoors.clock, note: (event) => notes.push(event) },
  )
  const clients: RawClient[] = []
  t.after(async () => {
    for (const client of clients) client.close()
    const closing = server.close(0)
    if (clock instanceof SteppedClock) clock.advance(1)
    await closing
  })
  const client = (): RawClient => {
    const made = new RawClient(`127.0.0.1:${server.port}`)
    clients.push(made)
    return made
  }
  return { server, client, notes }
}

test('a client that refuses everything gets each version once, and delays nobody', async (t) => {
  const view = new MemoryView([cluster('a', '0')])
  const { client, server } = await world(t, view)
  const [stubborn, well] = [client().delta(), client().delta()]
  stubborn.ask({ node: node('stubborn'), type: CLUSTER })
  stubborn.nack(await stubborn.next(), 'no')
  well.ask({ node: node('well'), type: CLUSTER })
  await well.take()
  for (let version = 1; version <= 200; version += 1) {
    view.set(cluster('a', String(version)))
    assert.equal((await well.take()).resources[0]?.version, String(version))
    stubborn.nack(await stubborn.next(), 'no')
  }
  assert.ok(stubborn.received.length <= 201)
  assert.equal(new Set(stubborn.received.map((one) => one.resources[0]?.version)).size, stubborn.received.length, 'no version came twice')
  await until('the last refusal is read', () => server.counts.of(CLUSTER).nacks === 201)
})

test('a client that never acknowledges holds one answer and the names that changed, and delays nobody', async (t) => {
  const clock = new SteppedClock()
  const view = new MemoryView([cluster('a', '0')])
  const { client, server, notes } = await world(t, view, { clock })
  const [silent, well] = [client().delta(), client().delta()]
  silent.ask({ node: node('silent'), type: CLUSTER })
  await silent.next()
  well.ask({ node: node('well'), type: CLUSTER })
  await well.take()
  for (let version = 1; version <= 500; version += 1) {
    view.set(cluster('a', String(version)), cluster(`n${version % 5}`, String(version)))
    await well.take()
  }
  assert.equal(silent.received.length, 1)
  // Raised, sent again ever more rarely, never killed.
  for (let minute = 0; minute < 12; minute += 1) {
    view.set(cluster('n0', `minute ${minute}`))
    await well.take()
    for (let tick = 0; tick < 6; tick += 1) clock.advance(10_000)
  }
  await until('it was sent again', () => silent.received.length > 1)
  assert.ok(silent.received.length <= 6, String(silent.received.length))
  assert.ok(notes.includes('xds.resynced') && notes.includes('xds.stalled'))
  assert.equal(server.ledger.statuses('m').length, 2)
  assert.equal(silent.received.at(-1)?.resources.find((one) => one.name === 'a')?.version, '500', 'what it is sent again is the newest')
})

test('rule 25: a client that stopped reading holds no more memory with each change that it misses, and others are served meanwhile', async (t) => {
  const view = new MemoryView([cluster('a', '0', 900_000)])
  const { client } = await world(t, view)
  const [slow, quick] = [client().delta(), client().delta()]
  slow.ask({ node: node('slow'), type: CLUSTER })
  await slow.take()
  slow.pause()
  quick.ask({ node: node('quick'), type: CLUSTER })
  await quick.take()
  const held = (): number => {
    collect()
    return process.memoryUsage().arrayBuffers
  }
  const before = held()
  for (let version = 1; version < 90; version += 1) {
    view.set(cluster('a', String(version), 900_000))
    assert.equal((await quick.take()).resources[0]?.version, String(version))
    quick.forgetTaken()
  }
  // What was made for one is kept for a few seconds for others that may be due the same.
  await until('no more is held than before 80 MB of changes', () => held() - before < 8 << 20)
})

test('streams of an Envoy are cut in the middle of updates again and again: no request fails, and in the end it has the newest', async (t) => {
  const [a, b] = [await startUpstream('a'), await startUpstream('b')]
  const view = new MemoryView([realListener('l', 'r'), realCluster('a'), realCluster('b'), realEndpoints('a', a.address), realEndpoints('b', b.address), realRoutes('r', { a: 1 })])
  const { server } = await world(t, view)
  const relay = await Relay.start(server.port)
  const envoy = await EnvoyProcess.start({ version: ENVOY_NEWEST, xds: relay.address, nodeId: 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', retryMs: 50 })
  t.after(async () => {
    await envoy.stop()
    await relay.close()
    await Promise.all([a.close(), b.close()])
  })
  const at = await envoy.listening('l')
  await envoy.ready()
  const load = startLoad(at, { host: 'any', path: '/' }, 200)
  const random = seededRandom(7)
  for (let round = 0; round < cutRounds; round += 1) {
    // The connection breaks at some message of this update or the next.
    let left = 1 + Math.floor(random.draw() * 4)
    relay.cutWhen = () => (left -= 1) === 0
    view.set(realCluster('a', `${1 + (round % 9)}s`), realCluster('b', `${1 + (round % 7)}s`), realRoutes('r', round % 2 === 0 ? { b: 1 } : { a: 1 }))
    const sent = load.sent()
    await until('requests go on', () => load.sent() > sent + 10)
  }
  relay.cutWhen = undefined
  view.set(realRoutes('r', { b: 1 }))
  await until('Envoy is back and has all', () => [...server.ledger.streamsOf('m')].some((stream) => stream.unackedSince === undefined && !stream.isStarting && stream.viewRevision === view.revision))
  const after = await load.stop()
  assert.deepEqual(after.failed, [])
  assert.ok(relay.cuts > 10, `${relay.cuts} cuts`)
  const last = startLoad(at, { host: 'any', path: '/' }, 200)
  await until('some requests', () => last.sent() > 20)
  assert.deepEqual([...(await last.stop()).byVersion.keys()], ['b'])
})

test('the wall clock is stepped by an hour: streams whose credentials hold go on, and timers do not run wild', async (t) => {
  const stepped = new SteppedClock()
  let skewMs = 0
  const clock: Clock = { monotonicMs: () => stepped.monotonicMs(), wallMs: () => stepped.wallMs() + skewMs, after: (ms, fire) => stepped.after(ms, fire), every: (ms, fire) => stepped.every(ms, fire) }
  const view = new MemoryView([cluster('a', '1')])
  const { client, notes, server } = await world(t, view, { clock, expiresAtMs: () => stepped.wallMs() + 24 * hourMs })
  t.after(() => stepped.advance(1))
  const stream = client().delta()
  stream.ask({ node: node('a'), type: CLUSTER })
  await stream.take()
  await until('it is acknowledged', () => [...server.ledger.streams()].every((one) => one.unackedSince === undefined && !one.isStarting))
  for (const step of [hourMs, -2 * hourMs]) {
    skewMs += step
    stepped.advance(60_000)
    view.set(cluster('a', String(skewMs)))
    assert.equal((await stream.take()).resources[0]?.version, String(skewMs))
    await until('it is acknowledged', () => [...server.ledger.streams()].every((one) => one.unackedSince === undefined))
  }
  assert.deepEqual(notes, [])
})
