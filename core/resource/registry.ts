import type { ResourceKind } from './kind.ts'
import { authorizationPolicy } from './authorization-policy.ts'
import { backendTlsPolicy } from './backend-tls-policy.ts'
import { configMap } from './config-map.ts'
import { destinationRule } from './destination-rule.ts'
import { envoyFilter } from './envoy-filter.ts'
import { gatewayApiGateway } from './gateway-api-gateway.ts'
import { gatewayClass } from './gateway-class.ts'
import { gateway } from './gateway.ts'
import { grpcRouteKind } from './grpc-route.ts'
import { httpRouteKind } from './http-route.ts'
import { ingress } from './ingress.ts'
import { ingressClass } from './ingress-class.ts'
import { listenerSet } from './listener-set.ts'
import { meshConfig } from './mesh-config.ts'
import { meshNetworks } from './mesh-networks.ts'
import { namespace } from './namespace.ts'
import { peerAuthentication } from './peer-authentication.ts'
import { proxyConfig } from './proxy-config.ts'
import { referenceGrant } from './reference-grant.ts'
import { requestAuthentication } from './request-authentication.ts'
import { secret } from './secret.ts'
import { serviceAccount } from './service-account.ts'
import { serviceEntry } from './service-entry.ts'
import { service } from './service.ts'
import { sidecar } from './sidecar.ts'
import { tcpRouteKind } from './tcp-route.ts'
import { telemetry } from './telemetry.ts'
import { tlsRouteKind } from './tls-route.ts'
import { trafficExtension } from './traffic-extension.ts'
import { virtualService } from './virtual-service.ts'
import { wasmPlugin } from './wasm-plugin.ts'
import { workloadEntry } from './workload-entry.ts'
import { workloadGroup } from './workload-group.ts'
import { xBackend } from './x-backend.ts'
import { xBackendTrafficPolicy } from './x-backend-traffic-policy.ts'

/** Every kind that Weft stores. A new kind is a file and a line here. */
export const kinds: readonly ResourceKind[] = [
  namespace,
  service,
  serviceAccount,
  secret,
  configMap,
  virtualService,
  destinationRule,
  gateway,
  serviceEntry,
  workloadEntry,
  sidecar,
  peerAuthentication,
  requestAuthentication,
  authorizationPolicy,
  telemetry,
  workloadGroup,
  proxyConfig,
  envoyFilter,
  wasmPlugin,
  trafficExtension,
  gatewayClass,
  gatewayApiGateway,
  httpRouteKind,
  grpcRouteKind,
  tlsRouteKind,
  tcpRouteKind,
  referenceGrant,
  backendTlsPolicy,
  listenerSet,
  xBackend,
  xBackendTrafficPolicy,
  ingress,
  ingressClass,
  meshConfig,
  meshNetworks,
]

export const apiVersionOf = (kind: ResourceKind, version: string = kind.versions[0]): string => (kind.group === '' ? version : `${kind.group}/${version}`)

/** `networking.istio.io/v1` → its group and version; core has no group. */
export function splitApiVersion(apiVersion: string): { group: string; version: string } {
  const cut = apiVersion.lastIndexOf('/')
  return { group: cut < 0 ? '' : apiVersion.slice(0, cut), version: apiVersion.slice(cut + 1) }
}

/** The kind of an object, at any version that is served. */
export function kindOf(apiVersion: string, kind: string): ResourceKind | undefined {
  const { group, version } = splitApiVersion(apiVersion)
  return kinds.find((one) => one.group === group && one.kind === kind && one.versions.includes(version))
}

export const kindByPlural = (group: string, plural: string): ResourceKind | undefined => kinds.find((one) => one.group === group && one.plural === plural)
export const kindByName = (group: string, kind: string): ResourceKind | undefined => kinds.find((one) => one.group === group && one.kind === kind)

const CLUSTER_GROUPS = new Set(
  'apps batch networking.k8s.io rbac.authorization.k8s.io apiextensions.k8s.io autoscaling policy storage.k8s.io admissionregistration.k8s.io apiregistration.k8s.io scheduling.k8s.io coordination.k8s.io discovery.k8s.io node.k8s.io certificates.k8s.io events.k8s.io flowcontrol.apiserver.k8s.io extensions'.split(' '),
)
const CLUSTER_CORE_KINDS = new Set('Pod ReplicationController PersistentVolume PersistentVolumeClaim Node Endpoints Event LimitRange ResourceQuota PodTemplate Binding ComponentStatus'.split(' '))

/** Whether the object belongs to a cluster: it is passed over with a warning, so that a folder of manifests can be applied as it is. */
export function belongsToCluster(apiVersion: string, kind: string): boolean {
  const { group } = splitApiVersion(apiVersion)
  return CLUSTER_GROUPS.has(group) || (group === '' && CLUSTER_CORE_KINDS.has(kind))
}
