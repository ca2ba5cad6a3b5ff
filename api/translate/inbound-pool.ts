import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { ConnectionPool } from '#core/resource/connection-pool.ts'
import { create } from '@bufbuild/protobuf'
import type { Cluster } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { HttpProtocolOptionsSchema } from '#core/wire/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import { isOverHttp2 } from '#api/model/mesh-service.ts'
import type { Protocol } from '#api/model/mesh-service.ts'
import { keepaliveOf, poolBounds } from './cluster.ts'
import { anyOf, durationOf } from './message.ts'

/** The bounds that a workload's Sidecar sets for one of its own ports: those of the port whole, else those for all; undefined: it sets none. With the Sidecar that says so. */
export function inboundPool(reader: MeshReader, namespace: string, labels: Labels, port: number): { readonly pool: ConnectionPool; readonly by: string } | undefined {
  const sidecar = reader.sidecarFor(namespace, labels)
  const pool = sidecar?.spec.ingress?.find((one) => one.port.number === port)?.connectionPool ?? sidecar?.spec.inboundConnectionPool
  return sidecar === undefined || pool === undefined ? undefined : { pool, by: sidecar.id }
}

/**
 * Bounds and protocol of a cluster that leads to the application itself.
 * istio.io/latest/docs/reference/config/networking/sidecar/#Sidecar, inboundConnectionPool
 */
export function setInboundPool(cluster: Cluster, protocol: Protocol, pool: ConnectionPool | undefined): void {
  cluster.circuitBreakers = create(ClusterSchema, { circuitBreakers: { thresholds: [{ ...poolBounds(pool), trackRemaining: true }] } }).circuitBreakers
  cluster.connectTimeout = durationOf(pool?.tcp?.connectTimeout ?? '10s')
  const keepalive = keepaliveOf(pool)
  if (keepalive !== undefined) cluster.upstreamConnectionOptions = keepalive
  const http = pool?.http
  const common = {
    ...(http?.idleTimeout === undefined ? {} : { idleTimeout: durationOf(http.idleTimeout) }),
    ...(http?.maxRequestsPerConnection ? { maxRequestsPerConnection: http.maxRequestsPerConnection } : {}),
    ...(pool?.tcp?.maxConnectionDuration === undefined ? {} : { maxConnectionDuration: durationOf(pool.tcp.maxConnectionDuration) }),
  }
  const http2ProtocolOptions = http?.maxConcurrentStreams ? { maxConcurrentStreams: http.maxConcurrentStreams } : {}
  const multiplexed = isOverHttp2(protocol) || http?.h2UpgradePolicy === 'UPGRADE'
  const asDownstream = http?.useClientProtocol === true || (protocol === 'auto' && !multiplexed)
  if (!multiplexed && !asDownstream && Object.keys(common).length === 0) return
  cluster.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'] = anyOf(HttpProtocolOptionsSchema, {
    ...(Object.keys(common).length === 0 ? {} : { commonHttpProtocolOptions: common }),
    upstreamProtocolOptions: asDownstream
      ? { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions } }
      : { case: 'explicitHttpConfig', value: { protocolConfig: multiplexed ? { case: 'http2ProtocolOptions', value: http2ProtocolOptions } : { case: 'httpProtocolOptions', value: {} } } },
  })
}
