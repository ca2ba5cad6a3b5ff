import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openApi } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { mainBackends } from '#test/parts/backends.ts'
import { startPlane } from '#test/parts/control-plane.ts'
import { kubeApi } from '../kube/app.ts'
import { restApi } from './app.ts'

// What is written down of each attempt, what a write may presume, and how lists are read.

const ORGANIZATION = '/api/v1/organizations/demo'
const MESH = `${ORGANIZATION}/meshes/shop`
const PASSWORD = 'correct horse battery'

interface Entry {
  readonly actor: string
  readonly source: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly mesh: string | null
  readonly what: { readonly changes?: readonly { readonly of: string; readonly verdict?: string; readonly differences: readonly { readonly path: string; readonly before?: unknown; readonly after?: unknown }[] }[]; readonly faults?: readonly { readonly code: string }[] }
}

for (const backend of mainBackends())
  describe(backend.name, () => {
    let api: ApiUnderTest
    let app: ReturnType<typeof restApi>
    let owner = ''
    let viewer = ''

    before(async () => {
      api = await openApi({}, await backend.url())
      app = restApi(api.doors)
      app.route('/', kubeApi(api.doors))
      owner = await api.key('owner')
      viewer = await api.key('viewer')
    })
    after(async () => {
      await api?.close()
      await backend.end()
    })

    async function ask(method: string, path: string, key: string | undefined, body?: unknown, headers: Record<string, string> = {}) {
      const response = await app.request(path, { method, headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      const text = await response.text()
      return { status: response.status, text, headers: response.headers, json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {} }
    }
    const log = async (query = '', limit = 1): Promise<Entry[]> => (await ask('GET', `${ORGANIZATION}/audit?limit=${limit}${query}`, owner)).json['items'] as Entry[]
    const apply = (...objects: object[]) => ask('POST', `${MESH}/apply`, owner, { objects })
    const config = (value: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'logged', namespace: 'default' }, data: { value, same: 'same' } })

    test('a write is filed with what it changed, leaf by leaf', async () => {
      await apply(config('1'))
      await apply(config('2'))
      const [second, first] = await log('', 2)
      assert.deepEqual(first?.what.changes?.[0]?.of, 'ConfigMap/default/logged')
      assert.deepEqual([first?.what.changes?.[0]?.verdict, first?.what.changes?.[0]?.differences[0]?.path], ['created', ''])
      assert.deepEqual(second?.what.changes, [{ of: 'ConfigMap/default/logged', verdict: 'configured', differences: [{ path: 'data.value', before: '1', after: '2' }] }])
      assert.deepEqual([second?.actor, second?.mesh, second?.status], ['owner-key', 'shop', 200])
    })

    test('a write by Kubernetes’ verbs is filed alike', async () => {
      const place = '/k8s/demo/shop/api/v1/namespaces/default/configmaps/logged'
      const patched = await app.request(place, { method: 'PATCH', headers: { authorization: `Bearer ${owner}`, 'content-type': 'application/merge-patch+json' }, body: JSON.stringify({ data: { value: '3' } }) })
      assert.equal(patched.status, 200)
      assert.deepEqual((await log())[0]?.what.changes?.[0]?.differences, [{ path: 'data.value', before: '2', after: '3' }])
      assert.equal((await ask('DELETE', place, owner)).status, 200)
      const [gone] = await log()
      assert.deepEqual([gone?.method, gone?.what.changes?.[0]?.verdict], ['DELETE', 'deleted'])
    })

    test('a secret is in no entry, whichever way it came', async () => {
      const secret = (value: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' }, stringData: { password: value } })
      await apply(secret('CANARY-one'))
      await apply(secret('CANARY-two'))
      const key = await ask('POST', `${ORGANIZATION}/keys`, owner, { name: 'made', role: 'viewer' })
      const member = await ask('POST', `${ORGANIZATION}/members`, owner, { name: 'invited', role: 'viewer' })
      await ask('POST', `${ORGANIZATION}/members`, owner, { name: 'linus', role: 'viewer', password: 'CANARY password' })
      await ask('POST', `${ORGANIZATION}/login`, undefined, { name: 'linus', password: 'CANARY password' })
      await ask('POST', `${MESH}/join-tokens`, owner, { namespace: 'default', serviceAccount: 'a' })
      const text = JSON.stringify(await log('', 100))
      for (const hidden of ['CANARY', Buffer.from('CANARY-one').toString('base64'), 'weft_key_', 'weft_join_', 'weft_invite_', String(key.json['secret']), String(member.json['invitation'])]) assert.ok(!text.includes(hidden), hidden)
    })

    test('a character that no column can hold keeps nobody out of the log, and is an error of whoever sent it', async () => {
      const nul = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { value: 'a\0b', half: '\ud800' } })
      assert.equal((await apply(nul('unseen'))).status, 200)
      assert.deepEqual((await log())[0]?.what.changes?.map((one) => [one.of, one.verdict]), [['ConfigMap/default/unseen', 'created']])
      for (const [method, path, body] of [
        ['GET', '/api/v1/organizations/%00'],
        ['GET', `${ORGANIZATION}/meshes/%00`],
        ['GET', `${MESH}/resources?namespace=%00`],
        ['GET', `${ORGANIZATION}/audit?actor=%00`],
        ['POST', `${ORGANIZATION}/keys`, { name: 'a\0', role: 'viewer' }],
        ['POST', `${ORGANIZATION}/members`, { name: 'a\0', role: 'viewer' }],
        ['POST', `${MESH}/join-tokens`, { namespace: '\0', serviceAccount: 'a' }],
        ['GET', '/k8s/demo/shop/api/v1/namespaces/default/configmaps/%00'],
        ['GET', '/k8s/demo/%00/api/v1/namespaces'],
      ] as const)
        assert.equal((await ask(method, path, owner, body)).status, 400, `${method} ${path}`)
      assert.equal((await ask('POST', `${ORGANIZATION}/login`, undefined, { name: '\0', password: 'x' })).status, 400)
      assert.equal((await log('', 1))[0]?.path, `${ORGANIZATION}/login`)
      assert.deepEqual(api.unexpected, [])
    })

    test('settings, quotas, members and keys are filed with before and after', async () => {
      await ask('PATCH', MESH, owner, { strict: true })
      assert.deepEqual((await log())[0]?.what.changes, [{ of: 'Mesh/shop', differences: [{ path: 'settings.strict', after: true }] }])
      await ask('PATCH', `${ORGANIZATION}/quota`, api.bootstrapKey, { meshes: 7 })
      const [quota] = await log()
      assert.deepEqual([quota?.actor, quota?.what.changes], ['bootstrap key', [{ of: 'Quota', differences: [{ path: 'meshes', after: 7 }] }]])
      const ada = await ask('POST', `${ORGANIZATION}/members`, owner, { name: 'ada', role: 'viewer', password: PASSWORD })
      await ask('PATCH', `${ORGANIZATION}/members/${String(ada.json['id'])}`, owner, { role: 'editor' })
      assert.deepEqual((await log())[0]?.what.changes, [{ of: 'Member/ada', differences: [{ path: 'role', before: 'viewer', after: 'editor' }] }])
    })

    test('what was refused is filed: writes, reads that are forbidden, wrong passwords; and is found by who, what and when', async () => {
      await ask('POST', `${ORGANIZATION}/keys`, viewer, { name: 'mine', role: 'owner' })
      await ask('GET', `${ORGANIZATION}/keys`, viewer)
      await ask('PUT', '/k8s/demo/shop/api/v1/namespaces/default/configmaps/logged', viewer, config('9'))
      const refused = await log('&actor=viewer-key&refused=true', 3)
      assert.deepEqual(refused.map(({ method, status, mesh }) => [method, status, mesh]), [['PUT', 403, 'shop'], ['GET', 403, null], ['POST', 403, null]])
      assert.equal(refused[2]?.what.faults?.[0]?.code, 'access.forbidden')
      await ask('POST', `${ORGANIZATION}/login`, undefined, { name: 'ada', password: 'wrong' })
      await ask('POST', `${ORGANIZATION}/login`, undefined, { name: 'nobody', password: 'wrong' })
      assert.deepEqual((await log('&refused=true', 2)).map(({ actor, status }) => [actor, status]), [['nobody', 401], ['ada', 401]])
      assert.equal((await ask('POST', `${ORGANIZATION}/login`, undefined, { name: 'ada', password: PASSWORD })).status, 201)
      assert.deepEqual((await log('&actor=ada&refused=false', 5)).map(({ status }) => status), [201])
      assert.ok((await log('&mesh=shop', 100)).every(({ mesh }) => mesh === 'shop'))
      assert.deepEqual(await log('&mesh=no-such'), [])
      assert.deepEqual(await log('&until=1971-01-01T00:00:00Z'), [])
      // Page by page it is the same log, without loss or repetition; and looking at it is no attempt.
      const whole = await log('', 100)
      const paged: Entry[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const { json } = await ask('GET', `${ORGANIZATION}/audit?limit=3${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`, owner)
        paged.push(...(json['items'] as Entry[]))
        cursor = json['next'] as string | null
      }
      assert.deepEqual(paged, whole)
    })

    test('a write that presumes another state is refused with 412 and changes nothing', async () => {
      const put = async (path: string, key: string, body: object, method = 'PATCH') => {
        const { headers } = await ask('GET', path, key)
        const tag = headers.get('etag') ?? ''
        assert.equal((await ask(method, path, key, body, { 'if-match': '"made-up"' })).status, 412, path)
        assert.equal((await ask(method, path, key, body, { 'if-match': `W/${tag}` })).status, 412, `${path}: a weak tag never matches`)
        assert.equal((await ask(method, path, key, body, { 'if-match': tag })).status, 200, path)
        assert.equal((await ask(method, path, key, { ...body, ...(path === MESH ? { strict: true } : {}) }, { 'if-match': tag })).status, 412, `${path}: it is another by now`)
        assert.equal((await ask(method, path, key, body, { 'if-match': '*' })).status, 200, path)
      }
      await put(MESH, owner, { strict: false })
      await put(`${ORGANIZATION}/quota`, api.bootstrapKey, { meshes: 9 })
      const made = await ask('POST', `${ORGANIZATION}/members`, owner, { name: 'grace', role: 'viewer', password: PASSWORD })
      await put(`${ORGANIZATION}/members/${String(made.json['id'])}`, owner, { role: 'editor' })
    })

    test('of changes to one thing at once none is lost, and of those that presume one state one passes', async () => {
      await Promise.all([ask('PATCH', MESH, owner, { strict: true }), ask('PATCH', MESH, owner, { outboundTrafficPolicy: 'REGISTRY_ONLY' }), ask('PATCH', MESH, owner, { otlp: 'https://traces.example' })])
      assert.deepEqual((await ask('GET', MESH, owner)).json['settings'], { strict: true, outboundTrafficPolicy: 'REGISTRY_ONLY', otlp: 'https://traces.example' })
      const tag = (await ask('GET', MESH, owner)).headers.get('etag') ?? ''
      const statuses = await Promise.all([1, 2, 3, 4].map((at) => ask('PATCH', MESH, owner, { otlp: `https://traces-${at}.example` }, { 'if-match': tag }).then((one) => one.status)))
      assert.deepEqual(statuses.toSorted(), [200, 412, 412, 412])
    })

    test('lists of people, keys and tokens come in pages, each item once', async () => {
      for (let at = 0; at < 5; at += 1) {
        await ask('POST', `${ORGANIZATION}/keys`, owner, { name: `page-${at}`, role: 'viewer' })
        await ask('POST', `${MESH}/join-tokens`, owner, { namespace: 'default', serviceAccount: `page-${at}` })
        await ask('POST', `${ORGANIZATION}/members`, owner, { name: `page-${at}`, role: 'viewer' })
      }
      for (const path of [`${ORGANIZATION}/keys`, `${ORGANIZATION}/members`, `${MESH}/join-tokens`]) {
        const whole = (await ask('GET', path, owner)).json['items'] as { id: string }[]
        const ids: string[] = []
        for (let cursor: string | null = ''; cursor !== null; ) {
          const { json } = await ask('GET', `${path}?limit=2${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`, owner)
          const items = json['items'] as { id: string }[]
          assert.ok(items.length <= 2)
          ids.push(...items.map((one) => one.id))
          cursor = json['next'] as string | null
        }
        assert.deepEqual(ids, whole.map((one) => one.id), path)
        assert.equal((await ask('GET', `${path}?cursor=nonsense`, owner)).status, 400, path)
      }
    })

    test('who is disabled does not enter, and hears the words for a wrong password; a new role ends the session of the old one', async () => {
      const made = await ask('POST', `${ORGANIZATION}/members`, owner, { name: 'kay', role: 'owner', password: PASSWORD })
      const login = () => ask('POST', `${ORGANIZATION}/login`, undefined, { name: 'kay', password: PASSWORD })
      const session = String((await login()).json['secret'])
      assert.equal((await ask('GET', `${ORGANIZATION}/keys`, session)).status, 200)
      const member = `${ORGANIZATION}/members/${String(made.json['id'])}`
      assert.equal((await ask('PATCH', member, owner, { role: 'viewer' })).status, 200)
      assert.equal((await ask('GET', `${ORGANIZATION}/keys`, session)).status, 401)
      assert.equal((await ask('PATCH', member, owner, { disabled: true })).status, 200)
      const [disabled, wrong] = [await login(), await ask('POST', `${ORGANIZATION}/login`, undefined, { name: 'kay', password: 'wrong' })]
      assert.deepEqual([disabled.status, disabled.text], [401, wrong.text])
      assert.equal((await ask('PATCH', member, owner, { disabled: false })).status, 200)
      assert.equal((await login()).status, 201)
    })
  })

test('a tenant comes to be: organization, key, mesh with a root of its own', async (context) => {
  const plane = await startPlane()
  context.after(() => plane.close())
  const startedMs = performance.now()
  const organization = await plane.plane.ensureOrganization('fresh')
  const key = await plane.plane.createApiKey(organization, 'first', 'owner')
  const base = `http://127.0.0.1:${plane.plane.rest.port}/api/v1/organizations/fresh/meshes`
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  assert.equal((await fetch(base, { method: 'POST', headers, body: JSON.stringify({ name: 'first' }) })).status, 201)
  const root = await (await fetch(`${base}/first/root.pem`, { headers })).text()
  context.diagnostic(`a tenant with a mesh and its root after ${Math.round(performance.now() - startedMs)} ms`)
  assert.match(root, /^-----BEGIN CERTIFICATE-----/)
})
