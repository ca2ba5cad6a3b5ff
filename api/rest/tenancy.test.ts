import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { openApi } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { mainBackends } from '#test/parts/backends.ts'
import { kinds } from '#core/resource/registry.ts'
import { makeCredential } from '../access/credential.ts'
import { meshOfOperator } from '../access/operator.ts'
import { kubeApi } from '../kube/app.ts'
import { restApi, routes } from './app.ts'
import { openapiOf } from './openapi.ts'

// Every operation of the OpenAPI document and of Kubernetes' verbs, with the keys of others: on both databases.

for (const backend of mainBackends())
  describe(backend.name, () => {
  let api: ApiUnderTest
  let app: ReturnType<typeof restApi>
  let owner = ''
  const keys: Record<string, string | undefined> = {}
  const PASSWORD = 'correct horse battery'

  before(async () => {
    api = await openApi({}, await backend.url())
    app = restApi(api.doors)
    app.route('/', kubeApi(api.doors))
    owner = await api.key('owner')
    const foreign = await api.store.createOrganization('foreign')
    keys['foreign'] = await api.key('owner', { organization: foreign })
    keys['viewer'] = await api.key('viewer')
    keys['none'] = undefined
    const expired = makeCredential('key')
    await api.store.createApiKey(api.organization.id, { name: 'expired', hash: expired.hash, role: 'owner', meshId: null, expiresAtMs: 1 })
    keys['expired'] = expired.secret
    const join = makeCredential('join')
    await api.store.createJoinToken(api.organization.id, { meshId: api.mesh.id, hash: join.hash, namespace: '*', serviceAccount: '*', expiresAtMs: 4_102_444_800_000 })
    keys['workload'] = join.secret
    const scoped = makeCredential('key')
    await api.store.createApiKey(api.organization.id, { name: 'team', hash: scoped.hash, role: 'editor', meshId: null, namespaces: ['prod'], expiresAtMs: null })
    keys['team'] = scoped.secret
    const made = await ask('POST', `${MESH}/apply`, owner, { files: [{ name: 'a.yaml', text: namespaces + config('prod', 'mine') + config('secret-team', 'theirs') }] })
    assert.equal(made.status, 200, made.text)
    await ask('POST', '/api/v1/organizations/foreign/meshes', keys['foreign'], { name: 'abroad' })
    const victim = await ask('POST', '/api/v1/organizations/demo/members', owner, { name: 'victim', role: 'viewer', password: PASSWORD })
    const key = await ask('POST', '/api/v1/organizations/demo/keys', owner, { name: 'victim', role: 'viewer' })
    const token = await ask('POST', `${MESH}/join-tokens`, owner, { namespace: 'prod', serviceAccount: 'a' })
    Object.assign(ids, { member: String(victim.json['id']), key: String(key.json['id']), token: String(token.json['id']), revision: '1', proxy: 'client.prod' })
  })
  after(async () => {
    await api?.close()
    await backend.end()
  })

  const MESH = '/api/v1/organizations/demo/meshes/shop'
  const namespaces = ['prod', 'secret-team'].map((name) => `---\napiVersion: v1\nkind: Namespace\nmetadata: { name: ${name} }\n`).join('')
  const config = (namespace: string, name: string) => `---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name}, namespace: ${namespace} }\ndata: { a: b }\n`

  async function ask(method: string, path: string, key: string | undefined, body?: unknown): Promise<{ status: number; text: string; json: Record<string, unknown> }> {
    const response = await app.request(path, { method, headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    const text = response.headers.get('content-type')?.includes('event-stream') ? '' : await response.text()
    return { status: response.status, text, json: response.headers.get('content-type')?.includes('json') && !path.includes('watch=') && text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {} }
  }

  interface Operation {
    readonly method: string
    readonly path: string
    readonly open: boolean
  }
  const operations: Operation[] = Object.entries(openapiOf(routes)['paths'] as Record<string, Record<string, { security?: unknown[] }>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, about]) => ({ method: method.toUpperCase(), path, open: about.security?.length === 0 })),
  )
  /** Of the tenant under attack: what its paths name. */
  const ids: Record<string, string> = {}
  const filled = (path: string, organization: string, mesh: string, named: Readonly<Record<string, string>> = {}) => path.replace('{organization}', organization).replace('{mesh}', mesh).replaceAll(/\{(\w+)\}/g, (_, name: string) => named[name] ?? '0')
  const bodyOf = (method: string) => (['POST', 'PUT', 'PATCH'].includes(method) ? {} : undefined)

  /** Kubernetes' verbs on every kind, below `/k8s/ORGANIZATION/MESH`. */
  const kubeOperations: { readonly method: string; readonly path: string }[] = [
    ...['', '/version', '/api', '/api/v1', '/apis', '/openapi/v2', '/openapi/v3', '/healthz', '/nonsense'].map((path) => ({ method: 'GET', path })),
    ...kinds.flatMap((kind) =>
      kind.versions.flatMap((version) => {
        const root = kind.group === '' ? `/api/${version}` : `/apis/${kind.group}/${version}`
        const collection = kind.namespaced ? `${root}/namespaces/prod/${kind.plural}` : `${root}/${kind.plural}`
        const one = `${collection}/mine`
        return [
          ...(kind.namespaced ? [{ method: 'GET', path: `${root}/${kind.plural}` }] : []),
          { method: 'GET', path: collection },
          { method: 'GET', path: `${collection}?watch=1&timeoutSeconds=1` },
          { method: 'GET', path: one },
          { method: 'GET', path: `${one}/status` },
          { method: 'POST', path: collection },
          ...['PUT', 'PATCH', 'DELETE'].map((method) => ({ method, path: one })),
          { method: 'PUT', path: `${one}/status` },
          { method: 'DELETE', path: collection },
        ]
      }),
    ),
  ]
  const canaries = ['shop', 'secret-team', 'theirs']

  test('every operation refuses whoever has no valid key, in the same words', async () => {
    for (const who of ['none', 'expired', 'workload']) {
      for (const { method, path, open } of operations) {
        if (open) continue
        const real = await ask(method, filled(path, 'demo', 'shop', ids), keys[who], bodyOf(method))
        const made = await ask(method, filled(path, 'no-such', 'no-such'), keys[who], bodyOf(method))
        assert.deepEqual([real.status, real.text], [401, made.text], `${who} ${method} ${path}`)
      }
      for (const { method, path } of kubeOperations) {
        const real = await ask(method, `/k8s/demo/shop${path}`, keys[who], bodyOf(method))
        const made = await ask(method, `/k8s/no-such/no-such${path}`, keys[who], bodyOf(method))
        assert.deepEqual([real.status, real.text], [401, made.text], `${who} ${method} ${path}`)
      }
    }
  })

  test('what asks for no key answers for an organization that is there as for one that is not', async () => {
    const bodies: Record<string, object> = {
      login: { name: 'victim', password: 'wrong' },
      invitations: { invitation: makeCredential('invite').secret, password: PASSWORD },
      authorize: { redirectUri: 'http://127.0.0.1:9/', codeChallenge: 'a'.repeat(43), state: 's' },
      start: {},
      callback: {},
      session: { code: 'made-up', codeVerifier: 'a'.repeat(43) },
    }
    for (const { method, path, open } of operations) {
      if (!open || !path.includes('{organization}')) continue
      const body = bodies[path.split('/').at(-1) ?? '']
      assert.ok(body, `${path} is walked, too`)
      const sent = method === 'GET' ? undefined : body
      const real = await ask(method, filled(path, 'demo', 'shop'), undefined, sent)
      const made = await ask(method, filled(path, 'no-such', 'no-such'), undefined, sent)
      assert.deepEqual([real.status, real.text], [made.status, made.text], `${method} ${path}`)
      assert.ok([401, 404].includes(real.status), `${method} ${path}: ${real.status}`)
    }
  })

  test('another tenant cannot tell what is there from what is not', async () => {
    for (const { method, path, open } of operations) {
      if (open || !path.includes('{organization}')) continue
      const real = await ask(method, filled(path, 'demo', 'shop', ids), keys['foreign'], bodyOf(method))
      const made = await ask(method, filled(path, 'no-such', 'no-such'), keys['foreign'], bodyOf(method))
      assert.deepEqual([real.status, real.text], [404, made.text], `${method} ${path}`)
      for (const canary of canaries) assert.ok(!real.text.includes(canary), `${method} ${path}: ${real.text}`)
      // Within its own organization: the other's mesh, and the other's ids, as such that nobody has.
      if (path.includes('{mesh}')) {
        const [theirs, nobodys] = [await ask(method, filled(path, 'foreign', 'shop', ids), keys['foreign'], bodyOf(method)), await ask(method, filled(path, 'foreign', 'no-such'), keys['foreign'], bodyOf(method))]
        assert.deepEqual([theirs.status, theirs.text], [404, nobodys.text], `${method} ${path}`)
      }
      if (/\{(member|key|token)\}/.test(path)) {
        const nobodysIds = { member: randomUUID(), key: randomUUID(), token: randomUUID() }
        const [theirs, nobodys] = [await ask(method, filled(path, 'foreign', 'abroad', ids), keys['foreign'], bodyOf(method)), await ask(method, filled(path, 'foreign', 'abroad', nobodysIds), keys['foreign'], bodyOf(method))]
        assert.deepEqual([theirs.status, theirs.text], [404, nobodys.text], `${method} ${path}`)
      }
    }
    for (const { method, path } of kubeOperations) {
      const real = await ask(method, `/k8s/demo/shop${path}`, keys['foreign'], bodyOf(method))
      const made = await ask(method, `/k8s/no-such/no-such${path}`, keys['foreign'], bodyOf(method))
      assert.deepEqual([real.status, real.text], [404, made.text], `${method} ${path}`)
    }
    for (const [name, id] of Object.entries(ids)) if (['member', 'key', 'token'].includes(name)) assert.ok((await ask('GET', name === 'token' ? `${MESH}/join-tokens` : `/api/v1/organizations/demo/${name}s`, owner)).text.includes(id), `${name} is still there`)
    const list = await ask('GET', '/api/v1/organizations', keys['foreign'])
    assert.ok(!list.text.includes('demo'))
  })

  test('a viewer changes nothing', async () => {
    const before = (await ask('GET', MESH, owner)).json['revision']
    for (const { method, path, open } of operations) {
      if (open || method === 'GET' || path.endsWith('/explain') || path.endsWith('/impact')) continue
      const { status, text } = await ask(method, filled(path, 'demo', 'shop'), keys['viewer'], bodyOf(method))
      // Ending a session is for the session itself; this key is none.
      assert.equal(status, path.endsWith('/session') ? 400 : 403, `${method} ${path}: ${text}`)
    }
    for (const { method, path } of kubeOperations) {
      if (path.includes('watch=') && !path.includes('/configmaps')) continue
      const { status, text } = await ask(method, `/k8s/demo/shop${path}`, keys['viewer'], bodyOf(method))
      if (method === 'GET') assert.ok(status === 200 || status === 404, `${method} ${path}: ${status} ${text}`)
      else assert.equal(status, 403, `${method} ${path}: ${text}`)
    }
    assert.equal((await ask('GET', MESH, owner)).json['revision'], before)
  })

  test('a key of one namespace neither sees nor touches another', async () => {
    for (const { method, path, open } of operations) {
      if (open) continue
      const { text } = await ask(method, filled(path, 'demo', 'shop'), keys['team'], bodyOf(method))
      assert.ok(!text.includes('secret-team') && !text.includes('theirs'), `${method} ${path}: ${text}`)
    }
    for (const { method, path } of kubeOperations) {
      // A watch lasts a second: one is enough.
      if (method !== 'GET' || (path.includes('watch=') && !path.includes('/configmaps'))) continue
      const [own, other] = [await ask(method, `/k8s/demo/shop${path}`, keys['team']), await ask(method, `/k8s/demo/shop${path.replace('/namespaces/prod/', '/namespaces/secret-team/')}`, keys['team'])]
      assert.ok(!own.text.includes('theirs') && !other.text.includes('theirs'), path)
      if (path.includes('/namespaces/prod/')) assert.equal(other.status, 403, path)
    }
    assert.equal((await ask('GET', `${MESH}/resources?namespace=prod`, keys['team'])).status, 200)
    assert.equal((await ask('GET', `${MESH}/resources?namespace=secret-team`, keys['team'])).status, 403)
    assert.equal((await ask('GET', `${MESH}/resources?namespace=no-such`, keys['team'])).status, 403)
    assert.equal((await ask('POST', `${MESH}/apply`, keys['team'], { files: [{ name: 'b.yaml', text: config('prod', 'more') }] })).status, 200)
    const mixed = await ask('POST', `${MESH}/apply`, keys['team'], { files: [{ name: 'b.yaml', text: config('prod', 'even-more') + config('secret-team', 'more') }] })
    assert.equal(mixed.status, 403)
    const kube = '/k8s/demo/shop/api/v1'
    assert.equal((await ask('GET', `${kube}/namespaces/prod/configmaps/mine`, keys['team'])).status, 200)
    for (const path of [`${kube}/namespaces/secret-team/configmaps/theirs`, `${kube}/namespaces/no-such/configmaps/theirs`, `${kube}/configmaps`, `${kube}/namespaces`]) assert.equal((await ask('GET', path, keys['team'])).status, 403, path)
  })

  test('a key of one namespace prunes within it, rolls back what is in it, and is told of no other', async () => {
    const labelled = (namespace: string, name: string) => config(namespace, name).replace('namespace:', 'labels: { part: one }, namespace:')
    const { json } = await ask('POST', `${MESH}/apply`, owner, { files: [{ name: 'c.yaml', text: labelled('prod', 'gone') + labelled('secret-team', 'stays') }] })
    const pruned = await ask('POST', `${MESH}/apply`, keys['team'], { files: [{ name: 'c.yaml', text: labelled('prod', 'fresh') }], prune: { labels: { part: 'one' } } })
    assert.equal(pruned.status, 200, pruned.text)
    assert.ok(pruned.text.includes('gone') && !pruned.text.includes('stays'), pruned.text)
    assert.equal((await ask('GET', '/k8s/demo/shop/api/v1/namespaces/secret-team/configmaps/stays', owner)).status, 200)
    const all = await ask('POST', `${MESH}/rollback`, keys['team'], { revision: Number(json['revision']) - 1 })
    assert.equal(all.status, 403)
    assert.ok(!all.text.includes('secret-team'), all.text)
    await assert.rejects(meshOfOperator(api.store, keys['team'], 'shop'), /namespaces/)
  })

  test('another tenant’s cursor, ETag, Idempotency-Key or place in the log opens nothing', async () => {
    const ABROAD = '/api/v1/organizations/foreign/meshes/abroad'
    await ask('POST', `${MESH}/apply`, owner, { objects: ['limits-1', 'limits-2', 'limits-3'].map((name) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'prod' } })) })
    await ask('POST', `${ABROAD}/apply`, keys['foreign'], { objects: ['d-1', 'd-2'].map((name) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } })) })
    for (const [theirs, own] of [[`${MESH}/resources`, `${ABROAD}/resources`], [`${MESH}/history`, `${ABROAD}/history`], ['/api/v1/organizations/demo/keys', '/api/v1/organizations/foreign/keys'], ['/api/v1/organizations/demo/audit', '/api/v1/organizations/foreign/audit'], ['/api/v1/organizations/demo/members', '/api/v1/organizations/foreign/members']] as const) {
      const { json } = await ask('GET', `${theirs}?limit=1`, owner)
      const cursor = encodeURIComponent(String(json['next'] ?? 'W10'))
      assert.equal((await ask('GET', `${theirs}?limit=1&cursor=${cursor}`, keys['foreign'])).status, 404, theirs)
      const { text, status } = await ask('GET', `${own}?cursor=${cursor}`, keys['foreign'])
      assert.ok(status === 200 || status === 400, own)
      // The names of paths that it tried itself are in its own log.
      for (const canary of ['secret-team', 'theirs', 'limits-1', 'victim']) assert.ok(!text.includes(canary), `${own}: ${canary}`)
    }
    const list = await ask('GET', '/k8s/demo/shop/api/v1/namespaces/prod/configmaps?limit=1', owner)
    const more = encodeURIComponent(String((list.json['metadata'] as { continue?: string }).continue))
    const continued = await ask('GET', `/k8s/foreign/abroad/api/v1/configmaps?limit=5&continue=${more}`, keys['foreign'])
    for (const canary of canaries) assert.ok(!continued.text.includes(canary), continued.text)
    const withHeaders = async (method: string, path: string, headers: Record<string, string>, body?: object) => {
      const response = await app.request(path, { method, headers: { authorization: `Bearer ${keys['foreign']}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      return { status: response.status, replayed: response.headers.get('idempotency-replayed'), text: await response.text() }
    }
    const tag = (await app.request(MESH, { headers: { authorization: `Bearer ${owner}` } })).headers.get('etag') ?? ''
    for (const value of ['*', tag]) {
      assert.equal((await withHeaders('GET', MESH, { 'if-none-match': value })).status, 404)
      assert.equal((await withHeaders('PATCH', MESH, { 'if-match': value }, { strict: true })).status, 404)
    }
    const body = { objects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'replayed', namespace: 'default' } }] }
    const first = await app.request(`${MESH}/apply`, { method: 'POST', headers: { authorization: `Bearer ${owner}`, 'content-type': 'application/json', 'idempotency-key': 'known' }, body: JSON.stringify(body) })
    assert.equal(first.status, 200)
    assert.equal((await withHeaders('POST', `${MESH}/apply`, { 'idempotency-key': 'known' }, body)).status, 404)
    const own = await withHeaders('POST', `${ABROAD}/apply`, { 'idempotency-key': 'known' }, body)
    assert.deepEqual([own.status, own.replayed], [200, null])
    // A watch that resumes at the other mesh’s revision hears nothing of it.
    const revision = (await ask('GET', MESH, owner)).json['revision']
    const watch = await app.request(`/k8s/foreign/abroad/api/v1/configmaps?watch=1&timeoutSeconds=1&resourceVersion=${String(revision)}`, { headers: { authorization: `Bearer ${keys['foreign']}` } })
    const heard = await watch.text()
    for (const canary of canaries) assert.ok(!heard.includes(canary), heard)
  })

  test('a key of one mesh cannot tell another mesh of its organization from one that is not there', async () => {
    const abroad = await api.store.organizationByName('foreign')
    assert.ok(abroad)
    await ask('POST', '/api/v1/organizations/foreign/meshes', keys['foreign'], { name: 'second' })
    const bound = await ask('POST', '/api/v1/organizations/foreign/keys', keys['foreign'], { name: 'bound', role: 'owner', mesh: 'abroad' })
    for (const { method, path, open } of operations) {
      if (open || !path.includes('{mesh}')) continue
      const [there, nowhere] = [await ask(method, filled(path, 'foreign', 'second'), String(bound.json['secret']), bodyOf(method)), await ask(method, filled(path, 'foreign', 'no-such'), String(bound.json['secret']), bodyOf(method))]
      assert.deepEqual([there.status, there.text], [404, nowhere.text], `${method} ${path}`)
    }
  })

  test('a watch and live events end when their key is deleted', async () => {
    const { json } = await ask('POST', '/api/v1/organizations/demo/keys', owner, { name: 'passing', role: 'viewer' })
    const headers = { authorization: `Bearer ${String(json['secret'])}` }
    const [events, watch] = await Promise.all([`${MESH}/events`, '/k8s/demo/shop/api/v1/namespaces/prod/configmaps?watch=1'].map((path) => app.request(path, { headers })))
    const [eventReader, watchReader] = [events?.body?.getReader(), watch?.body?.getReader()]
    await Promise.all([eventReader?.read(), watchReader?.read()])
    assert.equal((await ask('DELETE', `/api/v1/organizations/demo/keys/${String(json['id'])}`, owner)).status, 204)
    await api.doors.streams?.judge()
    await ask('POST', `${MESH}/apply`, owner, { files: [{ name: 'd.yaml', text: config('prod', 'unheard') }] })
    for (const reader of [eventReader, watchReader]) {
      let text = ''
      for (;;) {
        const piece = await reader?.read()
        if (!piece || piece.done) break
        text += Buffer.from(piece.value).toString()
      }
      assert.ok(!text.includes('unheard'))
    }
  })

  test('a write and a refused attempt are filed with who, from where and what', async () => {
    await ask('POST', `${MESH}/apply`, owner, { files: [{ name: 'c.yaml', text: config('prod', 'filed') }] })
    await ask('POST', `${MESH}/apply`, keys['viewer'], { files: [{ name: 'c.yaml', text: config('prod', 'refused') }] })
    await ask('POST', '/api/v1/organizations/demo/keys', owner, { name: 'secret key', role: 'viewer' })
    const { json } = await ask('GET', '/api/v1/organizations/demo/audit?limit=3', owner)
    const items = json['items'] as { actor: string; path: string; status: number; mesh: string | null; what: Record<string, unknown> }[]
    assert.deepEqual(items.map(({ actor, path, status, mesh }) => [actor, path.split('/').at(-1), status, mesh]), [['owner-key', 'keys', 201, null], ['viewer-key', 'apply', 403, 'shop'], ['owner-key', 'apply', 200, 'shop']])
    const results = (items[2]?.what['results'] ?? []) as { name: string; verdict: string }[]
    assert.deepEqual(results.map((one) => `${one.name} ${one.verdict}`), ['configmap/filed created'])
    assert.ok(!JSON.stringify(json).includes('weft_key_'))
    assert.equal((await ask('GET', '/api/v1/organizations/demo/audit', keys['viewer'])).status, 403)
    assert.ok(typeof json['next'] === 'string')
  })

  test('a member enters by password, an invited one by invitation, once; a deleted one is out', async () => {
    const made = await ask('POST', '/api/v1/organizations/demo/members', owner, { name: 'ada', role: 'editor', password: PASSWORD })
    assert.equal(made.status, 201, made.text)
    const wrong = await ask('POST', '/api/v1/organizations/demo/login', undefined, { name: 'ada', password: 'wrong' })
    const unknown = await ask('POST', '/api/v1/organizations/no-such/login', undefined, { name: 'ada', password: 'wrong' })
    assert.deepEqual([wrong.status, wrong.text], [401, unknown.text])
    const session = await ask('POST', '/api/v1/organizations/demo/login', undefined, { name: 'ada', password: PASSWORD })
    assert.equal(session.status, 201, session.text)
    const key = String(session.json['secret'])
    assert.equal((await ask('GET', MESH, key)).status, 200)
    assert.equal((await ask('DELETE', '/api/v1/organizations/demo/session', key)).status, 204)
    assert.equal((await ask('GET', MESH, key)).status, 401)
    const invited = await ask('POST', '/api/v1/organizations/demo/members', owner, { name: 'grace', role: 'viewer' })
    const invitation = String(invited.json['invitation'])
    const taken = await ask('POST', '/api/v1/organizations/demo/invitations', undefined, { invitation, password: PASSWORD })
    assert.equal(taken.status, 201, taken.text)
    assert.equal((await ask('POST', '/api/v1/organizations/demo/invitations', undefined, { invitation, password: PASSWORD })).status, 401)
    assert.equal((await ask('DELETE', `/api/v1/organizations/demo/members/${String(invited.json['id'])}`, owner)).status, 204)
    assert.equal((await ask('GET', MESH, String(taken.json['secret']))).status, 401)
  })

  test('a quota bounds meshes, objects and their size', async () => {
    const set = await ask('PATCH', '/api/v1/organizations/demo/quota', api.bootstrapKey, { meshes: 1, resourcesPerMesh: 8, objectBytes: 1000 })
    assert.equal(set.status, 200, set.text)
    assert.equal((await ask('POST', '/api/v1/organizations/demo/meshes', owner, { name: 'second' })).status, 403)
    assert.equal((await ask('POST', `${MESH}/apply`, owner, { objects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'large', namespace: 'prod' }, data: { a: 'x'.repeat(1000) } }] })).status, 403)
    const many = await ask('POST', `${MESH}/apply`, owner, { objects: Array.from({ length: 9 }, (_, at) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `n${at}`, namespace: 'prod' } })) })
    assert.equal(many.status, 403, many.text)
    assert.match(many.text, /access\.quota/)
    assert.equal((await ask('PATCH', '/api/v1/organizations/demo/quota', owner, { meshes: 100 })).status, 403)
    await ask('PATCH', '/api/v1/organizations/demo/quota', api.bootstrapKey, { meshes: 100, resourcesPerMesh: 50_000, objectBytes: 1_000_000 })
  })

  test('a rollback brings objects back, as a new revision', async () => {
    const before = Number((await ask('GET', MESH, owner)).json['revision'])
    await ask('POST', `${MESH}/apply`, owner, { objects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'mine', namespace: 'prod' }, data: { a: 'changed' } }, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'new', namespace: 'prod' } }] })
    const differences = (await ask('GET', `${MESH}/revisions/${before}/differences`, owner)).json['items'] as { name: string; before: { data: unknown } | null; after: { data: unknown } | null }[]
    assert.deepEqual(differences.map((one) => [one.name, one.before?.data, one.after?.data]), [['mine', { a: 'b' }, { a: 'changed' }], ['new', undefined, undefined]])
    const back = await ask('POST', `${MESH}/rollback`, owner, { revision: before })
    assert.equal(back.status, 200, back.text)
    assert.deepEqual((back.json['results'] as { name: string; verdict: string }[]).map((one) => `${one.name} ${one.verdict}`), ['configmap/mine configured', 'configmap/new deleted'])
    assert.equal(back.json['revision'], before + 2)
    const again = await ask('POST', `${MESH}/rollback`, owner, { revision: before })
    assert.equal(again.json['revision'], before + 2)
    assert.equal((await ask('POST', `${MESH}/rollback`, keys['team'], { revision: 0 })).status, 403)
  })

  test('a join token is listed without its secret, and deleted', async () => {
    const made = await ask('POST', `${MESH}/join-tokens`, owner, { namespace: 'prod', serviceAccount: 'a' })
    const list = await ask('GET', `${MESH}/join-tokens`, owner)
    assert.ok(!list.text.includes(String(made.json['secret'])))
    const items = list.json['items'] as { id: string; serviceAccount: string }[]
    const id = items.find((one) => one.serviceAccount === 'a')?.id ?? ''
    assert.equal((await ask('DELETE', `${MESH}/join-tokens/${id}`, owner)).status, 204)
    assert.equal((await ask('DELETE', `${MESH}/join-tokens/${id}`, owner)).status, 404)
  })
})
