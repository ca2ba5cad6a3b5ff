import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { kinds } from '#core/resource/registry.ts'
import { openApi, unboundedRates } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { kubeApi } from '../kube/app.ts'
import { restApi } from './app.ts'

let api: ApiUnderTest
let app: ReturnType<typeof restApi>
let key = ''
const APPLY = '/api/v1/organizations/demo/meshes/shop/apply'

before(async () => {
  api = await openApi({ rates: unboundedRates() })
  app = restApi(api.doors)
  app.route('/', kubeApi(api.doors))
  key = await api.key('owner')
})
after(() => api.close())

async function post(path: string, body: string, type = 'application/json'): Promise<number> {
  const { status } = await app.request(path, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': type }, body })
  return status
}
const stored = async (): Promise<{ revision: number; count: number }> => ({ revision: (await api.store.meshById(api.mesh.id))?.revision ?? -1, count: await api.store.countResources(api.organization.id, api.mesh.id) })

const odd = fc.oneof(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom('__proto__', 'constructor', '\u0000', '\ud800', 'ß', '1e999', 'x'.repeat(70_000)), fc.double(), fc.constant(null))
const oddKey = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString', 'spec', 'metadata', '', 'k'.repeat(300)))

test('whatever is applied is refused in words, and then stores nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...kinds), oddKey, odd, async (kind, name, value) => {
      const before = await stored()
      // As text, so that __proto__ is a member like any other.
      const members = Object.entries({ ...kind.example, metadata: { ...kind.example.metadata, name: 'no Such Name!' } }).map(([member, one]) => `${JSON.stringify(member)}:${JSON.stringify(one)}`)
      const status = await post(APPLY, `{"objects":[{${[...members, `${JSON.stringify(name)}:${JSON.stringify(value)}`].join(',')}}]}`)
      assert.ok(status >= 400 && status < 500, String(status))
      assert.deepEqual(await stored(), before)
      assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
    }),
    { numRuns: 150, seed: 1 },
  )
  assert.deepEqual(api.unexpected, [])
})

test('any bytes are answered, through REST and through Kubernetes’ verbs, in every language of bodies', async () => {
  const types = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'text/plain']
  const paths = [APPLY, '/k8s/demo/shop/api/v1/namespaces/default/configmaps', '/k8s/demo/shop/apis/networking.istio.io/v1/namespaces/default/virtualservices']
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), fc.constantFrom(...types), fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.constantFrom('[', '{'.repeat(2000), 'a: &a [*a]', 'a: &x [1]\nb: [*x,*x]', 'k8s\u0000\u000a\u00ff', '{"a":1,"a":2}', `{"a":${'['.repeat(5000)}`)), async (path, type, body) => {
      const status = await post(path, body, type)
      assert.ok(status >= 400 && status < 500, `${path} ${type} ${status}`)
    }),
    { numRuns: 200, seed: 1 },
  )
  assert.deepEqual(api.unexpected, [])
})
