import { hostCovers, resolveHost } from '#api/model/host.ts'
import { resolveGateway } from '#api/model/index-entries.ts'
import { sessionOfRoute } from '#api/model/gateway-api/session.ts'
import type { Session } from '#api/model/gateway-api/session.ts'
import { selects } from '#api/model/labels.ts'
import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { carriesHttp } from '#api/model/mesh-service.ts'
import type { MeshService } from '#api/model/mesh-service.ts'
import { writtenAt, writtenBehind } from '#api/model/written.ts'
import type { Written } from '#api/model/written.ts'
import type { Destination } from '#core/resource/destination.ts'
import type { ConsistentHash } from '#core/resource/load-balancer.ts'
import type { HttpMatch, HttpRoute, Retries } from '#core/resource/virtual-service-http.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import { delegatedRoutes } from './delegate.ts'
import { outboundCluster } from './naming.ts'
import { destinationPolicy, policyFor } from './traffic-policy.ts'
import type { Policy } from './traffic-policy.ts'

/** A destination with all that a route needs to know of it. */
export interface ScopedDestination {
  readonly cluster: string
  readonly host: string
  readonly port: number
  readonly hash: ConsistentHash | undefined
  /** What a policy of the service says of keeping its clients at an endpoint. */
  readonly session?: Session
  /** How connections that are passed on whole are treated there; absent: as usual. */
  readonly connection?: ConnectionSettings
}

/** What a DestinationRule says of connections whose contents play no part. */
interface ConnectionSettings {
  readonly idleTimeout?: string
  readonly maxConnectionDuration?: string
  readonly tunnel?: NonNullable<Policy['tunnel']>
}

/** One entry of VirtualService.http, its names resolved and the conditions that hold for this client settled. */
export interface ScopedRoute {
  readonly route: HttpRoute
  /** Undefined: every request. */
  readonly matches: readonly HttpMatch[] | undefined
  readonly destinations: readonly ScopedDestination[]
  /** How clients are kept at an endpoint: the route's own word, or its first destination's that has one. */
  readonly session: Session | undefined
  readonly mirrors: readonly { readonly cluster: string; readonly percent: number }[]
  readonly owner: RouteOwner
  /** `http[0]` */
  readonly field: string
  /** The object and field that somebody wrote for it, and for each of its destinations. */
  readonly written: Written
  readonly writtenTo: readonly Written[]
}

interface RouteOwner {
  /** `VirtualService/prod/order-service` */
  readonly id: string
  readonly name: string
  readonly namespace: string
  /** A prefix of a path is one of whole segments: the Gateway API's, and an Ingress's. */
  readonly bySegments?: true
  /** What leads to a backend that is not there is the route's own fault: the Gateway API's. */
  readonly ownsBackends?: true
}

/** All that the routes of one host and port depend on. */
export interface RouteScope {
  readonly host: string
  readonly port: number
  /** Undefined: no VirtualService speaks for the host, and requests go to the service. */
  readonly routes: readonly ScopedRoute[] | undefined
  readonly service: MeshService | undefined
  /** What the service's own policy hashes by, for requests that no VirtualService routes. */
  readonly serviceHash: ConsistentHash | undefined
  /** How its clients are kept, likewise. */
  readonly serviceSession?: Session | undefined
  /** How requests that no VirtualService routes are tried again, where the mesh's settings say it. */
  readonly retries?: Retries | undefined
  readonly origins: readonly string[]
}

/** Who routes: clients of a namespace, or a gateway process. Labels matter only to `sourceLabels`. */
export interface RouteClient {
  readonly namespace: string
  readonly labels: Labels
  /** `mesh`, or NAMESPACE/NAME of a Gateway. */
  readonly gateway: string
}

/** The VirtualService that speaks for a host: the most specific that names it or a host above it. What no client may see as a service has none by a wildcard, which stands for the services below it. */
export const speakingFor = (reader: MeshReader, { gateway, namespace }: Pick<RouteClient, 'gateway' | 'namespace'>, host: string, service: MeshService | undefined): Typed<VirtualServiceSpec> | undefined =>
  (service === undefined ? reader.virtualServicesNaming(gateway, host, namespace) : reader.virtualServices(gateway, host, namespace))[0]

/** The routes that clients have towards a host, one scope for each HTTP port of `servedPorts`. */
export function routeScopes(reader: MeshReader, client: RouteClient, host: string): RouteScope[] {
  const service = reader.service(host, client.namespace)
  const virtualService = speakingFor(reader, client, host, service)
  if (service === undefined && virtualService === undefined) return []
  return servedPorts(reader, client.namespace, service, virtualService).flatMap((port) => {
    const held = virtualService === undefined || (virtualService.spec.http ?? []).length === 0 ? [] : scopedRoutes(reader, client, virtualService, port)
    // A VirtualService none of whose routes holds for this client and port does not speak for the host there.
    const isPort = service?.ports.some((one) => one.port === port) === true
    // Its scope is the same for all of a namespace, and what holds for some of them is nothing to the others.
    const isForOthers = held.length === 0 && !isPort && client.gateway === 'mesh' && portsBesideService(reader, client.namespace, service, virtualService).includes(port)
    if (held.length === 0 && !isPort && !isForOthers) return []
    const routes = held.length === 0 && !isForOthers ? undefined : held
    const serviceHash = service === undefined || routes !== undefined ? undefined : hashFor(reader, service, client.namespace, '', port)
    return [{ host, port, routes, service, serviceHash, serviceSession: service === undefined || routes !== undefined ? undefined : destinationPolicy(reader, service, client.namespace).session, retries: reader.meshConfig().defaultHttpRetryPolicy, origins: [...(service === undefined ? [] : [service.source]), ...(virtualService === undefined ? [] : writtenBehind(virtualService)), ...(routes ?? []).map((one) => one.written.resource)] }]
  })
}

/** Whether a wildcard host that VirtualServices name stands, at a port, for the services below it and for no other name: it does where any has that port. */
export const isForServicesBelow = (reader: MeshReader, client: string, wild: string, port: number): boolean => reader.service(wild, client) === undefined && reader.coversService(wild, client, port)

/** The ports at which a host takes requests: the service's HTTP ports, and 80 for what a VirtualService routes, even where no service has that port, as in Istio. */
export function servedPorts(reader: MeshReader, client: string, service: MeshService | undefined, virtualService: Typed<VirtualServiceSpec> | undefined): number[] {
  const ports = (service?.ports ?? []).filter((one) => carriesHttp(one.protocol)).map((one) => one.port)
  // A route of the Gateway API speaks for a Service's own ports.
  const routed = virtualService !== undefined && (virtualService.spec.http ?? []).length > 0 && semanticsOf(virtualService.stored.object.metadata.annotations).ownsBackends !== true
  if (routed && service === undefined) {
    // A name that is no service is served where the services beside it in the VirtualService are.
    const beside = (virtualService.spec.hosts ?? []).flatMap((host) => reader.service(resolveHost(host, virtualService.namespace), client)?.ports ?? []).filter((one) => carriesHttp(one.protocol))
    return beside.length === 0 ? [80] : [...new Set(beside.map((one) => one.port))].sort((a, b) => a - b)
  }
  if (!routed || service === undefined || service.ports.some((one) => one.port === 80)) return ports
  // Named by a wildcard alone, it is served there as any other name below is: where the wildcard stands for names, and not for the services that have the port.
  const wild = (virtualService.spec.hosts ?? []).map((host) => resolveHost(host, virtualService.namespace)).filter((host) => hostCovers(host, service.host)).sort((a, b) => b.length - a.length)[0]
  return wild !== undefined && wild !== service.host && isForServicesBelow(reader, client, wild, 80) ? ports : [...ports, 80]
}

/** Ports at which a VirtualService alone serves a host: those of `servedPorts` that its service has not, and at which some route may hold for clients of this namespace. */
export function portsBesideService(reader: MeshReader, client: string, service: MeshService | undefined, virtualService: Typed<VirtualServiceSpec> | undefined): number[] {
  if (virtualService === undefined) return []
  const routes = delegatedRoutes(reader, virtualService)
  return servedPorts(reader, client, service, virtualService).filter((port) => !service?.ports.some((one) => one.port === port) && routes.some(({ route: { match = [] }, owner }) => match.length === 0 || match.some((one) => holdsInNamespace(one, { namespace: client, gateway: 'mesh' }, owner.namespace, port))))
}

/** A VirtualService's HTTP routes that hold for a client at a port, in their order. */
export function scopedRoutes(reader: MeshReader, client: RouteClient, virtualService: Typed<VirtualServiceSpec>, port: number): ScopedRoute[] {
  const found: ScopedRoute[] = []
  for (const { route, owner, field } of delegatedRoutes(reader, virtualService)) {
    const matches = route.match?.filter((one) => holdsFor(one, client, owner.namespace, port))
    if (matches !== undefined && matches.length === 0 && (route.match?.length ?? 0) > 0) continue
    const retries = route.retries ?? reader.meshConfig().defaultHttpRetryPolicy
    const resolve = (to: Destination): ScopedDestination => resolveDestination(reader, client, to, owner.namespace, port)
    const to = (route.route ?? []).map((one) => resolve(one.destination))
    found.push({
      route: retries === undefined ? route : { ...route, retries },
      matches: matches === undefined || matches.length === 0 ? undefined : matches,
      destinations: to,
      session: sessionOfRoute(route) ?? to.find((one) => one.session !== undefined)?.session,
      mirrors: mirrorsOf(route).map((one) => ({ cluster: resolve(one.destination).cluster, percent: one.percent })),
      owner: { id: owner.id, name: owner.name, namespace: owner.namespace, ...semanticsOf(owner.stored.object.metadata.annotations) },
      field,
      written: writtenAt(owner, field),
      writtenTo: (route.route ?? []).map((_, index) => writtenAt(owner, `${field}.route[${index}]`)),
    })
  }
  return found
}

/** How a VirtualService that stands for objects of another API is read. */
function semanticsOf(annotations: Readonly<Record<string, string>> | undefined): Pick<RouteOwner, 'bySegments' | 'ownsBackends'> {
  const semantics = annotations?.['internal.istio.io/route-semantics']
  if (semantics === 'gateway') return { bySegments: true, ownsBackends: true }
  return semantics === 'ingress' ? { bySegments: true } : {}
}

/** Whether the conditions that do not look at the request hold: where the client is and what it calls. At a gateway it is the gateway process whose labels and namespace are asked for, as in Istio. */
const holdsFor = (match: HttpMatch, client: RouteClient, owner: string, port: number): boolean => holdsInNamespace(match, client, owner, port) && selects(match.sourceLabels, client.labels)

/** The same, but for labels. */
function holdsInNamespace(match: HttpMatch, client: Pick<RouteClient, 'namespace' | 'gateway'>, owner: string, port: number): boolean {
  if (match.port !== undefined && match.port !== port) return false
  if (match.gateways !== undefined && match.gateways.length > 0 && !match.gateways.some((one) => resolveGateway(one, owner) === client.gateway)) return false
  return match.sourceNamespace === undefined || match.sourceNamespace === '' || match.sourceNamespace === client.namespace
}

/** Share of requests: by `mirrorPercentage`, its deprecated forms, else all; a share of 0 copies nothing. */
function mirrorsOf(route: HttpRoute): { readonly destination: Destination; readonly percent: number }[] {
  const mirrors =
    route.mirror === undefined
      ? (route.mirrors ?? []).map((one) => ({ destination: one.destination, percent: one.percentage?.value ?? (one.percentage === undefined ? 100 : 0) }))
      : [{ destination: route.mirror, percent: route.mirrorPercentage === undefined ? (route.mirrorPercent ?? route.mirror_percent ?? 100) : (route.mirrorPercentage.value ?? 0) }]
  return mirrors.filter((one) => one.percent > 0)
}

/** The port is the one given, else the one that was called; from a gateway, whose ports are its own, the service's only one before that. As in Istio. */
export function resolveDestination(reader: MeshReader, client: Pick<RouteClient, 'namespace' | 'gateway'>, to: Destination, owner: string, calledPort: number): ScopedDestination {
  const host = resolveHost(to.host, owner)
  const service = reader.service(host, client.namespace)
  const only = client.gateway !== 'mesh' && service?.ports.length === 1 ? service.ports[0]?.port : undefined
  const port = to.port?.number ?? only ?? calledPort
  const subset = to.subset ?? ''
  return service === undefined ? { cluster: outboundCluster(port, subset, host), host, port, hash: undefined } : serviceDestination(reader, service, client.namespace, subset, port)
}

/** A service's port as a destination, with what a DestinationRule says of it. */
export function serviceDestination(reader: MeshReader, service: MeshService, client: string, subset: string, port: number): ScopedDestination {
  const { loadBalancer, connectionPool, tunnel } = policyOf(reader, service, client, subset, port)
  const { session } = destinationPolicy(reader, service, client)
  const { idleTimeout, maxConnectionDuration } = connectionPool?.tcp ?? {}
  const connection = { ...(idleTimeout === undefined ? {} : { idleTimeout }), ...(maxConnectionDuration === undefined ? {} : { maxConnectionDuration }), ...(tunnel === undefined ? {} : { tunnel }) }
  return { cluster: outboundCluster(port, subset, service.host), host: service.host, port, hash: loadBalancer?.consistentHash, ...(session === undefined ? {} : { session }), ...(Object.keys(connection).length === 0 ? {} : { connection }) }
}

const hashFor = (reader: MeshReader, service: MeshService, client: string, subset: string, port: number): ConsistentHash | undefined => policyOf(reader, service, client, subset, port).loadBalancer?.consistentHash

function policyOf(reader: MeshReader, service: MeshService, client: string, subset: string, port: number): Policy {
  const destination = destinationPolicy(reader, service, client)
  const ofSubset = destination.subsets.find((one) => one.name === subset)
  return policyFor(destination.trafficPolicy, ofSubset?.trafficPolicy, port)
}
