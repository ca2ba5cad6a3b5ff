import type { Route, VirtualHost } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteSchema, VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { RouteConfiguration } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { patchList } from './list.ts'
import { mergeMessage, parseMessage } from './merge.ts'
import type { Context } from './patch-listener.ts'
import { inContext } from './patches.ts'
import type { ScopedPatch } from './patches.ts'

const ACTIONS: Readonly<Record<string, string>> = { ROUTE: 'route', REDIRECT: 'redirect', DIRECT_RESPONSE: 'directResponse' }

/**
 * Routes by one patch. Weft has a configuration for each host, where Istio has one for each port: so a name means a port, or a Gateway's server that ends TLS (`https.PORT.PORTNAME.GATEWAY.NAMESPACE`), and the host is the virtual host's.
 * @throws when the value is no such message, or the operation cannot be done
 */
export function patchRoutes(configuration: RouteConfiguration, patch: ScopedPatch, context: Context, port: number | undefined = portIn(configuration.name), origins: readonly string[] = []): RouteConfiguration {
  if (!inContext(patch, context) || !isMeant(configuration, patch, port, origins)) return configuration
  const { applyTo, operation, value } = patch
  const lists = operation === 'MERGE_AND_REPLACE_LIST' ? 'replace' : 'append'
  const match = patch.match.routeConfiguration?.vhost
  const meansHost = (one: VirtualHost): boolean => (!match?.name || one.name === match.name) && (!match?.domainName || one.domains.includes(match.domainName) || one.name.replace(/:\d+$/, '') === match.domainName)
  switch (applyTo) {
    case 'ROUTE_CONFIGURATION':
      return operation === 'MERGE' || operation === 'MERGE_AND_REPLACE_LIST' ? mergeMessage(RouteConfigurationSchema, configuration, value, lists) : configuration
    case 'VIRTUAL_HOST': {
      const virtualHosts = patchList(configuration.virtualHosts, operation, {
        matches: meansHost,
        isBound: match !== undefined,
        merge: (one) => mergeMessage(VirtualHostSchema, one, value, lists),
        make: () => parseMessage(VirtualHostSchema, value),
      })
      return { ...configuration, virtualHosts }
    }
    case 'HTTP_ROUTE': {
      const wanted = match?.route
      const meansRoute = (one: Route): boolean => (!wanted?.name || one.name === wanted.name) && (!wanted?.action || wanted.action === 'ANY' || one.action.case === ACTIONS[wanted.action])
      const change = (host: VirtualHost): VirtualHost => ({
        ...host,
        routes: patchList(host.routes, operation, {
          matches: meansRoute,
          isBound: wanted !== undefined,
          merge: (one) => mergeMessage(RouteSchema, one, value, lists),
          make: () => parseMessage(RouteSchema, value),
        }),
      })
      return { ...configuration, virtualHosts: configuration.virtualHosts.map((one) => (meansHost(one) ? change(one) : one)) }
    }
    default:
      return configuration
  }
}

/** `outbound|8080||host`, `http.80`, `80`. */
function portIn(name: string): number | undefined {
  const found = /(?:^|[|._])(\d+)(?:[|._]|$)/.exec(name)?.[1]
  return found === undefined ? undefined : Number(found)
}

const isTlsServer = (name: string): boolean => /^https\.\d+\./.test(name)

/** The servers of a gateway, in plaintext those of a port together, whose routes a configuration has: `https.443.https.edge.prod|a.example.com`, `fallback|http.80`. */
const groupIn = (name: string): string | undefined => name.replace(/^fallback\|/, '').split('|')[0]

function isMeant(configuration: RouteConfiguration, patch: ScopedPatch, port: number | undefined, origins: readonly string[]): boolean {
  const match = patch.match.routeConfiguration
  if (match === undefined) return true
  if (match.portNumber && match.portNumber !== port) return false
  if (match.name && match.name !== configuration.name && (isTlsServer(match.name) ? match.name !== groupIn(configuration.name) : portIn(match.name) !== port)) return false
  return !match.gateway || origins.includes(`Gateway/${match.gateway}`)
}

/** Why Envoy would refuse routes; undefined as far as can be told from here. */
export function routesComplaint(configuration: RouteConfiguration): string | undefined {
  const domains = new Set<string>()
  const names = new Set<string>()
  for (const host of configuration.virtualHosts) {
    if (host.name === '' || host.domains.length === 0) return 'a virtual host with name and domains'
    if (names.has(host.name)) return `virtual hosts of different names, which ${host.name} is not`
    names.add(host.name)
    for (const one of host.domains) {
      if (domains.has(one.toLowerCase())) return `domains of one virtual host each, which ${one} is not`
      domains.add(one.toLowerCase())
    }
    for (const route of host.routes) {
      if (route.match?.pathSpecifier.case === undefined) return 'a route with a match for the path'
      if (route.action.case === undefined) return 'a route with an action'
    }
  }
  return undefined
}
