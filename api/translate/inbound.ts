import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService, Protocol } from '#api/model/mesh-service.ts'
import { carriesHttp } from '#api/model/mesh-service.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { Families } from '#core/workload/families.ts'
import type { WorkloadPort } from '#core/workload/workload.ts'
import { Cluster_DiscoveryType, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { TrafficDirection } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { FilterChainSchema, FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { accessFilters, accessFor, connectionFilters } from './access.ts'
import type { Access } from './access.ts'
import { tlsInspector } from './captured.ts'
import { DETECTION, detectionTimeout, detects } from './detection.ts'
import { connectionCustom } from './engine.ts'
import type { Engine } from './engine.ts'
import { grpcWebFilter, httpManager } from './http-connection.ts'
import { duration, metadataOf, socketAddress } from './message.ts'
import { inboundCluster } from './naming.ts'
import { inboundPool, setInboundPool } from './inbound-pool.ts'
import { onceFor } from './once.ts'
import { mutualTlsFor } from './peer-authentication.ts'
import type { MutualTls } from './peer-authentication.ts'
import { resourceOf } from './resource.ts'
import type { TracingScope } from './telemetry.ts'
import { atListeningPort } from './listening-port.ts'
import { meshServerSocket, MTLS_HTTP, MTLS_TCP } from './tls.ts'
import { tcpProxy } from './tls-route.ts'

/** A workload as far as its inbound side depends on it. */
export interface InboundWorkload {
  readonly namespace: string
  readonly labels: Labels
  readonly ports: readonly WorkloadPort[]
  /** Where it has the ports of services by their names, where they differ. */
  readonly portsByName?: Readonly<Record<string, number>>
  readonly tracing: TracingScope
  readonly engine: Engine
  /** Where traffic is captured: the workload's addresses where they matter, the hosts that name it by one of them, and the families that it has. */
  readonly addresses: readonly string[]
  readonly hosts: readonly string[]
  readonly families: Families
}

/** All that one port's listener and cluster depend on. */
export interface InboundScope {
  readonly port: WorkloadPort
  readonly protocol: Protocol
  /** The first service that leads to the port; undefined: none does. */
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string; readonly port: number } | undefined
  readonly mutualTls: MutualTls
  /** What bounds what goes on to the application. */
  readonly pool: ReturnType<typeof inboundPool>
  /** How long what comes first is awaited. */
  readonly detection: string
  readonly access: Access
  readonly engine: Engine
  readonly tracing: TracingScope
  readonly origins: readonly string[]
}

export function inboundScopes(reader: MeshReader, workload: InboundWorkload): InboundScope[] {
  const { namespace, labels } = workload
  const services = reader.servicesOf(namespace, labels)
  const access = accessFor(reader, namespace, labels)
  return workload.ports.map((port) => {
    const lead = leadingTo(services, port, workload)
    const mutualTls = mutualTlsFor(reader, namespace, labels, port.port)
    return {
      port,
      protocol: lead?.port.protocol ?? 'auto',
      service: lead === undefined ? undefined : { host: lead.service.host, name: lead.service.name, namespace: lead.service.namespace, port: lead.port.port },
      mutualTls,
      pool: inboundPool(reader, namespace, labels, port.port),
      detection: detectionTimeout(reader, DETECTION.inbound),
      access: { ...access, policies: access.policies.map((one) => atListeningPort(one, port)) },
      engine: workload.engine,
      tracing: workload.tracing,
      origins: [...(lead === undefined ? [] : [lead.service.source]), ...(mutualTls.by === undefined ? [] : [mutualTls.by]), ...access.origins],
    }
  })
}

function leadingTo(services: readonly MeshService[], target: WorkloadPort, { portsByName = {} }: InboundWorkload) {
  for (const service of services) {
    const port = service.ports.find((one) => (portsByName[one.name] !== undefined ? portsByName[one.name] === target.port : typeof one.targetPort === 'number' ? one.targetPort === target.port : one.targetPort === target.name))
    if (port !== undefined) return { service, port }
  }
  return undefined
}

/** The listener that peers reach and the cluster that leads on to the application. */
export const inboundResources = onceFor((scope: InboundScope): readonly Resource[] => [inboundListener(scope), inboundClusterResource(scope)])

function inboundListener(scope: InboundScope): Resource {
  const { port, mutualTls } = scope
  const name = `inbound_${port.listen.address}_${port.listen.port}`
  const message = create(ListenerSchema, {
    name,
    address: socketAddress(port.listen.address, port.listen.port),
    trafficDirection: TrafficDirection.INBOUND,
    ...(!looks(scope) ? {} : { listenerFilters: [tlsInspector()], ...detects(scope.detection) }),
    filterChains: inboundChains(scope),
    metadata: metadataOf(mutualTls.by === undefined ? undefined : { resource: mutualTls.by, field: 'mtls' }),
  })
  return resourceOf(ListenerSchema, name, message, scope.origins)
}

type ChainInit = MessageInitShape<typeof FilterChainSchema>

/** A port that may get TLS of the application's own: its protocol is not HTTP, or nobody said it. */
const passesTls = ({ protocol }: InboundScope): boolean => protocol === 'auto' || !carriesHttp(protocol)

/** Whether the first bytes decide. */
const looks = (scope: InboundScope): boolean => scope.mutualTls.mode !== 'DISABLE' || scope.protocol === 'auto'

/**
 * STRICT: only mTLS gets an answer. PERMISSIVE: mTLS and plaintext, told apart by the first bytes. TLS that is not the mesh's is the application's own, and passes unopened where it is not refused.
 * A port that is said to be HTTP takes any TLS for the mesh's: callers of gRPC without a proxy offer `h2` alone.
 */
function inboundChains(scope: InboundScope): ChainInit[] {
  const { mode } = scope.mutualTls
  const name = `0.0.0.0_${scope.port.port}`
  const filters = inboundFilters(scope)
  const ofMesh = mode === 'PERMISSIVE' && passesTls(scope) ? { applicationProtocols: [...MTLS_TCP, ...MTLS_HTTP] } : {}
  const secured: ChainInit = { name, filterChainMatch: { transportProtocol: 'tls', ...ofMesh }, transportSocket: meshServerSocket(scope.access.trustDomains, scope.mutualTls.handshake), filters }
  const plaintext: ChainInit = { name: `${name}_plaintext`, ...(looks(scope) ? { filterChainMatch: { transportProtocol: 'raw_buffer' } } : {}), filters }
  const own: ChainInit[] = passesTls(scope) && looks(scope) ? [{ name: `${name}_tls`, filterChainMatch: { transportProtocol: 'tls' }, filters: connectionFiltersOf(scope) }] : []
  return mode === 'STRICT' ? [secured] : mode === 'DISABLE' ? [...own, plaintext] : [secured, ...own, plaintext]
}

/** Connections as they come. */
function connectionFiltersOf({ access, engine, port, service, tracing }: InboundScope): MessageInitShape<typeof FilterSchema>[] {
  const cluster = inboundCluster(port.port)
  return [...connectionFilters(access, connectionCustom(engine)), tcpProxy(cluster, [], [{ cluster, host: service?.host ?? '', port: port.port, hash: undefined }], tracing.servers?.log)]
}

function inboundFilters(scope: InboundScope): MessageInitShape<typeof FilterSchema>[] {
  const { port, service, protocol } = scope
  const cluster = inboundCluster(port.port)
  if (!carriesHttp(protocol)) return connectionFiltersOf(scope)
  return [
    httpManager({
      statPrefix: `inbound_0.0.0.0_${port.port};`,
      role: 'inbound',
      tracing: scope.tracing,
      filters: [...accessFilters(scope.access), ...(protocol === 'grpc-web' ? [grpcWebFilter(false)] : [])],
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

const localEndpoint = (clusterName: string, port: WorkloadPort) => ({ clusterName, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint' as const, value: { address: socketAddress(port.app.address, port.app.port) } } }] }] })

function inboundClusterResource(scope: InboundScope): Resource {
  const { port, service, protocol } = scope
  const name = inboundCluster(port.port)
  const message = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: localEndpoint(name, port),
    metadata: metadataOf(undefined, service === undefined ? {} : { services: [{ host: service.host, name: service.name, namespace: service.namespace }] }),
  })
  setInboundPool(message, protocol, scope.pool?.pool)
  return resourceOf(ClusterSchema, name, message, [...(service === undefined ? [] : scope.origins.slice(0, 1)), ...(scope.pool === undefined ? [] : [scope.pool.by])])
}
