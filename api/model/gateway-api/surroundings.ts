import type { BackendTlsPolicySpec } from '#core/resource/backend-tls-policy.ts'
import type { GatewayApiSpec } from '#core/resource/gateway-api-gateway.ts'
import type { ListenerSetSpec } from '#core/resource/listener-set.ts'
import type { ReferenceGrantSpec } from '#core/resource/reference-grant.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { EXPERIMENTAL_GATEWAY_API } from '#core/resource/x-backend.ts'
import type { XBackendSpec } from '#core/resource/x-backend.ts'
import type { XBackendTrafficPolicySpec } from '#core/resource/x-backend-traffic-policy.ts'
import type { StoredResource } from '#db/store.ts'
import type { Labels } from '../labels.ts'

/** What Gateway API objects lead to, as far as their translation asks. */
export interface Surroundings {
  /** `svc.cluster.local` */
  readonly serviceDomain: string
  namespaces(): readonly { readonly name: string; readonly labels: Labels }[]
  /** A service by its full host; undefined: there is none. */
  service(host: string): { readonly ports: readonly NamedPort[]; readonly selector: Labels | undefined; readonly addresses: readonly string[] } | undefined
  /** A ServiceEntry by its name; undefined: there is none. */
  serviceEntry(namespace: string, name: string): { readonly hosts: readonly string[]; readonly ports: readonly NamedPort[] } | undefined
  /** Whether a Secret is there, and can be a certificate and key. */
  secret(namespace: string, name: string): Presence
  /** Whether a ConfigMap or Secret is there, and has authorities in `ca.crt`. */
  authorities(kind: 'ConfigMap' | 'Secret', namespace: string, name: string): Presence
  /** Whether a gateway without addresses of its own has processes. */
  isServed(gateway: { readonly namespace: string; readonly name: string; readonly className: string }): boolean
}

type Presence = 'usable' | 'malformed' | 'missing'

export interface NamedPort {
  readonly name: string
  readonly port: number
}

/** All objects of the Gateway API in a mesh. */
export interface GatewayApiObjects {
  readonly classes: readonly ApiObject[]
  readonly gateways: readonly ApiObject<GatewayApiSpec>[]
  readonly listenerSets: readonly ApiObject<ListenerSetSpec>[]
  readonly routes: readonly ApiObject<RouteSpec>[]
  readonly grants: readonly ApiObject<ReferenceGrantSpec>[]
  readonly tlsPolicies: readonly ApiObject<BackendTlsPolicySpec>[]
  readonly backends: readonly ApiObject<XBackendSpec>[]
  readonly trafficPolicies: readonly ApiObject<XBackendTrafficPolicySpec>[]
}

export interface ApiObject<Spec = unknown> {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly createdAtMs: number
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: Spec
}

export const GATEWAY_API = 'gateway.networking.k8s.io'
export const isGatewayApi = (group: string): boolean => group === GATEWAY_API || group === EXPERIMENTAL_GATEWAY_API
/** The controller of classes that this mesh serves: Istio's, so that its users change nothing, and our own. */
export const CONTROLLERS: readonly string[] = ['istio.io/gateway-controller', 'weft.dev/gateway-controller']
/** What tells of objects that count for every proxy of the mesh. */
export const MESH_CONTROLLER = 'istio.io/mesh-controller'
export const EAST_WEST_CONTROLLER = 'istio.io/eastwest-controller'
/** Classes that are there without an object, as in Istio. Those of waypoints and of ambient mode's east-west gateways are judged, though no process of this mesh serves what is theirs alone. */
export const STANDARD_CLASSES: Readonly<Record<string, string>> = {
  istio: 'istio.io/gateway-controller',
  'istio-remote': 'istio.io/unmanaged-gateway',
  'istio-waypoint': MESH_CONTROLLER,
  'istio-east-west': EAST_WEST_CONTROLLER,
  weft: 'weft.dev/gateway-controller',
}

export interface ParentReference {
  readonly group?: string | undefined
  readonly kind?: string | undefined
  readonly namespace?: string | undefined
  readonly name: string
  readonly sectionName?: string | undefined
  readonly port?: number | undefined
}

export interface BackendReference {
  readonly group?: string | undefined
  readonly kind?: string | undefined
  readonly name: string
  readonly namespace?: string | undefined
  readonly port?: number | undefined
  readonly weight?: number | undefined
}

/** What the kinds of routes share. */
export interface RouteSpec {
  readonly parentRefs?: readonly ParentReference[] | undefined
  readonly useDefaultGateways?: 'All' | 'None' | undefined
  readonly hostnames?: readonly string[] | undefined
  readonly rules?: readonly unknown[] | undefined
}

/** [status, reason, message] of a condition. */
export type ConditionValue = readonly [status: 'True' | 'False', reason: string, message: string]
export type ConditionValues = Readonly<Record<string, ConditionValue>>

export const fine = (reason: string, message = ''): ConditionValue => ['True', reason, message]
export const wrong = (reason: string, message: string): ConditionValue => ['False', reason, message]

/** What is told of one object. */
export interface ApiStatus {
  readonly conditions?: ConditionValues
  readonly addresses?: readonly { readonly type: string; readonly value: string }[]
  readonly listeners?: Readonly<Record<string, { readonly attachedRoutes: number; readonly conditions: ConditionValues; readonly supportedKinds: readonly string[] }>>
  readonly attachedListenerSets?: number
  readonly parents?: readonly ParentStatus[]
  /** Of policies: what they count for. */
  readonly ancestors?: readonly ParentStatus[]
}

export interface ParentStatus {
  readonly ref: ParentReference
  readonly controller: string
  readonly conditions: ConditionValues
}

export const apiObject = <Spec>({ key, createdAtMs, object }: StoredResource): ApiObject<Spec> => ({ kind: key.kind, namespace: key.namespace, name: key.name, createdAtMs, annotations: object.metadata.annotations ?? {}, spec: ((object as ResourceObject & { spec?: unknown }).spec ?? {}) as Spec })

/** Whether a grant in the namespace of what is referred to lets an object of another refer to it. */
export function isGranted(grants: readonly ApiObject<ReferenceGrantSpec>[], from: { readonly kind: string; readonly namespace: string }, to: { readonly group: string; readonly kind: string; readonly namespace: string; readonly name: string }): boolean {
  if (from.namespace === to.namespace) return true
  const group = to.group === 'core' ? '' : to.group
  return grants.some(
    ({ namespace, spec }) =>
      namespace === to.namespace &&
      (spec.from ?? []).some((one) => one.group === GATEWAY_API && one.kind === from.kind && one.namespace === from.namespace) &&
      (spec.to ?? []).some((one) => (one.group === 'core' ? '' : one.group) === group && one.kind === to.kind && (one.name === undefined || one.name === '' || one.name === to.name)),
  )
}
