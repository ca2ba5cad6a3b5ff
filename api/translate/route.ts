import { create } from '@bufbuild/protobuf'
import { RegexMatchAndSubstituteSchema } from '#core/wire/gen/envoy/type/matcher/v3/regex_pb.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { ConsistentHash } from '#core/resource/load-balancer.ts'
import { durationMs } from '#core/resource/duration.ts'
import type { DirectResponse, HttpMatch, Redirect, Rewrite } from '#core/resource/virtual-service-http.ts'
import { RedirectAction_RedirectResponseCode as RedirectCode, RedirectActionSchema, RouteAction_ClusterNotFoundResponseCode as NotFoundCode, RouteAction_HashPolicySchema, RouteActionSchema, RouteSchema, VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { RedirectAction, Route, RouteAction, RouteAction_HashPolicy, VirtualHost } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import type { RouteConfiguration } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { headerChanges } from './header-operations.ts'
import { duration, durationOf, escapeRegex, metadataOf, runtimeFraction } from './message.ts'
import { configPath, outboundCluster, outboundRoutes } from './naming.ts'
import { filterSettings, GRPC_WEB_FILTER, SESSION_FILTER, sessionSettings, switchedOn } from './route-filters.ts'
import { matchesAll, routeMatch } from './route-match.ts'
import type { RouteScope, ScopedDestination, ScopedRoute } from './route-scope.ts'
import { retryPolicy } from './retry.ts'
import { resourceOf } from './resource.ts'

/** Headers that carry the scope key from the early mutation to the key builder; they end at the first proxy. */
export const SCOPE_HEADER = 'x-weft-scope'
export const SCOPE_PORT_HEADER = 'x-weft-port'

/** First part of the scope key in explicit mode, where one listener takes requests for all ports. */
export const PROXY_PORT = 'proxy'

/** Where the fallback filter leads a CONNECT for a host that is known and has none but HTTP routes. No host has a space. */
export const CONNECT_SCOPE = '* CONNECT'

/** The filter that leads requests for unknown hosts on; it leaves those alone whose virtual host says that it is known. */
export const FALLBACK_FILTER = 'weft.fallback'

export function routeResource(scope: RouteScope): Resource {
  const name = outboundRoutes(scope.port, scope.host)
  return resourceOf(RouteConfigurationSchema, name, routeConfiguration(name, [virtualHost(`${scope.host}:${scope.port}`, ['*'], scope)]), scope.origins)
}

/** A RouteConfiguration to which scopes lead. */
export const routeConfiguration = (name: string, virtualHosts: VirtualHost[]): RouteConfiguration =>
  create(RouteConfigurationSchema, { name, virtualHosts, requestHeadersToRemove: [SCOPE_HEADER, SCOPE_PORT_HEADER], maxDirectResponseBodySizeBytes: 1024 * 1024, validateClusters: false })

export const virtualHost = (name: string, domains: readonly string[], scope: RouteScope): VirtualHost =>
  create(VirtualHostSchema, { name, domains: [...domains], routes: translateRoutes(scope), includeRequestAttemptCount: true, ...(isGrpcWeb(scope) ? { typedPerFilterConfig: { [GRPC_WEB_FILTER]: switchedOn() } } : {}), metadata: { filterMetadata: { [FALLBACK_FILTER]: { known: true } } } })

const isGrpcWeb = ({ service, port }: RouteScope): boolean => service?.ports.some((one) => one.port === port && one.protocol === 'grpc-web') === true

/** The routes of one host and port, in the order in which the first that matches wins. */
function translateRoutes(scope: RouteScope): Route[] {
  if (scope.routes === undefined) return [serviceRoute(scope)]
  const routes: Route[] = []
  for (const one of scope.routes) {
    for (const match of one.matches ?? [undefined]) {
      routes.push(translateRoute(one, match, scope))
      // Nothing gets past a condition that always holds.
      if (matchesAll(match)) return routes
    }
  }
  return routes
}

/** What happens to a host's requests when no VirtualService speaks. */
function serviceRoute(scope: RouteScope): Route {
  const { host, port, service } = scope
  const destination = { cluster: outboundCluster(port, '', host), host, port, hash: undefined }
  const retry = retryPolicy(scope.retries)
  return create(RouteSchema, {
    name: 'default',
    match: routeMatch(undefined),
    action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: destination.cluster }, timeout: duration(0), hashPolicy: scope.serviceHash === undefined ? [] : hashPolicies(scope.serviceHash), ...(retry === undefined ? {} : { retryPolicy: retry }) } },
    ...(scope.serviceSession === undefined ? {} : { typedPerFilterConfig: { [SESSION_FILTER]: sessionSettings(scope.serviceSession) } }),
    decorator: { operation: `${host}:${port}/*` },
    metadata: metadataOf(service === undefined ? undefined : { resource: service.source, field: '' }),
  })
}

function translateRoute(scoped: ScopedRoute, match: HttpMatch | undefined, scope: RouteScope): Route {
  const { route, owner } = scoped
  const only = route.route?.length === 1 ? route.route[0]?.headers : undefined
  const changes = headerChanges(route.headers)
  const ofOnly = headerChanges(only)
  const message = create(RouteSchema, {
    name: routeName(scoped, match),
    match: routeMatch(match, owner.bySegments),
    metadata: metadataOf(scoped.written, { config: configPath('networking.istio.io', 'virtual-service', owner.namespace, owner.name) }),
    requestHeadersToAdd: [...changes.requestHeadersToAdd, ...ofOnly.requestHeadersToAdd],
    requestHeadersToRemove: [...changes.requestHeadersToRemove, ...ofOnly.requestHeadersToRemove],
    responseHeadersToAdd: [...changes.responseHeadersToAdd, ...ofOnly.responseHeadersToAdd],
    responseHeadersToRemove: [...changes.responseHeadersToRemove, ...ofOnly.responseHeadersToRemove],
    typedPerFilterConfig: filterSettings(route, scoped.session),
    decorator: { operation: operationName(scoped, match, scope) },
    ...(match?.statPrefix ? { statPrefix: match.statPrefix } : {}),
  })
  if (route.redirect !== undefined) message.action = { case: 'redirect', value: redirectAction(route.redirect, owner.ownsBackends === true && SCHEME_PORTS.has(scope.port) ? 0 : scope.port) }
  else if (route.directResponse !== undefined) message.action = { case: 'directResponse', value: { $typeName: 'envoy.config.route.v3.DirectResponseAction', status: route.directResponse.status, ...directBody(route.directResponse) } }
  else message.action = { case: 'route', value: routeAction(scoped, match, ofOnly.authority ?? changes.authority) }
  return message
}

/** Istio's name where the operator gave one. Never empty: by the name, the fallback filter knows that a route was found. */
function routeName({ route, owner, field }: ScopedRoute, match: HttpMatch | undefined): string {
  const given = [route.name, match?.name].filter((one) => one !== undefined && one !== '').join('.')
  return given === '' ? `${owner.namespace}/${owner.name}/${field}` : given
}

/** The span's name, as Istio makes it: `order-service.prod.svc.cluster.local:8080/*`. */
function operationName({ destinations, owner }: ScopedRoute, match: HttpMatch | undefined, scope: RouteScope): string {
  const { uri } = match ?? {}
  const path = uri?.exact ?? (uri?.prefix === undefined ? uri?.regex : `${uri.prefix}*`) ?? '/*'
  const [only, ...others] = destinations
  return only !== undefined && others.length === 0 ? `${only.host}:${only.port}${path}` : `${owner.name}:${scope.port}${path}`
}

function routeAction(scoped: ScopedRoute, match: HttpMatch | undefined, authority: string | undefined): RouteAction {
  const { route, mirrors } = scoped
  const retry = retryPolicy(route.retries)
  const action = create(RouteActionSchema, {
    clusterSpecifier: clusterSpecifier(scoped),
    timeout: duration(route.timeout === undefined ? 0 : durationMs(route.timeout)),
    ...(retry === undefined ? {} : { retryPolicy: retry }),
    requestMirrorPolicies: mirrors.map((one) => ({ cluster: one.cluster, runtimeFraction: runtimeFraction(one.percent), traceSampled: false })),
    hashPolicy: uniqueHashes(scoped.destinations).flatMap(hashPolicies),
    // A backend that is not there is the route's own fault: gateway-api.sigs.k8s.io/reference/spec, HTTPBackendRef.
    ...(scoped.owner.ownsBackends === true ? { clusterNotFoundResponseCode: NotFoundCode.INTERNAL_SERVER_ERROR } : {}),
  })
  setRewrite(action, route.rewrite, match)
  const host = route.rewrite?.authority || authority
  if (host !== undefined && host !== '') action.hostRewriteSpecifier = { case: 'hostRewriteLiteral', value: host }
  return action
}

/** One cluster, or several by weight; a share of nothing is left out. */
function clusterSpecifier({ route, destinations, writtenTo }: ScopedRoute): RouteAction['clusterSpecifier'] {
  const [only, ...others] = destinations
  if (only !== undefined && others.length === 0) return { case: 'cluster', value: only.cluster }
  const clusters = (route.route ?? []).flatMap((one, index) => {
    const destination = destinations[index]
    if (destination === undefined || (one.weight ?? 0) === 0) return []
    const changes = headerChanges(one.headers)
    return [
      {
        name: destination.cluster,
        weight: one.weight ?? 0,
        requestHeadersToAdd: changes.requestHeadersToAdd,
        requestHeadersToRemove: changes.requestHeadersToRemove,
        responseHeadersToAdd: changes.responseHeadersToAdd,
        responseHeadersToRemove: changes.responseHeadersToRemove,
        ...(changes.authority === undefined ? {} : { hostRewriteSpecifier: { case: 'hostRewriteLiteral' as const, value: changes.authority } }),
        // The only metadata that an entry has. Envoy reads key envoy.lb alone, so ours changes nothing for it.
        metadataMatch: metadataOf(writtenTo[index]),
      },
    ]
  })
  return { case: 'weightedClusters', value: create(RouteActionSchema, { clusterSpecifier: { case: 'weightedClusters', value: { clusters } } }).clusterSpecifier.value as WeightedClusters }
}
type WeightedClusters = Extract<RouteAction['clusterSpecifier'], { case: 'weightedClusters' }>['value']

function setRewrite(action: RouteAction, rewrite: Rewrite | undefined, match: HttpMatch | undefined): void {
  const regex = rewrite?.uriRegexRewrite
  if (regex?.match) {
    action.regexRewrite = substituted(regex.match, regex.rewrite ?? '')
  } else if (rewrite?.uri) {
    // With a regex condition Envoy's prefix rewrite would replace the whole path too, but refuses it; the regex rewrite says the same.
    const { prefix, regex: pattern } = match?.uri ?? {}
    const literal = rewrite.uri.replaceAll('\\', '\\\\')
    if (pattern !== undefined) action.regexRewrite = substituted(pattern, literal)
    // `/common` to `/` is to make `/api` of `/common/api`: Envoy's prefix rewrite would leave the slash of the prefix beside that of what follows.
    else if (prefix !== undefined && !prefix.endsWith('/') && rewrite.uri.endsWith('/')) action.regexRewrite = substituted(`${match?.ignoreUriCase === true ? '(?i)' : ''}^${escapeRegex(prefix)}/?`, literal)
    else action.prefixRewrite = rewrite.uri
  }
}

const substituted = (regex: string, substitution: string): RouteAction['regexRewrite'] =>
  create(RegexMatchAndSubstituteSchema, { pattern: { regex }, substitution })

/** Several destinations may hash by the same thing: once is enough. */
function uniqueHashes(destinations: readonly ScopedDestination[]): ConsistentHash[] {
  const seen = new Map<string, ConsistentHash>()
  for (const { hash } of destinations) if (hash !== undefined) seen.set(JSON.stringify(hash), hash)
  return [...seen.values()]
}

/** Empty where nothing is said to hash: endpoints are then picked at random. */
function hashPolicies(hash: ConsistentHash): RouteAction_HashPolicy[] {
  const { httpHeaderName, httpCookie, httpQueryParameterName, useSourceIp } = hash
  if (httpHeaderName) return [create(RouteAction_HashPolicySchema, { policySpecifier: { case: 'header', value: { headerName: httpHeaderName } } })]
  if (httpCookie !== undefined) {
    const { name = '', path = '', ttl, attributes = [] } = httpCookie
    return [create(RouteAction_HashPolicySchema, { policySpecifier: { case: 'cookie', value: { name, path, ...(ttl === undefined ? {} : { ttl: durationOf(ttl) }), attributes: attributes.map((one) => ({ name: one.name, value: one.value ?? '' })) } } })]
  }
  if (httpQueryParameterName) return [create(RouteAction_HashPolicySchema, { policySpecifier: { case: 'queryParameter', value: { name: httpQueryParameterName } } })]
  return useSourceIp !== true ? [] : [create(RouteAction_HashPolicySchema, { policySpecifier: { case: 'connectionProperties', value: { sourceIp: true } } })]
}

const REDIRECT_CODES = new Map([
  [301, RedirectCode.MOVED_PERMANENTLY],
  [302, RedirectCode.FOUND],
  [303, RedirectCode.SEE_OTHER],
  [307, RedirectCode.TEMPORARY_REDIRECT],
  [308, RedirectCode.PERMANENT_REDIRECT],
])

/** Ports that a scheme has anyway: the Gateway API has them left out of locations (HTTPRequestRedirectFilter). */
const SCHEME_PORTS: ReadonlySet<number> = new Set([80, 443])

/** HTTPRedirect as Envoy's RedirectAction. `FROM_REQUEST_PORT` is known here, for the routes are those of one port. */
function redirectAction(redirect: Redirect, port: number): RedirectAction {
  const keptPrefix = redirect.prefixRewrite ?? (redirect.uri?.startsWith('%PREFIX()%') === true ? redirect.uri.slice('%PREFIX()%'.length) : undefined)
  return create(RedirectActionSchema, {
    hostRedirect: redirect.authority ?? '',
    portRedirect: redirect.port ?? (redirect.derivePort === 'FROM_REQUEST_PORT' ? port : 0),
    ...(redirect.scheme ? { schemeRewriteSpecifier: { case: 'schemeRedirect' as const, value: redirect.scheme } } : {}),
    ...(keptPrefix !== undefined ? { pathRewriteSpecifier: { case: 'prefixRewrite' as const, value: keptPrefix } } : redirect.uri ? { pathRewriteSpecifier: { case: 'pathRedirect' as const, value: redirect.uri } } : {}),
    responseCode: REDIRECT_CODES.get(redirect.redirectCode || 301) ?? RedirectCode.MOVED_PERMANENTLY,
  })
}

type DirectBody = { body?: NonNullable<Extract<Route['action'], { case: 'directResponse' }>['value']['body']> }
function directBody({ body }: DirectResponse): DirectBody {
  if (body?.string !== undefined) return { body: { $typeName: 'envoy.config.core.v3.DataSource', specifier: { case: 'inlineString', value: body.string } } }
  if (body?.bytes !== undefined) return { body: { $typeName: 'envoy.config.core.v3.DataSource', specifier: { case: 'inlineBytes', value: Uint8Array.from(atob(body.bytes), (one) => one.charCodeAt(0)) } } }
  return {}
}
