import { create } from '@bufbuild/protobuf'
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf'
import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { isOverHttp2 } from '#api/model/mesh-service.ts'
import type { MeshService, ServicePort } from '#api/model/mesh-service.ts'
import type { Resource } from '#api/serve/resource.ts'
import { durationMs } from '#core/resource/duration.ts'
import type { LoadBalancer } from '#core/resource/load-balancer.ts'
import type { ConnectionPool } from '#core/resource/connection-pool.ts'
import type { ClientTls, OutlierDetection } from '#core/resource/traffic-policy.ts'
import { Cluster_CommonLbConfigSchema, Cluster_DiscoveryType, Cluster_DnsLookupFamily, Cluster_LbPolicy, Cluster_LeastRequestLbConfigSchema, Cluster_RoundRobinLbConfigSchema, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import type { Cluster, Cluster_SlowStartConfigSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import type { MatchPredicateSchema } from '#core/wire/gen/envoy/config/common/matcher/v3/matcher_pb.ts'
import { OutlierDetectionSchema } from '#core/wire/gen/envoy/config/cluster/v3/outlier_detection_pb.ts'
import { HttpProtocolOptionsSchema } from '#core/wire/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import { PercentSchema } from '#core/wire/gen/envoy/type/v3/percent_pb.ts'
import { authorityResource, backendSocket, backendTls } from './backend-tls.ts'
import type { BackendTls } from './backend-tls.ts'
import { anyOf, durationOf, fromAds, metadataOf } from './message.ts'
import type { Origin } from './message.ts'
import { clusterDefaults, withDefaults } from './mesh-defaults.ts'
import { clusterSni, configPath, outboundCluster } from './naming.ts'
import { offeredFor } from './said-protocol.ts'
import { mutualTlsFor } from './peer-authentication.ts'
import { putProxyHeaderFirst } from './proxy-header.ts'
import { namedAssignment, namedEndpoints } from './named-endpoint.ts'
import type { NamedEndpoint } from './named-endpoint.ts'
import { goesByLatency, putLatencyFirst } from './latency-balancer.ts'
import { meshClientSocket, meshSecret, originatedSocket, plaintextSocket } from './tls.ts'
import { destinationPolicy, policyFor } from './traffic-policy.ts'
import type { Policy } from './traffic-policy.ts'
import { resourceOf } from './resource.ts'

/** All that a cluster depends on. */
export interface ClusterScope {
  readonly service: MeshService
  readonly port: ServicePort
  readonly subset: string
  readonly policy: Policy
  /** Captured connections go on to where the caller chose: the service is headless, or its balancer is PASSTHROUGH. */
  readonly passesOn: boolean
  /** Whether mTLS is used where no rule speaks: `endpoint` as each endpoint takes it, `all` by all of them, `none`. */
  readonly mutualTls: 'endpoint' | 'all' | 'none'
  /** SPIFFE IDs that the service's workloads bear. */
  readonly accounts: readonly string[]
  /** The DestinationRule, or the service itself. */
  readonly origin: Origin
  readonly rule: { readonly namespace: string; readonly name: string } | undefined
  /** The DestinationRule asks for the balancer that goes by how long answers take. */
  readonly byLatency: boolean
  /** Where the proxy goes by names that it resolves: none where endpoints are discovered, or connections passed on. */
  readonly named: readonly NamedEndpoint[]
  /** How often the proxy resolves names. */
  readonly dnsRefresh: string
  readonly origins: readonly string[]
  /** TLS by a policy of the Gateway API, before what the DestinationRule says. */
  readonly backendTls: BackendTls | undefined
}

/** The clusters of a service as clients in a namespace see it: one for each port, and one more for each subset. */
export function clusterScopes(reader: MeshReader, client: string, host: string, captured = false, certificate?: string): ClusterScope[] {
  const service = reader.service(host, client)
  if (service === undefined) return []
  const destination = destinationPolicy(reader, service, client)
  const accounts = service.external ? service.subjectAltNames : reader.accounts(host)
  const { rule } = destination
  const origin = rule === undefined ? { resource: service.source, field: '' } : { resource: rule.id, field: 'trafficPolicy' }
  const byLatency = rule !== undefined && goesByLatency(rule.stored.object.metadata.annotations)
  const defaults = clusterDefaults(reader)
  // Without capture nothing tells where a connection was going.
  const onward = (policy: Policy) => {
    const passesOn = captured && (service.headless || policy.loadBalancer?.simple === 'PASSTHROUGH')
    return { policy, passesOn, mutualTls: autoMutualTls(reader, service, passesOn) }
  }
  const scopes: ClusterScope[] = []
  const named = (port: ServicePort, labels?: Labels): NamedEndpoint[] => (service.resolution === 'dns' ? namedEndpoints(reader, service, port, labels) : [])
  // Nothing to resolve: no endpoint bears the labels, or none is selected. As in Istio there is no such cluster then, and a route to it is answered 503.
  const add = (scope: ClusterScope): void => void (scope.passesOn || service.resolution !== 'dns' || scope.named.length > 0 ? scopes.push(scope) : undefined)
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue
    const common = { service, port, accounts, rule, byLatency, dnsRefresh: defaults.dnsRefreshRate ?? '60s', origins: [service.source, ...destination.origins], backendTls: backendTls(reader, service.host, destination.ofBackend, port.port, certificate) }
    add({ ...common, subset: '', named: named(port), ...onward(withDefaults(policyFor(destination.trafficPolicy, undefined, port.port), defaults)), origin })
    for (const subset of destination.subsets) {
      add({ ...common, subset: subset.name, named: named(port, subset.labels), ...onward(withDefaults(policyFor(destination.trafficPolicy, subset.trafficPolicy, port.port), defaults)), origin: subset.origin })
    }
  }
  return scopes
}

/**
 * What mTLS is taken to be where no DestinationRule says it: none to what is outside, where the mesh does without, or where the service's namespace (or the mesh) refuses it.
 * Where connections are passed on nobody looks at the endpoint, so all of them must take it.
 */
function autoMutualTls(reader: MeshReader, service: MeshService, passesOn: boolean): ClusterScope['mutualTls'] {
  if (service.external || !reader.autoMutualTls()) return 'none'
  if (mutualTlsFor(reader, service.namespace, {}, 0).mode === 'DISABLE') return 'none'
  if (!passesOn) return 'endpoint'
  const workloads = reader.workloadsOf(service)
  return workloads.length > 0 && workloads.every((one) => one.mutualTls) ? 'all' : 'none'
}

export function clusterResource(scope: ClusterScope): Resource {
  const cluster = translateCluster(scope)
  return resourceOf(ClusterSchema, cluster.name, cluster, scope.origins)
}

/** Secrets of the authorities that clusters name, each once. */
export const authoritiesOf = (scopes: readonly ClusterScope[]): Resource[] => [...new Map(scopes.flatMap(({ backendTls: tls }) => (tls === undefined ? [] : (authorityResource(tls) ?? []))).map((one) => [one.name, one])).values()]

/** Istio's default for every bound: as good as none. */
const UNBOUNDED = 4294967295

export const poolBounds = (pool: ConnectionPool | undefined) => ({
  maxConnections: pool?.tcp?.maxConnections || UNBOUNDED,
  maxPendingRequests: pool?.http?.http1MaxPendingRequests || UNBOUNDED,
  maxRequests: pool?.http?.http2MaxRequests || UNBOUNDED,
  maxRetries: pool?.http?.maxRetries || UNBOUNDED,
})

/** Undefined: connections are not probed. */
export function keepaliveOf(pool: ConnectionPool | undefined): Cluster['upstreamConnectionOptions'] {
  const keepalive = pool?.tcp?.tcpKeepalive
  if (keepalive === undefined) return undefined
  return {
    $typeName: 'envoy.config.cluster.v3.UpstreamConnectionOptions',
    setLocalInterfaceNameOnUpstreamConnections: false,
    tcpKeepalive: {
      $typeName: 'envoy.config.core.v3.TcpKeepalive',
      ...(keepalive.probes === undefined ? {} : { keepaliveProbes: keepalive.probes }),
      ...(keepalive.time === undefined ? {} : { keepaliveTime: Math.ceil(durationMs(keepalive.time) / 1000) }),
      ...(keepalive.interval === undefined ? {} : { keepaliveInterval: Math.ceil(durationMs(keepalive.interval) / 1000) }),
    },
  }
}

/** Connections above plaintext HTTP/1.1: what the port speaks, or what the pool says. */
function upstreamProtocol(scope: ClusterScope): 'http1' | 'http2' | 'as-downstream' {
  const http = scope.policy.connectionPool?.http
  if (http?.useClientProtocol === true) return 'as-downstream'
  if (isOverHttp2(scope.port.protocol) || http?.h2UpgradePolicy === 'UPGRADE') return 'http2'
  return scope.port.protocol === 'auto' ? 'as-downstream' : 'http1'
}

/** envoy.config.cluster.v3.Cluster, as Istio's cluster builder makes it. */
export function translateCluster(scope: ClusterScope): Cluster {
  const { service, port, subset, policy } = scope
  const name = outboundCluster(port.port, subset, service.host)
  const pool = policy.connectionPool
  const protocol = upstreamProtocol(scope)
  const cluster = create(ClusterSchema, {
    name,
    connectTimeout: durationOf(pool?.tcp?.connectTimeout ?? '10s'),
    circuitBreakers: {
      thresholds: [
        {
          ...poolBounds(pool),
          ...(policy.retryBudget === undefined ? {} : { retryBudget: { budgetPercent: { value: policy.retryBudget.percent ?? 20 }, minRetryConcurrency: policy.retryBudget.minRetryConcurrency ?? 3 } }),
          trackRemaining: true,
        },
      ],
    },
    metadata: metadataOf(scope.origin, istioMetadata(scope)),
  })
  setDiscovery(cluster, scope)
  setBalancer(cluster, policy.loadBalancer)
  setLocalities(cluster, policy)
  if (scope.byLatency) putLatencyFirst(cluster)
  if (policy.outlierDetection !== undefined) setOutlierDetection(cluster, policy.outlierDetection)
  setProtocol(cluster, scope, protocol)
  setTransport(cluster, scope, protocol === 'http2')
  putProxyHeaderFirst(cluster, scope.policy.proxyProtocol)
  if (protocol === 'http1') letMultiplex(cluster, scope)
  if (port.protocol === 'auto' && (reachesMesh(cluster, scope) || passesToMesh(scope))) say(cluster, { alpn: offeredFor(protocol) })
  const keepalive = keepaliveOf(pool)
  if (keepalive !== undefined) cluster.upstreamConnectionOptions = keepalive
  return cluster
}

function istioMetadata(scope: ClusterScope): JsonObject {
  const { service, rule, subset } = scope
  return {
    ...(rule === undefined ? {} : { config: configPath('networking.istio.io', 'destination-rule', rule.namespace, rule.name) }),
    default_original_port: scope.port.port,
    services: [{ host: service.host, name: service.name, namespace: service.namespace }],
    ...(subset === '' ? {} : { subset }),
  }
}

function setDiscovery(cluster: Cluster, scope: ClusterScope): void {
  const { service } = scope
  if (scope.passesOn) {
    cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST }
  } else if (service.resolution === 'eds') {
    cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.EDS }
    cluster.edsClusterConfig = { $typeName: 'envoy.config.cluster.v3.Cluster.EdsClusterConfig', edsConfig: fromAds(), serviceName: cluster.name }
  } else if (service.resolution === 'dns') {
    cluster.clusterDiscoveryType = { case: 'type', value: service.callsFirst === true ? Cluster_DiscoveryType.LOGICAL_DNS : Cluster_DiscoveryType.STRICT_DNS }
    cluster.dnsLookupFamily = Cluster_DnsLookupFamily.V4_PREFERRED
    cluster.respectDnsTtl = true
    if (durationMs(scope.dnsRefresh) > 0) cluster.dnsRefreshRate = durationOf(scope.dnsRefresh)
    cluster.loadAssignment = namedAssignment(cluster.name, scope.named)
  } else {
    cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST }
  }
}

function setBalancer(cluster: Cluster, balancer: LoadBalancer | undefined): void {
  const hash = balancer?.consistentHash
  if (hash !== undefined) {
    if (hash.maglev !== undefined) {
      cluster.lbPolicy = Cluster_LbPolicy.MAGLEV
      cluster.lbConfig = { case: 'maglevLbConfig', value: { $typeName: 'envoy.config.cluster.v3.Cluster.MaglevLbConfig', ...(hash.maglev.tableSize ? { tableSize: BigInt(hash.maglev.tableSize) } : {}) } }
    } else {
      const size = hash.ringHash?.minimumRingSize ?? hash.minimumRingSize
      cluster.lbPolicy = Cluster_LbPolicy.RING_HASH
      cluster.lbConfig = { case: 'ringHashLbConfig', value: { $typeName: 'envoy.config.cluster.v3.Cluster.RingHashLbConfig', hashFunction: 0, minimumRingSize: BigInt(size || 1024) } }
    }
    return
  }
  if (cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.ORIGINAL_DST) {
    cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED
    return
  }
  const warmUp = warmUpOf(balancer)
  switch (balancer?.simple) {
    case 'ROUND_ROBIN':
      cluster.lbPolicy = Cluster_LbPolicy.ROUND_ROBIN
      if (warmUp !== undefined) cluster.lbConfig = { case: 'roundRobinLbConfig', value: create(Cluster_RoundRobinLbConfigSchema, { slowStartConfig: warmUp }) }
      break
    case 'RANDOM':
      cluster.lbPolicy = Cluster_LbPolicy.RANDOM
      break
    default:
      // LEAST_CONN is the deprecated name of LEAST_REQUEST, which is the default.
      cluster.lbPolicy = Cluster_LbPolicy.LEAST_REQUEST
      if (warmUp !== undefined) cluster.lbConfig = { case: 'leastRequestLbConfig', value: create(Cluster_LeastRequestLbConfigSchema, { slowStartConfig: warmUp }) }
  }
}

/** How new endpoints get their share, for the balancers that weigh them; the deprecated duration says the same with the defaults. */
function warmUpOf(balancer: LoadBalancer | undefined): MessageInitShape<typeof Cluster_SlowStartConfigSchema> | undefined {
  const { duration, minimumPercent, aggression } = balancer?.warmup ?? { duration: balancer?.warmupDurationSecs, minimumPercent: undefined, aggression: undefined }
  if (duration === undefined) return undefined
  return {
    slowStartWindow: durationOf(duration),
    ...(aggression === undefined ? {} : { aggression: { defaultValue: aggression, runtimeKey: 'weft.warm_up.aggression' } }),
    minWeightPercent: { value: minimumPercent ?? 10 },
  }
}

/** Shares of localities count only where they are asked for; elsewhere a locality is a group of endpoints. */
function setLocalities(cluster: Cluster, policy: Policy): void {
  const { localityLbSetting: setting, zoneAwareLbSetting } = policy.loadBalancer ?? {}
  if (!setting?.distribute?.length || setting.enabled === false || zoneAwareLbSetting !== undefined) return
  cluster.commonLbConfig = create(Cluster_CommonLbConfigSchema, { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} } })
}

/** Ejection by success rate stays off, and panic too unless asked for: below Kubernetes a service has few pods, and half of them failing is no reason to call all. As Istio has it. */
function setOutlierDetection(cluster: Cluster, outlier: OutlierDetection): void {
  const consecutive5xx = outlier.consecutive5xxErrors ?? (outlier.consecutiveErrors || undefined)
  const gateway = outlier.consecutiveGatewayErrors
  cluster.outlierDetection = create(OutlierDetectionSchema, {
    enforcingSuccessRate: 0,
    ...(consecutive5xx === undefined ? {} : { consecutive5xx, enforcingConsecutive5xx: consecutive5xx > 0 ? 100 : 0 }),
    ...(gateway === undefined ? {} : { consecutiveGatewayFailure: gateway, enforcingConsecutiveGatewayFailure: gateway > 0 ? 100 : 0 }),
    ...(outlier.interval === undefined ? {} : { interval: durationOf(outlier.interval) }),
    ...(outlier.baseEjectionTime === undefined ? {} : { baseEjectionTime: durationOf(outlier.baseEjectionTime) }),
    ...(outlier.maxEjectionPercent ? { maxEjectionPercent: outlier.maxEjectionPercent } : {}),
    ...(outlier.splitExternalLocalOriginErrors === true
      ? {
          splitExternalLocalOriginErrors: true,
          ...(outlier.consecutiveLocalOriginFailures ? { consecutiveLocalOriginFailure: outlier.consecutiveLocalOriginFailures, enforcingConsecutiveLocalOriginFailure: 100 } : {}),
          enforcingLocalOriginSuccessRate: 0,
        }
      : {}),
  })
  cluster.commonLbConfig ??= create(Cluster_CommonLbConfigSchema)
  cluster.commonLbConfig.healthyPanicThreshold = create(PercentSchema, { value: outlier.minHealthPercent ?? 0 })
}

function setProtocol(cluster: Cluster, scope: ClusterScope, protocol: 'http1' | 'http2' | 'as-downstream'): void {
  const http = scope.policy.connectionPool?.http
  const idleTimeout = http?.idleTimeout ?? undefined
  const perConnection = http?.maxRequestsPerConnection || undefined
  const longest = scope.policy.connectionPool?.tcp?.maxConnectionDuration
  const common = {
    ...(idleTimeout === undefined ? {} : { idleTimeout: durationOf(idleTimeout) }),
    ...(perConnection === undefined ? {} : { maxRequestsPerConnection: perConnection }),
    ...(longest === undefined ? {} : { maxConnectionDuration: durationOf(longest) }),
  }
  const errorCodes = scope.policy.outlierDetection?.outlierDetectionHttpErrorCodes ?? []
  if (protocol === 'http1' && Object.keys(common).length === 0 && errorCodes.length === 0) return
  const streams = http?.maxConcurrentStreams ? { maxConcurrentStreams: http.maxConcurrentStreams } : {}
  const ping = http?.http2KeepAlive
  const http2ProtocolOptions = {
    ...streams,
    ...(ping?.interval === undefined ? {} : { connectionKeepalive: { interval: durationOf(ping.interval), ...(ping.timeout === undefined ? {} : { timeout: durationOf(ping.timeout) }) } }),
  }
  cluster.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'] = anyOf(HttpProtocolOptionsSchema, {
    ...(Object.keys(common).length === 0 ? {} : { commonHttpProtocolOptions: common }),
    ...(errorCodes.length === 0 ? {} : { outlierDetection: { errorMatcher: statusAmong(errorCodes) } }),
    upstreamProtocolOptions:
      protocol === 'as-downstream'
        ? { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions } }
        : { case: 'explicitHttpConfig', value: { protocolConfig: protocol === 'http2' ? { case: 'http2ProtocolOptions', value: http2ProtocolOptions } : { case: 'httpProtocolOptions', value: {} } } },
  })
}

/** An answer with one of these status codes; the order plays no part. */
function statusAmong(codes: readonly number[]): MessageInitShape<typeof MatchPredicateSchema> {
  const each = [...new Set(codes)].sort((a, b) => a - b).map((code): MessageInitShape<typeof MatchPredicateSchema> => ({
    rule: { case: 'httpResponseHeadersMatch', value: { headers: [{ name: ':status', headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: String(code) } } } }] } },
  }))
  // Of one alone Envoy makes no list.
  return each.length === 1 && each[0] !== undefined ? each[0] : { rule: { case: 'orMatch', value: { rules: each } } }
}

/**
 * Tells our own proxies that requests of HTTP/1.1 may share HTTP/2 connections where a mesh peer takes them, by ALPN. Envoy's auto_config says the same, and Envoy refuses it in a cluster
 * that also knows plaintext endpoints; so it is metadata, which Envoy passes over. Bounds that count connections are meant for HTTP/1.1, and keep it.
 */
function letMultiplex(cluster: Cluster, scope: ClusterScope): void {
  const { port, policy } = scope
  const pool = policy.connectionPool
  if (port.protocol !== 'http' || !reachesMesh(cluster, scope) || pool?.http?.h2UpgradePolicy === 'DO_NOT_UPGRADE') return
  if (pool?.tcp?.maxConnections || pool?.http?.http1MaxPendingRequests || pool?.http?.maxRequestsPerConnection) return
  say(cluster, { multiplex: true })
}

/** Whether an endpoint with a proxy of the mesh in front of it gets mTLS. */
const reachesMesh = (cluster: Cluster, { backendTls: own, policy }: ClusterScope): boolean => own === undefined && (policy.tls?.mode === 'ISTIO_MUTUAL' || cluster.transportSocketMatches.length > 0)

/** The same of connections that are passed on, where all endpoints take it. */
const passesToMesh = ({ backendTls: own, policy, mutualTls }: ClusterScope): boolean => own === undefined && policy.tls === undefined && mutualTls === 'all'

/** Adds words to the metadata `weft`, by name, for equal clusters are equal bytes. */
function say(cluster: Cluster, words: JsonObject): void {
  if (cluster.metadata === undefined) return
  const all = Object.entries({ ...cluster.metadata.filterMetadata['weft'], ...words })
  cluster.metadata.filterMetadata['weft'] = Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Auto mTLS where no rule speaks: an endpoint whose metadata says that a proxy of the mesh is in front of it gets mTLS, others plaintext. */
function setTransport(cluster: Cluster, scope: ClusterScope, http2: boolean): void {
  const { service, policy, port } = scope
  const sni = clusterSni(port.port, scope.subset, service.host)
  if (scope.backendTls !== undefined) {
    cluster.transportSocket = backendSocket(scope.backendTls, http2)
    return
  }
  const tls = policy.tls
  if (tls === undefined) {
    if ((service.resolution !== 'eds' && service.resolution !== 'dns') || scope.mutualTls === 'none') return
    if (cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.ORIGINAL_DST) {
      if (scope.mutualTls === 'all') cluster.transportSocket = meshClientSocket({ accounts: scope.accounts, sni, http2 })
      return
    }
    cluster.transportSocketMatches = [
      { $typeName: 'envoy.config.cluster.v3.Cluster.TransportSocketMatch', name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket: meshClientSocket({ accounts: scope.accounts, sni, http2 }) },
      { $typeName: 'envoy.config.cluster.v3.Cluster.TransportSocketMatch', name: 'tlsMode-disabled', match: {}, transportSocket: plaintextSocket() },
    ]
    return
  }
  if (tls.mode === 'ISTIO_MUTUAL') {
    const accounts = tls.subjectAltNames !== undefined && tls.subjectAltNames.length > 0 ? tls.subjectAltNames : scope.accounts
    cluster.transportSocket = meshClientSocket({ accounts, sni: tls.sni || sni, http2 })
  } else if (tls.mode !== undefined && tls.mode !== 'DISABLE') {
    cluster.transportSocket = originatedSocket({ ...credentials(tls), ...serverOf(tls, service), http2, verify: tls.insecureSkipVerify !== true })
  }
}

/** Whom TLS that is not the mesh's speaks to: the server name that is asked for, and the names of which the certificate must bear one. A host outside is held to its own name where nothing else is said. */
function serverOf(tls: ClientTls, { external, host, subjectAltNames }: MeshService): { readonly sni: string; readonly sans: readonly string[] } {
  const own = external && !host.includes('*') ? host : ''
  const said = [tls.subjectAltNames ?? [], subjectAltNames].find((one) => one.length > 0)
  return { sni: tls.sni || own, sans: said ?? (tls.sni || own === '' ? [] : [own]) }
}

function credentials(tls: ClientTls): Pick<Parameters<typeof originatedSocket>[0], 'certificate' | 'trust' | 'revoked'> {
  if (tls.credentialName) {
    const name = `kubernetes://${tls.credentialName}`
    return { certificate: tls.mode === 'MUTUAL' ? meshSecret(name) : undefined, trust: meshSecret(`${name}-cacert`) }
  }
  return {
    certificate: tls.mode === 'MUTUAL' ? { chain: tls.clientCertificate ?? '', key: tls.privateKey ?? '' } : undefined,
    trust: tls.caCertificates ? { file: tls.caCertificates } : undefined,
    revoked: tls.caCrl,
  }
}
