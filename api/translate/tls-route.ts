import type { MessageInitShape } from '@bufbuild/protobuf'
import { resolveGateway } from '#api/model/index-entries.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { RouteDestination, VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import type { FilterChainSchema, FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { TcpProxySchema } from '#core/wire/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { hostCovers, resolveHost } from '#api/model/host.ts'
import { writtenAt } from '#api/model/written.ts'
import { servedDomains } from './gateway-scope.ts'
import type { ScopedServer } from './gateway-scope.ts'
import { anyOf, durationOf, metadataOf } from './message.ts'
import { resolveDestination } from './route-scope.ts'
import type { ScopedDestination } from './route-scope.ts'
import { accessLogs } from './access-log.ts'
import type { LogSettings } from './reporting.ts'

type ChainInit = MessageInitShape<typeof FilterChainSchema>

/** Connections that a server passes on unopened: a chain for each set of server names that VirtualServices route under `tls`; `taken` are the names that older servers of the port have. */
export function passthroughChains(reader: MeshReader, server: ScopedServer, client: string, taken: Set<string>, log: LogSettings | undefined): ChainInit[] {
  const chains: ChainInit[] = []
  for (const host of server.hosts) {
    for (const virtualService of reader.virtualServicesOn(server.gateway, client)) {
      for (const [index, route] of (virtualService.spec.tls ?? []).entries()) {
        for (const match of route.match) {
          if (match.port !== undefined && match.port !== server.serverPort) continue
          if (match.gateways?.length && !match.gateways.some((one) => resolveGateway(one, virtualService.namespace) === server.gateway)) continue
          const names = [...new Set(match.sniHosts)].filter((sni) => (hostCovers(host.host, sni) || hostCovers(sni, host.host)) && servedDomains(server, sni, virtualService.namespace).length > 0 && !taken.has(sni))
          if (names.length === 0) continue
          for (const one of names) taken.add(one)
          const destinations = (route.route ?? []).map((one) => resolveDestination(reader, { namespace: client, gateway: server.gateway }, one.destination, virtualService.namespace, server.serverPort))
          chains.push({
            name: `${server.id}|${names.join(',')}`,
            filterChainMatch: { transportProtocol: 'tls', ...(names.includes('*') ? {} : { serverNames: names.sort() }) },
            filters: [tcpProxy(`outbound|${server.port}||${names[0]}`, route.route ?? [], destinations, log)],
            metadata: metadataOf(writtenAt(virtualService, `tls[${index}]`)),
          })
        }
      }
    }
  }
  return chains
}

/** Where a server's opaque connections go: the first `tcp` route that holds there, of the oldest VirtualService; undefined: nowhere. */
export function gatewayTcpFilters(reader: MeshReader, server: ScopedServer, client: string, log: LogSettings | undefined): MessageInitShape<typeof FilterSchema>[] | undefined {
  for (const virtualService of reader.virtualServicesOn(server.gateway, client)) {
    const { namespace, spec } = virtualService
    if (!(spec.hosts ?? []).some((host) => servedDomains(server, resolveHost(host, namespace), namespace).length > 0)) continue
    const route = (spec.tcp ?? []).find(({ match = [] }) => match.length === 0 || match.some((one) => (one.port === undefined || one.port === server.serverPort) && (!one.gateways?.length || one.gateways.some((of) => resolveGateway(of, namespace) === server.gateway))))
    const routes = (route ?? sniRoute(spec, server, namespace))?.route ?? []
    if (routes.length === 0) continue
    const destinations = routes.map((one) => resolveDestination(reader, { namespace: client, gateway: server.gateway }, one.destination, namespace, server.serverPort))
    return [tcpProxy(`outbound|${server.serverPort}||${destinations[0]?.host ?? ''}`, routes, destinations, log)]
  }
  return undefined
}

/** Where TLS ends at the server, a `tls` route still leads on by the name that was asked for. */
const sniRoute = (spec: VirtualServiceSpec, server: ScopedServer, owner: string) =>
  (spec.tls ?? []).find(({ match }) => match.some((one) => (one.port === undefined || one.port === server.serverPort) && one.sniHosts.some((sni) => servedDomains(server, sni, owner).length > 0)))

/** Where there are several destinations the first one's settings hold: a connection has one life, whichever it is sent to. As in Istio. */
function connectionInit(destination: ScopedDestination | undefined): MessageInitShape<typeof TcpProxySchema> {
  const { idleTimeout, maxConnectionDuration, tunnel } = destination?.connection ?? {}
  return {
    ...(destination?.hash?.useSourceIp === true ? { hashPolicy: [{ policySpecifier: { case: 'sourceIp', value: {} } }] } : {}),
    ...(idleTimeout === undefined ? {} : { idleTimeout: durationOf(idleTimeout) }),
    ...(maxConnectionDuration === undefined ? {} : { maxDownstreamConnectionDuration: durationOf(maxConnectionDuration) }),
    ...(tunnel === undefined ? {} : { tunnelingConfig: { hostname: `${tunnel.targetHost.includes(':') ? `[${tunnel.targetHost}]` : tunnel.targetHost}:${tunnel.targetPort}`, usePost: tunnel.protocol === 'POST' } }),
  }
}

/** Connections to one cluster, or to several by weight. */
export function tcpProxy(statPrefix: string, routes: readonly RouteDestination[], destinations: readonly ScopedDestination[], log: LogSettings | undefined): MessageInitShape<typeof FilterSchema> {
  const [only, ...others] = destinations
  const weighted = destinations.flatMap((one, index) => ((routes[index]?.weight ?? 0) > 0 ? [{ name: one.cluster, weight: routes[index]?.weight ?? 0 }] : []))
  return {
    name: 'envoy.filters.network.tcp_proxy',
    configType: {
      case: 'typedConfig',
      value: anyOf(TcpProxySchema, {
        statPrefix,
        clusterSpecifier: only !== undefined && others.length === 0 ? { case: 'cluster', value: only.cluster } : { case: 'weightedClusters', value: { clusters: weighted } },
        accessLog: accessLogs(log, 'tcp'),
        ...connectionInit(destinations[0]),
      }),
    },
  }
}
