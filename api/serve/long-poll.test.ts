import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { fault, Faults } from '#core/fault/fault.ts'
import { SteppedClock } from '#core/time/seeded.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ROUTE_CONFIGURATION, SECRET } from '#core/wire/type-url.ts'
import { discoveryApp } from '../discovery-app.ts'
import { placeholderFor, resourceOf } from '../translate/resource.ts'
import { create } from '@bufbuild/protobuf'
import { LongPoll, pollKinds } from './long-poll.ts'
import { MemoryView } from './memory-view.ts'
import type { ServeDoors } from './peer.ts'
import type { Resource } from './resource.ts'
import { Turnstile } from './turnstile.ts'

const cluster = (name: string, seconds = 1): Resource => resourceOf(ClusterSchema, name, create(ClusterSchema, { name, connectTimeout: { seconds: BigInt(seconds), nanos: 0 } }), [])
const node = { id: 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', metadata: { NAMESPACE: 'prod' } }

interface Answered {
  readonly version_info: string
  readonly resources?: readonly { readonly name: string }[]
}

function world(t: TestContext, resources: Resource[] = [], doors: Partial<ServeDoors> = {}, turnstile = new Turnstile(8)) {
  const clock = new SteppedClock()
  const view = new MemoryView(resources, 1, placeholderFor)
  const gone: string[] = []
  const longPoll = new LongPoll(
    clock,
    {
      authenticate: ({ bearer }) =>
        bearer === 'token'
          ? Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, bound: { namespace: 'prod', serviceAccount: '*' }, how: 'join-token', expiresAtMs: Date.UTC(2100, 0) })
          : Promise.reject(new Faults([fault('access.unauthenticated', { path: '', rule: 'a join token' })])),
      viewFor: () => Promise.resolve(view),
      connected: () => void gone.push('came'),
      disconnected: (_peer, _node, how) => void gone.push(how),
      ...doors,
    },
    turnstile,
  )
  t.after(() => longPoll.close())
  const app = discoveryApp(longPoll)
  const post = (kind: string, body: object, bearer = 'token', signal?: AbortSignal): Promise<Response> =>
    Promise.resolve(app.request(`/v3/discovery:${kind}`, { method: 'POST', body: JSON.stringify({ node, ...body }), headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }, ...(signal ? { signal } : {}) }))
  /** A poll that is held: proven by the view having one more listener. */
  const held = async (kind: string, body: object, signal?: AbortSignal): Promise<{ answer: Promise<Response> }> => {
    const before = view.listeners
    const answer = post(kind, body, 'token', signal)
    while (view.listeners === before) await new Promise((resolve) => setImmediate(resolve))
    return { answer }
  }
  return { longPoll, app, clock, view, post, held, gone }
}

const read = async (response: Response): Promise<Answered> => (await response.json()) as Answered

test('rule 30: a poll is answered at once, and again only on change', async (t) => {
  const { post, held, view } = world(t, [cluster('a')])
  const first = await read(await post('clusters', {}))
  assert.deepEqual(first.resources?.map((one) => one.name), ['a'])
  const { answer } = await held('clusters', { version_info: first.version_info })
  // Another type's news is none.
  view.set({ ...cluster('x'), type: SECRET })
  view.set(cluster('b'))
  const second = await read(await answer)
  assert.deepEqual(second.resources?.map((one) => one.name), ['a', 'b'])
  assert.notEqual(second.version_info, first.version_info)
})

test('rule 30: without news a poll ends with 304, and the node stays', async (t) => {
  const { post, held, clock, gone } = world(t, [cluster('a')])
  const { version_info } = await read(await post('clusters', {}))
  const { answer } = await held('clusters', { version_info })
  clock.advance(25_000)
  assert.equal((await answer).status, 304)
  assert.deepEqual(gone, ['came'])
  clock.advance(60_001)
  assert.deepEqual(gone, ['came', 'lost'])
})

test('rule 30: the rules of credentials, absence and secrets hold, and ADS is not offered', async (t) => {
  const { post } = world(t)
  assert.equal((await post('clusters', {}, 'wrong')).status, 401)
  assert.equal((await post('clusters', { node: { id: 'sidecar~127.0.0.1~a.other~other.svc.cluster.local' } })).status, 403)
  assert.equal((await post('clusters', { node: null })).status, 400)
  assert.equal((await post('clusters', { resource_names: 7 })).status, 400)
  assert.equal((await post('clusters', { type_url: SECRET })).status, 400)
  assert.equal((await post('ads', {})).status, 404)
  const dangling = await read(await post('routes', { resource_names: ['nowhere'] }))
  assert.deepEqual(dangling.resources?.map((one) => one.name), ['nowhere'])
  assert.deepEqual((await read(await post('secrets', {}))).resources ?? [], [])
  assert.deepEqual((await read(await post('secrets', { resource_names: ["another's"] }))).resources ?? [], [])
})

test('what a client refuses is held back until it changes, in words or without', async (t) => {
  const { post, held, view } = world(t, [cluster('a')])
  const first = await read(await post('clusters', {}))
  view.set(cluster('a', 2))
  const refused = await read(await post('clusters', { version_info: first.version_info }))
  assert.notEqual(refused.version_info, first.version_info)
  const { answer } = await held('clusters', { version_info: first.version_info, error_detail: { message: 'no' } })
  view.set(cluster('a', 3))
  const third = await read(await answer)
  // Without a word: the answer may have been lost, so it comes a few times more.
  for (let count = 0; count < 3; count += 1) assert.equal((await read(await post('clusters', { version_info: first.version_info }))).version_info, third.version_info)
  const silent = await held('clusters', { version_info: first.version_info })
  view.set(cluster('a', 4))
  assert.equal((await silent.answer).status, 200)
})

test('a client that hangs up leaves nothing behind', async (t) => {
  const { post, held, view } = world(t, [cluster('a')])
  const { version_info } = await read(await post('clusters', {}))
  const hangUp = new AbortController()
  const { answer } = await held('clusters', { version_info }, hangUp.signal)
  hangUp.abort()
  await answer.catch(() => undefined)
  assert.equal(view.listeners, 0)
})

test('routes that are polled by name are told apart from each other', async (t) => {
  const { post } = world(t, [{ ...cluster('a'), type: ROUTE_CONFIGURATION, bytes: placeholderFor(ROUTE_CONFIGURATION, 'a')?.bytes ?? Buffer.alloc(0) }, cluster('c')])
  const [one, other] = await Promise.all([post('routes', { resource_names: ['a'] }).then(read), post('routes', { resource_names: ['b'] }).then(read)])
  assert.deepEqual([one.resources?.[0]?.name, other.resources?.[0]?.name], ['a', 'b'])
  assert.equal((await read(await post('clusters', {}))).resources?.[0]?.name, 'c')
})

test('what a node asked for long ago is forgotten, however many names it makes up', async (t) => {
  const { post, held, view } = world(t, [cluster('a')])
  const names = { resource_names: ['a'] }
  const first = await read(await post('clusters', names))
  view.set(cluster('a', 2))
  const old = { ...names, version_info: first.version_info }
  // Asked for once too often it counts as refused, and is held back.
  for (let count = 0; count < 4; count += 1) assert.equal((await post('clusters', old)).status, 200)
  const hangUp = new AbortController()
  const { answer } = await held('clusters', old, hangUp.signal)
  hangUp.abort()
  await answer.catch(() => undefined)
  for (let count = 0; count < 10_000; count += 1) assert.equal((await post('clusters', { resource_names: [`made-up-${count}`] })).status, 200)
  assert.equal((await post('clusters', old)).status, 200, 'answered anew')
})

test('whoever proves nothing is refused before the body is read', async (t) => {
  const { app } = world(t)
  let read = 0
  const body = new ReadableStream({ pull: (controller) => void ((read += 1), controller.enqueue(new Uint8Array(65_536))) }, { highWaterMark: 0 })
  const request = new Request('http://x/v3/discovery:clusters', { method: 'POST', body, headers: { authorization: 'Bearer wrong' }, duplex: 'half' } as RequestInit)
  assert.equal((await app.request(request)).status, 401)
  assert.equal(read, 0)
})

test('rule 26: who begins to poll where too many do is told when to come again, and is answered then', async (t) => {
  const begun = Promise.withResolvers<void>()
  const made = Promise.withResolvers<void>()
  const viewFor = async (): Promise<MemoryView> => {
    begun.resolve()
    await made.promise
    return new MemoryView([cluster('a')], 1, placeholderFor)
  }
  const { post } = world(t, [], { viewFor }, new Turnstile(1, 0))
  const first = post('clusters', {})
  await begun.promise
  const other = { node: { ...node, id: 'sidecar~127.0.0.1~b.prod~prod.svc.cluster.local' } }
  const away = await post('clusters', other)
  assert.deepEqual([away.status, away.headers.get('retry-after')], [503, '5'])
  made.resolve()
  assert.equal((await first).status, 200)
  assert.equal((await post('clusters', other)).status, 200)
})

test('every kind that may be polled is answered', async (t) => {
  const all = [...pollKinds.values()].map((type): Resource => ({ type, name: 'a', version: '1', bytes: Buffer.alloc(0), origins: [] }))
  const { post } = world(t, all)
  for (const kind of pollKinds.keys()) assert.equal((await read(await post(kind, { resource_names: ['a'] }))).resources?.length, 1, kind)
})

test('a poll ends when its token does, and only so many are held for one', async (t) => {
  const over = new AbortController()
  let open = 0
  const { post, held } = world(t, [cluster('a')], {
    hold() {
      if (open >= 2) throw new Faults([fault('access.rate-limited', { path: '', rule: 'at most 2' })])
      open += 1
      return { signal: over.signal, release: () => void (open -= 1) }
    },
  })
  const { version_info } = await read(await post('clusters', {}))
  const [one, other] = [await held('clusters', { version_info }), await held('clusters', { version_info })]
  const away = await post('clusters', { version_info })
  assert.deepEqual([away.status, away.headers.get('retry-after')], [429, '1'])
  over.abort()
  assert.deepEqual([(await one.answer).status, (await other.answer).status, open], [304, 304, 0])
})

test('rule 30: a replica that goes away sends polls that it holds to another one, and those that come then unless they are due something', async (t) => {
  const { longPoll, post, held, view } = world(t, [cluster('a')])
  const { version_info } = await read(await post('clusters', {}))
  const { answer } = await held('clusters', { version_info })
  longPoll.close()
  for (const response of [await answer, await post('clusters', { version_info })]) {
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1'])
    assert.deepEqual(await response.json(), { title: 'the control plane is going away', status: 503 })
  }
  view.set(cluster('a', 2))
  assert.equal((await post('clusters', { version_info })).status, 200)
})
