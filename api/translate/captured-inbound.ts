import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { carriesHttp, type MeshService, type Protocol, portProtocol } from '#api/model/mesh-service.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { MeshConfigSpec } from '#core/resource/mesh-config.ts'
import type { ServerTls } from '#core/resource/server-tls.ts'
import { Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { type Families, loopbacksOf, wildcardsOf } from '#core/workload/families.ts'
import type { Address } from '#core/wire/gen/envoy/config/core/v3/address_pb.ts'
import { AddressSchema } from '#core/wire/gen/envoy/config/core/v3/address_pb.ts'
import { TrafficDirection } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { FilterChainSchema, FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import type { VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { OriginalDstSchema } from '#core/wire/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts'
import { accessFilters, accessFor, connectionFilters } from './access.ts'
import type { Access } from './access.ts'
import { againstLoops, httpInspector, INBOUND_PORT, tlsInspector } from './captured.ts'
import { DETECTION, detectionTimeout, detects } from './detection.ts'
import { connectionCustom } from './engine.ts'
import type { Engine } from './engine.ts'
import { grpcWebFilter, httpManager } from './http-connection.ts'
import type { InboundWorkload } from './inbound.ts'
import { inboundPool, setInboundPool } from './inbound-pool.ts'
import { addressesOf, anyOf, duration, metadataOf, socketAddress } from './message.ts'
import { inboundCluster } from './naming.ts'
import { onceFor } from './once.ts'
import { mutualTlsFor, type MutualTls, mutualTlsPorts } from './peer-authentication.ts'
import { resourceOf } from './resource.ts'
import { endsTls, ingressSocket } from './served-tls.ts'
import type { TracingScope } from './telemetry.ts'
import { meshServerSocket, MTLS_HTTP, MTLS_TCP } from './tls.ts'
import { tcpProxy } from './tls-route.ts'

type ChainInit = MessageInitShape<typeof FilterChainSchema>
type Filters = MessageInitShape<typeof FilterSchema>[]

const PASSTHROUGH = 'InboundPassthroughCluster'
const PLAIN_HTTP = ['http/1.0', 'http/1.1', 'h2c']

/** One port of a captured workload that something is known of. */
interface KnownPort {
  readonly port: number
  readonly protocol: Protocol
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string; readonly port: number } | undefined
  /** Where connections go on to; undefined: where they were going, the workload's own port. */
  readonly to: Address | undefined
  /** Where it is not captured, and so has a listener of its own; undefined: connections to it are captured. */
  readonly bind?: readonly [string, ...string[]]
  /** TLS of callers outside the mesh that ends here, where mTLS is off; absent: none does. */
  readonly tls?: ServerTls
  readonly origin: string
}

/** What the chains of any port share. */
interface InboundContext {
  readonly access: Access
  /** How TLS is served that is not the mesh's. */
  readonly tlsDefaults: MeshConfigSpec['tlsDefaults']
  readonly engine: Engine
  readonly tracing: TracingScope
  readonly families: Families
}

/** All that the listener of captured connections and its clusters depend on. */
interface CapturedInboundScope extends InboundContext {
  readonly ports: readonly (KnownPort & { readonly mutualTls: MutualTls; readonly pool: ReturnType<typeof inboundPool> })[]
  /** Ports of which only a PeerAuthentication speaks: they keep its mode. */
  readonly spokenFor: readonly { readonly port: number; readonly mutualTls: MutualTls }[]
  /** How long what comes first is awaited. */
  readonly detection: string
  /** Of all other ports. */
  readonly others: MutualTls
}

/** The one listener that takes all captured inbound connections: chains for each port that is known, and others go to their port as they are, held to the same policies. */
export function capturedInbound(reader: MeshReader, workload: InboundWorkload): readonly Resource[] {
  const { namespace, labels, engine, tracing, families } = workload
  const modeOf = (port: number): MutualTls => mutualTlsFor(reader, namespace, labels, port)
  const ports = knownPorts(reader, workload).map((one) => ({ ...one, mutualTls: modeOf(one.port), pool: inboundPool(reader, namespace, labels, one.port) }))
  const known = new Set(ports.map((one) => one.port))
  const spokenFor = mutualTlsPorts(reader, namespace, labels).filter((port) => !known.has(port)).map((port) => ({ port, mutualTls: modeOf(port) }))
  return capturedInboundResources({ ports, spokenFor, others: modeOf(0), access: accessFor(reader, namespace, labels), tlsDefaults: reader.meshConfig().tlsDefaults, detection: detectionTimeout(reader, DETECTION.inbound), engine, tracing, families })
}

const capturedInboundResources = onceFor((scope: CapturedInboundScope): readonly Resource[] => {
  const { ports, spokenFor, others, access } = scope
  const message = create(ListenerSchema, {
    name: 'virtualInbound',
    ...addressesOf(wildcardsOf(scope.families), INBOUND_PORT),
    trafficDirection: TrafficDirection.INBOUND,
    filterChains: [againstLoops('virtualInbound', INBOUND_PORT, scope.tracing.servers?.log), ...ports.flatMap((one) => (one.bind === undefined ? knownChains(one, one.mutualTls, scope) : [])), ...spokenFor.flatMap((one) => passthroughChains(one.mutualTls, one.port, scope)), ...passthroughChains(others, undefined, scope)],
    listenerFilters: [{ name: 'envoy.filters.listener.original_dst', configType: { case: 'typedConfig', value: anyOf(OriginalDstSchema, {}) } }, tlsInspector(), httpInspector()],
    ...detects(scope.detection),
  })
  const origins = [...ports.map((one) => one.origin), ...ports.flatMap((one) => one.mutualTls.by ?? []), ...access.origins]
  return [resourceOf(ListenerSchema, 'virtualInbound', message, origins), ...ports.flatMap((one) => (one.bind === undefined ? [] : [boundListener(one.bind, one, scope)])), ...ports.map((one) => portCluster(one, one.pool)), resourceOf(ClusterSchema, PASSTHROUGH, originalDestination(PASSTHROUGH), [])]
})

/** The listener of a port that peers reach without capture. */
function boundListener(bind: readonly [string, ...string[]], known: CapturedInboundScope['ports'][number], scope: CapturedInboundScope): Resource {
  const name = `${bind[0]}_${known.port}`
  const message = create(ListenerSchema, {
    name,
    ...addressesOf(bind, known.port),
    trafficDirection: TrafficDirection.INBOUND,
    filterChains: knownChains(known, known.mutualTls, scope),
    listenerFilters: [tlsInspector(), httpInspector()],
    ...detects(scope.detection),
  })
  return resourceOf(ListenerSchema, name, message, [known.origin, ...(known.mutualTls.by === undefined ? [] : [known.mutualTls.by]), ...scope.access.origins])
}

/**
 * The ports that a Sidecar's ingress names, and nothing else where it names any; without, those that services lead to: Services by the workload's labels, ServiceEntries by its address too.
 * Where the mesh says that applications listen on the loopback address alone, services' ports are had there; ports that nothing describes are where they were going in any case.
 * istio.io/latest/docs/reference/config/networking/sidecar/#IstioIngressListener, istio.mesh.v1alpha1/#MeshConfig-InboundTrafficPolicy
 */
function knownPorts(reader: MeshReader, workload: InboundWorkload): KnownPort[] {
  const { namespace, labels } = workload
  const services = [...reader.servicesOf(namespace, labels), ...workload.hosts.flatMap((host) => reader.behind(host, namespace) ?? [])]
  const onLoopback = reader.meshConfig().inboundTrafficPolicy?.mode === 'LOCALHOST'
  const ports = new Map<number, KnownPort>()
  for (const service of services) {
    for (const { port, targetPort, protocol } of service.ports) {
      if (protocol === 'udp') continue
      for (const target of targetsOf(service, targetPort, port, workload)) {
        if (!ports.has(target)) ports.set(target, { port: target, protocol, service: { host: service.host, name: service.name, namespace: service.namespace, port }, to: onLoopback ? endpointOf(loopbackAt(target, workload), workload) : undefined, origin: service.source })
      }
    }
  }
  const sidecar = reader.sidecarFor(namespace, labels)
  const ingress = sidecar?.spec.ingress ?? []
  if (sidecar === undefined || ingress.length === 0) return [...ports.values()].sort((a, b) => a.port - b.port)
  return ingress.map(({ port, bind, captureMode, defaultEndpoint, tls }) => {
    const number = port.number ?? 0
    const own = captureMode === 'NONE'
    return { port: number, protocol: inside(portProtocol(port.protocol, undefined, undefined), tls), service: ports.get(number)?.service, to: endpointOf(own && !defaultEndpoint ? loopbackAt(number, workload) : defaultEndpoint, workload), ...(own ? { bind: bind ? ([bind] as const) : wildcardsOf(workload.families) } : {}), ...(endsTls(tls) ? { tls } : {}), origin: sidecar.id }
  })
}

/** What is inside TLS that ends here. */
const inside = (protocol: Protocol, tls: ServerTls | undefined): Protocol => (!endsTls(tls) ? protocol : protocol === 'https' ? 'http' : protocol === 'tls' ? 'tcp' : protocol)

function targetsOf(service: MeshService, targetPort: number | string, port: number, workload: InboundWorkload): number[] {
  const named = service.ports.find((one) => one.port === port)?.name ?? ''
  // An endpoint of a ServiceEntry may say where it has the port.
  const own = service.endpoints.filter((one) => one.address !== undefined && workload.addresses.includes(one.address)).map((one) => one.ports?.[named] ?? Number(targetPort))
  if (own.length > 0) return own
  const moved = workload.portsByName?.[named]
  if (moved !== undefined) return [moved]
  if (typeof targetPort === 'number') return [targetPort]
  return workload.ports.filter((one) => one.name === targetPort).map((one) => one.port)
}

/** The application's port on loopback. */
const loopbackAt = (port: number, { families }: InboundWorkload): string => {
  const [first] = loopbacksOf(families)
  return first.includes(':') ? `[${first}]:${port}` : `${first}:${port}`
}

/** `127.0.0.1:9080`, `unix:///path`; undefined for the workload's own address, where the connection was going anyway. */
function endpointOf(text: string | undefined, workload: InboundWorkload): Address | undefined {
  if (text === undefined || text === '') return undefined
  if (text.startsWith('unix://')) return create(AddressSchema, { address: { case: 'pipe', value: { path: text.slice('unix://'.length) } } })
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const port = Number(text.slice(colon + 1))
  // An application that listens at any address listens at this one.
  if (host === '0.0.0.0' || host === '::') return workload.addresses[0] === undefined ? undefined : socketAddress(workload.addresses[0], port)
  return socketAddress(host === '::1' ? '::1' : '127.0.0.1', port)
}

type Kind = 'http' | 'tcp' | 'auto'
const kindOf = (protocol: Protocol): Kind => (protocol === 'auto' ? 'auto' : carriesHttp(protocol) ? 'http' : 'tcp')

function knownChains(known: KnownPort, mutualTls: MutualTls, context: InboundContext): ChainInit[] {
  if (known.tls !== undefined && mutualTls.mode === 'DISABLE') return [ingressTlsChain(known, known.tls, context)]
  const cluster = inboundCluster(known.port)
  const host = {
    name: `inbound|http|${known.service?.port ?? known.port}`,
    operation: `${known.service?.host ?? 'inbound'}:${known.service?.port ?? known.port}/*`,
  }
  return chainsOf(kindOf(known.protocol), mutualTls, `0.0.0.0_${known.port}`, known.port, { cluster, ...host, repeats: known.protocol !== 'grpc' && known.protocol !== 'grpc-web', ...(known.protocol === 'grpc-web' ? { grpcWeb: true as const } : {}) }, context)
}

/** TLS that is not the mesh's ends here, which is possible where the mesh's does not: the two could not be told apart. */
function ingressTlsChain(known: KnownPort, tls: ServerTls, context: InboundContext): ChainInit {
  const name = `0.0.0.0_${known.port}`
  const servicePort = known.service?.port ?? known.port
  const onward: Onward = { cluster: inboundCluster(known.port), name: `inbound|http|${servicePort}`, operation: `${known.service?.host ?? 'inbound'}:${servicePort}/*`, repeats: true }
  const transportSocket = ingressSocket(tls, context.tlsDefaults)
  return {
    name,
    // Where no client can be verified no connection gets in: a port without a chain of its own would be passed on.
    filterChainMatch: { destinationPort: known.port, transportProtocol: 'tls', ...(transportSocket === undefined ? { applicationProtocols: ['closed'] } : {}) },
    filters: kindOf(known.protocol) === 'http' ? httpFilters(name, onward, context) : tcpFilters(onward, context),
    metadata: metadataOf({ resource: known.origin, field: 'ingress' }),
    ...(transportSocket === undefined ? {} : { transportSocket }),
  }
}

const passthroughChains = (mutualTls: MutualTls, port: number | undefined, context: InboundContext): ChainInit[] =>
  chainsOf('auto', mutualTls, port === undefined ? 'virtualInbound' : `virtualInbound_${port}`, port, { cluster: PASSTHROUGH, name: 'inbound|http|0', operation: 'inbound:0/*', repeats: true }, context)

interface Onward {
  readonly cluster: string
  readonly name: string
  readonly operation: string
  /** Whether a request that the application has not begun to read may be sent again: not where calls may be streams (gRPC). */
  readonly repeats: boolean
  /** Its callers speak gRPC-Web. */
  readonly grpcWeb?: true
}

/**
 * The chains of one port, told apart by transport and by what the caller's ALPN or first bytes say.
 * An HTTP port takes any mTLS of the mesh as HTTP; a TCP port passes foreign TLS on as it is; a port whose protocol nobody said takes both, each for what it is.
 */
function chainsOf(kind: Kind, mutualTls: MutualTls, name: string, port: number | undefined, onward: Onward, context: InboundContext): ChainInit[] {
  const at = port === undefined ? {} : { destinationPort: port }
  const http = () => httpFilters(name, onward, context)
  const tcp = () => tcpFilters(onward, context)
  const metadata = metadataOf(mutualTls.by === undefined ? undefined : { resource: mutualTls.by, field: 'mtls' })
  const chain = (suffix: string, match: ChainInit['filterChainMatch'], filters: Filters, secured: boolean): ChainInit => ({
    name: `${name}${suffix}`,
    filterChainMatch: { ...at, ...match },
    filters,
    metadata,
    ...(secured ? { transportSocket: meshServerSocket(context.access.trustDomains, mutualTls.handshake) } : {}),
  })
  const tls = { transportProtocol: 'tls' }
  const plain = { transportProtocol: 'raw_buffer' }
  switch (mutualTls.mode) {
    case 'STRICT':
      if (kind === 'http') return [chain('', tls, http(), true)]
      if (kind === 'tcp') return [chain('', tls, tcp(), true)]
      return [chain('_http', { ...tls, applicationProtocols: MTLS_HTTP }, http(), true), chain('', tls, tcp(), true)]
    case 'DISABLE':
      if (kind === 'http') return [chain('_plaintext', {}, http(), false)]
      if (kind === 'tcp') return [chain('_plaintext', {}, tcp(), false)]
      return [chain('_plaintext_http', { ...plain, applicationProtocols: PLAIN_HTTP }, http(), false), chain('_plaintext', plain, tcp(), false), chain('_tls', tls, tcp(), false)]
    case 'PERMISSIVE':
      if (kind === 'http') return [chain('', { ...tls, applicationProtocols: [...MTLS_TCP, ...MTLS_HTTP] }, http(), true), chain('_plaintext', plain, http(), false)]
      if (kind === 'tcp') return [chain('', { ...tls, applicationProtocols: [...MTLS_TCP, ...MTLS_HTTP] }, tcp(), true), chain('_tls', tls, tcp(), false), chain('_plaintext', plain, tcp(), false)]
      return [
        chain('_http', { ...tls, applicationProtocols: MTLS_HTTP }, http(), true),
        chain('', { ...tls, applicationProtocols: MTLS_TCP }, tcp(), true),
        chain('_tls', tls, tcp(), false),
        chain('_plaintext_http', { ...plain, applicationProtocols: PLAIN_HTTP }, http(), false),
        chain('_plaintext', plain, tcp(), false),
      ]
  }
}

const tcpFilters = (onward: Onward, context: InboundContext): Filters => [...connectionFilters(context.access, connectionCustom(context.engine)), tcpProxy(onward.cluster, [], [{ cluster: onward.cluster, host: '', port: 0, hash: undefined }], context.tracing.servers?.log)]

function httpFilters(name: string, onward: Onward, context: InboundContext): Filters {
  const host: MessageInitShape<typeof VirtualHostSchema> = {
    name: onward.name,
    domains: ['*'],
    routes: [
      {
        name: 'default',
        match: { pathSpecifier: { case: 'prefix', value: '/' } },
        action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: onward.cluster }, timeout: duration(0), ...(onward.repeats ? { retryPolicy: { retryOn: 'reset-before-request', numRetries: 2 } } : {}) } },
        decorator: { operation: onward.operation },
      },
    ],
  }
  return [
    httpManager({
      statPrefix: `inbound_${name};`,
      role: 'inbound',
      tracing: context.tracing,
      filters: [...accessFilters(context.access), ...(onward.grpcWeb === true ? [grpcWebFilter(false)] : [])],
      routes: { case: 'routeConfig', value: { name: onward.cluster, validateClusters: false, virtualHosts: [host] } },
    }),
  ]
}

const originalDestination = (name: string) =>
  create(ClusterSchema, { name, clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST }, lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED, connectTimeout: duration(10_000) })

function portCluster({ port, protocol, service, to, origin }: KnownPort, pool: ReturnType<typeof inboundPool>): Resource {
  const name = inboundCluster(port)
  const message = originalDestination(name)
  if (to !== undefined) {
    message.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.STATIC }
    message.lbPolicy = Cluster_LbPolicy.ROUND_ROBIN
    message.loadAssignment = create(ClusterSchema, { loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: to } } }] }] } }).loadAssignment
  }
  message.metadata = metadataOf(undefined, service === undefined ? {} : { services: [{ host: service.host, name: service.name, namespace: service.namespace }] })
  setInboundPool(message, protocol, pool?.pool)
  return resourceOf(ClusterSchema, name, message, [origin, ...(pool === undefined || pool.by === origin ? [] : [pool.by])])
}
