import assert from 'node:assert/strict'
import { test } from 'node:test'
import { status } from '@grpc/grpc-js'
import { seededRandom } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { CallRefused } from './credentials.ts'
import { MemoryView } from './memory-view.ts'
import type { Peer } from './peer.ts'
import { nodeNamed, RawClient } from './raw-client.ts'
import { startXds } from './server.ts'
import { shareLimits, Shares } from './shares.ts'

const peer = (organizationId: string, serviceAccount: string): Peer => ({
  organizationId,
  meshId: `mesh of ${organizationId}`,
  identity: { trustDomain: 'cluster.local', namespace: 'prod', serviceAccount },
  how: 'certificate',
  expiresAtMs: Date.UTC(2100, 0),
})

/** Takes streams in until one is refused; answers how many there were. */
function fill(shares: Shares, next: (at: number) => Peer): number {
  for (let count = 0; ; count += 1) {
    try {
      shares.enter(next(count))
    } catch (raised) {
      assert.ok(raised instanceof CallRefused && raised.code === status.RESOURCE_EXHAUSTED)
      return count
    }
  }
}

test('one identity takes its share and one organization its own, and others still have room', () => {
  const shares = new Shares(shareLimits(100))
  assert.equal(fill(shares, () => peer('a', 'stolen')), 40)
  assert.equal(fill(shares, (at) => peer('a', `account-${at}`)), 20)
  assert.equal(fill(shares, () => peer('b', 'b')), 40)
})

test('when it is crowded those who hold less than an equal share come in first, and what is given back is there again', () => {
  const shares = new Shares(shareLimits(100))
  assert.equal(fill(shares, (at) => peer('large', `account-${at}`)), 60)
  const leave = Array.from({ length: 20 }, (_, at) => shares.enter(peer('middle', `account-${at}`)))
  // 80 are in: an equal share is 33 of three, 50 of two.
  assert.equal(fill(shares, (at) => peer('new', `account-${at}`)), 20)
  for (const one of leave) {
    one()
    one()
  }
  assert.equal(fill(shares, (at) => peer('large', `account-${at}`)), 0, 'it has more than its share already')
  assert.equal(fill(shares, (at) => peer('newer', `account-${at}`)), 20)
})

test('rule 4: over its share a stream ends with RESOURCE_EXHAUSTED, those that stand go on, and one that ends makes room', async (t) => {
  const view = new MemoryView([{ type: CLUSTER, name: 'a', version: '1', bytes: Buffer.alloc(1), origins: [] }])
  const server = await startXds(
    { clock: systemDoors.clock, random: seededRandom(1), serve: { authenticate: ({ bearer = '' }) => Promise.resolve(peer('o', bearer)), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} } },
    { plaintext: { address: '127.0.0.1', port: 0 }, callsMax: 10 },
  )
  const client = new RawClient(`127.0.0.1:${server.port}`)
  t.after(async () => {
    client.close()
    await server.close(0)
  })
  const open = (account: string) => {
    const stream = client.delta({ bearer: account })
    stream.ask({ node: nodeNamed('sidecar~127.0.0.1~a.prod~prod.svc.cluster.local'), type: CLUSTER })
    return stream
  }
  const streams = Array.from({ length: 4 }, () => open('greedy'))
  for (const stream of streams) await stream.take()
  assert.equal((await open('greedy').status()).code, status.RESOURCE_EXHAUSTED)
  await open('modest').take()
  view.set({ type: CLUSTER, name: 'a', version: '2', bytes: Buffer.alloc(1), origins: [] })
  for (const stream of streams) assert.equal((await stream.take()).resources[0]?.version, '2')
  streams[0]?.end()
  await streams[0]?.status()
  await open('greedy').take()
})

test('rule 4: names of what is not there take of the share of their identity, those of what is do not, and what is given back is there again', async (t) => {
  const there = Array.from({ length: 20_000 }, (_, at) => ({ type: CLUSTER_LOAD_ASSIGNMENT, name: `there-${at}`, version: '1', bytes: Buffer.alloc(1), origins: [] }))
  const view = new MemoryView(there)
  const server = await startXds(
    { clock: systemDoors.clock, random: seededRandom(1), serve: { authenticate: ({ bearer = '' }) => Promise.resolve(peer('o', bearer)), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} } },
    // With so little the least is kept for one identity: 4 MB.
    { plaintext: { address: '127.0.0.1', port: 0 }, memoryBytes: 1 },
  )
  const client = new RawClient(`127.0.0.1:${server.port}`)
  t.after(async () => {
    client.close()
    await server.close(0)
  })
  const names = (of: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${of}-${at}`)
  const ask = (bearer: string, subscribe: string[]) => {
    const stream = client.delta({ bearer })
    stream.ask({ node: nodeNamed('sidecar~10.0.0.1~w.prod~prod.svc.cluster.local'), type: CLUSTER_LOAD_ASSIGNMENT, subscribe })
    return stream
  }
  assert.ok((await ask('honest', there.map(({ name }) => name)).next()).resources.length > 0)
  const first = ask('greedy', names('nowhere', 9000))
  await first.next()
  const second = ask('greedy', names('nowhere-else', 9000))
  const { code, details, metadata } = await second.status()
  assert.deepEqual([code, details], [status.RESOURCE_EXHAUSTED, 'this identity holds as many names of what is not there as it may'])
  assert.ok(Number(metadata.get('grpc-retry-pushback-ms')[0]) >= 1000)
  // Whom it does not concern: another identity, and its own with the little that each stream may.
  await ask('other', names('nowhere', 9000)).next()
  await ask('greedy', names('few', 200)).next()
  // The same as others asked for, which is worked out once, is held all the same.
  assert.equal((await ask('greedy', names('nowhere', 9000)).status()).code, status.RESOURCE_EXHAUSTED)
  first.ask({ type: CLUSTER_LOAD_ASSIGNMENT, unsubscribe: names('nowhere', 9000) })
  // Messages of a stream are read in order, and an answer says that this one was.
  first.ask({ type: CLUSTER, subscribe: ['read'] })
  while ((await first.next()).typeUrl !== CLUSTER);
  await ask('greedy', names('nowhere-else', 9000)).next()
  const [type] = [...server.ledger.streams()].find(({ peer: { identity } }) => identity?.serviceAccount === 'honest')?.status().types ?? []
  assert.equal(type?.subscribed, there.length)
})
