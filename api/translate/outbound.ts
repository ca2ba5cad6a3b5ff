import { create } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { carriesHttp } from '#api/model/mesh-service.ts'
import type { Resource } from '#api/serve/resource.ts'
import { writtenBehind } from '#api/model/written.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import { TrafficDirection } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { VirtualHost } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { connectLoop, connectRoute, refusedConnect, refusedRequest } from './connect.ts'
import { DYNAMIC_DNS, dynamicDnsCluster, dynamicDnsFilter, dynamicDnsHost } from './dynamic-dns.ts'
import { grpcWebFilter, httpManager, scopedRoutes } from './http-connection.ts'
import { duration, socketAddress } from './message.ts'
import { outboundRoutes } from './naming.ts'
import { resourceOf } from './resource.ts'
import { PROXY_PORT, routeConfiguration, virtualHost } from './route.ts'
import { isForServicesBelow, portsBesideService, resolveDestination, routeScopes, speakingFor } from './route-scope.ts'
import type { RouteClient } from './route-scope.ts'
import { scopeResource } from './scope.ts'
import { authoritiesAt, namesOf } from './service-names.ts'
import type { TracingScope } from './telemetry.ts'

export interface ExplicitOutboundScope {
  readonly bind: SocketAddress
  readonly tracing: TracingScope
  /** Unknown hosts are resolved by the proxy. */
  readonly byName: boolean
  /** Some service speaks gRPC-Web. */
  readonly grpcWeb: boolean
}

/** The listener that takes an application's requests in explicit mode, whatever service they are for, and its tunnels' way back to it. */
export function explicitListener(scope: ExplicitOutboundScope): Resource[] {
  const name = 'outbound_proxy'
  const message = create(ListenerSchema, {
    name,
    address: socketAddress(scope.bind.address, scope.bind.port),
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [
      {
        name,
        filters: [httpManager({ statPrefix: name, tracing: scope.tracing, routes: scopedRoutes('whole'), filters: [...(scope.grpcWeb ? [grpcWebFilter(true)] : []), ...(scope.byName ? [dynamicDnsFilter()] : [])], scopePort: PROXY_PORT, connects: true, role: 'outbound' })],
      },
    ],
  })
  return [resourceOf(ListenerSchema, name, message, []), ...connectLoop(scope.bind)]
}

/**
 * The scopes that lead to a host in explicit mode: `host:port` for every name and port, and the name alone for port 80.
 * An alias that is some other service's own host is that service's; an address belongs to the oldest that claims it.
 */
export function explicitScopes(reader: MeshReader, client: string, host: string): Resource[] {
  if (host.includes('*')) return []
  const service = reader.service(host, client)
  const virtualService = speakingFor(reader, { gateway: 'mesh', namespace: client }, host, service)
  const beside = portsBesideService(reader, client, service, virtualService).flatMap((port) => hostScopes(host, port, outboundRoutes(port, host), virtualService === undefined ? [] : writtenBehind(virtualService)))
  if (service === undefined) return beside
  const names = namesOf(reader, service, client)
  const ofService = service.ports
    .filter((port) => carriesHttp(port.protocol))
    .flatMap((port) => [...names, ...authoritiesAt(reader, service, port, client)].flatMap((name) => hostScopes(name, port.port, outboundRoutes(port.port, host), [service.source])))
  return [...ofService, ...beside]
}

const hostScopes = (name: string, port: number, routes: string, origins: readonly string[]): Resource[] =>
  [`${name}:${port}`, ...(port === 80 ? [name] : [])].map((key) => scopeResource(PROXY_PORT, key, routes, origins))

/**
 * Where unknown hosts go: wildcard hosts first, then nowhere. Without captured traffic there is no original destination to pass a request on to,
 * so ALLOW_ANY cannot be honoured here, and an unknown host is refused as REGISTRY_ONLY refuses it: 502, as Istio's BlackHole answers. Where the proxy resolves names, it goes by them;
 * a Sidecar's egressProxy takes them all.
 */
export function explicitFallback(reader: MeshReader, client: RouteClient): Resource[] {
  const origins: string[] = []
  const virtualHosts: VirtualHost[] = []
  for (const host of reader.wildcardHosts(client.gateway)) {
    for (const scope of routeScopes(reader, client, host)) {
      const domains = host === '*' ? [] : [`${host}:${scope.port}`, ...(scope.port === 80 ? [host] : [])]
      if (domains.length === 0 || isForServicesBelow(reader, client.namespace, host, scope.port)) continue
      virtualHosts.push(virtualHost(`${host}:${scope.port}`, domains, scope))
      origins.push(...scope.origins)
    }
  }
  const byName = reader.unknownHosts() === 'ALLOW_ANY_DYNAMIC_DNS'
  const proxy = reader.egressProxy()
  const beyond = proxy && resolveDestination(reader, client, proxy, client.namespace, 0).cluster
  virtualHosts.push(
    beyond !== undefined
      ? create(VirtualHostSchema, { name: 'allow_any', domains: ['*'], routes: [refusedConnect(), { name: 'allow_any', match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: beyond }, timeout: duration(0) } } }] })
      : byName ? dynamicDnsHost([connectRoute('allow_any_dynamic_dns', { case: 'cluster', value: DYNAMIC_DNS })]) : create(VirtualHostSchema, { name: 'block_all', domains: ['*'], routes: [refusedRequest(), refusedConnect()] }),
  )
  const name = `fallback|${PROXY_PORT}`
  return [scopeResource(PROXY_PORT, '*', name, []), resourceOf(RouteConfigurationSchema, name, routeConfiguration(name, virtualHosts), origins), ...(byName ? [dynamicDnsCluster()] : [])]
}
