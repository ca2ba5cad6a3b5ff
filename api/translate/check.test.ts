import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MeshSettings, ResourceKey } from '#db/store.ts'
import { admissionFindings } from './check.ts'
import { deleteChange, meshOf, objectsIn, storedFrom } from './testing/mesh-case.ts'

const mesh = (yaml: string, settings?: MeshSettings) => {
  const objects = objectsIn(yaml)
  const { model } = meshOf(objects, [], settings)
  const key = (kind: string, namespace: string, name: string): ResourceKey => ({ group: objects.find((one) => one.kind === kind)?.apiVersion.split('/').at(-2) ?? '', kind, namespace, name })
  return { model, key, objects }
}

const base = `
apiVersion: v1
kind: Service
metadata: { name: a, namespace: prod }
spec: { ports: [ { name: http, port: 80 } ] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: a, namespace: prod }
spec: { host: a, subsets: [ { name: v1, labels: { version: v1 } } ] }
---
`

test('a route to a host that nothing defines, to a subset that no rule defines, and a gateway that is not there are named with their place', () => {
  const { model, key } = mesh(`${base}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: r, namespace: prod }
spec:
  hosts: [ a ]
  gateways: [ mesh, edge/gone ]
  http: [ { route: [ { destination: { host: a, subset: v1 } }, { destination: { host: a, subset: v2 } } ], mirror: { host: nowhere } } ]
`)
  const found = admissionFindings(model, [key('VirtualService', 'prod', 'r')])
  assert.deepEqual(
    found.map((one) => [one.code, one.path, one.value, one.severity, one.resource]),
    [
      ['reference.subset', 'spec.http[0].route[1].destination.subset', 'v2', 'warning', 'VirtualService/prod/r'],
      ['reference.host', 'spec.http[0].mirror.host', 'nowhere', 'warning', 'VirtualService/prod/r'],
      ['reference.gateway', 'spec.gateways[1]', 'edge/gone', 'warning', 'VirtualService/prod/r'],
    ],
  )
  assert.match(found[0]?.hint ?? '', /DestinationRule\/prod\/a has v1/)
})

test('two VirtualServices for one host name each other, and in a strict mesh are refused', () => {
  const { model, key } = mesh(
    `${base}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: first, namespace: prod }
spec: { hosts: [ a ], http: [ { route: [ { destination: { host: a } } ] } ] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: second, namespace: prod }
spec: { hosts: [ a.prod.svc.cluster.local ], http: [ { route: [ { destination: { host: a } } ] } ] }
`,
    { strict: true },
  )
  const [second] = admissionFindings(model, [key('VirtualService', 'prod', 'second')])
  assert.deepEqual([second?.code, second?.severity, second?.path], ['virtual-service.host-taken', 'error', 'spec.hosts[0]'])
  assert.match(second?.hint ?? '', /VirtualService\/prod\/first claims it too, and counts/)
  assert.match(admissionFindings(model, [key('VirtualService', 'prod', 'first')])[0]?.hint ?? '', /VirtualService\/prod\/second claims it too, and is passed over/)
})

test('what is deleted is judged by those who name it', () => {
  const { model, key, objects } = mesh(`${base}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: r, namespace: prod }
spec: { hosts: [ a ], http: [ { route: [ { destination: { host: a } } ] } ] }
`)
  const service = objects[0]
  assert.ok(service)
  assert.deepEqual(admissionFindings(model, [key('Service', 'prod', 'a')]), [])
  model.apply([deleteChange(storedFrom(service, 9), 9)], 9)
  assert.deepEqual(admissionFindings(model, [key('Service', 'prod', 'a')]).map((one) => [one.code, one.resource]), [['reference.host', 'VirtualService/prod/r']])
})

test('a Gateway whose Secret is missing, and an object that cannot be translated, are found', () => {
  const { model, key } = mesh(`${base}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: g, namespace: edge }
spec: { selector: { istio: ingress }, servers: [ { port: { number: 443, name: https, protocol: HTTPS }, hosts: [ a.example.com ], tls: { mode: SIMPLE, credentialName: cert } } ] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: r, namespace: prod }
spec: { hosts: [ a ], http: [ { timeout: never, route: [ { destination: { host: a } } ] } ] }
`)
  assert.deepEqual(admissionFindings(model, [key('Gateway', 'edge', 'g')]).map((one) => [one.code, one.path]), [['reference.secret', 'spec.servers[0].tls.credentialName']])
  assert.deepEqual(admissionFindings(model, [key('Secret', 'edge', 'cert')]).map((one) => one.resource), ['Gateway/edge/g'])
  assert.deepEqual(admissionFindings(model, [key('VirtualService', 'prod', 'r')]).map((one) => [one.code, one.severity]), [['xds.invalid', 'error']])
})

test('what a route of the Gateway API asks for and nobody does is told of, with its place', () => {
  const { model, key } = mesh(`${base}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r, namespace: prod }
spec:
  parentRefs: [ { name: a, kind: Service, group: "" } ]
  rules:
  - { sessionPersistence: { idleTimeout: 10m }, backendRefs: [ { name: a, port: 80 } ] }
  - { filters: [ { type: ExternalAuth, externalAuth: { protocol: GRPC, backendRef: { name: a, port: 80 } } } ], backendRefs: [ { name: a, port: 80 } ] }
  - { backendRefs: [ { name: a, port: 80, filters: [ { type: ExtensionRef, extensionRef: { group: x.example, kind: Y, name: z } } ] } ] }
`)
  const found = admissionFindings(model, [key('HTTPRoute', 'prod', 'r')])
  assert.deepEqual(
    found.map((one) => [one.code, one.path, one.severity]),
    [
      ['object.field-inert', 'spec.rules[0].sessionPersistence.idleTimeout', 'warning'],
      ['object.field-inert', 'spec.rules[1].filters[0]', 'warning'],
      ['object.field-inert', 'spec.rules[2].backendRefs[0].filters[0]', 'warning'],
    ],
  )
})
