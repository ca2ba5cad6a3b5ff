import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { openApi } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { kubeApi } from './app.ts'
import { applyJsonPatch } from './json-patch.ts'
import { applyMergePatch, applyStrategicMerge } from './merge-patch.ts'
import { readProtobuf } from './protobuf.ts'
import { Faults } from '#core/fault/fault.ts'

let api: ApiUnderTest
let app: ReturnType<typeof kubeApi>
let key = ''
const ROOT = '/k8s/demo/shop'
const MAPS = `${ROOT}/api/v1/namespaces/default/configmaps`

before(async () => {
  api = await openApi()
  app = kubeApi(api.doors)
  key = await api.key('owner')
})
after(() => api.close())

interface Shape {
  readonly kind?: string
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: { causes?: { field: string; message: string; reason: string }[] }
  readonly metadata: { name: string; resourceVersion: string; continue?: string; uid: string; labels?: Record<string, string>; annotations?: Record<string, string> }
  readonly items: Shape[]
  readonly data?: Record<string, string>
}

async function ask(method: string, path: string, body?: unknown, type = 'application/json'): Promise<{ status: number; body: Shape }> {
  const response = await app.request(path, { method, headers: { authorization: `Bearer ${key}`, 'content-type': type }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  return { status: response.status, body: (await response.json()) as Shape }
}
const map = (name: string, value: string, labels: Record<string, string> = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data: { value } })

interface WatchEvent {
  readonly type: string
  readonly object: Shape
}

/** Events of a watch, one by one. */
async function watch(query: string): Promise<{ next(): Promise<WatchEvent | undefined>; stop(): Promise<void> }> {
  const response = await app.request(`${MAPS}?watch=true&${query}`, { headers: { authorization: `Bearer ${key}` } })
  assert.equal(response.status, 200)
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    async next() {
      while (!text.includes('\n')) {
        const piece = await reader?.read()
        if (!piece || piece.done) return undefined
        text += piece.value
      }
      const line = text.slice(0, text.indexOf('\n'))
      text = text.slice(line.length + 1)
      return JSON.parse(line) as WatchEvent
    },
    stop: async () => reader?.cancel(),
  }
}

test('a watch from a list misses nothing, says what is new, and ends with its selection', async () => {
  await ask('POST', MAPS, map('first', 'a', { seen: 'yes' }))
  const { body: list } = await ask('GET', `${MAPS}?labelSelector=seen%3Dyes`)
  await ask('POST', MAPS, map('second', 'a', { seen: 'yes' }))
  await ask('POST', MAPS, map('unseen', 'a'))
  const events = await watch(`resourceVersion=${list.metadata.resourceVersion}&labelSelector=seen%3Dyes`)
  const added = await events.next()
  assert.deepEqual([added?.type, added?.object.metadata.name], ['ADDED', 'second'])
  await ask('PATCH', `${MAPS}/second`, { data: { value: 'b' } }, 'application/merge-patch+json')
  assert.equal((await events.next())?.type, 'MODIFIED')
  await ask('PATCH', `${MAPS}/second`, { metadata: { labels: { seen: 'no' } } }, 'application/merge-patch+json')
  assert.equal((await events.next())?.type, 'DELETED')
  await ask('DELETE', `${MAPS}/first`)
  const gone = await events.next()
  assert.deepEqual([gone?.type, gone?.object.metadata.name], ['DELETED', 'first'])
  await events.stop()
})

test('initial events end with a bookmark that says so', async () => {
  const events = await watch('sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan')
  const types: string[] = []
  for (;;) {
    const event = await events.next()
    types.push(event?.type ?? 'END')
    if (event?.type !== 'ADDED') {
      assert.equal(event?.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true')
      break
    }
  }
  assert.deepEqual([...new Set(types)], ['ADDED', 'BOOKMARK'])
  await events.stop()
})

test('a watch from a revision that the mesh never had is told that it is too old', async () => {
  const events = await watch('resourceVersion=999999')
  const event = await events.next()
  assert.equal(event?.type, 'ERROR')
  assert.equal(event?.object.code, 410)
  assert.equal(await events.next(), undefined)
})

test('a watch ends when its time is over', async () => {
  const { body: list } = await ask('GET', MAPS)
  const events = await watch(`resourceVersion=${list.metadata.resourceVersion}&timeoutSeconds=1`)
  assert.equal(await events.next(), undefined)
})

test('pages are continued to the last object', async () => {
  for (const name of ['p1', 'p2', 'p3', 'p4', 'p5']) await ask('POST', MAPS, map(name, 'x', { page: 'yes' }))
  const names: string[] = []
  let token: string | undefined = ''
  do {
    const { body } = await ask('GET', `${MAPS}?limit=2&labelSelector=page&continue=${encodeURIComponent(token)}`)
    names.push(...body.items.map((one) => one.metadata.name))
    token = body.metadata.continue
  } while (token !== undefined)
  assert.deepEqual(names, ['p1', 'p2', 'p3', 'p4', 'p5'])
})

test('later pages, and an exact list, show what was there at their revision', async () => {
  for (const name of ['q1', 'q2', 'q3', 'q4']) await ask('POST', MAPS, map(name, 'then', { quiet: 'yes' }))
  const first = (await ask('GET', `${MAPS}?limit=2&labelSelector=quiet`)).body
  await ask('DELETE', `${MAPS}/q3`)
  await ask('PATCH', `${MAPS}/q4`, { data: { value: 'now' }, metadata: { labels: { quiet: null } } }, 'application/merge-patch+json')
  await ask('POST', MAPS, map('q5', 'now', { quiet: 'yes' }))
  const rest = (await ask('GET', `${MAPS}?limit=5&labelSelector=quiet&continue=${encodeURIComponent(first.metadata.continue ?? '')}`)).body
  const shown = (items: typeof rest.items): unknown[] => items.map((one) => [one.metadata.name, one.data?.['value']])
  assert.deepEqual([shown(rest.items), rest.metadata.continue, rest.metadata.resourceVersion], [[['q3', 'then'], ['q4', 'then']], undefined, first.metadata.resourceVersion])
  const exact = (await ask('GET', `${MAPS}?labelSelector=quiet&resourceVersionMatch=Exact&resourceVersion=${first.metadata.resourceVersion}`)).body
  assert.deepEqual([shown(exact.items), exact.metadata.resourceVersion], [[...shown(first.items), ...shown(rest.items)], first.metadata.resourceVersion])
  assert.deepEqual(shown((await ask('GET', `${MAPS}?labelSelector=quiet`)).body.items), [['q1', 'then'], ['q2', 'then'], ['q5', 'now']])
})

test('a stale resourceVersion is a conflict; two patches at once both count', async () => {
  const { body: read } = await ask('GET', `${MAPS}/p1`)
  await ask('PATCH', `${MAPS}/p1`, { data: { other: 'y' } }, 'application/merge-patch+json')
  const stale = await ask('PUT', `${MAPS}/p1`, { ...map('p1', 'z'), metadata: { name: 'p1', resourceVersion: read.metadata.resourceVersion } })
  assert.deepEqual([stale.status, stale.body.reason], [409, 'Conflict'])
  await Promise.all(['a', 'b', 'c'].map((name) => ask('PATCH', `${MAPS}/p1`, { data: { [name]: '1' } }, 'application/merge-patch+json')))
  const { body: after } = await ask('GET', `${MAPS}/p1`)
  assert.deepEqual(Object.keys(after.data ?? {}).sort(), ['a', 'b', 'c', 'other', 'value'])
})

test('a refusal is a Status with a cause for each field', async () => {
  const { status, body } = await ask('POST', `${ROOT}/apis/security.istio.io/v1/namespaces/default/peerauthentications`, { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'a' }, spec: { mtls: { mode: 'STRIKT' }, portlevelMtls: {} } })
  assert.equal(status, 422)
  assert.equal(body.kind, 'Status')
  assert.deepEqual(body.details?.causes?.map((one) => one.field), ['spec.mtls.mode', 'spec.portlevelMtls'])
  assert.match(body.message ?? '', /did you mean "STRICT"/)
})

test('delete honours preconditions', async () => {
  const refused = await ask('DELETE', `${MAPS}/p2`, { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid: 'another' } })
  assert.equal(refused.status, 409)
  const { body } = await ask('GET', `${MAPS}/p2`)
  assert.equal((await ask('DELETE', `${MAPS}/p2`, { preconditions: { uid: body.metadata.uid } })).status, 200)
})

test('unknown paths, methods and selectors are refused in Kubernetes’ words', async () => {
  assert.equal((await ask('GET', `${ROOT}/apis/apps/v1/deployments`)).status, 404)
  assert.equal((await ask('PUT', MAPS, {})).status, 405)
  assert.equal((await ask('GET', `${MAPS}?fieldSelector=spec.x%3D1`)).status, 400)
  assert.equal((await ask('POST', MAPS, { ...map('a', 'b'), metadata: { name: 'a', namespace: 'other' } })).status, 400)
  assert.equal((await ask('POST', `${ROOT}/api/v1/namespaces/nowhere/configmaps`, map('a', 'b'))).status, 404)
})

test('server-side apply makes what is not there, and refuses without a manager', async () => {
  const made = await ask('PATCH', `${MAPS}/applied?fieldManager=me`, map('applied', 'x'), 'application/apply-patch+yaml')
  assert.equal(made.status, 201)
  assert.equal((await ask('PATCH', `${MAPS}/applied`, map('applied', 'x'), 'application/apply-patch+yaml')).status, 422)
  const again = await ask('PATCH', `${MAPS}/applied?fieldManager=me`, map('applied', 'x'), 'application/apply-patch+yaml')
  assert.equal(again.body.metadata.resourceVersion, made.body.metadata.resourceVersion)
})

test('a merge patch made of two objects turns the one into the other', () => {
  const value = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.array(fc.integer()), fc.dictionary(fc.string(), fc.integer())))
  const difference = (from: Record<string, unknown>, to: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries([...Object.keys(from).filter((name) => !Object.hasOwn(to, name)).map((name) => [name, null]), ...Object.entries(to).map(([name, one]) => [name, isPlain(one) && isPlain(from[name]) ? difference(from[name], one) : one])])
  const isPlain = (one: unknown): one is Record<string, unknown> => one !== null && typeof one === 'object' && !Array.isArray(one)
  fc.assert(
    fc.property(value, value, (from, to) => {
      assert.deepEqual(JSON.parse(JSON.stringify(applyMergePatch(from, difference(from, to)))), JSON.parse(JSON.stringify(to)))
    }),
  )
})

test('no patch and no bytes make the readers throw anything but faults', () => {
  const calm = (run: () => unknown): void => {
    try {
      run()
    } catch (error) {
      assert.ok(error instanceof Faults, String(error))
    }
  }
  const operation = fc.record({ op: fc.constantFrom('add', 'remove', 'replace', 'test', 'copy', 'move', 'x'), path: fc.oneof(fc.constantFrom('', '/a', '/a/0', '/a/-', '/__proto__/x'), fc.string()), from: fc.constantFrom('/a', '/b', ''), value: fc.jsonValue() })
  fc.assert(fc.property(fc.jsonValue(), fc.array(operation, { maxLength: 5 }), (document, patch) => calm(() => applyJsonPatch(document, patch))))
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (target, patch) => calm(() => applyStrategicMerge(target, patch))))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => calm(() => readProtobuf(Buffer.concat([Buffer.from('k8s\0'), bytes])))))
  assert.equal(({} as Record<string, unknown>)['x'], undefined)
})

test('no selector, token, version or other parameter is answered with an error of the server', async () => {
  const name = fc.constantFrom('labelSelector', 'fieldSelector', 'continue', 'resourceVersion', 'resourceVersionMatch', 'limit', 'timeoutSeconds', 'sendInitialEvents', 'includeObject', 'dryRun', 'fieldManager', 'fieldValidation', 'propagationPolicy', '__proto__')
  const token = fc.oneof(fc.jsonValue(), fc.tuple(fc.integer(), fc.base64String()), fc.tuple(fc.constant(0), fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.integer()), { minLength: 4, maxLength: 4 }).map((place) => Buffer.from(JSON.stringify(place)).toString('base64url')))).map((value) => Buffer.from(JSON.stringify(value)).toString('base64url'))
  const value = fc.oneof(fc.string({ unit: 'binary' }), token, fc.constantFrom('a in (b,c),!d', 'a>9', 'metadata.name=x', '99999999999999999999', '-1', 'toString', 'All', 'Exact', 'NotOlderThan', 'true'))
  const before = (await ask('GET', MAPS)).body.metadata.resourceVersion
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 4 }), fc.constantFrom('GET', 'POST', 'PATCH', 'DELETE'), async (pairs, method) => {
      const query = new URLSearchParams(pairs.map(([one, text]) => [one, text.toWellFormed()]))
      const path = method === 'GET' || method === 'POST' ? MAPS : `${MAPS}/is-not-there`
      const { status } = await ask(method, `${path}?${query}`, method === 'POST' || method === 'PATCH' ? { data: { a: 5 } } : undefined, method === 'PATCH' ? 'application/merge-patch+json' : undefined)
      assert.ok(status < 500 || status === 504, `${method} ${query}: ${status}`)
    }),
    { numRuns: 300 },
  )
  assert.deepEqual(api.unexpected, [])
  assert.equal((await ask('GET', MAPS)).body.metadata.resourceVersion, before)
})

test('a patch that doubles the document, and a body that nests without end, are refused', async () => {
  const doubling = Array.from({ length: 60 }, (_, at) => ({ op: 'copy', from: '/data', path: `/data/copy${at}` }))
  assert.throws(() => applyJsonPatch({ data: { value: 'x' } }, doubling), /copies and moves less/)
  const shifting = [{ op: 'add', path: '/list', value: Array.from({ length: 100_000 }, () => 0) }, ...Array.from({ length: 9000 }, () => ({ op: 'add', path: '/list/0', value: 0 }))]
  assert.throws(() => applyJsonPatch({}, shifting), /copies and moves less/)
  let deep: unknown = 'bottom'
  for (let at = 0; at < 5000; at++) deep = { a: deep }
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'deep' }, data: deep }
  for (const [method, path, type] of [['POST', MAPS, 'application/json'], ['PATCH', `${MAPS}/deep?fieldManager=a`, 'application/apply-patch+yaml'], ['PATCH', `${MAPS}/deep`, 'application/merge-patch+json']] as const) {
    const refused = await ask(method, path, body, type)
    assert.equal(refused.status, 400, type)
    assert.match(refused.body.message ?? '', /nested at most 64 deep/)
  }
})

test('a certificate that begins twenty thousand times and never ends is refused at once', async () => {
  const began = performance.now()
  const pem = Buffer.from('-----BEGIN CERTIFICATE-----'.repeat(20_000)).toString('base64')
  const { status } = await ask('POST', `${ROOT}/api/v1/namespaces/default/secrets`, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'endless' }, type: 'kubernetes.io/tls', data: { 'tls.crt': pem, 'tls.key': 'AAAA' } })
  assert.equal(status, 422)
  assert.ok(performance.now() - began < 60_000)
})

test('nothing of all this was a defect of ours', () => {
  assert.deepEqual(api.unexpected, [])
})

const owned = (name: string, ...owners: readonly { readonly name: string; readonly uid: string; readonly blockOwnerDeletion?: boolean }[]) => ({
  apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ownerReferences: owners.map((one) => ({ apiVersion: 'v1', kind: 'ConfigMap', ...one })) }, data: {},
})
const stored = async (name: string): Promise<boolean> => (await ask('GET', `${MAPS}/${name}`)).status === 200
const newOwner = async (name: string): Promise<{ name: string; uid: string }> => ({ name, uid: (await ask('POST', MAPS, map(name, 'o'))).body.metadata.uid })

test('what comes after its owner was deleted goes, what has another owner loses the reference, and an owner that was never here holds', async () => {
  const gone = await newOwner('late-gone')
  const kept = await newOwner('late-kept')
  await ask('DELETE', `${MAPS}/late-gone`)
  assert.equal((await ask('POST', MAPS, owned('late-alone', gone))).status, 201)
  assert.equal(await stored('late-alone'), false)
  await ask('POST', MAPS, owned('late-shared', gone, kept))
  const { body: shared } = await ask('GET', `${MAPS}/late-shared`)
  assert.deepEqual((shared.metadata as { ownerReferences?: { uid: string }[] }).ownerReferences?.map(({ uid }) => uid), [kept.uid])
  await ask('POST', MAPS, owned('late-moved', { name: 'late-elsewhere', uid: '6f1c8a52-6f1a-4a55-9f4c-0c36a0d2b7a1' }))
  assert.equal(await stored('late-moved'), true)
  await ask('POST', MAPS, owned('late-adopted'))
  await ask('PATCH', `${MAPS}/late-adopted`, { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', ...gone }] } }, 'application/merge-patch+json')
  assert.equal(await stored('late-adopted'), false)
})

test('what comes while its owner waits for its dependents goes with it', async () => {
  const owner = await newOwner('waiting')
  const first = { ...owned('waited-for', { ...owner, blockOwnerDeletion: true }) }
  await ask('POST', MAPS, { ...first, metadata: { ...first.metadata, finalizers: ['example.com/hold'] } })
  await ask('DELETE', `${MAPS}/waiting?propagationPolicy=Foreground`)
  assert.equal(await stored('waiting'), true)
  await ask('POST', MAPS, owned('waited-late', { ...owner, blockOwnerDeletion: true }))
  assert.equal(await stored('waited-late'), false)
  await ask('PATCH', `${MAPS}/waited-for`, { metadata: { finalizers: null } }, 'application/merge-patch+json')
  assert.equal(await stored('waited-for'), false)
  assert.equal(await stored('waiting'), false)
})

test('of dependents that are created while their owner is deleted, none is left', async () => {
  for (let round = 0; round < 5; round += 1) {
    const owner = await newOwner(`raced-${round}`)
    const names = Array.from({ length: 4 }, (_, at) => `raced-${round}-${at}`)
    await Promise.all([...names.slice(0, 2).map((name) => ask('POST', MAPS, owned(name, owner))), ask('DELETE', `${MAPS}/raced-${round}`), ...names.slice(2).map((name) => ask('POST', MAPS, owned(name, owner)))])
    for (const name of names) assert.equal(await stored(name), false, name)
  }
})
