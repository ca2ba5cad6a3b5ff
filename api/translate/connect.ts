import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { carriesHttp } from '#api/model/mesh-service.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import { Cluster_DiscoveryType, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { RouteSchema, VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { Route, RouteActionSchema, RouteMatchSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { namedConnectionRoute } from './connection-route.ts'
import type { ConnectionRoute } from './connection-route.ts'
import { duration, metadataOf, socketAddress } from './message.ts'
import type { Origin } from './message.ts'
import { resourceOf } from './resource.ts'
import { CONNECT_SCOPE, PROXY_PORT, routeConfiguration } from './route.ts'
import type { RouteClient } from './route-scope.ts'
import { scopeResource } from './scope.ts'
import { authoritiesAt, namesOf } from './service-names.ts'

/**
 * CONNECT at the listener that takes an application's requests in explicit mode, which is what HTTPS_PROXY leads to. The proxy ends it, and what the tunnel carries goes
 * - for a port with HTTP back to that same listener, so that requests inside are routed one by one as if they had come without a tunnel;
 * - for any other port to the service, by its `tcp` and `tls` routes.
 */

const LOOP = 'outbound_proxy'

type Action = MessageInitShape<typeof RouteActionSchema>
type RouteMatchInit = MessageInitShape<typeof RouteMatchSchema>

/** A route that ends a tunnel here. */
export const connectRoute = (name: string, specifier: Action['clusterSpecifier'], origin?: Origin): Route =>
  create(RouteSchema, {
    name,
    match: { pathSpecifier: { case: 'connectMatcher', value: {} } },
    action: { case: 'route', value: { clusterSpecifier: specifier, timeout: duration(0), upgradeConfigs: [{ upgradeType: 'CONNECT', connectConfig: {} }] } },
    metadata: metadataOf(origin),
  })

const refused = (pathSpecifier: RouteMatchInit['pathSpecifier']): Route => create(RouteSchema, { name: 'block_all', match: { pathSpecifier }, action: { case: 'directResponse', value: { status: 502 } } })

/** Istio's answer to what has nowhere to go, to requests and to CONNECT, which no path matches. */
export const refusedRequest = (): Route => refused({ case: 'prefix', value: '/' })
export const refusedConnect = (): Route => refused({ case: 'connectMatcher', value: {} })

/** The way back to the listener at `bind`, for tunnels that carry HTTP. */
export function connectLoop(bind: SocketAddress): Resource[] {
  const name = `connect|${PROXY_PORT}`
  const table = routeConfiguration(name, [create(VirtualHostSchema, { name: 'connect', domains: ['*'], routes: [connectRoute('connect', { case: 'cluster', value: LOOP })] })])
  const own = bind.address === '0.0.0.0' ? '127.0.0.1' : bind.address === '::' ? '::1' : bind.address
  const cluster = create(ClusterSchema, {
    name: LOOP,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: duration(1000),
    loadAssignment: { clusterName: LOOP, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: socketAddress(own, bind.port) } } }] }] },
  })
  return [scopeResource(PROXY_PORT, CONNECT_SCOPE, name, []), resourceOf(RouteConfigurationSchema, name, table, []), resourceOf(ClusterSchema, LOOP, cluster, [])]
}

/** Scopes and routes of a host's ports without HTTP, to which nothing but CONNECT leads. */
export function connectScopes(reader: MeshReader, client: RouteClient, host: string): Resource[] {
  const service = host.includes('*') ? undefined : reader.service(host, client.namespace)
  if (service === undefined) return []
  return service.ports
    .filter((port) => !carriesHttp(port.protocol) && port.protocol !== 'udp')
    .flatMap((port) => {
      const name = `connect|${port.port}||${host}`
      const found = namedConnectionRoute(reader, client, service, port)
      const origins = [service.source, found.origin.resource]
      const table = routeConfiguration(name, [create(VirtualHostSchema, { name: `${host}:${port.port}`, domains: ['*'], routes: [connectRoute('connect', specifierOf(found), found.origin), refusedRequest()] })])
      return [
        ...[...namesOf(reader, service, client.namespace), ...authoritiesAt(reader, service, port, client.namespace)].map((one) => scopeResource(PROXY_PORT, `${one}:${port.port}`, name, origins)),
        resourceOf(RouteConfigurationSchema, name, table, origins),
      ]
    })
}

/** As a `tcp_proxy` would have it: a destination without a weight beside others takes nothing. */
function specifierOf({ routes, destinations }: ConnectionRoute): Action['clusterSpecifier'] {
  const [only, ...others] = destinations
  if (only !== undefined && others.length === 0) return { case: 'cluster', value: only.cluster }
  return { case: 'weightedClusters', value: { clusters: destinations.flatMap(({ cluster }, index) => ((routes[index]?.weight ?? 0) > 0 ? [{ name: cluster, weight: routes[index]?.weight ?? 0 }] : [])) } }
}
