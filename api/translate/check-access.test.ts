import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceKey } from '#db/store.ts'
import { admissionFindings } from './check.ts'
import { meshOf, objectsIn, storedFrom } from './testing/mesh-case.ts'

const judge = (yaml: string, kind: string) => {
  const objects = objectsIn(yaml)
  const { model } = meshOf(objects, [])
  const keys: ResourceKey[] = objects.filter((one) => one.kind === kind).map((one) => storedFrom(one, 1).key)
  return admissionFindings(model, keys).map((one) => [one.severity, one.code, one.path])
}

const asking = (provider: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask, namespace: prod }
spec: { action: CUSTOM, provider: { name: ${provider} }, rules: [ {} ] }
`

const authorizer = `
apiVersion: v1
kind: Service
metadata: { name: authz, namespace: auth }
spec: { selector: { app: authz }, ports: [ { name: grpc, port: 9000 } ] }
---
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: { name: default }
spec:
  extensionProviders:
  - { name: here, envoyExtAuthzGrpc: { service: auth/authz.auth.svc.cluster.local, port: 9000 } }
  - { name: wrong-port, envoyExtAuthzGrpc: { service: auth/authz.auth.svc.cluster.local, port: 9001 } }
  - { name: metrics, prometheus: {} }
---`

test('a policy that names an authorizer which nobody defines is refused, in any mesh', () => {
  const refused = [['error', 'authorization.provider', 'spec.provider.name']]
  assert.deepEqual(judge(asking('here'), 'AuthorizationPolicy'), refused)
  assert.deepEqual(judge(authorizer + asking('her'), 'AuthorizationPolicy'), refused)
  assert.deepEqual(judge(authorizer + asking('wrong-port'), 'AuthorizationPolicy'), refused)
  assert.deepEqual(judge(authorizer + asking('metrics'), 'AuthorizationPolicy'), refused)
  assert.deepEqual(judge(authorizer + asking('here'), 'AuthorizationPolicy'), [])
})

test('settings that take an authorizer away from a policy are refused', () => {
  assert.deepEqual(judge(authorizer + asking('gone'), 'MeshConfig'), [['error', 'authorization.provider', 'spec.provider.name']])
})

test('a rule that asks connections for what only requests have is named where it lands', () => {
  const policy = (port: string, spec: string) => `
apiVersion: v1
kind: Service
metadata: { name: store, namespace: prod }
spec: { selector: { app: store }, ports: [ { name: ${port}, port: 5432 } ] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: store, namespace: prod }
spec: ${spec}
`
  const spec = '{ selector: { matchLabels: { app: store } }, rules: [ { to: [ { operation: { ports: [ "5432" ], methods: [ GET ] } } ], when: [ { key: "request.headers[x]", values: [ a ] } ] } ] }'
  assert.deepEqual(judge(policy('tcp', spec), 'AuthorizationPolicy'), [
    ['warning', 'authorization.not-enforced', 'spec.rules[0].to[0].operation.methods'],
    ['warning', 'authorization.not-enforced', 'spec.rules[0].when[0]'],
  ])
  assert.deepEqual(judge(policy('http', spec), 'AuthorizationPolicy'), [])
  assert.deepEqual(judge(policy('tcp', spec.replace('app: store', 'app: other')), 'AuthorizationPolicy'), [])
})

test('an issuer without keys is named, for its tokens are refused', () => {
  const rules = (rule: string) => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users, namespace: prod }
spec: { jwtRules: [ { issuer: a, ${rule} } ] }
`
  assert.deepEqual(judge(rules('audiences: [ b ]'), 'RequestAuthentication'), [['warning', 'authentication.keys', 'spec.jwtRules[0].jwksUri']])
  assert.deepEqual(judge(rules(`jwks: '{"keys":[]}'`), 'RequestAuthentication'), [['warning', 'authentication.keys', 'spec.jwtRules[0].jwks']])
  assert.deepEqual(judge(rules('jwksUri: https://id.example.com/keys'), 'RequestAuthentication'), [])
})
