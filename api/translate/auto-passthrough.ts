import type { MessageInitShape } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import { Cluster_DiscoveryType, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import type { FilterChainSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { SniClusterSchema } from '#core/wire/gen/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.ts'
import { TcpProxySchema } from '#core/wire/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { clusterScopes, translateCluster } from './cluster.ts'
import type { ScopedServer } from './gateway-scope.ts'
import { anyOf, metadataOf } from './message.ts'
import { clusterSni } from './naming.ts'
import { resourceOf } from './resource.ts'
import { accessLogs } from './access-log.ts'
import type { LogSettings } from './reporting.ts'

/** Nobody has a cluster of this name: a connection whose SNI names none either is closed. */
const NOWHERE = 'BlackHoleCluster'

/**
 * The east-west gateway (istio.io, ServerTLSSettings AUTO_PASSTHROUGH): a connection of the mesh is passed on unopened to the cluster that its SNI names, `outbound_.80_.v1_.HOST`.
 * One chain for all services, so that a service that comes or goes changes no listener.
 */
export function autoPassthroughChain(server: ScopedServer, log: LogSettings | undefined): MessageInitShape<typeof FilterChainSchema> {
  const hosts = server.hosts.map((one) => one.host)
  const names = [...new Set(hosts.map((host) => (host.startsWith('*') ? host : `*.${host}`)))].sort()
  return {
    name: server.id,
    filterChainMatch: { transportProtocol: 'tls', ...(hosts.includes('*') ? {} : { serverNames: names }) },
    filters: [
      { name: 'envoy.filters.network.sni_cluster', configType: { case: 'typedConfig', value: anyOf(SniClusterSchema, {}) } },
      { name: 'envoy.filters.network.tcp_proxy', configType: { case: 'typedConfig', value: anyOf(TcpProxySchema, { statPrefix: server.id, clusterSpecifier: { case: 'cluster', value: NOWHERE }, accessLog: accessLogs(log, 'tcp') }) } },
    ],
    metadata: metadataOf(server.written),
  }
}

/** A service's clusters under the names that SNI has for them. What passes is encrypted already, from sidecar to sidecar, and so nothing is added to it. */
export function sniClusters(reader: MeshReader, client: string, host: string): Resource[] {
  return clusterScopes(reader, client, host).flatMap((scope) => {
    const cluster = translateCluster(scope)
    if (cluster.clusterDiscoveryType.case !== 'type' || cluster.clusterDiscoveryType.value !== Cluster_DiscoveryType.EDS) return []
    cluster.name = clusterSni(scope.port.port, scope.subset, scope.service.host)
    cluster.transportSocketMatches = []
    delete cluster.transportSocket
    delete cluster.metadata?.filterMetadata['weft']?.['multiplex']
    return [resourceOf(ClusterSchema, cluster.name, cluster, scope.origins)]
  })
}
