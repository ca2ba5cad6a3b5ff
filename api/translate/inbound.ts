import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService, Protocol } from '#api/model/mesh-service.ts'
import { carriesHttp } from '#api/model/mesh-service.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { WorkloadPort } from '#core/workload/workload.ts'
import { Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { TrafficDirection } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { FilterChainSchema, FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { OriginalDstSchema } from '#core/wire/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts'
import { HttpProtocolOptionsSchema } from '#core/wire/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import { INBOUND_PORT, tlsInspector } from './captured.ts'
import { httpManager } from './http-connection.ts'
import { anyOf, duration, metadataOf, socketAddress } from './message.ts'
import { inboundCluster } from './naming.ts'
import { mutualTlsFor } from './peer-authentication.ts'
import type { MutualTls } from './peer-authentication.ts'
import { networkRbacFilters, policiesFor, rbacFilters } from './rbac.ts'
import type { ScopedPolicy } from './rbac.ts'
import { resourceOf } from './resource.ts'
import type { TracingScope } from './telemetry.ts'
import { meshServerSocket } from './tls.ts'
import { tcpProxy } from './tls-route.ts'

/** A workload as far as its inbound side depends on it. */
export interface InboundWorkload {
  readonly namespace: string
  readonly labels: Labels
  readonly ports: readonly WorkloadPort[]
  readonly tracing: TracingScope
  /** Connections are captured, and go on to where they were going: the workload's own port. */
  readonly captured: boolean
}

/** All that one port's listener and cluster depend on. */
export interface InboundScope {
  readonly port: WorkloadPort
  readonly protocol: Protocol
  /** The first service that leads to the port; undefined: none does. */
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string; readonly port: number } | undefined
  readonly mutualTls: MutualTls
  readonly policies: readonly ScopedPolicy[]
  readonly trustDomain: string
  readonly tracing: TracingScope
  readonly captured: boolean
  readonly origins: readonly string[]
}

export function inboundScopes(reader: MeshReader, workload: InboundWorkload): InboundScope[] {
  const { namespace, labels } = workload
  const services = reader.servicesOf(namespace, labels)
  const policies = policiesFor(reader, namespace, labels)
  return (workload.captured ? capturedPorts(services, workload.ports) : workload.ports).map((port) => {
    const lead = leadingTo(services, port)
    const mutualTls = mutualTlsFor(reader, namespace, labels, port.port)
    return {
      port,
      protocol: lead?.port.protocol ?? 'auto',
      service: lead === undefined ? undefined : { host: lead.service.host, name: lead.service.name, namespace: lead.service.namespace, port: lead.port.port },
      mutualTls,
      policies,
      trustDomain: reader.trustDomain,
      tracing: workload.tracing,
      captured: workload.captured,
      origins: [...(lead === undefined ? [] : [lead.service.source]), ...(mutualTls.by === undefined ? [] : [mutualTls.by]), ...policies.map((one) => `AuthorizationPolicy/${one.namespace}/${one.name}`)],
    }
  })
}

/** The ports that a workload names, and those that its services lead to by number. */
function capturedPorts(services: readonly MeshService[], named: readonly WorkloadPort[]): WorkloadPort[] {
  const ports = new Map(named.map((one) => [one.port, one]))
  for (const { targetPort } of services.flatMap((one) => one.ports)) {
    const port = Number(targetPort)
    const here = { address: '0.0.0.0', port }
    if (Number.isInteger(port) && !ports.has(port)) ports.set(port, { port, listen: here, app: here })
  }
  return [...ports.values()].sort((a, b) => a.port - b.port)
}

function leadingTo(services: readonly MeshService[], target: WorkloadPort) {
  for (const service of services) {
    const port = service.ports.find((one) => (typeof one.targetPort === 'number' ? one.targetPort === target.port : one.targetPort === target.name))
    if (port !== undefined) return { service, port }
  }
  return undefined
}

/** The listener that peers reach and the cluster that leads on to the application. */
export const inboundResources = (scope: InboundScope): Resource[] => [inboundListener(scope), inboundClusterResource(scope)]

export function inboundListener(scope: InboundScope): Resource {
  const { port, mutualTls } = scope
  const name = `inbound_${port.listen.address}_${port.listen.port}`
  const message = create(ListenerSchema, {
    name,
    address: socketAddress(port.listen.address, port.listen.port),
    trafficDirection: TrafficDirection.INBOUND,
    ...(mutualTls.mode === 'DISABLE' ? {} : { listenerFilters: [tlsInspector()], listenerFiltersTimeout: duration(10_000) }),
    filterChains: inboundChains(scope),
    metadata: metadataOf(mutualTls.by === undefined ? undefined : { resource: mutualTls.by, field: 'mtls' }),
  })
  return resourceOf(ListenerSchema, name, message, scope.origins)
}

type ChainInit = MessageInitShape<typeof FilterChainSchema>

/** STRICT: only mTLS gets an answer. PERMISSIVE: mTLS and plaintext, told apart by the first bytes. */
export function inboundChains(scope: InboundScope): ChainInit[] {
  const { mode } = scope.mutualTls
  const name = `0.0.0.0_${scope.port.port}`
  const port = scope.captured ? { destinationPort: scope.port.port } : {}
  const secured: ChainInit = { name, filterChainMatch: { ...port, transportProtocol: 'tls' }, transportSocket: meshServerSocket(scope.trustDomain), filters: inboundFilters(scope) }
  const plaintext: ChainInit = { name: `${name}_plaintext`, filterChainMatch: { ...port, ...(mode === 'DISABLE' ? {} : { transportProtocol: 'raw_buffer' }) }, filters: inboundFilters(scope) }
  return mode === 'STRICT' ? [secured] : mode === 'DISABLE' ? [plaintext] : [secured, plaintext]
}

function inboundFilters(scope: InboundScope): MessageInitShape<typeof FilterSchema>[] {
  const { port, service, protocol } = scope
  const cluster = inboundCluster(port.port)
  if (!carriesHttp(protocol)) {
    return [
      ...networkRbacFilters(scope.policies),
      tcpProxy(cluster, [], [{ cluster, host: service?.host ?? '', port: port.port, hash: undefined }]),
    ]
  }
  return [
    httpManager({
      statPrefix: `inbound_0.0.0.0_${port.port};`,
      role: 'inbound',
      tracing: scope.tracing,
      filters: rbacFilters(scope.policies),
      routes: {
        case: 'routeConfig',
        value: {
          name: cluster,
          validateClusters: false,
          virtualHosts: [
            {
              name: `inbound|http|${service?.port ?? port.port}`,
              domains: ['*'],
              routes: [
                {
                  name: 'default',
                  match: { pathSpecifier: { case: 'prefix', value: '/' } },
                  action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: cluster }, timeout: duration(0) } },
                  decorator: { operation: `${service?.host ?? 'inbound'}:${service?.port ?? port.port}/*` },
                },
              ],
            },
          ],
        },
      },
    }),
  ]
}

const ORIGINAL = { case: 'type' as const, value: Cluster_DiscoveryType.ORIGINAL_DST }

const localEndpoint = (clusterName: string, port: WorkloadPort) => ({ clusterName, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint' as const, value: { address: socketAddress(port.app.address, port.app.port) } } }] }] })

const INBOUND_PASSTHROUGH = 'InboundPassthroughCluster'

/** The one listener that takes all captured inbound connections: a chain for each port that is known, and others go to their port as they are, held to the same policies. */
export function capturedInbound(reader: MeshReader, workload: InboundWorkload): Resource[] {
  const scopes = inboundScopes(reader, workload)
  const name = 'virtualInbound'
  const { mode } = mutualTlsFor(reader, workload.namespace, workload.labels, 0)
  const filters = [...networkRbacFilters(policiesFor(reader, workload.namespace, workload.labels)), tcpProxy(INBOUND_PASSTHROUGH, [], [{ cluster: INBOUND_PASSTHROUGH, host: '', port: 0, hash: undefined }])]
  const secured: ChainInit = { name: `${name}-catchall`, filterChainMatch: { transportProtocol: 'tls' }, transportSocket: meshServerSocket(reader.trustDomain), filters }
  const plaintext: ChainInit = { name: `${name}-catchall_plaintext`, ...(mode === 'DISABLE' ? {} : { filterChainMatch: { transportProtocol: 'raw_buffer' } }), filters }
  const message = create(ListenerSchema, {
    name,
    address: socketAddress('0.0.0.0', INBOUND_PORT),
    trafficDirection: TrafficDirection.INBOUND,
    useOriginalDst: false,
    filterChains: [...scopes.flatMap(inboundChains), ...(mode === 'STRICT' ? [secured] : mode === 'DISABLE' ? [plaintext] : [secured, plaintext])],
    listenerFilters: [{ name: 'envoy.filters.listener.original_dst', configType: { case: 'typedConfig', value: anyOf(OriginalDstSchema, {}) } }, tlsInspector()],
    listenerFiltersTimeout: duration(10_000),
    continueOnListenerFiltersTimeout: true,
  })
  const passthrough = create(ClusterSchema, { name: INBOUND_PASSTHROUGH, clusterDiscoveryType: ORIGINAL, lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED, connectTimeout: duration(10_000) })
  return [resourceOf(ListenerSchema, name, message, scopes.flatMap((one) => one.origins)), ...scopes.map(inboundClusterResource), resourceOf(ClusterSchema, INBOUND_PASSTHROUGH, passthrough, [])]
}

function inboundClusterResource(scope: InboundScope): Resource {
  const { port, service, protocol } = scope
  const name = inboundCluster(port.port)
  const message = create(ClusterSchema, {
    name,
    ...(scope.captured ? { clusterDiscoveryType: ORIGINAL, lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED } : { clusterDiscoveryType: { case: 'type' as const, value: Cluster_DiscoveryType.STATIC }, loadAssignment: localEndpoint(name, port) }),
    connectTimeout: duration(10_000),
    circuitBreakers: { thresholds: [{ maxConnections: 4294967295, maxPendingRequests: 4294967295, maxRequests: 4294967295, maxRetries: 4294967295, trackRemaining: true }] },
    metadata: metadataOf(undefined, service === undefined ? {} : { services: [{ host: service.host, name: service.name, namespace: service.namespace }] }),
  })
  if (protocol === 'http2' || protocol === 'grpc' || protocol === 'auto') {
    message.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'] = anyOf(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions:
        protocol === 'auto'
          ? { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } }
          : { case: 'explicitHttpConfig', value: { protocolConfig: { case: 'http2ProtocolOptions', value: {} } } },
    })
  }
  return resourceOf(ClusterSchema, name, message, service === undefined ? [] : scope.origins.slice(0, 1))
}
