import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { groupOf } from '#api/model/bound-claims.ts'
import { wantedModules } from '#api/model/wanted-modules.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { kindOf, kinds } from '#core/resource/registry.ts'
import { unwrapped } from '#core/resource/schema-walk.ts'
import { typeUrls } from '#core/wire/type-url.ts'
import { effectiveProxyConfig } from '../proxy-config.ts'
import { fieldVariants } from './field-variants.ts'
import { meshOf, nodeFrom, objectsIn, workloadFrom } from './mesh-case.ts'
import type { MeshCase, ProxyWords } from './mesh-case.ts'

/** By `Kind` or `Kind.group`: the fields at which translation looks, as paths of `schemaFields`. */
export type FieldsRead = Map<string, Set<string>>

const WORLD = `
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: prod }
spec: { selector: { app: orders }, clusterIP: 10.0.0.1, ports: [{ name: http, port: 8080 }, { name: tcp, port: 9000 }, { name: tls, port: 9443 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: orders, namespace: prod }
spec:
  hosts: [orders.prod.svc.cluster.local]
  gateways: [mesh, edge]
  http: [{ match: [{ uri: { exact: / } }], route: [{ destination: { host: orders } }] }]
  tls: [{ match: [{ sniHosts: [orders.prod.svc.cluster.local], port: 9443 }], route: [{ destination: { host: orders } }] }]
  tcp: [{ match: [{ port: 9000 }], route: [{ destination: { host: orders } }] }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: orders, namespace: prod }
spec: { host: orders, subsets: [{ name: v1, labels: { version: v1 } }] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: prod }
spec:
  selector: { app: edge }
  servers: [{ port: { number: 8443, name: https, protocol: HTTPS }, hosts: ['*.prod.svc.cluster.local'], tls: { mode: SIMPLE, credentialName: edge } }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside, namespace: prod }
spec: { hosts: [outside.example.com], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: STATIC, endpoints: [{ address: 192.0.2.1 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: orders-vm, namespace: prod }
spec: { address: 10.1.0.1, labels: { app: orders, version: v1 } }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: prod }
spec: { egress: [{ hosts: ['*/*'] }] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: prod }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: default, namespace: prod }
spec: { jwtRules: [{ issuer: a, jwks: '{"keys":[]}' }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: default, namespace: prod }
spec: { rules: [{ from: [{ source: { namespaces: [prod] } }], to: [{ operation: { methods: [GET] } }], when: [{ key: 'request.headers[a]', values: [b] }] }] }
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: default, namespace: prod }
spec: { accessLogging: [{ disabled: false }] }
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: orders, namespace: prod }
spec: { selector: { matchLabels: { app: orders } } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: orders, namespace: prod }
spec: { metadata: { labels: { app: orders } }, template: { serviceAccount: default } }
---
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: { name: default }
spec: { outboundTrafficPolicy: { mode: ALLOW_ANY } }
`

/** Objects of the Gateway API, and an Ingress, with what the golden cases leave out. */
const EDGE_WORLD = `
apiVersion: v1
kind: Service
metadata: { name: a, namespace: prod }
spec: { selector: { app: a }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Secret
metadata: { name: cert, namespace: edge }
stringData: { tls.crt: '-----BEGIN CERTIFICATE-----', tls.key: '-----BEGIN CERTIFICATE-----', ca.crt: '-----BEGIN CERTIFICATE-----' }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: roots, namespace: edge }
data: { ca.crt: '-----BEGIN CERTIFICATE-----' }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  gatewayClassName: istio
  allowedListeners: { namespaces: { from: Selector, selector: { matchLabels: { a: b }, matchExpressions: [{ key: a, operator: NotIn, values: [c] }] } } }
  tls:
    backend: { clientCertificateRef: { group: "", kind: Secret, name: cert, namespace: edge } }
    frontend: { default: { validation: { mode: AllowValidOnly, caCertificateRefs: [{ group: "", kind: ConfigMap, name: roots, namespace: edge }] } } }
  listeners: [{ name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All } } }]
---
apiVersion: v1
kind: Namespace
metadata: { name: edge, labels: { a: b } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: { name: more, namespace: edge }
spec:
  parentRef: { group: gateway.networking.k8s.io, kind: Gateway, name: edge, namespace: edge }
  listeners:
  - { name: a, port: 443, protocol: HTTPS, hostname: a.example.com, tls: { mode: Terminate, certificateRefs: [{ group: "", kind: Secret, name: cert, namespace: edge }], options: { gateway.istio.io/tls-cipher-suites: ECDHE-RSA-AES128-GCM-SHA256 }, frontendValidation: { mode: AllowValidOnly, caCertificateRefs: [{ group: "", kind: Secret, name: cert, namespace: edge }] } }, allowedRoutes: { kinds: [{ kind: HTTPRoute }], namespaces: { from: Selector, selector: { matchLabels: { a: b }, matchExpressions: [{ key: a, operator: In, values: [b] }] } } } }
---
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: { name: module, namespace: edge }
spec: { match: [{ mode: CLIENT, ports: [{ number: 80 }] }], wasm: { url: https://modules.example.com/a.wasm, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, pluginName: a, pluginConfig: { a: b }, failStrategy: FAIL_OPEN, type: HTTP, vmConfig: { env: [{ name: A, value: b }, { name: B, valueFrom: HOST }] } } }
---
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: { name: image, namespace: edge }
spec: { wasm: { url: "registry.example.com/a:latest", imagePullPolicy: IfNotPresent, imagePullSecret: pull } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: calls, namespace: prod }
spec:
  parentRefs: [{ name: edge, namespace: edge }]
  rules:
  - filters:
    - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: b }], add: [{ name: a, value: b }], remove: [c] } }
    - { type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: a, value: b }], add: [{ name: a, value: b }], remove: [c] } }
    - { type: RequestMirror, requestMirror: { percent: 5, backendRef: { group: "", kind: Service, name: a, namespace: prod, port: 80 } } }
    backendRefs: [{ name: a, port: 80, filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: b }], add: [{ name: a, value: b }], remove: [c] } }, { type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: a, value: b }], add: [{ name: a, value: b }], remove: [c] } }] }]
  - filters: [{ type: RequestMirror, requestMirror: { fraction: { numerator: 1, denominator: 5 }, backendRef: { name: a, port: 80 } } }]
    backendRefs: [{ name: a, port: 80 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: { name: a, namespace: prod }
spec: { targetRefs: [{ group: "", kind: Service, name: a, sectionName: http }], validation: { hostname: a.example.com, wellKnownCACertificates: System, subjectAltNames: [{ type: URI, uri: spiffe://a/b }] } }
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: { name: out, namespace: edge }
spec: { type: ExternalHostname, externalHostname: { hostname: out.example.com }, port: { port: 443 }, protocol: HTTP, tls: { mode: ServerOnly, sni: out.example.com, validation: { hostname: out.example.com, caCertificateRefs: [{ group: "", kind: ConfigMap, name: roots }], subjectAltNames: [{ type: Hostname, hostname: out.example.com }] } } }
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: a, namespace: prod }
spec: { targetRefs: [{ group: "", kind: Service, name: a }], retryConstraint: { budget: { percent: 20, interval: 10s }, minRetryRate: { count: 3, interval: 1s } } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: a, namespace: prod, annotations: { kubernetes.io/ingress.class: istio } }
spec: { defaultBackend: { service: { name: a, port: { name: http } } }, tls: [{ hosts: [a.example.com], secretName: cert }], rules: [{ host: a.example.com, http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: a, port: { name: http } } } }] } }] }
`

const APPLICATION = { name: 'orders-1', namespace: 'prod', labels: { app: 'orders', version: 'v1' }, address: '10.0.1.1', ports: [{ port: 8080, name: 'http' }, { port: 9000, name: 'tcp' }] }
const PROXIES: readonly ProxyWords[] = [
  { ...APPLICATION, type: 'sidecar' },
  { ...APPLICATION, type: 'sidecar', outbound: '10.0.1.1:15001' },
  { type: 'router', name: 'edge-1', namespace: 'prod', labels: { app: 'edge' }, address: '10.0.1.2' },
]

/** Translates the golden cases, a world of one object a kind, and that world again with one field more each time; notes which fields of the objects are looked at, there or not. */
export function fieldsRead(): FieldsRead {
  const read: FieldsRead = new Map()
  const world = objectsIn(WORLD)
  for (const [index, object] of world.entries()) {
    const kind = kindOf(object.apiVersion, object.kind)
    for (const variant of kind === undefined || kind.group === '' ? [] : fieldVariants(kind, object)) {
      const objects = world.with(index, variant)
      for (const proxy of PROXIES) quietly(() => translate(objects, { sentence: '', proxy, workloads: [APPLICATION] }, read, [index]))
    }
  }
  translate(objectsIn(EDGE_WORLD), { sentence: '', proxy: { type: 'router', name: 'edge-1', namespace: 'edge', labels: { 'gateway.networking.k8s.io/gateway-name': 'edge' }, address: '10.0.1.2' }, workloads: [] }, read)
  const cases = join(import.meta.dirname, '..', 'cases')
  for (const name of readdirSync(cases).sort()) {
    const about = parse(readFileSync(join(cases, name, 'case.yaml'), 'utf8')) as MeshCase
    const objects = objectsIn(readFileSync(join(cases, name, 'mesh.yaml'), 'utf8'))
    translate(objects, about, read)
    translate([...objects, ...kinds.map((kind) => kind.example)], { ...about, settings: {} }, read)
  }
  return read
}

// A value that is right by its type alone may be refused; what was looked at before counts.
function quietly(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof Error)) throw error
  }
}

/** `watching`: the indices of the objects that are watched; all unless told. */
function translate(objects: readonly ResourceObject[], about: MeshCase, read: FieldsRead, watching?: readonly number[]): void {
  const { model, views } = meshOf(
    objects.map((object, index) => (watching === undefined || watching.includes(index) ? watched(object, read) : object)),
    (about.workloads ?? []).map(workloadFrom),
    about.settings,
  )
  const node = nodeFrom(about.proxy)
  const view = views.viewFor(node, undefined)
  for (const type of typeUrls) Array.from(view.list(type))
  view.release()
  effectiveProxyConfig(model.read(() => {}), node, groupOf(model, node))
  Array.from(wantedModules(model))
}

/** The object, with its own fields behind a proxy that notes what is looked at. Its metadata stays as it is: every object's is used. */
function watched(object: ResourceObject, read: FieldsRead): ResourceObject {
  const kind = kindOf(object.apiVersion, object.kind)
  if (kind === undefined) return object
  const word = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`
  const paths = read.get(word) ?? new Set<string>()
  read.set(word, paths)
  const fields = kind.fields instanceof z.core.$ZodObject ? Object.entries(kind.fields._zod.def.shape) : []
  const own = Object.fromEntries(
    fields.flatMap(([name, schema]) => {
      const value = object[name]
      return value === undefined ? [] : [[name, watch(value, schema, name, paths)]]
    }),
  )
  for (const [name] of fields) if (object[name] !== undefined) paths.add(name)
  return { ...object, ...own }
}

function watch(value: unknown, schema: z.core.$ZodType, path: string, paths: Set<string>): unknown {
  if (value === null || typeof value !== 'object') return value
  const bare = unwrapped(schema)
  const known = new Map<PropertyKey, unknown>()
  let passedOver = 0
  return new Proxy(value, {
    get(target, name, receiver) {
      const one: unknown = Reflect.get(target, name, receiver)
      if (typeof name === 'symbol') return one
      // Whoever writes the whole as JSON, to tell whether two are the same, asks for this and then for each field: nothing comes of that.
      if (name === 'toJSON') passedOver = Object.keys(target).length
      else if (passedOver > 0 && name !== 'length') {
        passedOver--
        return one
      }
      const step = stepOf(bare, name, path)
      if (step === undefined) return one
      paths.add(step.path)
      if (!known.has(name)) known.set(name, watch(one, step.schema, step.path, paths))
      return known.get(name)
    },
  })
}

function stepOf(schema: z.core.$ZodType, name: string, path: string): { schema: z.core.$ZodType; path: string } | undefined {
  if (schema instanceof z.core.$ZodObject) {
    const inner = schema._zod.def.shape[name]
    return inner === undefined ? undefined : { schema: inner, path: `${path}.${name}` }
  }
  if (schema instanceof z.core.$ZodArray) return /^\d+$/.test(name) ? { schema: schema._zod.def.element, path: `${path}[]` } : undefined
  if (schema instanceof z.core.$ZodRecord) return { schema: schema._zod.def.valueType, path: `${path}{}` }
  return undefined
}
