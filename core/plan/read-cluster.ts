import type { JsonValue } from '@bufbuild/protobuf'
import { type CircuitBreakers, CircuitBreakers_Thresholds_RetryBudgetSchema, CircuitBreakers_ThresholdsSchema, CircuitBreakersSchema } from '../wire/gen/envoy/config/cluster/v3/circuit_breaker_pb.ts'
import { type Cluster, Cluster_DiscoveryType as Discovery, Cluster_TransportSocketMatchSchema, ClusterSchema } from '../wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { RoutingPriority } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import { ClusterConfigSchema as DynamicSchema } from '../wire/gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts'
import type { ClusterLimits, ClusterPlan } from './cluster.ts'
import type { EndpointsPlan } from './endpoints.ts'
import { at, type Read, type Reading, readResource, typeNameOf } from './read.ts'
import { readBalancer } from './read-balancer.ts'
import { readAssignment } from './read-endpoints.ts'
import { originOf } from './read-origin.ts'
import { readHealthChecks } from './read-health-check.ts'
import { readOutlier } from './read-outlier.ts'
import { readErrorCodes, readProtocol } from './read-protocol.ts'
import { readTransport } from './read-tls.ts'
import { milliseconds, readTexts, textIn } from './read-value.ts'

/** Cluster → ClusterPlan. */
export function readCluster(bytes: Uint8Array, version: string): Read<ClusterPlan> {
  return readResource(ClusterSchema, bytes, (reading, message) => readOne(reading, message, version))
}

const FIELDS = [
  'cluster_type', 'health_checks', 'name', 'alt_stat_name', 'type', 'eds_cluster_config', 'connect_timeout', 'per_connection_buffer_limit_bytes', 'lb_policy', 'load_assignment', 'max_requests_per_connection',
  'circuit_breakers', 'common_http_protocol_options', 'http_protocol_options', 'http2_protocol_options', 'typed_extension_protocol_options', 'dns_refresh_rate', 'dns_jitter',
  'dns_failure_refresh_rate', 'respect_dns_ttl', 'dns_lookup_family', 'wait_for_warm_on_init', 'outlier_detection', 'cleanup_interval', 'ring_hash_lb_config', 'maglev_lb_config',
  'least_request_lb_config', 'round_robin_lb_config', 'common_lb_config', 'transport_socket', 'transport_socket_matches', 'metadata', 'protocol_selection',
  'upstream_connection_options', 'ignore_health_on_host_removal', 'load_balancing_policy', 'lrs_server', 'lrs_report_endpoint_metrics', 'track_timeout_budgets', 'track_cluster_stats',
]

/** Envoy's defaults. */
const CONNECT_MS = 5_000
const PANIC_PERCENT = 50
const SYSTEM_KEEPALIVE = { idleS: 7200, everyS: 75, probes: 9 }

function readOne(reading: Reading, message: Cluster, version: string): ClusterPlan {
  const { name } = message
  if (name === '') reading.invalid('name', 'is missing')
  reading.only('', ClusterSchema, message, FIELDS)
  const discovery = readDiscovery(reading, message)
  const protocol = readProtocol(reading, message)
  return {
    name,
    version,
    origin: originOf(message.metadata),
    discovery,
    endpointsName: discovery === 'eds' ? message.edsClusterConfig?.serviceName || name : name,
    inlineEndpoints: readInline(reading, message, discovery, version),
    connectTimeoutMs: milliseconds(message.connectTimeout, CONNECT_MS),
    ...readBalancer(reading, message),
    limits: readLimits(reading, message.circuitBreakers),
    ...(message.healthChecks.length === 0 ? {} : { healthChecks: readHealthChecks(reading, message.healthChecks) }),
    ...(message.dnsRefreshRate === undefined ? {} : { dnsRefreshMs: milliseconds(message.dnsRefreshRate, 0) }),
    ...readKeepAlive(message),
    outlier: withErrorCodes(readOutlier(reading, 'outlier_detection', message.outlierDetection), readErrorCodes(reading, message)),
    ...readTransports(reading, message),
    ...protocol,
    // A patch may have said otherwise since.
    ...(multiplexes(message) && protocol.protocol === 'http1' && { protocol: 'alpn' as const }),
    panicThresholdPercent: message.commonLbConfig?.healthyPanicThreshold?.value ?? PANIC_PERCENT,
    destination: readDestination(message),
  }
}

function readDiscovery(reading: Reading, message: Cluster): ClusterPlan['discovery'] {
  const by = message.clusterDiscoveryType
  switch (by.case === 'type' ? by.value : by.case === undefined ? Discovery.STATIC : undefined) {
    case Discovery.STATIC:
      return 'static'
    case Discovery.STRICT_DNS:
      return 'strict-dns'
    case Discovery.LOGICAL_DNS:
      return 'logical-dns'
    case Discovery.EDS:
      return 'eds'
    case Discovery.ORIGINAL_DST:
      return 'original-destination'
    default:
      if (by.case === 'clusterType' && by.value.typedConfig !== undefined && typeNameOf(by.value.typedConfig) === DynamicSchema.typeName) return 'by-host'
      if (by.case === 'clusterType') reading.unsupported('cluster_type', 'only dynamic forward proxies are supported', by.value.name)
      if (by.case === 'type') reading.unsupported('type', 'is not supported', by.value)
      return 'static'
  }
}

function readInline(reading: Reading, message: Cluster, discovery: ClusterPlan['discovery'], version: string): EndpointsPlan | undefined {
  if (discovery === 'eds' || discovery === 'original-destination' || discovery === 'by-host') {
    if (message.loadAssignment !== undefined) reading.invalid('load_assignment', 'belongs to static and DNS clusters only')
    return undefined
  }
  if (message.loadAssignment === undefined) return { name: message.name, version, localities: [] }
  return readAssignment(reading, 'load_assignment', message.loadAssignment, version, discovery === 'static' ? 'address' : 'name')
}

/** Envoy's defaults at default priority; the high one has no routes here, so its bounds do not matter. */
function readLimits(reading: Reading, breakers: CircuitBreakers | undefined): ClusterLimits {
  if (breakers !== undefined) reading.only('circuit_breakers', CircuitBreakersSchema, breakers, ['thresholds'])
  const index = breakers?.thresholds.findIndex((one) => one.priority === RoutingPriority.DEFAULT) ?? -1
  const found = breakers?.thresholds[index]
  if (found !== undefined) {
    reading.only(at('circuit_breakers', 'thresholds', index), CircuitBreakers_ThresholdsSchema, found, [
      'priority', 'max_connections', 'max_pending_requests', 'max_requests', 'max_retries', 'retry_budget', 'track_remaining', 'max_connection_pools',
    ])
  }
  const budget = found?.retryBudget
  if (budget !== undefined) reading.only(at(at('circuit_breakers', 'thresholds', index), 'retry_budget'), CircuitBreakers_Thresholds_RetryBudgetSchema, budget, ['budget_percent', 'min_retry_concurrency'])
  return {
    connectionsMax: found?.maxConnections ?? 1024,
    pendingMax: found?.maxPendingRequests ?? 1024,
    requestsMax: found?.maxRequests ?? 1024,
    retriesMax: found?.maxRetries ?? 3,
    ...(budget === undefined ? {} : { retryBudget: { percent: budget.budgetPercent?.value ?? 20, minConcurrency: budget.minRetryConcurrency ?? 3 } }),
  }
}

/** What is not said, or 0, is as Linux has it. */
function readKeepAlive(message: Cluster): Pick<ClusterPlan, 'keepAlive'> {
  const said = message.upstreamConnectionOptions?.tcpKeepalive
  return said === undefined ? {} : { keepAlive: { idleMs: 1000 * (said.keepaliveTime || SYSTEM_KEEPALIVE.idleS), everyMs: 1000 * (said.keepaliveInterval || SYSTEM_KEEPALIVE.everyS), probes: said.keepaliveProbes || SYSTEM_KEEPALIVE.probes } }
}

/** Metadata `weft` {multiplex: true}: mesh peers may be spoken to over HTTP/2, which auto_config cannot say where some endpoints are plaintext. */
const multiplexes = (message: Cluster): boolean => message.metadata?.filterMetadata['weft']?.['multiplex'] === true

/** Towards the mesh, HTTP/2 too is offered; Istio's own name stays first, for filter chains are chosen by it. */
const offeringHttp2 = (transport: ClusterPlan['transports'][number]): ClusterPlan['transports'][number] =>
  transport.tls?.alpn.includes('istio') === true && !transport.tls.alpn.includes('h2') ? { ...transport, tls: { ...transport.tls, alpn: [...transport.tls.alpn, 'h2', 'http/1.1'] } } : transport

function readTransports(reading: Reading, message: Cluster): Pick<ClusterPlan, 'transports' | 'proxyHeader'> {
  const read = message.transportSocketMatches.map((one, index) => {
    const path = at('', 'transport_socket_matches', index)
    reading.only(path, Cluster_TransportSocketMatchSchema, one, ['name', 'match', 'transport_socket'])
    return {
      name: one.name,
      match: readTexts(reading, at(path, 'match'), one.match),
      ...readTransport(reading, at(path, 'transport_socket'), one.transportSocket),
    }
  })
  const all = [...read, { name: 'default', match: {}, ...readTransport(reading, 'transport_socket', message.transportSocket) }]
  // Where no endpoint can meet the last one, it is left as it is.
  const { proxyHeader } = all[0] ?? {}
  if (all.slice(0, -1).some((one) => one.proxyHeader !== proxyHeader)) reading.unsupported('transport_socket_matches', 'only one PROXY protocol for all endpoints is supported')
  const transports = all.map(({ name, match, tls }) => ({ name, match, tls }))
  return { transports: multiplexes(message) ? transports.map(offeringHttp2) : transports, ...(proxyHeader === undefined ? {} : { proxyHeader }) }
}

// outbound|8080|v1|order-service.prod.svc.cluster.local; between networks, as a server name, outbound_.8080_.v1_.HOST
const CLUSTER_NAME = /^(?:inbound|outbound)(?:\||_\.)(\d+)(?:\||_\.)([^|]*?)(?:\||_\.)([^|]*)$/

/** Metadata `istio` {services: [{host, name, namespace}], subset}; what it does not say is read from the name. */
function readDestination(message: Cluster): ClusterPlan['destination'] {
  const [, port = '0', subset = '', host = ''] = CLUSTER_NAME.exec(message.name) ?? []
  const istio = message.metadata?.filterMetadata['istio']
  const services = istio?.['services']
  const service = Array.isArray(services) ? services[0] : undefined
  return {
    host: memberText(service, 'host') ?? host,
    name: memberText(service, 'name') ?? host.split('.')[0] ?? '',
    namespace: memberText(service, 'namespace') ?? host.split('.')[1] ?? '',
    subset: textIn(istio, 'subset') ?? subset,
    port: Number(port),
  }
}

function memberText(value: JsonValue | undefined, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return textIn(value, name)
}

const withErrorCodes = (outlier: ClusterPlan['outlier'], errorCodes: readonly number[] | undefined): ClusterPlan['outlier'] => (outlier === undefined || errorCodes === undefined ? outlier : { ...outlier, errorCodes })
