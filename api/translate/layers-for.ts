import { rulePolicies } from '#api/model/index-entries.ts'
import { isApart } from '#api/model/mesh-reader.ts'
import type { ClientScope, MeshReader } from '#api/model/mesh-reader.ts'
import type { EgressListener } from '#core/resource/sidecar.ts'
import { type Families, familiesOf, wildcardsOf } from '#core/workload/families.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Resource } from '#api/serve/resource.ts'
import { addressListeners, egressListeners, capturedFallback, capturedScopes, fallbackOfListener, portListener, scopesOfListener, virtualOutbound } from './captured.ts'
import { isDerivedRule } from './backend-tls.ts'
import { authoritiesOf, clusterResource, clusterScopes } from './cluster.ts'
import { accessClusters } from './access-clusters.ts'
import { engineOf } from './engine.ts'
import { connectScopes } from './connect.ts'
import { endpointResource, endpointScopes } from './endpoint.ts'
import type { ClientPlace } from './endpoint.ts'
import { sniClusters } from './auto-passthrough.ts'
import { gatewayListeners } from './gateway.ts'
import type { GatewayWorkload } from './gateway.ts'
import { gatewayFallback, gatewayHostResources, mayServe, serverGroups } from './gateway-route.ts'
import { gatewayServers, servesHttp } from './gateway-scope.ts'
import { grpcClusters, grpcEndpoints, grpcListeners, grpcRoutes } from './grpc.ts'
import { type GrpcServer, grpcServerListeners } from './grpc-server.ts'
import { capturedInbound } from './captured-inbound.ts'
import { httpSettings } from './http-settings.ts'
import { inboundResources, inboundScopes } from './inbound.ts'
import type { InboundWorkload } from './inbound.ts'
import { placeLabels } from './locality.ts'
import { explicitFallback, explicitListener, explicitScopes } from './outbound.ts'
import { reportingOf } from './reporting.ts'
import { patchedLayers } from './patch/patched-layers.ts'
import type { PatchedProxy } from './patch/patches.ts'
import { routeResource } from './route.ts'
import { routeScopes } from './route-scope.ts'
import type { RouteClient } from './route-scope.ts'
import { authoritiesResources, credentialNames, credentialResources, isGranted, namesAuthorities } from './secret.ts'
import { nameTable } from './name-table.ts'
import { otlpCluster } from './telemetry.ts'
import type { TracingScope } from './telemetry.ts'
import { built } from './unit.ts'
import type { LayerSpec, MemberLayerSpec } from './unit.ts'

/** What a workload sees beside or instead of what all of its namespace do; undefined: nothing. */
type Egress = ClientScope | undefined

/** Hosts that services have, and those that only VirtualServices of the sidecars name. */
const MESH_HOSTS = ['service-host', 'virtual-service/mesh']

/** What a node's view is made of. A layer's key says all that its units may depend on beside the mesh, so nodes with equal keys share it. */
export const layersFor = (node: ProxyNode, reader: MeshReader): readonly LayerSpec[] => patchedLayers(reader, patchedProxy(node), plainLayers(node, reader), keyOf)

/** What EnvoyFilters may ask of a node. */
const patchedProxy = (node: ProxyNode): PatchedProxy => ({
  type: node.type,
  namespace: node.namespace,
  labels: node.labels,
  engine: engineOf(node),
  version: node.version,
  metadata: { ...node.metadata, NAMESPACE: node.namespace, SERVICE_ACCOUNT: node.serviceAccount, CLUSTER_ID: node.cluster, NETWORK: node.network },
})

function plainLayers(node: ProxyNode, reader: MeshReader): LayerSpec[] {
  const endpoint = node.otlp === '' ? (reader.settings().otlp ?? '') : node.otlp
  // Without spans a proxy's own name is nothing that its listeners depend on.
  const reporting = reportingOf(reader, node, endpoint !== '')
  const http = httpSettings(reader, node.type === 'router' ? node.gatewayTopology : undefined, engineOf(node))
  const named = endpoint !== '' || reporting.clients?.spans?.collector !== undefined || reporting.servers?.spans?.collector !== undefined
  const tracing: TracingScope = { endpoint, serviceName: named ? serviceName(node) : '', ...reporting, ...(http === undefined ? {} : { http }) }
  if (node.type === 'grpc') return grpcLayers(node)
  const captured = isCaptured(node)
  const sidecar = node.type === 'sidecar' ? reader.sidecarFor(node.namespace, node.labels) : undefined
  const rules = reader.rulesSelecting(node.namespace, node.labels).map((one) => one.id)
  const egress: Egress = sidecar === undefined && rules.length === 0 ? undefined : { client: node.namespace, ...(sidecar === undefined ? {} : { sidecar: { namespace: sidecar.namespace, name: sidecar.name } }), ...(rules.length === 0 ? {} : { rules }) }
  const families = familiesOf(node)
  const place: ClientPlace = { namespace: node.namespace, locality: node.locality, ...(families === 'IPv4' ? {} : { families }), ...(reader.ranksByLabels() ? { labels: { ...placeLabels(node.locality, node), ...node.labels } } : {}) }
  const layers: LayerSpec[] = [clustersLayer(node.namespace, captured, egress, backendCertificate(node, reader)), endpointsLayer(place, egress)]
  const client: RouteClient = { namespace: node.namespace, labels: (captured || node.outbound !== undefined) && reader.readsSourceLabels() ? node.labels : {}, gateway: 'mesh' }
  const seen: Egress = node.dnsCapture === true ? { client: node.namespace, ...egress, allocated: families } : egress
  if (node.dnsCapture === true && seen !== undefined) layers.push(seenFrom('names', node.namespace, ['service-host'], seen, (at, namespace, host) => nameTable(at, namespace, host)))
  const listeners = sidecar?.spec.egress ?? []
  const apart = captured && seen !== undefined && listeners.some(isApart)
  if (captured) layers.push(...capturedLayers(client, tracing, egress, apart ? { ...seen, listener: 'anywhere' } : seen, families))
  if (apart) {
    layers.push(
      single(keyOf('captured-egress', client, tracing, seen, listeners, families), (at) => egressListeners(at, client, seen, listeners, tracing, families)),
      ...listeners.flatMap((listener, index) => (isApart(listener) ? apartLayers(client, listener, { ...seen, listener: index }, families) : [])),
    )
  }
  if (node.outbound !== undefined) {
    const bind = node.outbound
    layers.push(
      routesLayer(client, egress),
      seenFrom('explicit-scopes', node.namespace, MESH_HOSTS, egress, (at, namespace, host) => explicitScopes(at, namespace, host)),
      seenFrom(keyOf('explicit-connect', { ...client, namespace: '' }), node.namespace, ['service-host'], egress, (at, namespace, host) => connectScopes(at, { ...client, namespace }, host)),
      single(keyOf('explicit-fallback', client, egress ?? ''), (at) => explicitFallback(at.within(egress), client)),
      single(keyOf('explicit-outbound', { bind, tracing }, egress ?? ''), (at) => explicitListener({ bind, tracing, byName: at.within(egress).unknownHosts() === 'ALLOW_ANY_DYNAMIC_DNS', grpcWeb: at.speaksGrpcWeb() })),
    )
  }
  if (node.ports.length > 0 || captured) {
    const hosts = captured ? hostsAt(reader, node) : []
    // Replicas share what does not look at where they are.
    const placed = hosts.length > 0 || (captured && (reader.sidecarFor(node.namespace, node.labels)?.spec.ingress ?? []).length > 0)
    const workload: InboundWorkload = { namespace: node.namespace, labels: node.labels, ports: node.ports, ...(node.portsByName === undefined ? {} : { portsByName: node.portsByName }), tracing, engine: engineOf(node), addresses: placed ? addressesIn(node) : [], hosts, families }
    layers.push(single(keyOf('inbound', workload), (at) => (captured ? capturedInbound(at, workload) : inboundScopes(at, workload).flatMap(inboundResources))))
  }
  const { namespace, labels, locality } = node
  layers.push(single(keyOf('access-clusters', { namespace, labels, captured, scoped: sidecar === undefined ? undefined : locality }), (at) => accessClusters(at, { namespace, labels, captured, scopedIn: sidecar === undefined ? undefined : locality })))
  if (node.type === 'router') layers.push(...gatewayLayers(node, reader, tracing, egress))
  layers.push(...secretLayers(node, reader, rules))
  if (tracing.endpoint !== '') layers.push(single(keyOf('otlp', tracing.endpoint), () => [otlpCluster(tracing.endpoint)]))
  return layers
}

/** Every address that it says it has. */
const addressesIn = ({ address, addresses = [address] }: ProxyNode): readonly string[] => addresses

/** Hosts of services that name a proxy by one of its addresses. */
const hostsAt = (reader: MeshReader, node: ProxyNode): string[] => [...new Set(addressesIn(node).flatMap((one) => reader.hostsAtEndpoint(one)))]

/** A sidecar that binds no outbound listener of its own, and whose ports are reached where the application has them. */
const isCaptured = (node: ProxyNode): boolean => node.type === 'sidecar' && node.outbound === undefined && node.ports.every((one) => one.listen.port === one.port)

/** What a listener at an address of its own leads to. */
const apartLayers = (client: RouteClient, listener: EgressListener, egress: Egress, families: Families): LayerSpec[] => [
  seenFrom(keyOf('apart-scopes', listener, families), client.namespace, MESH_HOSTS, egress, (at, of, host) => scopesOfListener(at, { ...client, namespace: of }, listener, host, families)),
  single(keyOf('apart-fallback', client, listener, egress ?? '', families), (at) => fallbackOfListener(at.within(egress), client, listener, families)),
]

/** `seen`: what the listeners see that stand at no address of a Sidecar's own, by the addresses that its application is told. */
function capturedLayers(client: RouteClient, tracing: TracingScope, egress: Egress, seen: Egress, families: Families): LayerSpec[] {
  const { namespace } = client
  const anywhere = { ...client, namespace: '' }
  return [
    routesLayer(client, egress),
    seenFrom('captured-scopes', namespace, MESH_HOSTS, seen, (at, of, host) => capturedScopes(at, of, host)),
    seenFrom(keyOf('captured-addresses', anywhere, tracing), namespace, ['service-host'], seen, (at, of, host) => addressListeners(at, { ...client, namespace: of }, host, tracing)),
    seenFrom(keyOf('captured-ports', anywhere, tracing, families), namespace, ['http-port', 'plain-port'], seen, (at, of, port) => [...portListener(at, { ...client, namespace: of }, Number(port), tracing, { addresses: wildcardsOf(families) }), ...capturedFallback(at, { ...client, namespace: of }, Number(port), families)]),
    single(keyOf('captured-outbound', tracing, egress ?? '', families), (at) => virtualOutbound(at.within(egress), namespace, tracing, families)),
  ]
}

/** A client of gRPC without a proxy. */
function grpcLayers({ namespace, locality, labels, ports, grpcCertificates: certificates = false }: ProxyNode): LayerSpec[] {
  const server: GrpcServer = { namespace, labels, ports, certificates }
  const client = (from: string): RouteClient => ({ namespace: from, labels: {}, gateway: 'mesh' })
  return [
    seenFrom('grpc-listeners', namespace, MESH_HOSTS, undefined, (at, from, host) => grpcListeners(at, client(from), host)),
    seenFrom('grpc-routes', namespace, MESH_HOSTS, undefined, (at, from, host) => grpcRoutes(at, client(from), host)),
    seenFrom(keyOf('grpc-clusters', { certificates }), namespace, ['service-host'], undefined, (at, from, host) => grpcClusters(at, { namespace: from, certificates }, host)),
    seenFrom(keyOf('grpc-endpoints', { locality }), namespace, ['service-host'], undefined, (at, from, host) => grpcEndpoints(at, { namespace: from, locality }, host)),
    ...(ports.length > 0 ? [single(keyOf('grpc-server', server), (at) => grpcServerListeners(at, server))] : []),
  ]
}

/**
 * Secrets that a proxy's own configuration names: its servers' certificates and authorities, the one that its Gateways show to backends, and those of DestinationRules; at a sidecar only of
 * rules that select it (credentialName, as in Istio). What policies of the Gateway API name comes with its cluster.
 */
function secretLayers(node: ProxyNode, reader: MeshReader, ownRules: readonly string[]): LayerSpec[] {
  const { namespace } = node
  const gateway = node.type === 'router'
  const layers = new Map<string, LayerSpec>()
  const add = (key: string, make: (at: MeshReader) => readonly Resource[]): Map<string, LayerSpec> => layers.set(key, single(key, make))
  const credential = (name: string, of: string): unknown => add(isGranted(name) ? keyOf('credential', namespace, name, of) : keyOf('credential', namespace, name), (at) => credentialResources(at, namespace, name, of))
  for (const { gateway: of, tls, backendCertificate } of gateway ? gatewayServers(reader, node.labels, namespace, hostsAt(reader, node)) : []) {
    for (const name of tls === undefined ? [] : credentialNames(tls)) credential(name, of)
    if (tls?.caCertCredentialName && !namesAuthorities(of, tls)) credential(tls.caCertCredentialName, of)
    if (namesAuthorities(of, tls)) add(keyOf('authorities', tls.caCertCredentialName), (at) => authoritiesResources(at, tls.caCertCredentialName))
    if (backendCertificate !== undefined) credential(backendCertificate, of)
  }
  const rules = reader.rulesWithCredential().filter((one) => !isDerivedRule(one) && ((gateway && one.spec.workloadSelector === undefined) || ownRules.includes(one.id)))
  for (const name of rules.flatMap((one) => rulePolicies(one.spec).flatMap((policy) => policy.tls?.credentialName || []))) credential(name, '')
  return [...layers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, layer]) => layer)
}

/** The certificate that a gateway process shows to backends: the first that its Gateways name. */
const backendCertificate = (node: ProxyNode, reader: MeshReader): string | undefined =>
  node.type === 'router' ? gatewayServers(reader, node.labels, node.namespace, hostsAt(reader, node)).find((one) => one.backendCertificate !== undefined)?.backendCertificate : undefined

function gatewayLayers(node: ProxyNode, reader: MeshReader, tracing: TracingScope, egress: Egress): LayerSpec[] {
  const { namespace } = node
  const hosts = hostsAt(reader, node)
  const servers = gatewayServers(reader, node.labels, namespace, hosts)
  const workload: GatewayWorkload = { namespace, labels: node.labels, address: node.gatewayAddress, families: familiesOf(node), hosts, ports: Object.fromEntries(node.gatewayPorts), tracing, engine: engineOf(node) }
  const key = keyOf('gateway', workload, egress ?? '')
  const groups = serverGroups(servers.filter((one) => servesHttp(one.protocol)), namespace, reader.readsSourceLabels() ? node.labels : {})
  // One unit a host, whichever of hundreds of servers have it: a unit for each of both would be tens of thousands.
  const routes: LayerSpec[] = groups.map((group) => single(keyOf('gateway-fallback', group), (at) => gatewayFallback(at, group)))
  if (groups.length > 0) {
    routes.push({
      key: keyOf('gateway-hosts', groups, egress ?? ''),
      indices: [...new Set(groups.flatMap((group) => group.servers.map((one) => `virtual-service/${one.gateway}`)))],
      unit: (host) => ({ key: keyOf('gateway-hosts', host), build: (at) => built(...groups.filter((group) => mayServe(group, host)).flatMap((group) => gatewayHostResources(at.within(egress), group, host))) }),
    })
  }
  const bySni = servers.some((one) => one.tls?.mode === 'AUTO_PASSTHROUGH') ? [seenFrom('sni-clusters', namespace, ['service-host'], egress, (at, of, host) => sniClusters(at, of, host))] : []
  return [{ key, units: [{ key, build: (at) => gatewayListeners(at.within(egress), workload) }] }, ...routes, ...bySni]
}

/** `certificate`: the secret of the one that the gateway shows to backends. */
const clustersLayer = (from: string, captured: boolean, egress: Egress, certificate: string | undefined): LayerSpec =>
  seenFrom(keyOf(captured ? 'captured-clusters' : 'clusters', ...(certificate === undefined ? [] : [certificate])), from, ['service-host'], egress, (reader, namespace, host) => {
    const scopes = clusterScopes(reader, namespace, host, captured, certificate)
    return [...scopes.map(clusterResource), ...authoritiesOf(scopes)]
  })

const endpointsLayer = ({ namespace: from, ...place }: ClientPlace, egress: Egress): LayerSpec =>
  seenFrom(keyOf('endpoints', place), from, ['service-host'], egress, (reader, namespace, host) => endpointScopes(reader, { ...place, namespace }, host).map(endpointResource))

const routesLayer = (client: RouteClient, egress: Egress): LayerSpec =>
  seenFrom(keyOf('routes', { ...client, namespace: '' }), client.namespace, MESH_HOSTS, egress, (reader, namespace, host) => (host.includes('*') ? [] : routeScopes(reader, { ...client, namespace }, host).map(routeResource)))

/** A client in no namespace that any object could name. */
const ELSEWHERE = '*elsewhere'

/**
 * A layer of subjects as clients of a namespace see them. `make` may look at the namespace only to compare it with those that the objects it reads name
 * (`MeshReader.named`): a client whose namespace is none of them sees what a client elsewhere sees.
 */
function seenFrom(kind: string, namespace: string, indices: readonly string[], egress: Egress, make: (reader: MeshReader, namespace: string, host: string) => readonly Resource[]): LayerSpec {
  const layer = (of: string, key: string): MemberLayerSpec => ({
    key,
    indices,
    unit: (host) => ({ key: keyOf(key, host), build: (reader) => built(...make(reader.within(egress), of, host)) }),
  })
  // What a Sidecar scopes, and rules that select workloads, are for its own workloads alone.
  if (egress?.sidecar !== undefined || egress?.rules !== undefined) return layer(namespace, keyOf(kind, namespace, egress))
  const key = egress?.allocated === undefined ? kind : keyOf(kind, { allocated: egress.allocated })
  return { ...layer(namespace, keyOf(key, namespace)), namespace, elsewhere: layer(ELSEWHERE, keyOf(key, ELSEWHERE)) }
}

const single = (key: string, make: (reader: MeshReader) => readonly Resource[]): LayerSpec => ({ key, units: [{ key, build: (reader) => built(...make(reader)) }] })

/** Istio's name of a workload's service in traces: `order-service.prod`. */
const serviceName = (node: ProxyNode): string => `${node.labels['service.istio.io/canonical-name'] ?? node.labels['app.kubernetes.io/name'] ?? node.labels['app'] ?? node.name}.${node.namespace}`

/** Equal scopes make equal keys, whatever the order of their labels. */
const keyOf = (...parts: readonly unknown[]): string => parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part, sortKeys))).join(' ')

const sortKeys = (_name: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value
