import { create } from '@bufbuild/protobuf'
import { ACME_PATH, ACME_STATE, challengeMember, secretText } from '#api/model/acme.ts'
import { hostCovers } from '#api/model/host.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { type Route, RouteSchema, type VirtualHost, VirtualHost_TlsRequirementType as TlsRequirement, VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { ServerGroup } from './gateway-route.ts'

/** What an authority finds at a host while it proves a certificate's order (RFC 8555 §8.3); over plaintext alone, where it looks. */
function challengeRoutes(reader: MeshReader, group: ServerGroup, host: string): Route[] {
  if (!group.id.startsWith('http.')) return []
  const namespaces = new Set(group.servers.filter((server) => server.hosts.some((one) => hostCovers(one.host, host))).map((server) => server.gateway.slice(0, server.gateway.indexOf('/'))))
  return [...namespaces].flatMap((namespace) => {
    const answer = secretText(reader.secret(namespace, ACME_STATE), challengeMember(host))
    if (answer === undefined) return []
    const token = answer.slice(0, answer.indexOf('.'))
    return [create(RouteSchema, { name: 'acme', match: { pathSpecifier: { case: 'path', value: `${ACME_PATH}${token}` } }, action: { case: 'directResponse', value: { status: 200, body: { specifier: { case: 'inlineString', value: answer } } } } })]
  })
}

/** The virtual host of an exact name, with answers to challenges before all else. A redirect to https, which nobody answers yet, then holds for the rest. */
export function withChallenges(reader: MeshReader, group: ServerGroup, host: string, virtualHost: VirtualHost): VirtualHost {
  const answers = challengeRoutes(reader, group, host)
  if (answers.length === 0) return virtualHost
  const rest = virtualHost.requireTls === TlsRequirement.NONE ? virtualHost.routes : [create(RouteSchema, { name: 'https', match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'redirect', value: { schemeRewriteSpecifier: { case: 'httpsRedirect', value: true } } } })]
  virtualHost.requireTls = TlsRequirement.NONE
  virtualHost.routes = [...answers, ...rest]
  return virtualHost
}

/** The virtual hosts of a fallback, where names that are being proven have one of their own: what holds for them anyway stands behind the answers. */
export function challengedHosts(reader: MeshReader, group: ServerGroup, virtualHosts: readonly VirtualHost[]): VirtualHost[] {
  if (!group.id.startsWith('http.')) return [...virtualHosts]
  const namespaces = new Set(group.servers.map((server) => server.gateway.slice(0, server.gateway.indexOf('/'))))
  const prefix = challengeMember('')
  const hosts = [...namespaces].flatMap((namespace) => {
    const state = reader.secret(namespace, ACME_STATE)
    return [...Object.keys(state?.data ?? {}), ...Object.keys(state?.stringData ?? {})].flatMap((member) => (member.startsWith(prefix) ? [member.slice(prefix.length)] : []))
  })
  const own = [...new Set(hosts)].sort().flatMap((host) => {
    const covering = virtualHosts.filter((one) => longest(one, host) >= 0).sort((a, b) => longest(b, host) - longest(a, host))[0]
    const made = withChallenges(reader, group, host, create(VirtualHostSchema, { ...(covering === undefined ? {} : { routes: covering.routes, requireTls: covering.requireTls, includeRequestAttemptCount: covering.includeRequestAttemptCount }), name: `acme:${host}`, domains: [host] }))
    return made.routes[0]?.name === 'acme' ? [made] : []
  })
  const taken = new Set(own.flatMap((one) => one.domains))
  for (const one of virtualHosts) one.domains = one.domains.filter((domain) => !taken.has(domain))
  return [...virtualHosts.filter((one) => one.domains.length > 0), ...own]
}

/** -1: it does not cover it. An exact name is longer than any wildcard. */
const longest = (virtualHost: VirtualHost, host: string): number => Math.max(-1, ...virtualHost.domains.filter((domain) => hostCovers(domain, host)).map((domain) => (domain === host ? 1000 : domain.length)))
