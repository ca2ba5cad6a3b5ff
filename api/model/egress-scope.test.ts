import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EgressScope } from './egress-scope.ts'
import type { MeshService } from './mesh-service.ts'

const service = (name: string, namespace: string, ...ports: number[]): MeshService => ({
  host: `${name}.${namespace}.svc.cluster.local`,
  name,
  namespace,
  kind: 'Service',
  source: `Service/${namespace}/${name}`,
  createdAtMs: 0,
  ports: ports.map((port) => ({ name: 'http', port, targetPort: port, protocol: 'http' })),
  addresses: [],
  ranges: [],
  headless: false,
  translatesGatewayPorts: true,
  alias: undefined,
  exportTo: [],
  resolution: 'eds',
  external: false,
  selector: undefined,
  endpoints: [],
  subjectAltNames: [],
})

test('a dot is the namespace of the workload, an asterisk any, a tilde none', () => {
  const scope = new EgressScope({ egress: [{ hosts: ['./*', '*/users.api.svc.cluster.local', '~/*'] }] }, 'web')
  assert.ok(scope.service(service('front', 'web', 80)))
  assert.ok(scope.service(service('users', 'api', 80)))
  assert.equal(scope.service(service('cart', 'api', 80)), undefined)
})

test('a listener with a port imports that port alone', () => {
  const scope = new EgressScope({ egress: [{ port: { number: 8000, protocol: 'HTTP', name: 'http' }, hosts: ['api/*'] }] }, 'web')
  assert.deepEqual(scope.service(service('users', 'api', 8000, 9000))?.ports.map((one) => one.port), [8000])
  assert.equal(scope.service(service('cart', 'api', 9000)), undefined)
})

test('without egress all is imported, and the policy for unknown hosts is its own matter', () => {
  const scope = new EgressScope({ outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } }, 'web')
  assert.ok(scope.service(service('cart', 'api', 80)))
  assert.equal(scope.unknownHosts, 'REGISTRY_ONLY')
})

test('a VirtualService is imported by its own namespace and any of its hosts', () => {
  const scope = new EgressScope({ egress: [{ hosts: ['api/*.example.com'] }] }, 'web')
  assert.equal(scope.virtualService('api', { hosts: ['a.example.com'] }), true)
  assert.equal(scope.virtualService('api', { hosts: ['*'] }), true)
  assert.equal(scope.virtualService('data', { hosts: ['a.example.com'] }), false)
  assert.equal(scope.virtualService('api', { hosts: ['a.example.org'] }), false)
})
