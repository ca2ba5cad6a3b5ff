import { create } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { coveringWildcards, hostCovers } from '#api/model/host.ts'
import type { Labels } from '#api/model/labels.ts'
import type { Resource } from '#api/serve/resource.ts'
import { DERIVED } from '#api/model/gateway-api/listener.ts'
import { writtenBehind } from '#api/model/written.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import { VirtualHost_TlsRequirementType as TlsRequirement, VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { VirtualHost } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { challengedHosts, withChallenges } from './challenge.ts'
import { servedDomains } from './gateway-scope.ts'
import type { ScopedServer } from './gateway-scope.ts'
import { isListener } from './listener-isolation.ts'
import { resourceOf } from './resource.ts'
import { FALLBACK_FILTER, routeConfiguration, virtualHost } from './route.ts'
import { matchesAll } from './route-match.ts'
import { scopedRoutes } from './route-scope.ts'
import type { RouteScope, ScopedRoute } from './route-scope.ts'
import { scopeResource } from './scope.ts'

/** Servers that share a scope key: one TLS server, or all plaintext ones of a port. */
export interface ServerGroup {
  readonly id: string
  /** The first server's: several, each by its own Service, may lead to one port of the process. */
  readonly port: number
  readonly servers: readonly Pick<ScopedServer, 'gateway' | 'serverPort' | 'hosts' | 'tls' | 'others'>[]
  /** The gateway process's own namespace: what is not exported to it, it does not serve. */
  readonly namespace: string
  /** Its labels, where any route asks for them. */
  readonly labels: Labels
}

export function serverGroups(servers: readonly ScopedServer[], namespace: string, labels: Labels): ServerGroup[] {
  const groups = new Map<string, { id: string; port: number; servers: ServerGroup['servers'][number][]; namespace: string; labels: Labels }>()
  for (const { id, serverPort, gateway, hosts, tls, others } of servers) {
    const own = { gateway, serverPort, hosts, tls, others }
    const group = groups.get(id)
    if (group === undefined) groups.set(id, { id, port: serverPort, servers: [own], namespace, labels })
    else group.servers.push(own)
  }
  return [...groups.values()]
}

/** Whether a host of VirtualServices can give a group any domain at all: asked before anything is looked up. */
export const mayServe = (group: ServerGroup, host: string): boolean => group.servers.some((server) => server.hosts.some((one) => hostCovers(one.host, host) || hostCovers(host, one.host)))

/** A domain's VirtualServices, with the gateway that each is bound to. */
interface Bound {
  readonly virtualService: Typed<VirtualServiceSpec>
  readonly gateway: string
  /** The port of the server that it is served by: what its matches name, and what a destination without a port means. */
  readonly port: number
  readonly requireTls: boolean
}

/** Domains that a host of VirtualServices gives a group, and who routes them; what a longer host names exactly is that one's. */
function domainsOf(reader: MeshReader, group: ServerGroup, host: string): Map<string, Bound[]> {
  const domains = new Map<string, Bound[]>()
  for (const server of group.servers) {
    for (const virtualService of reader.virtualServicesNaming(server.gateway, host, group.namespace)) {
      for (const domain of servedDomains(server, host, virtualService.namespace)) {
        if (domain !== host && namedMoreClosely(reader, group, domain, host)) continue
        const bound = { virtualService, gateway: server.gateway, port: server.serverPort, requireTls: server.tls?.httpsRedirect === true }
        const others = domains.get(domain)
        if (others === undefined) domains.set(domain, [bound])
        else if (!others.some((one) => one.virtualService.id === virtualService.id)) others.push(bound)
      }
    }
  }
  return domains
}

function namedMoreClosely(reader: MeshReader, group: ServerGroup, domain: string, host: string): boolean {
  const closer = [domain, ...coveringWildcards(domain)]
  return closer.slice(0, closer.indexOf(host)).some((one) => group.servers.some((server) => reader.virtualServicesNaming(server.gateway, one, group.namespace).length > 0))
}

/** Scopes and routes of the exact domains that one host gives a group. */
export function gatewayHostResources(reader: MeshReader, group: ServerGroup, host: string): Resource[] {
  return [...domainsOf(reader, group, host)].flatMap(([domain, bound]) => {
    if (domain.includes('*')) return []
    const name = `${group.id}|${domain}`
    const scope = boundScope(reader, group, domain, bound)
    return [scopeResource(group.id, domain, name, scope.origins), resourceOf(RouteConfigurationSchema, name, routeConfiguration(name, [withChallenges(reader, group, domain, domainHost(domain, ['*'], scope, bound))]), scope.origins)]
  })
}

/** Wildcard domains, and the redirect to HTTPS for hosts that ask for it; any other name finds nothing: 404. */
export function gatewayFallback(reader: MeshReader, group: ServerGroup): Resource[] {
  const origins: string[] = []
  const taken = new Set<string>()
  const virtualHosts: VirtualHost[] = []
  for (const gateway of new Set(group.servers.map((one) => one.gateway))) {
    for (const host of reader.wildcardHosts(gateway)) {
      for (const [domain, bound] of domainsOf(reader, group, host)) {
        if (!domain.includes('*') || taken.has(domain)) continue
        taken.add(domain)
        const scope = boundScope(reader, group, domain, bound)
        origins.push(...scope.origins)
        virtualHosts.push(domainHost(domain, [domain], scope, bound))
      }
    }
  }
  for (const server of group.servers) {
    if (server.tls?.httpsRedirect !== true) continue
    const domains = [...new Set(server.hosts.map((one) => one.host))].filter((one) => !taken.has(one))
    if (domains.length === 0) continue
    for (const one of domains) taken.add(one)
    virtualHosts.push(create(VirtualHostSchema, { name: `https-redirect:${group.port}:${server.gateway}`, domains, requireTls: TlsRequirement.ALL }))
  }
  virtualHosts.push(...(group.servers.some(isListener) ? othersWildcards(group, taken) : misdirected(group, taken)))
  if (!taken.has('*')) virtualHosts.push(create(VirtualHostSchema, { name: `blackhole:${group.port}`, domains: ['*'] }))
  const name = `fallback|${group.id}`
  const message = routeConfiguration(name, challengedHosts(reader, group, virtualHosts))
  message.ignorePortInHostMatching = true
  return [scopeResource(group.id, '*', name, []), resourceOf(RouteConfigurationSchema, name, message, origins), ...(group.servers.some(isListener) ? othersNames(reader, group) : [])]
}

/** RFC 9110 §15.5.20: a connection that was made for another name than the request's. */
const MISDIRECTED = 421

/** What is answered for hosts of other listeners: over TLS, that the connection is for another name; in plaintext all listeners of a port share their connections, and one without routes has nothing. */
const othersAnswer = (group: ServerGroup, name: string, domains: readonly string[]): VirtualHost =>
  create(VirtualHostSchema, {
    name: `${name}:${group.port}`,
    domains: [...domains],
    metadata: { filterMetadata: { [FALLBACK_FILTER]: { known: true } } },
    ...(servesOneName(group) ? { routes: [{ name: 'misdirected', match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'directResponse', value: { status: MISDIRECTED } } }] } : {}),
  })

/** Whether connections of a group were made for a name of its server's: TLS ends there. */
const servesOneName = (group: ServerGroup): boolean => group.id.startsWith('https.')

/**
 * Behind a TLS server of an Istio Gateway no connection was made for a name that is none of its own, for that names another chain: whatever asks for one came over a connection for another name.
 * Its own names that nobody routes are not found.
 */
function misdirected(group: ServerGroup, taken: Set<string>): VirtualHost[] {
  if (!servesOneName(group)) return []
  const isolated = [...new Set(group.servers.flatMap((one) => one.others))].filter((one) => !taken.has(one)).sort()
  const hosts = [...new Set(group.servers.flatMap((one) => one.hosts.map((of) => of.host)))]
  const unrouted = hosts.filter((one) => !taken.has(one)).sort()
  const wrong = hosts.includes('*') || taken.has('*') ? isolated : [...isolated, '*']
  for (const one of [...wrong, ...unrouted]) taken.add(one)
  return [...unroutedHost(group, unrouted), ...(wrong.length === 0 ? [] : [othersAnswer(group, 'misdirected', wrong)])]
}

/** Names that are a group's own and that nobody routes. */
const unroutedHost = (group: ServerGroup, domains: readonly string[]): VirtualHost[] => (domains.length === 0 ? [] : [create(VirtualHostSchema, { name: `unrouted:${group.port}`, domains: [...domains] })])

/** Hosts that something has to be said of: over TLS all, in plaintext those that a wider host of the group would take. */
const othersOf = (group: ServerGroup): string[] => {
  const own = group.servers.flatMap((one) => one.hosts.map((of) => of.host))
  const all = [...new Set(group.servers.flatMap((one) => one.others))].sort()
  return servesOneName(group) ? all : all.filter((one) => own.some((wider) => wider !== one && hostCovers(wider, one)))
}

function othersWildcards(group: ServerGroup, taken: Set<string>): VirtualHost[] {
  const wild = othersOf(group).filter((one) => one.includes('*') && !taken.has(one))
  // The listener's own names that nobody routes are not found, though a wider listener has them too.
  const own = servesOneName(group) ? group.servers.flatMap((one) => one.hosts.map((of) => of.host)) : []
  const unrouted = [...new Set(own)].filter((one) => !taken.has(one) && wild.some((wider) => hostCovers(wider, one))).sort()
  for (const one of [...wild, ...unrouted]) taken.add(one)
  return [...unroutedHost(group, unrouted), ...(wild.length === 0 ? [] : [othersAnswer(group, 'other-listeners', wild)])]
}

/** Exact hosts of other listeners that no route of the group names. */
function othersNames(reader: MeshReader, group: ServerGroup): Resource[] {
  const exact = othersOf(group).filter((one) => !one.includes('*') && [one, ...coveringWildcards(one)].every((host) => !domainsOf(reader, group, host).has(one)))
  if (exact.length === 0) return []
  const name = `others|${group.id}`
  return [...exact.map((one) => scopeResource(group.id, one, name, [])), resourceOf(RouteConfigurationSchema, name, routeConfiguration(name, [othersAnswer(group, 'other-listeners', ['*'])]), [])]
}

/** Routes of several VirtualServices one after the other, the oldest first; those that hold for everything last, so that they hide nothing. */
function boundScope(reader: MeshReader, group: ServerGroup, domain: string, bound: readonly Bound[]): RouteScope {
  const routes = bound.flatMap(({ virtualService, gateway, port }) => scopedRoutes(reader, { namespace: group.namespace, labels: group.labels, gateway }, virtualService, port))
  // A Gateway that stands for a listener is nobody's object.
  const gateways = bound.filter((one) => !one.gateway.includes(`~${DERIVED}`)).map((one) => `Gateway/${one.gateway}`)
  return { host: domain, port: bound[0]?.port ?? group.port, routes: bound.length === 1 ? routes : catchAllsLast(routes), service: undefined, serviceHash: undefined, origins: [...bound.flatMap((one) => writtenBehind(one.virtualService)), ...new Set(gateways)] }
}

function catchAllsLast(routes: readonly ScopedRoute[]): ScopedRoute[] {
  const split = routes.flatMap((one): ScopedRoute[] => (one.matches === undefined ? [one] : one.matches.map((match) => ({ ...one, matches: [match] }))))
  const holdsForAll = (one: ScopedRoute): boolean => matchesAll(one.matches?.[0])
  return [...split.filter((one) => !holdsForAll(one)), ...split.filter(holdsForAll)]
}

function domainHost(domain: string, domains: readonly string[], scope: RouteScope, bound: readonly Bound[]): VirtualHost {
  const message = virtualHost(`${domain}:${scope.port}`, domains, scope)
  if (bound.some((one) => one.requireTls)) message.requireTls = TlsRequirement.ALL
  return message
}
