import type { AuthorizationPolicySpec } from '#core/resource/authorization-policy.ts'
import type { Destination } from '#core/resource/destination.ts'
import type { DestinationRuleSpec } from '#core/resource/destination-rule.ts'
import type { GatewaySpec } from '#core/resource/gateway.ts'
import type { PortTrafficPolicy, TrafficPolicy } from '#core/resource/traffic-policy.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import type { WorkloadEntrySpec } from '#core/resource/workload-entry.ts'
import type { WorkloadGroupSpec } from '#core/resource/workload-group.ts'
import type { StoredResource } from '#db/store.ts'
import { coveringWildcards, resolveHost } from './host.ts'
import { filingPair } from './labels.ts'
import { sessionOfRoute, sessionOfRule } from './gateway-api/session.ts'
import { carriesHttp, isOverHttp2 } from './mesh-service.ts'
import type { MeshService, ServicePort } from './mesh-service.ts'

/**
 * Where an object is filed: pairs of index and entry. The indices:
 * - `service-host` HOST: what declares a service of that host
 * - `service-below` WILDCARD: services whose host a wildcard covers
 * - `service-address` IP: what declares a service at that address
 * - `http-port` PORT: services with an HTTP port; `plain-port` PORT: services without an address, or with ranges of them, whose port is not said to be HTTP, `addressed-port` PORT: those with one; `headless-port` PORT: services without an address of their own with an HTTP port; `six-port` PORT: those with an address of IPv6 and a port that is said to be HTTP; `grpc-web-port` PORT: those with one of gRPC-Web, and `grpc-web-port` *: at any port
 * - `alias-of` HOST: ExternalName Services that stand for that host
 * - `endpoint-address` IP: ServiceEntries with an endpoint at that address
 * - `service-selector` NAMESPACE/LABEL=VALUE: services by one pair of their selector
 * - `selecting-in` NAMESPACE: services that select workloads there
 * - `virtual-service/GATEWAY` HOST: VirtualServices by gateway (`mesh`, or `istio-ingress/api-gateway`) and host
 * - `destination-rule` HOST; `rule-selector` NAMESPACE: DestinationRules for some workloads alone; `rule-credential` *: those that name a Secret; `rank-labels` *: those that rank endpoints by labels
 * - `gateway-selector` LABEL=VALUE (or empty): Gateways by one pair of their selector
 * - `wildcard/GATEWAY` *: VirtualServices that name a wildcard host on a gateway; `wildcard/service`: services of one
 * - `passthrough/GATEWAY` *: VirtualServices with `tls` or `tcp` routes on a gateway
 * - `bound-to` GATEWAY and `leads-to` HOST: VirtualServices by what they name, for whoever judges what a change leaves dangling
 * - `credential` NAMESPACE/NAME: Gateways by the Secret that they name, in their own namespace
 * - `source-labels` *: VirtualServices whose routes depend on the labels of who calls
 * - `keeps-sessions` *: VirtualServices and DestinationRules that keep clients at an endpoint
 * - `sniffed-port` *: services with a port whose protocol nobody says; `grpc-port` *: with one that may carry gRPC
 * - `in-namespace/KIND` NAMESPACE: policies
 * - `ingress` *: Ingress objects
 * - `gateway-api` KIND: objects of the Gateway API; `namespaces` *: Namespaces
 * - `account` NAMESPACE/ACCOUNT: WorkloadEntries and WorkloadGroups by the service account that they speak of
 * - `asks` *: AuthorizationPolicies that name an external authorizer
 */
export function indexEntries(stored: StoredResource, services: readonly MeshService[]): (readonly [index: string, entry: string])[] {
  const { kind, namespace } = stored.key
  const spec = stored.object.spec
  if (stored.key.group === 'gateway.networking.k8s.io' || stored.key.group === 'gateway.networking.x-k8s.io') return [['gateway-api', kind]]
  switch (kind) {
    case 'Ingress':
      return [['ingress', '*']]
    case 'Namespace':
      return [['namespaces', '*']]
    case 'Service':
    case 'ServiceEntry':
      return services.flatMap((service) => [
        ['service-host', service.host] as const,
        ...coveringWildcards(service.host).map((wild) => ['service-below', wild] as const),
        ...[...service.addresses, ...(service.allocated ?? [])].map((address) => ['service-address', address] as const),
        ...service.ports.flatMap((one) => portEntry(service, one) ?? []),
        ...service.endpoints.flatMap((one) => (one.address === undefined ? [] : [['endpoint-address', one.address] as const])),
        ...(service.ports.some((one) => one.protocol === 'auto' || isOverHttp2(one.protocol)) ? [['grpc-port', '*'] as const] : []),
        ...(service.ports.some((one) => one.protocol === 'auto') ? [['sniffed-port', '*'] as const] : []),
        ...(service.alias === undefined ? [] : [['alias-of', service.alias] as const]),
        ...(service.host.startsWith('*') ? [['wildcard/service', '*'] as const] : []),
        ...(service.selector === undefined ? [] : [['service-selector', `${namespace}/${filingPair(service.selector)}`] as const, ['selecting-in', namespace] as const]),
      ])
    case 'VirtualService': {
      const { hosts = [], http = [], tls = [], tcp = [] } = spec as VirtualServiceSpec
      const wild = hosts.some((host) => host.startsWith('*'))
      const byGateway = virtualServiceGateways(spec as VirtualServiceSpec, namespace).flatMap((gateway) => [
        ...hosts.map((host) => [`virtual-service/${gateway}`, resolveHost(host, namespace)] as const),
        ...(wild ? [[`wildcard/${gateway}`, '*'] as const] : []),
        ...(tls.length + tcp.length > 0 ? [[`passthrough/${gateway}`, '*'] as const] : []),
      ])
      const byLabels = [...http, ...tls, ...tcp].some((route) => route.match?.some((match) => match.sourceLabels !== undefined))
      const named = [
        ...virtualServiceGateways(spec as VirtualServiceSpec, namespace).filter((gateway) => gateway !== 'mesh').map((gateway) => ['bound-to', gateway] as const),
        ...[...new Set(destinations(spec as VirtualServiceSpec).map(({ destination }) => resolveHost(destination.host, namespace)))].map((host) => ['leads-to', host] as const),
      ]
      return [...byGateway, ...named, ...(byLabels ? [['source-labels', '*'] as const] : []), ...(http.some((route) => sessionOfRoute(route) !== undefined) ? [['keeps-sessions', '*'] as const] : [])]
    }
    case 'DestinationRule':
      return [...destinationRuleEntries(spec as DestinationRuleSpec, namespace), ...(sessionOfRule(stored.object) === undefined ? [] : [['keeps-sessions', '*'] as const])]
    case 'Gateway':
      return [
        ['gateway-selector', filingPair((spec as GatewaySpec).selector)],
        ...((spec as GatewaySpec).servers ?? []).flatMap((server) => (server.tls?.credentialName ? [['credential', `${namespace}/${server.tls.credentialName}`] as const] : [])),
      ]
    case 'AuthorizationPolicy':
      return [[`in-namespace/${kind}`, namespace], ...((spec as AuthorizationPolicySpec | undefined)?.action === 'CUSTOM' ? [['asks', '*'] as const] : [])]
    case 'PeerAuthentication':
    case 'Sidecar':
    case 'RequestAuthentication':
    case 'Telemetry':
    case 'WasmPlugin':
    case 'TrafficExtension':
    case 'EnvoyFilter':
    case 'ProxyConfig':
      return [[`in-namespace/${kind}`, namespace]]
    case 'WorkloadEntry':
      return accountEntry(namespace, (spec as WorkloadEntrySpec).serviceAccount)
    case 'WorkloadGroup':
      return accountEntry(namespace, (spec as WorkloadGroupSpec).template.serviceAccount)
    default:
      return []
  }
}

function destinationRuleEntries(spec: DestinationRuleSpec, namespace: string): (readonly [string, string])[] {
  const settings = rulePolicies(spec)
  return [
    ['destination-rule', resolveHost(spec.host, namespace)],
    ...(spec.workloadSelector === undefined ? [] : [['rule-selector', namespace] as const]),
    ...(settings.some((one) => one.tls?.credentialName) ? [['rule-credential', '*'] as const] : []),
    ...(settings.some(({ loadBalancer }) => loadBalancer?.localityLbSetting?.failoverPriority?.length || loadBalancer?.zoneAwareLbSetting?.failoverPriority?.length) ? [['rank-labels', '*'] as const] : []),
  ]
}

/** All policies of a rule: the host's, the subsets', and those of single ports. */
export const rulePolicies = (spec: DestinationRuleSpec): (TrafficPolicy | PortTrafficPolicy)[] =>
  [spec.trafficPolicy, ...(spec.subsets ?? []).map((one) => one.trafficPolicy)].flatMap((one) => (one === undefined ? [] : [one, ...(one.portLevelSettings ?? [])]))

/** A port whose protocol has to be sniffed counts as HTTP only where no address of its own tells its connections apart. */
function portEntry(service: MeshService, { port, protocol }: ServicePort): (readonly [string, string])[] {
  if (protocol === 'udp' || service.alias !== undefined) return []
  if (protocol !== 'auto' && carriesHttp(protocol)) return [['http-port', String(port)], ...(protocol === 'grpc-web' ? [['grpc-web-port', String(port)] as const, ['grpc-web-port', '*'] as const] : []), ...(service.headless ? [['headless-port', String(port)] as const] : hasSix(service) ? [['six-port', String(port)] as const] : [])]
  const ranged = service.ranges.length > 0
  if (service.headless || service.addresses.length > 0) return [['addressed-port', String(port)], ...(ranged ? [['plain-port', String(port)] as const] : [])]
  return [['plain-port', String(port)], ...(protocol === 'auto' && !ranged ? [['http-port', String(port)] as const] : [])]
}

const hasSix = ({ addresses, allocated }: MeshService): boolean => [...addresses, ...(allocated ?? [])].some((one) => one.includes(':'))

/** Every destination that a VirtualService names, mirrors too, and where: `spec.http[0].route[1].destination`. */
export function destinations(spec: VirtualServiceSpec): { readonly destination: Destination; readonly path: string }[] {
  const routed = (kind: 'http' | 'tls' | 'tcp') =>
    (spec[kind] ?? []).flatMap((one, index) => (one.route ?? []).map((route, at) => ({ destination: route.destination, path: `spec.${kind}[${index}].route[${at}].destination` })))
  const mirrored = (spec.http ?? []).flatMap((one, index) => [
    ...(one.mirror === undefined ? [] : [{ destination: one.mirror, path: `spec.http[${index}].mirror` }]),
    ...(one.mirrors ?? []).map((mirror, at) => ({ destination: mirror.destination, path: `spec.http[${index}].mirrors[${at}].destination` })),
  ])
  return [...routed('http'), ...mirrored, ...routed('tls'), ...routed('tcp')]
}

/** The gateways that a VirtualService is bound to, `mesh` or NAMESPACE/NAME, each once. */
export function virtualServiceGateways(spec: VirtualServiceSpec, namespace: string): string[] {
  const named = spec.gateways ?? []
  return named.length === 0 ? ['mesh'] : [...new Set(named.map((one) => resolveGateway(one, namespace)))]
}

/** A gateway as an object in `namespace` names it: `mesh`, NAME in the same namespace, or NAMESPACE/NAME. */
export const resolveGateway = (name: string, namespace: string): string => (name === 'mesh' || name.includes('/') ? name : `${namespace}/${name}`)

const accountEntry = (namespace: string, account: string | undefined): (readonly [index: string, entry: string])[] => (account === undefined || account === '' ? [] : [['account', `${namespace}/${account}`]])
