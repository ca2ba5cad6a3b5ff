import type { ResourceObject } from '#core/resource/object.ts'
import type { BackendTlsPolicySpec } from '#core/resource/backend-tls-policy.ts'
import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { GatewayApiSpec } from '#core/resource/gateway-api-gateway.ts'
import type { IngressClassSpec } from '#core/resource/ingress-class.ts'
import type { IngressSpec } from '#core/resource/ingress.ts'
import type { MeshConfigSpec } from '#core/resource/mesh-config.ts'
import type { ListenerSetSpec } from '#core/resource/listener-set.ts'
import type { ReferenceGrantSpec } from '#core/resource/reference-grant.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import type { ServiceEntrySpec } from '#core/resource/service-entry.ts'
import type { XBackendSpec } from '#core/resource/x-backend.ts'
import type { XBackendTrafficPolicySpec } from '#core/resource/x-backend-traffic-policy.ts'
import { deriveIngress } from '../ingress.ts'
import type { StoredIngress } from '../ingress.ts'
import type { Change, StoredResource } from '#db/store.ts'
import type { MeshModel } from '../mesh-model.ts'
import { configMapPem, secretPem } from '../pem.ts'
import { deriveGatewayApi } from './derive.ts'
import type { Derived } from './derive.ts'
import { apiObject, isGatewayApi } from './surroundings.ts'
import type { ApiObject, GatewayApiObjects, RouteSpec, Surroundings } from './surroundings.ts'
import { GATEWAY_NAME_LABEL } from '../targets.ts'

/** Kinds beside its own that what the Gateway API derives depends on. */
const AROUND: ReadonlySet<string> = new Set(['Service', 'ServiceEntry', 'Secret', 'ConfigMap', 'Namespace'])

/** What Ingress objects depend on. */
const AROUND_INGRESS: ReadonlySet<string> = new Set(['Service', 'ServiceEntry', 'IngressClass', 'MeshConfig'])

/** Whether changes could change what the Gateway API and Ingress objects of a mesh amount to. A mesh without any pays nothing. */
export function concernsDerived(model: MeshModel, changes: Iterable<Change>): boolean {
  const inUse = [...model.members('gateway-api')].length > 0
  const ingressInUse = model.filed('ingress', '*').size > 0
  for (const change of changes) if (change.of === 'resource' && (isGatewayApi(change.key.group) || change.key.kind === 'Ingress' || (inUse && AROUND.has(change.key.kind)) || (ingressInUse && AROUND_INGRESS.has(change.key.kind)))) return true
  return false
}

/** What a mesh's Gateway API objects amount to. It looks at all of them, for a route may meet any listener: the cost of a change to one is that of all, and of nothing else. */
export function deriveIn(model: MeshModel): Derived {
  const around = surroundingsIn(model)
  const derived = deriveGatewayApi(gatewayApiObjects(model), around)
  const ingresses = [...model.filed('ingress', '*')].flatMap((id) => model.object(id) ?? []).map((one): StoredIngress => apiObject<IngressSpec>(one))
  if (ingresses.length === 0) return derived
  const ofIngress = deriveIngress(ingresses, {
    meshConfig: (model.object('MeshConfig//default')?.object.spec ?? {}) as MeshConfigSpec,
    controllerOf: (name) => (model.object(`IngressClass//${name}`)?.object.spec as IngressClassSpec | undefined)?.controller,
    portOf: (host, name) => around.service(host)?.ports.find((one) => one.name === name)?.port,
  })
  return { ...derived, objects: [...derived.objects, ...ofIngress] }
}

function gatewayApiObjects(model: MeshModel): GatewayApiObjects {
  const of = <Spec>(...kinds: readonly string[]): ApiObject<Spec>[] => kinds.flatMap((kind) => [...model.filed('gateway-api', kind)].flatMap((id) => model.object(id) ?? [])).map((one) => apiObject<Spec>(one))
  return {
    classes: of('GatewayClass'),
    gateways: of<GatewayApiSpec>('Gateway'),
    routes: of<RouteSpec>('HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'),
    listenerSets: of<ListenerSetSpec>('ListenerSet'),
    grants: of<ReferenceGrantSpec>('ReferenceGrant'),
    tlsPolicies: of<BackendTlsPolicySpec>('BackendTLSPolicy'),
    backends: of<XBackendSpec>('XBackend'),
    trafficPolicies: of<XBackendTrafficPolicySpec>('XBackendTrafficPolicy'),
  }
}

function surroundingsIn(model: MeshModel): Surroundings {
  return {
    serviceDomain: 'svc.cluster.local',
    namespaces: () =>
      [...model.filed('namespaces', '*')]
        .flatMap((id) => model.object(id) ?? [])
        .map(({ key, object }) => ({ name: key.name, labels: object.metadata.labels ?? {} }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    service(host) {
      for (const id of model.filed('service-host', host)) {
        for (const one of model.declared(id)) if (one.host === host) return { ports: one.ports.map(({ name, port }) => ({ name, port })), selector: one.selector, addresses: [] }
      }
      return undefined
    },
    serviceEntry(namespace, name) {
      const spec = model.object(`ServiceEntry/${namespace}/${name}`)?.object.spec as ServiceEntrySpec | undefined
      return spec && { hosts: spec.hosts, ports: (spec.ports ?? []).map((one) => ({ name: one.name, port: one.number })) }
    },
    authorities(kind, namespace, name) {
      const found = model.object(`${kind}/${namespace}/${name}`)
      if (found === undefined) return 'missing'
      const certificates = kind === 'ConfigMap' ? configMapPem(found.object as ResourceObject & ConfigMapFields, 'ca.crt') : secretPem(found.object as ResourceObject & SecretFields, 'ca.crt')
      return certificates === undefined ? 'malformed' : 'usable'
    },
    secret(namespace, name) {
      const found = model.object(`Secret/${namespace}/${name}`)
      return found === undefined ? 'missing' : isCertificate(found.object as ResourceObject & SecretFields) ? 'usable' : 'malformed'
    },
    isServed: ({ namespace, name }) => model.workloadsSelected(namespace, { [GATEWAY_NAME_LABEL]: name }).length > 0,
  }
}

/** Whether both are there, as PEM; what is in them is judged when they are served. */
const isCertificate = (secret: SecretFields): boolean => [['tls.crt', 'cert'], ['tls.key', 'key']].every((names) => names.some((name) => secretPem(secret, name) !== undefined))

/** A derived object as the model holds it. Its age is that of the oldest object behind it. */
export const storedDerived = (object: ResourceObject): StoredResource => ({
  key: { group: 'networking.istio.io', kind: object.kind, namespace: object.metadata.namespace ?? '', name: object.metadata.name },
  uid: '',
  revision: 0,
  generation: 1,
  createdAtMs: object.metadata.creationTimestamp === undefined ? 0 : Date.parse(object.metadata.creationTimestamp),
  object,
})
