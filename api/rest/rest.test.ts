import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ApplyResponse } from '#core/contract/apply.ts'
import type { ExplainResponse } from '#core/contract/explain.ts'
import type { Impact } from '#core/contract/impact.ts'
import type { Problem } from '#core/contract/problem.ts'
import { warning, fault } from '#core/fault/fault.ts'
import { openApi } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { kubeApi } from '../kube/app.ts'
import { restApi } from './app.ts'

let api: ApiUnderTest
let owner = ''
let editor = ''
let viewer = ''
let foreign = ''
/** What the mesh has against a write, by turns. */
let admission: ReturnType<typeof warning>[] = []
let rest: ReturnType<typeof restApi>
const MESH = '/api/v1/organizations/demo/meshes/shop'

before(async () => {
  api = await openApi({ admit: async () => admission })
  rest = restApi(api.doors)
  rest.route('/', kubeApi(api.doors))
  owner = await api.key('owner')
  editor = await api.key('editor')
  viewer = await api.key('viewer')
  foreign = await api.key('owner', { organization: await api.store.createOrganization('foreign') })
})
after(() => api.close())

interface Answer<T> {
  readonly status: number
  readonly headers: Headers
  readonly body: T
  readonly text: string
}

async function ask<T = Problem>(method: string, path: string, key: string | undefined, body?: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
  const response = await rest.request(path, {
    method,
    headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = response.headers.get('content-type')?.includes('json')
  return { status: response.status, headers: response.headers, body: (json && text !== '' ? JSON.parse(text) : undefined) as T, text }
}

const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: prod\n'
const route = (weight: number, name = 'order') => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${name}
  namespace: prod
  labels: { team: orders }
spec:
  hosts: [${name}]
  http:
  - route:
    - destination: { host: ${name} }
      weight: ${weight}
`
const apply = (text: string, key: string, extra: object = {}, headers: Record<string, string> = {}) => ask<ApplyResponse & Problem>('POST', `${MESH}/apply`, key, { files: [{ name: 'mesh.yaml', text }], ...extra }, headers)
const revisionNow = async (): Promise<number> => (await ask<{ revision: number }>('GET', MESH, viewer)).body.revision

test('documents are applied as one revision, and again unchanged', async () => {
  const first = await apply(namespace + route(90), editor, { message: 'begin' })
  assert.equal(first.status, 200, first.text)
  assert.deepEqual(first.body.results.map((one) => [one.name, one.verdict]), [['namespace/prod', 'created'], ['virtualservice.networking.istio.io/order', 'created']])
  const again = await apply(namespace + route(90), editor)
  assert.deepEqual(again.body.results.map((one) => one.verdict), ['unchanged', 'unchanged'])
  assert.equal(again.body.revision, first.body.revision)
})

test('one bad object refuses all of them, with file, line and every finding', async () => {
  const before = await revisionNow()
  const refused = await apply(route(50) + route(150, 'other').replace('      weight', '      wait: 1\n      weight'), editor)
  assert.equal(refused.status, 422)
  assert.equal(refused.headers.get('content-type'), 'application/problem+json')
  const found = (refused.body.errors ?? []).map((one) => [one.path, one.value, one.rule, one.source?.file, one.source?.line])
  assert.deepEqual(found, [
    ['spec.http[0].route[0].wait', undefined, 'unknown field', 'mesh.yaml', 26],
    ['spec.http[0].route[0].weight', 150, '0..100', 'mesh.yaml', 27],
  ])
  assert.equal(await revisionNow(), before)
})

test('what the mesh refuses is not stored, what it warns of is, with the words', async () => {
  const before = await revisionNow()
  admission = [fault('reference.host', { path: 'spec.http[0].route[0].destination.host', value: 'order', rule: 'a host that something defines', resource: 'VirtualService/prod/order' })]
  const refused = await apply(route(10), editor)
  assert.equal(refused.status, 422)
  assert.deepEqual(refused.body.errors?.map((one) => [one.code, one.source?.line]), [['reference.host', 12]])
  assert.equal(await revisionNow(), before)
  admission = [warning('reference.host', { path: 'spec.http[0].route[0].destination.host', rule: 'a host that something defines' })]
  const passed = await apply(route(20), editor)
  assert.equal(passed.status, 200)
  assert.equal(passed.body.warnings.length, 1)
  const throughKube = await ask('PATCH', '/k8s/demo/shop/apis/networking.istio.io/v1/namespaces/prod/virtualservices/order', editor, '{"metadata":{"labels":{"x":"y"}}}', { 'content-type': 'application/merge-patch+json' })
  assert.equal(throughKube.status, 200)
  assert.match(throughKube.headers.get('warning') ?? '', /^299 - "spec\.http/)
  admission = []
})

test('a dry run tells what would be and keeps nothing', async () => {
  const before = await revisionNow()
  const dry = await apply(route(30), editor, { dryRun: true })
  assert.equal(dry.body.results[0]?.verdict, 'configured')
  assert.equal(await revisionNow(), before)
})

test('prune deletes what bears the labels and is not among the objects', async () => {
  await apply(route(10, 'stale'), editor)
  const pruned = await apply(route(90), editor, { prune: { labels: { team: 'orders' } } })
  assert.deepEqual(pruned.body.results.map((one) => [one.name, one.verdict]), [['virtualservice.networking.istio.io/order', 'configured'], ['virtualservice.networking.istio.io/stale', 'deleted']])
  assert.equal((await apply(route(90), editor, { prune: { labels: {} } })).status, 400)
})

test('an object without a name is refused, even with generateName', async () => {
  const answer = await apply('apiVersion: v1\nkind: ConfigMap\nmetadata: { generateName: run-, namespace: prod }\n', editor)
  assert.equal(answer.status, 422)
  assert.equal(answer.body.errors?.[0]?.path, 'metadata.name')
})

test('kinds of a cluster are passed over with a warning', async () => {
  const answer = await apply('apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: shop }\nspec: {}\n', editor)
  assert.equal(answer.status, 200)
  assert.deepEqual(answer.body.results.map((one) => one.verdict), ['skipped'])
  assert.equal(answer.body.warnings.length, 1)
})

test('an alias bomb, a body over its bound and what is no JSON are refused', async () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghi'[index]}`).join(',')}]`)].join('\n')
  const bombed = await apply(bomb, editor)
  assert.equal(bombed.status, 400)
  assert.equal(bombed.body.errors?.[0]?.source?.file, 'mesh.yaml')
  const padded = await apply(`${bomb}\n# ${'x'.repeat(5 * 1024 * 1024)}`, editor)
  assert.equal(padded.status, 400)
  assert.equal((await apply('x'.repeat(7 * 1024 * 1024), editor)).status, 413)
  assert.equal((await ask('POST', `${MESH}/apply`, editor, '{"files":')).status, 400)
  assert.equal((await ask('POST', `${MESH}/apply`, editor, 'files=1', { 'content-type': 'application/x-www-form-urlencoded' })).status, 400)
  const yaml = await ask('POST', '/k8s/demo/shop/api/v1/namespaces/prod/configmaps', editor, bomb, { 'content-type': 'application/yaml' })
  assert.equal(yaml.status, 400)
})

test('401 without a key, 404 for what a key may not see, 403 for what it may not do', async () => {
  for (const path of [MESH, `${MESH}/resources`, `${MESH}/proxies`, '/api/v1/organizations', '/k8s/demo/shop/api/v1/namespaces']) {
    const answer = await ask('GET', path, undefined)
    assert.equal(answer.status, 401, path)
  }
  const words = new Set<string>()
  for (const path of [MESH, '/api/v1/organizations/demo/meshes/nothing', '/api/v1/organizations/nobody/meshes/shop']) {
    const answer = await ask('GET', path, foreign)
    assert.equal(answer.status, 404)
    words.add(answer.body.detail)
  }
  assert.equal(words.size, 1)
  assert.equal((await apply(route(1), foreign)).status, 404)
  assert.equal((await apply(route(1), viewer)).status, 403)
  assert.equal((await ask('POST', `${MESH}/join-tokens`, editor, { namespace: 'prod', serviceAccount: 'a' })).status, 403)
})

test('a Secret is stored and never shown: not in lists, not in history, not in faults', async () => {
  const value = 'c2VjcmV0LXZhbHVl'
  const text = `apiVersion: v1\nkind: Secret\nmetadata: { name: s, namespace: prod }\ndata: { password: ${value} }\n`
  assert.equal((await apply(text, editor)).status, 200)
  for (const path of [`${MESH}/resources?kind=Secret`, `${MESH}/history`, '/k8s/demo/shop/api/v1/secrets', '/k8s/demo/shop/api/v1/namespaces/prod/secrets/s']) {
    const answer = await ask('GET', path, owner)
    assert.equal(answer.status, 200)
    assert.doesNotMatch(answer.text, new RegExp(value), path)
  }
  const stored = await api.store.getResource(api.organization.id, api.mesh.id, { group: '', kind: 'Secret', namespace: 'prod', name: 's' })
  assert.deepEqual(stored?.object['data'], { password: value })
})

test('a patch cannot test for a hidden value', async () => {
  const patch = JSON.stringify([{ op: 'test', path: '/data/password', value: 'c2VjcmV0LXZhbHVl' }])
  const answer = await ask('PATCH', '/k8s/demo/shop/api/v1/namespaces/prod/secrets/s', editor, patch, { 'content-type': 'application/json-patch+json' })
  assert.equal(answer.status, 422)
})

test('a dry run does not tell whether a guess at a hidden value is right', async () => {
  const secret = (password: string, labels = {}) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'prod', labels }, data: { password: Buffer.from(password).toString('base64') } })
  const dry = async (object: object) => {
    const answer = await apply(JSON.stringify(object), editor, { dryRun: true })
    assert.equal(answer.status, 200, answer.text)
    return answer.body
  }
  // The labels, too, may be as they are or others: neither is to make a difference.
  for (const labels of [{}, { note: 'b' }]) assert.deepEqual(await dry(secret('secret-value', labels)), await dry(secret('another-value', labels)))
  const path = '/k8s/demo/shop/api/v1/namespaces/prod/secrets/s'
  const patch = async (type: string, query: string, password: string) => {
    const answer = await ask<{ metadata: { managedFields?: unknown } }>('PATCH', `${path}?dryRun=All${query}`, editor, JSON.stringify(secret(password)), { 'content-type': type })
    return [answer.status, answer.body]
  }
  assert.deepEqual(await patch('application/merge-patch+json', '', 'secret-value'), await patch('application/merge-patch+json', '', 'another-value'))
  for (const force of ['', '&force=true']) assert.deepEqual(await patch('application/apply-patch+yaml', `&fieldManager=guess${force}`, 'secret-value'), await patch('application/apply-patch+yaml', `&fieldManager=guess${force}`, 'another-value'))
})

test('keys are made, listed without secret, used, and deleted', async () => {
  const made = await ask<{ id: string; secret: string }>('POST', '/api/v1/organizations/demo/keys', owner, { name: 'ci', role: 'viewer', mesh: 'shop' })
  assert.equal(made.status, 201)
  assert.match(made.body.secret, /^weft_key_/)
  assert.equal((await ask('GET', MESH, made.body.secret)).status, 200)
  const listed = await ask<{ items: object[] }>('GET', '/api/v1/organizations/demo/keys', owner)
  assert.doesNotMatch(listed.text, /weft_key_|hash/)
  assert.equal((await ask('DELETE', `/api/v1/organizations/demo/keys/${made.body.id}`, owner)).status, 204)
  assert.equal((await ask('GET', MESH, made.body.secret)).status, 401)
  assert.equal((await ask('GET', '/api/v1/organizations/demo/keys', editor)).status, 403)
})

test('the bootstrap key makes an organization and its first key, and nobody else does', async () => {
  assert.equal((await ask('POST', '/api/v1/organizations', owner, { name: 'new' })).status, 403)
  assert.equal((await ask('POST', '/api/v1/organizations', api.bootstrapKey, { name: 'new' })).status, 201)
  assert.equal((await ask('POST', '/api/v1/organizations', api.bootstrapKey, { name: 'new' })).status, 409)
  const key = await ask<{ secret: string }>('POST', '/api/v1/organizations/new/keys', api.bootstrapKey, { name: 'first', role: 'owner' })
  assert.equal((await ask('POST', '/api/v1/organizations/new/meshes', key.body.secret, { name: 'one' })).status, 201)
  assert.deepEqual((await ask<{ items: { name: string }[] }>('GET', '/api/v1/organizations', key.body.secret)).body.items.map((one) => one.name), ['new'])
  assert.equal((await ask('GET', MESH, api.bootstrapKey)).status, 401)
})

test('an Idempotency-Key answers a second time what it answered first', async () => {
  const headers = { 'idempotency-key': 'abc' }
  const first = await apply(route(41), editor, {}, headers)
  await apply(route(42), editor)
  const again = await apply(route(41), editor, {}, headers)
  assert.deepEqual(again.body, first.body)
  assert.equal(again.headers.get('idempotency-replayed'), 'true')
  assert.equal((await apply(route(43), editor, {}, headers)).status, 422)
})

test('lists come in pages, and an ETag spares the body', async () => {
  const one = await ask<{ items: object[]; next: string | null }>('GET', `${MESH}/resources?limit=1`, viewer)
  assert.equal(one.body.items.length, 1)
  assert.ok(one.body.next)
  const two = await ask<{ items: object[] }>('GET', `${MESH}/resources?limit=1&cursor=${encodeURIComponent(one.body.next)}`, viewer)
  assert.notDeepEqual(two.body.items, one.body.items)
  const same = await ask('GET', `${MESH}/resources?limit=1`, viewer, undefined, { 'if-none-match': one.headers.get('etag') ?? '' })
  assert.equal(same.status, 304)
  assert.equal((await ask('GET', `${MESH}/resources?limit=nothing`, viewer)).status, 400)
})

test('settings change one by one', async () => {
  await ask('PATCH', MESH, owner, { strict: true })
  const changed = await ask<{ settings: object }>('PATCH', MESH, owner, { outboundTrafficPolicy: 'REGISTRY_ONLY' })
  assert.deepEqual(changed.body.settings, { strict: true, outboundTrafficPolicy: 'REGISTRY_ONLY' })
})

test('a join token, the root, a kubeconfig and a wait are answered', async () => {
  const token = await ask<{ secret: string }>('POST', `${MESH}/join-tokens`, owner, { namespace: 'prod', serviceAccount: 'order' })
  assert.match(token.body.secret, /^weft_join_/)
  assert.match((await ask('GET', `${MESH}/root.pem`, viewer)).text, /BEGIN CERTIFICATE/)
  assert.match((await ask('GET', `${MESH}/kubeconfig`, viewer)).text, /server: http:\/\/weft:weft_key_.*@127\.0\.0\.1:8080\/k8s\/demo\/shop/)
  assert.equal((await ask<{ revision: number }>('GET', `${MESH}/revisions/3/wait?timeout=100ms`, viewer)).body.revision, 3)
  assert.equal((await ask('GET', `${MESH}/revisions/3/wait?timeout=soon`, viewer)).status, 400)
  assert.equal((await ask('GET', `${MESH}/proxies/none.prod/config`, viewer)).status, 404)
})

test('live events are followed until the reader goes', async () => {
  let unfollowed = false
  let tell: ((revision: number) => void) | undefined
  const app = restApi({
    ...api.doors,
    follow: (_meshId, listener) => {
      tell = (revision) => listener({ event: 'revision', data: { revision } })
      return () => (unfollowed = true)
    },
  })
  const response = await app.request(`${MESH}/events`, { headers: { authorization: `Bearer ${viewer}` } })
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  tell?.(7)
  let text = ''
  while (!text.includes('\n\nevent: revision\ndata: {"revision":7}\n\n')) text += (await reader?.read())?.value ?? ''
  await reader?.cancel()
  assert.equal(unfollowed, true)
})

test('a request is explained without being sent, and a workload that is not there is not found', async () => {
  await api.store.putWorkload(api.mesh.id, { name: 'client', namespace: 'prod', serviceAccount: 'client', labels: {}, address: '10.0.0.9', network: '', locality: '', cluster: '', ports: [], mutualTls: true, health: 'healthy' })
  const explained = await ask<ExplainResponse>('POST', `${MESH}/explain`, viewer, { from: 'client.prod', url: 'http://nobody.example/' })
  assert.equal(explained.status, 200, explained.text)
  assert.equal(explained.body.outcome, 'routed')
  assert.deepEqual(explained.body.to.map((one) => one.cluster), ['PassthroughCluster'])
  assert.ok(explained.body.steps.length > 0)
  assert.equal((await ask('POST', `${MESH}/explain`, viewer, { from: 'nobody.prod', url: 'http://a/' })).status, 404)
  assert.equal((await ask('POST', `${MESH}/explain`, viewer, { from: 'client.prod', url: 'no url' })).status, 400)
  const tunnel = await ask<Problem>('POST', `${MESH}/explain`, viewer, { from: 'client.prod', method: 'CONNECT', url: 'http://nobody.example/' })
  assert.equal(tunnel.status, 400)
  assert.match(tunnel.text, /a method other than CONNECT/)
  assert.equal((await ask('POST', `${MESH}/explain`, foreign, { from: 'client.prod', url: 'http://a/' })).status, 404)
})

test('tokens of a request that is explained are judged by what they say', async () => {
  const text = `apiVersion: v1
kind: Namespace
metadata: { name: tokens }
---
apiVersion: v1
kind: Service
metadata: { name: vault, namespace: tokens }
spec: { selector: { app: vault }, ports: [ { name: http, port: 80, targetPort: 8080 } ] }
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: vault, namespace: tokens }
spec: { jwtRules: [ { issuer: people.example, jwks: '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}' } ] }
`
  const applied = await apply(text, owner)
  assert.equal(applied.status, 200, applied.text)
  const workload = { namespace: 'tokens', network: '', locality: '', cluster: '', mutualTls: true, health: 'healthy' as const }
  await api.store.putWorkload(api.mesh.id, { ...workload, name: 'caller', serviceAccount: 'caller', labels: {}, address: '10.0.2.1', ports: [] })
  await api.store.putWorkload(api.mesh.id, { ...workload, name: 'vault-1', serviceAccount: 'vault', labels: { app: 'vault' }, address: '10.0.2.2', ports: [{ port: 8080, name: 'http', listen: { address: '10.0.2.2', port: 15006 }, app: { address: '10.0.2.2', port: 8080 } }] })
  const explained = async (claims: object): Promise<ExplainResponse> => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const token = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ iss: 'people.example', sub: 'a', ...claims })}.AA`
    return (await ask<ExplainResponse>('POST', `${MESH}/explain`, viewer, { from: 'caller.tokens', url: 'http://vault/', headers: { authorization: `Bearer ${token}` } })).body
  }
  const expired = await explained({ exp: 1_000_000_000 })
  assert.deepEqual([expired.outcome, expired.status], ['refused', 401], expired.why)
  const good = await explained({ exp: 32_503_680_000 })
  assert.equal(good.outcome, 'routed', good.why)
  assert.ok(good.steps.some((one) => /a token of people\.example, whose signature is believed/.test(one.words)))
})

test('OpenAPI names every path, and answers bear security headers', async () => {
  const { body, headers } = await ask<{ paths: Record<string, object> }>('GET', '/openapi.json', undefined)
  assert.ok(body.paths['/api/v1/organizations/{organization}/meshes/{mesh}/apply'])
  assert.equal(headers.get('x-content-type-options'), 'nosniff')
  assert.equal(headers.get('access-control-allow-origin'), null)
  assert.match((await ask('GET', '/docs', undefined)).text, /Weft API/)
  assert.equal((await ask('GET', '/healthz', undefined)).text, 'ok')
  assert.equal((await ask('GET', '/api/v1/nothing', owner)).status, 404)
})

test('nothing of all this was a defect of ours', () => {
  assert.deepEqual(api.unexpected, [])
})

test('the impact of a change is told before it is stored, by whoever may look, and a change that would be refused is refused', async () => {
  const before = await api.store.meshByName(api.organization.id, 'shop')
  const files = [{ name: 'a.yaml', text: `${namespace}${route(60, 'impact')}` }]
  const told = await ask<Impact>('POST', `${MESH}/impact`, viewer, { files, removals: [{ group: '', kind: 'ConfigMap', namespace: 'prod', name: 'nobody' }] })
  assert.equal(told.status, 200, told.text)
  assert.deepEqual(told.body.objects.map(({ name, verdict }) => [name, verdict]).filter(([name]) => name !== 'namespace/prod'), [['virtualservice.networking.istio.io/impact', 'created'], ['configmap/nobody', 'absent']])
  assert.deepEqual([told.body.proxies, told.body.groups, told.body.calls], [{ total: 0, affected: 0 }, [], []])
  assert.equal((await api.store.meshByName(api.organization.id, 'shop'))?.revision, before?.revision)
  const refused = await ask('POST', `${MESH}/impact`, viewer, { files: [{ name: 'a.yaml', text: route(60).replace('weight: 60', 'weight: 600') }] })
  assert.deepEqual([refused.status, refused.body.errors?.[0]?.value], [422, 600], refused.text)
  assert.equal((await ask('POST', `${MESH}/impact`, foreign, { files })).status, 404)
})
