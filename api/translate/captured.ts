import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ClientScope, MeshReader } from '#api/model/mesh-reader.ts'
import { carriesHttp } from '#api/model/mesh-service.ts'
import type { MeshService, ServicePort } from '#api/model/mesh-service.ts'
import { writtenAt, writtenBehind } from '#api/model/written.ts'
import type { Resource } from '#api/serve/resource.ts'
import { Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { TrafficDirection } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { FilterChainSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { type Families, loopbacksOf, wildcardsOf } from '#core/workload/families.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { VirtualHost } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { HttpInspectorSchema } from '#core/wire/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts'
import type { EgressListener } from '#core/resource/sidecar.ts'
import { TlsInspectorSchema } from '#core/wire/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts'
import { connectionRoutes, holds, subnetsOf } from './connection-route.ts'
import type { ConnectionRoute } from './connection-route.ts'
import { DETECTION, detectionTimeout, detects } from './detection.ts'
import { dynamicDnsCluster, dynamicDnsFilter, dynamicDnsHost } from './dynamic-dns.ts'
import { grpcWebFilter, httpManager, scopedRoutes } from './http-connection.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { addressesOf, anyOf, duration, fromAds, metadataOf, socketAddress } from './message.ts'
import { outboundCluster, outboundRoutes } from './naming.ts'
import { inOrder, prefixRange, withoutTwins } from './range-chains.ts'
import type { ChainInit } from './range-chains.ts'
import { resourceOf } from './resource.ts'
import { routeConfiguration, virtualHost } from './route.ts'
import { isForServicesBelow, portsBesideService, resolveDestination, routeScopes, speakingFor } from './route-scope.ts'
import type { RouteClient, ScopedDestination } from './route-scope.ts'
import type { LogSettings } from './reporting.ts'
import type { TracingScope } from './telemetry.ts'
import { scopeResource } from './scope.ts'
import { namesOf } from './service-names.ts'
import { tcpProxy } from './tls-route.ts'

/** Istio's ports of a sidecar whose pod's traffic is captured. */
const OUTBOUND_PORT = 15001
export const INBOUND_PORT = 15006

/** Where connections go that no service claims: on to where they were going, or nowhere. */
const PASSTHROUGH = 'PassthroughCluster'
const BLACK_HOLE = 'BlackHoleCluster'
function unclaimed(reader: MeshReader, client: string): ScopedDestination {
  const proxy = reader.egressProxy()
  if (proxy !== undefined) return resolveDestination(reader, { namespace: client, gateway: 'mesh' }, proxy, client, 0)
  return { cluster: reader.unknownHosts() === 'REGISTRY_ONLY' ? BLACK_HOLE : PASSTHROUGH, host: '', port: 0, hash: undefined }
}

/** Connections to the port of captured ones itself go nowhere: passed on, they would come back for ever. */
export const againstLoops = (name: string, port: number, log: LogSettings | undefined): MessageInitShape<typeof FilterChainSchema> => ({
  name: `${name}-blackhole`,
  filterChainMatch: { destinationPort: port },
  filters: [tcpProxy(BLACK_HOLE, [], [{ cluster: BLACK_HOLE, host: '', port: 0, hash: undefined }], log)],
})

const listenerFilter = (name: string, typedConfig: ReturnType<typeof anyOf>) => ({ name, configType: { case: 'typedConfig' as const, value: typedConfig } })
export const tlsInspector = () => listenerFilter('envoy.filters.listener.tls_inspector', anyOf(TlsInspectorSchema, {}))
export const httpInspector = () => listenerFilter('envoy.filters.listener.http_inspector', anyOf(HttpInspectorSchema, {}))

/** The listener that takes all captured outbound connections and hands each to the listener of its original destination, and the clusters of the unclaimed. */
export function virtualOutbound(reader: MeshReader, client: string, tracing: TracingScope, families: Families): Resource[] {
  const rest = unclaimed(reader, client)
  const byName = reader.unknownHosts() === 'ALLOW_ANY_DYNAMIC_DNS'
  const name = 'virtualOutbound'
  const { log } = tracing.clients ?? {}
  const message = create(ListenerSchema, {
    name,
    ...addressesOf(wildcardsOf(families), OUTBOUND_PORT),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.OUTBOUND,
    ...(byName
      ? {
          filterChains: [againstLoops(name, OUTBOUND_PORT, log), { name: 'virtualOutbound-catchall-tcp-http', filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP }, filters: [httpManager({ statPrefix: `outbound_${name};`, role: 'outbound', tracing, filters: [dynamicDnsFilter()], routes: { case: 'routeConfig', value: { name: 'allow_any_dynamic_dns', virtualHosts: [dynamicDnsHost()] } } })] }],
          defaultFilterChain: { name: 'virtualOutbound-catchall-tcp', filters: [tcpProxy(rest.cluster, [], [rest], log)] },
          listenerFilters: [tlsInspector(), httpInspector()],
          ...detects(detectionTimeout(reader, DETECTION.declared)),
        }
      : { filterChains: [againstLoops(name, OUTBOUND_PORT, log), { name: 'virtualOutbound-catchall-tcp', filters: [tcpProxy(rest.cluster, [], [rest], log)] }] }),
  })
  const passthrough = create(ClusterSchema, {
    name: PASSTHROUGH,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: duration(10_000),
  })
  const nowhere = create(ClusterSchema, { name: BLACK_HOLE, clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC }, connectTimeout: duration(10_000) })
  return [resourceOf(ListenerSchema, name, message, []), resourceOf(ClusterSchema, PASSTHROUGH, passthrough, []), resourceOf(ClusterSchema, BLACK_HOLE, nowhere, []), ...(byName ? [dynamicDnsCluster()] : [])]
}

const PLAIN_HTTP = ['http/1.0', 'http/1.1', 'h2c']

/** Where a listener takes connections, IPv4 first. */
export interface ListenerPlace {
  readonly addresses: readonly [string, ...string[]]
  /** By a socket of its own. */
  readonly bound?: boolean
  /** At addresses that stand for all services, those with one of their own too. */
  readonly named?: boolean
}

/**
 * The listener of a port at any address: HTTP by scopes; what is not HTTP by the range of its destination, by server name, then to the service that has the port and no address,
 * then as if unclaimed.
 */
export function portListener(reader: MeshReader, client: RouteClient, port: number, tracing: TracingScope, at: ListenerPlace, scopes = String(port)): Resource[] {
  const name = `${at.addresses[0]}_${port}`
  const chains: ChainInit[] = []
  const http = reader.hasPort('http-port', port, client.namespace)
  const { log } = tracing.clients ?? {}
  const claimed = reader.servicesAtPort(port, client.namespace, at.named === true).flatMap((service) => service.ports.filter((one) => one.port === port && one.protocol !== 'udp').map((one) => ({ service, port: one })))
  if (!http && claimed.length === 0) return []
  if (http) chains.push({ name: `${name}_http`, filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP }, filters: [outboundManager(name, tracing, scopedRoutes('at-colon'), scopes, [...(reader.hasPort('grpc-web-port', port, client.namespace) ? [grpcWebFilter(true)] : []), ...(reader.unknownHosts() === 'ALLOW_ANY_DYNAMIC_DNS' ? [dynamicDnsFilter()] : [])])] })
  const ofRanges: ChainInit[] = []
  for (const { service, port: servicePort } of claimed) {
    if (service.ranges.length > 0) ofRanges.push(...rangeChains(reader, client, service, servicePort, tracing))
    else if (servicePort.protocol !== 'auto') chains.push(...serverNameChains(reader, client, service, servicePort, log))
  }
  const tcp = claimed.find((one) => isTcp(one.port) && one.service.ranges.length === 0)
  const nobody = unclaimed(reader, client.namespace)
  const own = tcp === undefined ? undefined : connectionProxies(reader, client, tcp.service, tcp.port, log)
  if (own !== undefined) chains.push(...own.narrow)
  const rest = own?.rest.filters ?? [tcpProxy(nobody.cluster, [], [nobody], log)]
  const placed = [...inOrder(chains), ...withoutTwins(ofRanges)]
  const message = create(ListenerSchema, {
    name,
    ...addressesOf(at.addresses, port),
    ...(at.bound === true ? {} : { bindToPort: false }),
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: placed,
    defaultFilterChain: { name: tcp === undefined ? 'PassthroughFilterChain' : `${name}_tcp`, filters: rest },
    listenerFilters: [...(placed.length > 0 ? [tlsInspector()] : []), ...(http || claimed.some((one) => one.port.protocol === 'auto') ? [httpInspector()] : [])],
    ...detects(detectionTimeout(reader, !http && claimed.some((one) => isTcp(one.port)) ? DETECTION.undeclared : DETECTION.declared)),
  })
  return [resourceOf(ListenerSchema, name, message, claimed.map((one) => one.service.source))]
}

/**
 * The listeners that a Sidecar's egress asks for at addresses of its own, each for the hosts that it names: bound where traffic is not captured (`captureMode: NONE`), on loopback unless told otherwise,
 * else where connections to that address and port are handed over. istio.io/latest/docs/reference/config/networking/sidecar/#IstioEgressListener
 */
export function egressListeners(reader: MeshReader, client: RouteClient, scope: ClientScope, listeners: readonly EgressListener[], tracing: TracingScope, families: Families): Resource[] {
  return listeners.flatMap(({ bind = '', port, captureMode }, listener) => {
    const bound = captureMode === 'NONE'
    if (!port?.number || (!bound && bind === '') || bind.startsWith('unix://')) return []
    const addresses = bind === '' ? loopbacksOf(families) : ([bind] as const)
    return portListener(reader.within({ ...scope, listener }), client, port.number, tracing, { addresses, bound, named: bind !== '0.0.0.0' && bind !== '::' }, scopesApart(addresses[0], port.number))
  })
}

/** First part of the scope keys of a listener at an address of its own. */
const scopesApart = (address: string, port: number): string => `${address}_${port}`

/** The scopes of a listener at an address of its own: of the hosts that it names, at its port; `reader` sees these alone. */
export function scopesOfListener(reader: MeshReader, client: RouteClient, { bind = '', port }: EgressListener, host: string, families: Families): Resource[] {
  const number = port?.number
  return number === undefined || bind.startsWith('unix://') ? [] : capturedScopes(reader, client.namespace, host, { port: number, scopes: scopesApart(bind === '' ? loopbacksOf(families)[0] : bind, number) })
}

/** What becomes there of requests for other hosts. */
export function fallbackOfListener(reader: MeshReader, client: RouteClient, { bind = '', port }: EgressListener, families: Families): Resource[] {
  const number = port?.number
  return number === undefined || bind.startsWith('unix://') ? [] : capturedFallback(reader, client, number, families, scopesApart(bind === '' ? loopbacksOf(families)[0] : bind, number))
}

const outboundManager = (name: string, tracing: TracingScope, routes: Parameters<typeof httpManager>[0]['routes'], scopePort?: string, filters: readonly HttpFilterInit[] = []) =>
  httpManager({ statPrefix: `outbound_${name};`, role: 'outbound', tracing, filters, routes, ...(scopePort === undefined ? {} : { scopePort }) })

/** Server names tell services without an address apart; TCP goes as it comes. */
const isTcp = (port: ServicePort): boolean => port.protocol !== 'tls' && port.protocol !== 'https'

/** Connections into a service's ranges of addresses: HTTP by the service's own routes where the protocol is not said, the rest to the service. */
function rangeChains(reader: MeshReader, client: RouteClient, service: MeshService, port: ServicePort, tracing: TracingScope): ChainInit[] {
  const name = `${service.host}_${port.port}`
  const prefixRanges = service.ranges.map(prefixRange)
  // TLS is for whose name it bears.
  if (!isTcp(port)) return inOrder(serverNameChains(reader, client, service, port, tracing.clients?.log).map((one) => (one.filterChainMatch?.prefixRanges?.length ? one : { ...one, filterChainMatch: { ...one.filterChainMatch, prefixRanges } })))
  const { narrow, rest } = connectionProxies(reader, client, service, port, tracing.clients?.log)
  const http: ChainInit[] = port.protocol === 'auto' ? [{ name: `${name}_range_http`, filterChainMatch: { prefixRanges, transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP }, filters: [outboundManager(name, tracing, hostRoutes(service, port))] }] : []
  return inOrder([...http, ...narrow, { ...rest, name: `${name}_range`, filterChainMatch: { prefixRanges } }])
}

/** The routes of one service's port, whatever host a request names. */
const hostRoutes = (service: MeshService, port: ServicePort) => ({ case: 'rds' as const, value: { routeConfigName: outboundRoutes(port.port, service.host), configSource: fromAds() } })

/** A service's listeners at its own addresses, and at those of its pods where it has none, one for each port that is not said to be HTTP. */
export function addressListeners(reader: MeshReader, client: RouteClient, host: string, tracing: TracingScope): Resource[] {
  const service = reader.service(host, client.namespace)
  if (service === undefined) return []
  const ownAddresses = ({ port }: ServicePort): readonly string[] => (service.headless ? reader.workloadsOf(service).map((one) => one.address) : service.addresses.filter((address) => reader.hostAtAddress(address, port, client.namespace) === host))
  return service.ports
    .filter((port) => (port.protocol === 'auto' || !carriesHttp(port.protocol)) && port.protocol !== 'udp')
    .flatMap((port) =>
      ownAddresses(port).map((address) => {
        const name = `${address}_${port.port}`
        const auto = port.protocol === 'auto'
        const { narrow, rest, origin } = connectionProxies(reader, client, service, port, tracing.clients?.log)
        const http: ChainInit[] = auto ? [{ name: `${name}_http`, filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP }, filters: [outboundManager(name, tracing, hostRoutes(service, port))] }] : []
        const message = create(ListenerSchema, {
          name,
          address: socketAddress(address, port.port),
          bindToPort: false,
          trafficDirection: TrafficDirection.OUTBOUND,
          filterChains: inOrder([...http, ...(isTcp(port) ? [] : serverNameChains(reader, client, service, port, tracing.clients?.log)), ...narrow, ...(auto ? [] : [{ ...rest, name }])]),
          ...(auto ? { defaultFilterChain: { ...rest, name } } : {}),
          listenerFilters: [...(auto || !isTcp(port) ? [tlsInspector()] : []), ...(auto ? [httpInspector()] : [])],
          ...detects(detectionTimeout(reader, auto ? DETECTION.undeclared : DETECTION.declared)),
        })
        return resourceOf(ListenerSchema, name, message, [service.source, origin.resource])
      }),
    )
}

/** Connections to a service's port: what holds for some addresses, as chains, and what they carry to all others. */
function connectionProxies(reader: MeshReader, client: RouteClient, service: MeshService, port: ServicePort, log: LogSettings | undefined) {
  const { narrow, rest } = connectionRoutes(reader, client, service, port)
  const carried = ({ routes, destinations, origin }: ConnectionRoute) => ({ filters: [tcpProxy(outboundCluster(port.port, '', service.host), routes, destinations, log)], metadata: metadataOf(origin) })
  const chains = narrow.map((one): ChainInit => ({ ...carried(one), name: `${service.host}_${port.port}_${one.origin.field}`, filterChainMatch: { prefixRanges: one.subnets.map(prefixRange) } }))
  return { narrow: chains, rest: carried(rest), origin: rest.origin }
}

/** TLS connections by server name: as `tls` routes say, and under the service's own host as all that reach it. */
function serverNameChains(reader: MeshReader, client: RouteClient, service: MeshService, port: ServicePort, log: LogSettings | undefined): ChainInit[] {
  const [virtualService] = reader.virtualServices('mesh', service.host, client.namespace)
  const chains: ChainInit[] = []
  const statPrefix = outboundCluster(port.port, '', service.host)
  const taken = new Set<string>()
  for (const [index, route] of (virtualService?.spec.tls ?? []).entries()) {
    if (virtualService === undefined) break
    for (const match of route.match) {
      if (!holds(match, client, virtualService.namespace, port.port)) continue
      const serverNames = [...new Set(match.sniHosts.map((one) => one.toLowerCase()))].filter((one) => !taken.has(one) && one !== '*')
      if (serverNames.length === 0) continue
      const subnets = subnetsOf(match)
      if (subnets.length === 0) for (const one of serverNames) taken.add(one)
      const destinations = (route.route ?? []).map((one) => resolveDestination(reader, client, one.destination, virtualService.namespace, port.port))
      chains.push({
        name: `${service.host}_${port.port}_tls[${index}]`,
        filterChainMatch: { serverNames, prefixRanges: subnets.map(prefixRange) },
        filters: [tcpProxy(statPrefix, route.route ?? [], destinations, log)],
        metadata: metadataOf(writtenAt(virtualService, `tls[${index}]`)),
      })
    }
  }
  if (!taken.has(service.host) && service.host !== '*') {
    const { narrow, rest, origin } = connectionProxies(reader, client, service, port, log)
    for (const one of narrow) chains.push({ ...one, filterChainMatch: { ...one.filterChainMatch, serverNames: [service.host] } })
    chains.push({ name: `${service.host}_${port.port}`, filterChainMatch: { serverNames: [service.host] }, filters: rest.filters, ...(origin.field === '' ? {} : { metadata: rest.metadata }) })
  }
  return chains
}

/** Scopes of a host where traffic is captured: by the port that was called, and every name and address without it. `only`: of one port, under keys of its own. */
export function capturedScopes(reader: MeshReader, client: string, host: string, only?: { readonly port: number; readonly scopes: string }): Resource[] {
  if (host.includes('*')) return []
  const isAsked = (port: number): boolean => only === undefined || only.port === port
  const keyOf = (port: number): string => only?.scopes ?? String(port)
  const service = reader.service(host, client)
  const virtualService = speakingFor(reader, { gateway: 'mesh', namespace: client }, host, service)
  const beside = portsBesideService(reader, client, service, virtualService).filter(isAsked).map((port) => scopeResource(keyOf(port), host, outboundRoutes(port, host), virtualService === undefined ? [] : writtenBehind(virtualService)))
  if (service === undefined) return beside
  const names = namesOf(reader, service, client)
  // An IPv6 address cannot be split from its port at a colon, and so has no scope of its own.
  const ownAddresses = ({ port }: ServicePort): readonly string[] => service.addresses.filter((address) => !address.includes(':') && reader.hostAtAddress(address, port, client) === host)
  const ofService = service.ports.filter((port) => carriesHttp(port.protocol) && isAsked(port.port)).flatMap((port) => [...names, ...ownAddresses(port)].map((name) => scopeResource(keyOf(port.port), name, outboundRoutes(port.port, host), [service.source])))
  return [...ofService, ...beside]
}

/** The pods of headless services by names of their own (`web-0.web`, as StatefulSets have them): by the service's routes, on to the pod that the caller found. */
function podHosts(reader: MeshReader, client: RouteClient, port: number, taken: Set<string>, origins: string[]): VirtualHost[] {
  return reader.httpAtPort('headless-port', port, client.namespace).flatMap((service) => {
    const domains = namesOf(reader, service, client.namespace).map((name) => `*.${name}`).filter((name) => !taken.has(name))
    const scope = routeScopes(reader, client, service.host).find((one) => one.port === port)
    if (scope === undefined || domains.length === 0) return []
    for (const domain of domains) taken.add(domain)
    origins.push(...scope.origins)
    return [virtualHost(`*.${service.host}:${port}`, domains, scope)]
  })
}

/** Services by their addresses of IPv6, whose colons no scope can be told from. */
function sixHosts(reader: MeshReader, client: RouteClient, port: number, origins: string[]): VirtualHost[] {
  return reader.httpAtPort('six-port', port, client.namespace).flatMap((service) => {
    const domains = service.addresses.filter((address) => address.includes(':') && reader.hostAtAddress(address, port, client.namespace) === service.host).map((address) => `[${address}]`)
    const scope = routeScopes(reader, client, service.host).find((one) => one.port === port)
    if (scope === undefined || domains.length === 0) return []
    origins.push(...scope.origins)
    return [virtualHost(`${domains[0]}:${port}`, domains, scope)]
  })
}

/** Requests on a port for hosts that nobody claims: addresses of IPv6, wildcard hosts, pods of headless services, then on to where they were going, or 502. */
export function capturedFallback(reader: MeshReader, client: RouteClient, port: number, families: Families, scopes = String(port)): Resource[] {
  if (!reader.hasPort('http-port', port, client.namespace)) return []
  const origins: string[] = []
  const virtualHosts = families === 'IPv4' ? [] : sixHosts(reader, client, port, origins)
  for (const host of reader.wildcardHosts('mesh')) {
    if (host === '*' || isForServicesBelow(reader, client.namespace, host, port)) continue
    for (const scope of routeScopes(reader, client, host)) {
      if (scope.port !== port) continue
      virtualHosts.push(virtualHost(`${host}:${port}`, [host], scope))
      origins.push(...scope.origins)
    }
  }
  virtualHosts.push(...podHosts(reader, client, port, new Set(virtualHosts.flatMap((one) => one.domains)), origins))
  const match = { pathSpecifier: { case: 'prefix' as const, value: '/' } }
  const unknown = reader.unknownHosts()
  const open = unknown !== 'REGISTRY_ONLY'
  virtualHosts.push(
    unknown === 'ALLOW_ANY_DYNAMIC_DNS' ? dynamicDnsHost() : create(VirtualHostSchema, {
      name: open ? 'allow_any' : 'block_all',
      domains: ['*'],
      routes: [open ? { name: 'allow_any', match, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: unclaimed(reader, client.namespace).cluster }, timeout: duration(0) } } } : { name: 'block_all', match, action: { case: 'directResponse', value: { status: 502 } } }],
    }),
  )
  const name = `fallback|${scopes}`
  const message = routeConfiguration(name, virtualHosts)
  message.ignorePortInHostMatching = true
  return [scopeResource(scopes, '*', name, []), resourceOf(RouteConfigurationSchema, name, message, origins)]
}
