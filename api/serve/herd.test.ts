import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { MemoryView } from './memory-view.ts'
import { type DeltaStream, nodeNamed, RawClient } from './raw-client.ts'
import type { Resource } from './resource.ts'
import { startXds } from './server.ts'
import type { XdsStream } from './stream.ts'

const herd = 500
const cluster = (name: string, version: string): Resource => ({ type: CLUSTER, name, version, bytes: Buffer.alloc(1000, version), origins: [] })
const until = async (is: () => boolean): Promise<void> => {
  while (!is()) await new Promise((resolve) => setImmediate(resolve))
}
const percentile = (times: readonly number[], share: number): number => times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * share)] ?? Infinity

/** Whose time is measured shares this process with five hundred clients, so what is asserted is how many of them go before it, and the times are told. */
test('rule 26: while 500 streams connect a connected one is sent each change before a handful of them have their first answer', async (t) => {
  const large = Array.from({ length: 300 }, (_, at) => cluster(`c-${at}`, '1'))
  const view = new MemoryView([...large, cluster('hot', '0')])
  const server = await startXds(
    {
      clock: systemDoors.clock, random: seededRandom(1),
      serve: { authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} },
    },
    { plaintext: { address: '127.0.0.1', port: 0 } },
  )
  const clients = Array.from({ length: 10 }, () => new RawClient(`127.0.0.1:${server.port}`))
  t.after(async () => {
    for (const client of clients) client.close()
    await server.close(0)
  })
  const ask = (name: string, subscribe: readonly string[], at = 0) => {
    const stream = clients[at % clients.length]?.delta()
    assert.ok(stream)
    stream.ask({ node: nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`), type: CLUSTER, subscribe: [...subscribe] })
    return stream
  }
  const connected = ask('connected', ['hot'])
  await connected.take()
  let version = 0
  /** One change: how long it took until it was written for the connected one, and how many answers went out before that. */
  const change = async (): Promise<{ tookMs: number; before: number }> => {
    const startedMs = performance.now()
    const from = server.counts.of(CLUSTER).responses
    view.set(cluster('hot', String((version += 1))))
    const [stream] = server.ledger.streamsOf('m')
    assert.equal(stream?.node.name, 'connected')
    while ((stream.status().types[0]?.sentRevision ?? 0) < view.revision) await new Promise((resolve) => setImmediate(resolve))
    const [before, tookMs] = [server.counts.of(CLUSTER).responses - from - 1, performance.now() - startedMs]
    assert.equal((await connected.take()).resources[0]?.version, String(version))
    // It is sent nothing more before its answer is read (xds-rules 25).
    while (stream.unackedSince !== undefined) await new Promise((resolve) => setImmediate(resolve))
    return { tookMs, before }
  }
  const alone = []
  for (let count = 0; count < 100; count += 1) alone.push((await change()).tookMs)
  const names = large.map((one) => one.name)
  const streams = Array.from({ length: herd }, (_, at) => ask(`new-${at}`, names, at))
  const missing = new Set(streams)
  const all = Promise.all(streams.map((stream) => stream.take().then(() => missing.delete(stream))))
  const among: { tookMs: number; before: number }[] = []
  while (missing.size > 0) among.push(await change())
  await all
  const [normal, crowded] = [percentile(alone, 0.99), percentile(among.map((one) => one.tookMs), 0.99)]
  t.diagnostic(`p99 ${normal.toFixed(1)} ms alone, ${crowded.toFixed(1)} ms among ${herd} (${(crowded / normal).toFixed(1)} times) over ${among.length} changes; at most ${Math.max(...among.map((one) => one.before))} answers before its own`)
  // A turn has four first answers at most, one of them before whatever changed.
  for (const { before } of among) assert.ok(before <= 4, `${before} first answers went before`)
  assert.ok(among.length >= 3)
})

/** A mesh whose every stream is due something all the time, and one that changes now and then. What is asserted is how many messages of the busy one go before the other's. */
test('rule 26: beside a mesh with a storm of changes and many streams a quiet mesh is sent its change after a handful of theirs', async (t) => {
  const endpoints = (name: string, version: string): Resource => ({ type: CLUSTER_LOAD_ASSIGNMENT, name, version, bytes: Buffer.alloc(2000, version), origins: [] })
  /** Counts the messages that went before it was looked into: by its one stream, when that has its turn. */
  class QuietView extends MemoryView {
    before: number | undefined
    override get(type: string, name: string): Resource | undefined {
      this.before ??= written()
      return super.get(type, name)
    }
  }
  const views = { busy: new MemoryView([cluster('c', '0'), endpoints('c', '0')]), quiet: new QuietView([cluster('c', '0')]) }
  const server = await startXds(
    {
      clock: systemDoors.clock, random: seededRandom(1),
      serve: {
        authenticate: ({ bearer }) => Promise.resolve({ organizationId: 'o', meshId: bearer ?? 'busy', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }),
        viewFor: (peer) => Promise.resolve(peer.meshId === 'quiet' ? views.quiet : views.busy), connected() {}, disconnected() {},
      },
    },
    { plaintext: { address: '127.0.0.1', port: 0 } },
  )
  const written = (): number => server.counts.of(CLUSTER).responses + server.counts.of(CLUSTER_LOAD_ASSIGNMENT).responses
  const clients = Array.from({ length: 11 }, () => new RawClient(`127.0.0.1:${server.port}`))
  t.after(async () => {
    for (const client of clients) client.close()
    await server.close(0)
  })
  /** It acknowledges all that comes, for ever. */
  const follow = async (stream: DeltaStream): Promise<void> => {
    for (;;) {
      await stream.take()
      stream.forgetTaken()
    }
  }
  const busy = Array.from({ length: 200 }, (_, at) => {
    const stream = clients[at % 10]?.delta()
    assert.ok(stream)
    stream.ask({ node: nodeNamed(`sidecar~127.0.0.1~busy-${at}.prod~prod.svc.cluster.local`), type: CLUSTER })
    stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: ['c'] })
    follow(stream).catch(() => {
      // The test is over.
    })
    return stream
  })
  const quiet = clients[10]?.delta({ bearer: 'quiet' })
  assert.ok(quiet)
  quiet.ask({ node: nodeNamed('sidecar~127.0.0.1~quiet.prod~prod.svc.cluster.local'), type: CLUSTER })
  await quiet.take()
  const settled = (streams: Iterable<XdsStream>): boolean => [...streams].every((one) => one.unackedSince === undefined)
  const all = (): readonly XdsStream[] => [...server.ledger.streams()]
  await until(() => all().length === busy.length + 1 && settled(all()))
  let version = 0
  const storm = (): void => {
    version += 1
    views.busy.set(cluster('c', String(version)), endpoints('c', String(version)))
  }
  const [stream] = server.ledger.streamsOf('quiet')
  assert.ok(stream)
  const late: number[] = []
  for (let change = 1; change <= 30; change += 1) {
    storm()
    const from = written()
    views.quiet.before = undefined
    views.quiet.set(cluster('c', String(change)))
    await until(() => {
      storm()
      return views.quiet.before !== undefined
    })
    late.push((views.quiet.before ?? Infinity) - from)
    assert.equal((await quiet.take()).resources[0]?.version, String(change))
    await until(() => settled([stream]))
  }
  const most = Math.max(...late)
  t.diagnostic(`at most ${most} messages of the busy mesh before one of the quiet, among ${version} changes to ${busy.length} streams`)
  // In a turn 64 streams with endpoints and one new one go before changes at most, each with two messages, and of two changes one is the quiet mesh's.
  assert.ok(most <= 2 * (64 + 1 + 1), `${most} messages of the busy mesh went before`)
})
