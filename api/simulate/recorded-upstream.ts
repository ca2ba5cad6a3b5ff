import { fromBinary } from '@bufbuild/protobuf'
import { healthyEndpoints } from '#core/explain/client.ts'
import { unpackAny } from '#core/wire/any.ts'
import { type Cluster, Cluster_DiscoveryType as Discovery, Cluster_LbPolicy, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { OutlierDetectionSchema } from '#core/wire/gen/envoy/config/cluster/v3/outlier_detection_pb.ts'
import type { TransportSocket } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { UpstreamTlsContextSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { HttpProtocolOptionsSchema } from '#core/wire/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import { messageToJson } from '#core/wire/registry.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { durationText } from './recorded-http.ts'
import type { Sent } from './world.ts'

/** How a cluster is connected to, where it is not the default. */
export type UpstreamDetails = Readonly<Record<string, unknown>>

/** Istio's default for every bound: as good as none. */
const UNBOUNDED = 4294967295
const DISCOVERY = new Map<Discovery, string>([
  [Discovery.EDS, 'endpoints'],
  [Discovery.STRICT_DNS, 'dns'],
  [Discovery.LOGICAL_DNS, 'dns'],
  [Discovery.ORIGINAL_DST, 'original-destination'],
  [Discovery.STATIC, 'static'],
])

/** Undefined for what only lets connections through. */
export function upstreamDetails(sent: Sent, name: string): UpstreamDetails | undefined {
  const resource = sent.resources.get(`${CLUSTER} ${name}`)
  const plan = sent.plans.clusters.get(name)
  if (resource === undefined || plan === undefined || !/^(in|out)bound(\||_\.)/.test(name)) return undefined
  const cluster = fromBinary(ClusterSchema, resource.bytes)
  const endpoints = healthyEndpoints(sent.plans, plan).map((one) => one.key).sort()
  const discovery = DISCOVERY.get(cluster.clusterDiscoveryType.case === 'type' ? cluster.clusterDiscoveryType.value : Discovery.STATIC)
  return {
    discovery,
    ...transportOf(cluster),
    ...(cluster.lbPolicy === Cluster_LbPolicy.ROUND_ROBIN || cluster.lbPolicy === Cluster_LbPolicy.CLUSTER_PROVIDED ? {} : { lb: balancerName(cluster.lbPolicy) }),
    ...limitsOf(cluster),
    ...(cluster.outlierDetection === undefined ? {} : { outlierDetection: messageToJson(OutlierDetectionSchema, cluster.outlierDetection) }),
    ...(cluster.connectTimeout === undefined || cluster.connectTimeout.seconds === 10n ? {} : { connectTimeout: durationText(cluster.connectTimeout) }),
    ...(speaksHttp2(cluster) ? { http2: true } : {}),
    ...(discovery === 'original-destination' ? {} : { endpoints }),
  }
}

const balancerName = (policy: Cluster['lbPolicy']): string => Object.entries(Cluster_LbPolicy).find(([, value]) => value === policy)?.[0] ?? String(policy)

function transportOf(cluster: Cluster): { tls: string; sni?: string } {
  if (cluster.transportSocketMatches.length > 0) return { tls: 'auto-mtls' }
  const socket = cluster.transportSocket
  if (socket === undefined || socket.name !== 'envoy.transport_sockets.tls') return { tls: 'none' }
  return tlsOf(socket)
}

function tlsOf(socket: TransportSocket): { tls: string; sni?: string } {
  const context = socket.configType.case === 'typedConfig' ? unpackAny(socket.configType.value, UpstreamTlsContextSchema) : undefined
  if (context === undefined) return { tls: 'none' }
  const { commonTlsContext: common, sni } = context
  const own = common?.tlsCertificateSdsSecretConfigs.some((one) => one.name === 'default') === true
  const shown = (common?.tlsCertificateSdsSecretConfigs.length ?? 0) + (common?.tlsCertificates.length ?? 0) > 0
  return { tls: own ? 'ISTIO_MUTUAL' : shown ? 'MUTUAL' : 'SIMPLE', ...(sni === '' ? {} : { sni }) }
}

function limitsOf(cluster: Cluster): { limits?: Record<string, number> } {
  const bounds = cluster.circuitBreakers?.thresholds[0]
  const limits = Object.fromEntries((['maxConnections', 'maxPendingRequests', 'maxRequests', 'maxRetries'] as const).flatMap((one) => (bounds?.[one] === undefined || bounds[one] === UNBOUNDED ? [] : [[one, bounds[one]]])))
  return Object.keys(limits).length === 0 ? {} : { limits }
}

function speaksHttp2(cluster: Cluster): boolean {
  const by = unpackAny(cluster.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'], HttpProtocolOptionsSchema)?.upstreamProtocolOptions
  return by?.case === 'explicitHttpConfig' && by.value.protocolConfig.case === 'http2ProtocolOptions'
}
