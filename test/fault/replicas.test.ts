import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { status } from '@grpc/grpc-js'
import { systemDoors } from '#core/time/system.ts'
import type { Workload } from '#core/workload/workload.ts'
import { StoreTaken } from '#db/store.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { openStore } from '#db/open.ts'
import { type DeltaStream, nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { certified, clientOf } from '../parts/certified.ts'
import { startPlane, type PlaneUnderTest } from '../parts/control-plane.ts'
import { type Postgres, startPostgres } from '../parts/postgres.ts'
import { until } from '../mesh/shop.ts'

const node = (name: string) => nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`, { NAMESPACE: 'prod', WEFT_OUTBOUND: '127.0.0.1:15001' })
const service = (name: string) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'prod' }, spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } })

/** How long the database stays away. */
const outageMs = Number(process.env['WEFT_OUTAGE_MS'] ?? 500)

let postgres: Postgres
let planes: PlaneUnderTest[] = []

before(async () => {
  postgres = await startPostgres()
  planes = [await startPlane({ database: postgres.url, sole: false }), await startPlane({ database: postgres.url, sole: false })]
  await planes[0]?.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } })
})
after(async () => {
  await Promise.all(planes.map((one) => one.close()))
  await postgres.stop()
})

async function connect(plane: PlaneUnderTest, name: string): Promise<{ client: RawClient; stop(): void; acknowledge: Promise<void> }> {
  const { client, bearer } = await plane.proxy('prod', name)
  const stream = client.delta({ bearer })
  stream.ask({ node: node(name), type: CLUSTER })
  await stream.take()
  const acknowledge = (async () => {
    for (;;) await stream.take()
  })().catch(() => undefined)
  return { client, stop: () => stream.cancel(), acknowledge }
}

test('a mesh that one replica makes is a mesh at the other: its proxies may connect there with their certificates', async () => {
  const [one, two] = planes
  assert.ok(one && two)
  const organization = await one.plane.ensureOrganization('demo')
  const mesh = await one.plane.ensureMesh(organization, 'second', 'cluster.local')
  const token = await one.plane.createJoinToken(mesh, 'prod', 'mover', 3_600_000)
  const held = await certified(one, { token })
  await until('the other replica takes its certificate', async () => {
    const client = new RawClient(`127.0.0.1:${two.plane.xds.port}`, clientOf(two, held))
    try {
      const stream = client.delta()
      stream.ask({ node: node('mover'), type: CLUSTER })
      return await Promise.race([stream.take().then(() => true), stream.status().then(() => false)])
    } finally {
      client.close()
    }
  })
})

test('two replicas on one database: each tells of the proxies of both, and whoever applies waits for both', async () => {
  const [one, two] = planes
  assert.ok(one && two)
  const [here, there] = [await connect(one, 'here'), await connect(two, 'there')]
  const names = async (plane: PlaneUnderTest): Promise<string[]> => ((await (await plane.rest('/proxies')).json()) as { items: { node: { name: string } }[] }).items.map((item) => item.node.name).sort()
  for (const plane of planes) await until('both proxies are seen', async () => JSON.stringify(await names(plane)) === '["here","there"]')
  const revision = await one.apply(service('orders'))
  const waited = (await (await one.rest(`/revisions/${revision}/wait?timeout=15s`)).json()) as { acknowledged: number; stragglers: string[] }
  assert.deepEqual([waited.acknowledged, waited.stragglers], [2, []])
  // A proxy that moves from one replica to the other stays in the mesh: the first may not take it out.
  const moved = await connect(two, 'here')
  here.stop()
  await until('the first replica lets it go', () => one.logs.some((line) => line.includes('registry.lost') || line.includes('registry.left')))
  const store = await openStore(postgres.url, { doors: systemDoors, sealKey: Buffer.alloc(32, 7) })
  try {
    const workloads = (await store.loadMesh(one.mesh.id))?.workloads.map((workload) => workload.name).sort()
    assert.deepEqual(workloads, ['here', 'there'])
  } finally {
    await store.close()
  }
  moved.stop()
  there.stop()
  await Promise.all([here.acknowledge, there.acknowledge, moved.acknowledge])
})

test("a lease is the database's: what nobody renews goes, what one replica holds another neither removes nor shortens", async () => {
  const [one] = planes
  assert.ok(one)
  const store = await openStore(postgres.url, { doors: systemDoors, sealKey: Buffer.alloc(32, 7) })
  const workload = (name: string): Workload => ({ name, namespace: 'prod', serviceAccount: 'a', labels: {}, address: '10.0.0.1', network: '', locality: '', cluster: '', ports: [], mutualTls: true, health: 'healthy' })
  const key = (name: string) => ({ namespace: 'prod', name })
  try {
    const { id } = one.mesh
    await store.putWorkload(id, workload('held'), { ms: 60_000, holder: 'a' })
    await store.putWorkload(id, workload('left'), { ms: 60_000, holder: 'a' })
    const before = await store.putWorkload(id, workload('held'), { ms: 60_000, holder: 'b' })
    assert.equal(await store.removeWorkload(id, key('held'), 'a'), before, 'b has heard of it since')
    await store.endLease(id, key('held'), 'a', -1000)
    await store.endLease(id, key('left'), 'a', -1000)
    assert.deepEqual(await store.expireLeases(id), [key('left')])
    assert.deepEqual(await store.renewLeases(id, [key('held'), key('left')], 60_000), [key('left')])
    // One without a lease stays until it is removed.
    await store.putWorkload(id, workload('kept'))
    assert.deepEqual(await store.expireLeases(id), [])
    for (const name of ['held', 'kept']) await store.removeWorkload(id, key(name))
  } finally {
    await store.close()
  }
})

/** A stream of a workload at an address. */
async function claim(plane: PlaneUnderTest, account: string, name: string, address: string): Promise<DeltaStream> {
  const { client, bearer } = await plane.proxy('prod', account)
  const stream = client.delta({ bearer })
  stream.ask({ node: nodeNamed(`sidecar~${address}~${name}.prod~prod.svc.cluster.local`, { NAMESPACE: 'prod', WEFT_OUTBOUND: '127.0.0.1:15001' }), type: CLUSTER })
  return stream
}

const joined = (plane: PlaneUnderTest, name: string): boolean => plane.logs.some((line) => line.includes('registry.joined') && line.includes(`prod/${name}`))

test("a live workload's name and address are refused to another account at the other replica too, and to its own account at neither", async () => {
  const [one, two] = planes
  assert.ok(one && two)
  const victim = await claim(one, 'victim', 'victim', '10.9.0.1')
  await victim.take()
  await until('it is known', () => joined(one, 'victim'))
  for (const [name, address] of [['thief', '10.9.0.1'], ['victim', '10.9.0.2']] as const) {
    const thief = await claim(two, 'thief', name, address)
    assert.equal((await thief.status()).code, status.PERMISSION_DENIED)
    assert.deepEqual(thief.received, [])
  }
  const again = await claim(two, 'victim', 'victim', '10.9.0.1')
  await again.take()
  await until('it is known there', () => joined(two, 'victim'))
  again.end()
  victim.end()
  await Promise.all([again.status(), victim.status()])
  // Whoever is given the address next may have it.
  await until('the next one is let in', async () => {
    const next = await claim(one, 'thief', 'thief', '10.9.0.1')
    const isIn = await Promise.race([next.take().then(() => true), next.status().then(() => false)])
    next.end()
    await next.status()
    return isIn
  })
})

test('of two accounts that claim one address at two replicas in the same moment one is in the mesh and the other is sent away', async () => {
  const [one, two] = planes
  assert.ok(one && two)
  const store = await openStore(postgres.url, { doors: systemDoors, sealKey: Buffer.alloc(32, 7) })
  try {
    for (let round = 0; round < 5; round += 1) {
      const address = `10.9.1.${round + 1}`
      const streams: readonly DeltaStream[] = await Promise.all([claim(one, 'first', `first-${round}`, address), claim(two, 'second', `second-${round}`, address)])
      const sentAway: readonly [number, number] = await Promise.race(streams.map(async (stream, at) => [at, (await stream.status()).code] as const))
      assert.equal(sentAway[1], status.PERMISSION_DENIED)
      const [stays, account]: [DeltaStream | undefined, string] = sentAway[0] === 0 ? [streams[1], 'second'] : [streams[0], 'first']
      await stays?.take()
      await until('the one that stays is known', () => joined(account === 'first' ? one : two, `${account}-${round}`))
      assert.deepEqual((await store.loadMesh(one.mesh.id))?.workloads.filter((workload) => workload.address === address).map((workload) => workload.name), [`${account}-${round}`])
      stays?.end()
      await stays?.status()
    }
  } finally {
    await store.close()
  }
})

test('a claim is decided by the write: what another replica holds is taken, what it let go of or lost is not', async () => {
  const [one] = planes
  assert.ok(one)
  const store = await openStore(postgres.url, { doors: systemDoors, sealKey: Buffer.alloc(32, 7) })
  const workload = (name: string, serviceAccount: string): Workload => ({ name, namespace: 'prod', serviceAccount, labels: {}, address: '10.9.2.1', network: '', locality: '', cluster: '', ports: [], mutualTls: true, health: 'healthy' })
  const lease = (holder: string, ms = 60_000) => ({ ms, holder, places: [' 10.9.2.1', ' 10.9.2.1 80'] })
  const { id } = one.mesh
  const free = async (account: string, holder: string): Promise<boolean> => {
    const before = await store.workloadTakenBy(id, workload(account, account), lease(holder))
    const put = await store.putWorkload(id, workload(account, account), lease(holder)).then(
      () => true,
      (error: unknown) => !(error instanceof StoreTaken),
    )
    assert.equal(put, before === undefined, 'what is asked and what is decided agree')
    return put
  }
  try {
    assert.equal(await free('a', 'A'), true)
    assert.equal(await free('b', 'B'), false)
    assert.equal(await free('b', 'A'), true, 'what is at one replica, that judges itself')
    await store.removeWorkload(id, { namespace: 'prod', name: 'b' })
    await store.endLease(id, { namespace: 'prod', name: 'a' }, 'A', 60_000)
    assert.equal(await free('b', 'B'), true)
    // Nobody has renewed it.
    await store.putWorkload(id, workload('b', 'b'), lease('B', -1000))
    assert.equal(await free('c', 'C'), true)
    // What was let go of and is renewed is held again.
    await store.renewLeases(id, [{ namespace: 'prod', name: 'b' }], 60_000)
    assert.equal(await free('c', 'C'), false)
  } finally {
    for (const name of ['a', 'b', 'c']) await store.removeWorkload(id, { namespace: 'prod', name })
    await store.close()
  }
})

test('while Postgres is gone streams and configuration stay, writes answer 503 with Retry-After, and recovery is by itself', async () => {
  const [one] = planes
  assert.ok(one)
  await one.apply(service('orders'))
  const { client, bearer } = await one.proxy('prod', 'steady')
  const stream = client.delta({ bearer })
  stream.ask({ node: node('steady'), type: CLUSTER })
  await stream.take()
  // What is still to come of earlier steps.
  const { revision } = (await (await one.rest('')).json()) as { revision: number }
  await one.rest(`/revisions/${revision}/wait?timeout=5s`)
  while (stream.unread > 0) await stream.take()
  await postgres.kill9()
  const refused = await one.rest('/apply', { objects: [service('meanwhile')] })
  assert.equal(refused.status, 503)
  assert.notEqual(refused.headers.get('retry-after'), null)
  assert.equal((await fetch(`http://127.0.0.1:${one.plane.monitoring.port}/readyz`)).status, 503)
  // The stream lives: a question is answered from what is in memory.
  stream.ask({ type: CLUSTER, subscribe: ['outbound|80||orders.prod.svc.cluster.local'] })
  assert.deepEqual((await stream.take()).resources.map((item) => item.name), ['outbound|80||orders.prod.svc.cluster.local'])
  // Half a second is longer than any retry begins with; WEFT_OUTAGE_MS=60000 is a minute.
  const goneSinceMs = performance.now()
  await until('the outage has lasted', () => performance.now() - goneSinceMs > outageMs, outageMs + 20_000)
  stream.ask({ type: CLUSTER, subscribe: ['outbound|80||orders.prod.svc.cluster.local'] })
  assert.equal((await stream.take()).resources.length, 1, 'the stream still stands')
  await postgres.restart()
  await until('writes are taken again', async () => (await one.rest('/apply', { objects: [service('afterwards')] })).status === 200)
  for (;;) {
    const response = await stream.take()
    if (response.resources.some((item) => item.name.includes('afterwards'))) break
  }
})

test('LISTEN lost: a change by another replica arrives all the same', async () => {
  const [one, two] = planes
  assert.ok(one && two)
  const { client, bearer } = await one.proxy('prod', 'listener')
  const stream = client.delta({ bearer })
  stream.ask({ node: node('listener'), type: CLUSTER })
  await stream.take()
  await postgres.sql(`select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%' and pid <> pg_backend_pid()`)
  await two.apply(service('unheard'))
  for (;;) {
    const response = await stream.take()
    if (response.resources.some((item) => item.name.includes('unheard'))) break
  }
})
