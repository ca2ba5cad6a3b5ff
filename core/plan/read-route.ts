import { type RouteConfiguration, RouteConfigurationSchema } from '../wire/gen/envoy/config/route/v3/route_pb.ts'
import { FilterConfigSchema, type Route as WireRoute, RouteSchema, type VirtualHost as WireHost, VirtualHost_TlsRequirementType as Tls, VirtualHostSchema } from '../wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { CorsPolicySchema } from '../wire/gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { ExtAuthzPerRouteSchema } from '../wire/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import { HTTPFaultSchema } from '../wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { LocalRateLimitSchema } from '../wire/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import { StatefulSessionPerRouteSchema } from '../wire/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { PerRouteConfigSchema as JwtPerRouteSchema } from '../wire/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import { type RateLimitPerRoute, RateLimitPerRouteSchema } from '../wire/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { RouteExtAuthz } from './ext-authz.ts'
import type { RouteJwt } from './jwt.ts'
import type { LocalRateLimitPlan } from './local-rate-limit.ts'
import type { RateLimitActions } from './rate-limit.ts'
import type { CorsPlan, FaultPlan, HeaderOperations, MirrorPlan, Route, RouteTable, SessionPlan, VirtualHost } from './route.ts'
import { at, type Read, type Reading, readResource, typeNameOf } from './read.ts'
import { type Inherited, readDirect, readForward, readMirror, readRedirect } from './read-action.ts'
import { readFilterCors, readRouteCors } from './read-cors.ts'
import { readRouteExtAuthz } from './read-ext-authz.ts'
import { readFault } from './read-fault.ts'
import { GRPC_WEB_FILTER } from './read-filters.ts'
import { readHeaderOperations, thenHeaders } from './read-headers.ts'
import { readLocalRateLimit } from './read-local-rate-limit.ts'
import { type MatchedPath, readRouteMatch } from './read-match.ts'
import { originOf } from './read-origin.ts'
import { readRateLimits, readRouteRateLimits } from './read-rate-limit.ts'
import { readRetry } from './read-retry.ts'
import { readSession } from './read-session.ts'

/** RouteConfiguration → RouteTable. */
export function readRoute(bytes: Uint8Array, version: string): Read<RouteTable> {
  return readResource(RouteConfigurationSchema, bytes, (reading, message) => readTable(reading, '', message, version))
}

/** Settings of filters on a route or virtual host. */
interface PerFilter {
  readonly fault: FaultPlan | undefined
  readonly cors: CorsPlan | undefined
  readonly jwt: RouteJwt | undefined
  readonly extAuthz: RouteExtAuthz | undefined
  readonly rateLimits: RateLimitPerRoute | undefined
  readonly session: SessionPlan | undefined
  readonly grpcWeb: boolean | undefined
  readonly localRateLimits: LocalRateLimits | undefined
}

/** By filter name. */
type LocalRateLimits = ReadonlyMap<string, LocalRateLimitPlan>

interface Outer extends Inherited, PerFilter {
  readonly requestHeaders: HeaderOperations | undefined
  readonly responseHeaders: HeaderOperations | undefined
  /** The virtual host's. */
  readonly limits: readonly RateLimitActions[]
}

/** A table that stands alone or inside a connection manager. */
export function readTable(reading: Reading, path: string, message: RouteConfiguration, version: string): RouteTable {
  reading.only(path, RouteConfigurationSchema, message, [
    'name', 'virtual_hosts', 'request_headers_to_add', 'request_headers_to_remove', 'response_headers_to_add', 'response_headers_to_remove',
    'most_specific_header_mutations_wins', 'validate_clusters', 'max_direct_response_body_size_bytes', 'request_mirror_policies', 'ignore_port_in_host_matching',
    'typed_per_filter_config', 'metadata',
  ])
  const order = message.mostSpecificHeaderMutationsWins ? outerFirst : thenHeaders
  const outer: Outer = {
    retry: undefined,
    mirrors: readMirrors(reading, path, message.requestMirrorPolicies),
    limits: [],
    ...readPerFilter(reading, path, message.typedPerFilterConfig),
    // Removals of the whole table stand in the table itself, where they are done last.
    requestHeaders: readHeaderOperations(reading, path, 'request', message.requestHeadersToAdd, []),
    responseHeaders: readHeaderOperations(reading, path, 'response', message.responseHeadersToAdd, message.responseHeadersToRemove),
  }
  const exact = new Map<string, VirtualHost>()
  const suffixes = new Map<string, VirtualHost>()
  const prefixes = new Map<string, VirtualHost>()
  let any: VirtualHost | undefined
  const names = new Set<string>()
  for (const [index, wire] of message.virtualHosts.entries()) {
    const where = at(path, 'virtual_hosts', index)
    if (names.has(wire.name)) reading.invalid(at(where, 'name'), 'is there twice', wire.name)
    names.add(wire.name)
    const host = readHost(reading, where, wire, outer, order)
    if (wire.domains.length === 0) reading.invalid(at(where, 'domains'), 'is empty')
    for (const [nth, domain] of wire.domains.entries()) {
      const name = domain.toLowerCase()
      const claim = (map: Map<string, VirtualHost>, key: string) => {
        if (map.has(key)) reading.invalid(at(where, 'domains', nth), 'is claimed twice', domain)
        map.set(key, host)
      }
      if (name === '*') {
        if (any !== undefined) reading.invalid(at(where, 'domains', nth), 'is claimed twice', domain)
        any = host
      } else if (name === '') reading.invalid(at(where, 'domains', nth), 'is empty')
      else if (name.startsWith('*')) claim(suffixes, name.slice(1))
      else if (name.endsWith('*')) claim(prefixes, name.slice(0, -1))
      else claim(exact, name)
    }
  }
  return {
    name: message.name,
    version,
    exact,
    suffixes: longestFirst(suffixes).map(([suffix, host]) => ({ suffix, host })),
    prefixes: longestFirst(prefixes).map(([prefix, host]) => ({ prefix, host })),
    any,
    ignorePort: message.ignorePortInHostMatching,
    requestHeadersToRemove: readHeaderOperations(reading, path, 'request', [], message.requestHeadersToRemove)?.remove ?? [],
  }
}

const outerFirst: typeof thenHeaders = (inner, outer) => thenHeaders(outer, inner)

function longestFirst(map: ReadonlyMap<string, VirtualHost>): [string, VirtualHost][] {
  return [...map].sort(([a], [b]) => b.length - a.length)
}

function readMirrors(reading: Reading, path: string, policies: RouteConfiguration['requestMirrorPolicies']): MirrorPlan[] {
  return policies.map((one, index) => readMirror(reading, at(path, 'request_mirror_policies', index), one))
}

function readHost(reading: Reading, path: string, wire: WireHost, table: Outer, order: typeof thenHeaders): VirtualHost {
  reading.only(path, VirtualHostSchema, wire, [
    'name', 'domains', 'routes', 'require_tls', 'virtual_clusters', 'request_headers_to_add', 'request_headers_to_remove', 'response_headers_to_add', 'response_headers_to_remove',
    'typed_per_filter_config', 'include_request_attempt_count', 'retry_policy', 'request_mirror_policies', 'rate_limits', 'metadata',
  ])
  if (wire.requireTls !== Tls.NONE && wire.requireTls !== Tls.ALL) reading.unsupported(at(path, 'require_tls'), 'only NONE and ALL are supported', wire.requireTls)
  const filters = readPerFilter(reading, path, wire.typedPerFilterConfig)
  const mirrors = readMirrors(reading, path, wire.requestMirrorPolicies)
  const outer: Outer = {
    retry: readRetry(reading, at(path, 'retry_policy'), wire.retryPolicy),
    mirrors: mirrors.length > 0 ? mirrors : table.mirrors,
    fault: filters.fault ?? table.fault,
    cors: filters.cors ?? table.cors,
    jwt: filters.jwt ?? table.jwt,
    extAuthz: filters.extAuthz ?? table.extAuthz,
    rateLimits: filters.rateLimits ?? table.rateLimits,
    session: filters.session ?? table.session,
    grpcWeb: filters.grpcWeb ?? table.grpcWeb,
    localRateLimits: overridden(filters.localRateLimits, table.localRateLimits),
    limits: readRateLimits(reading, path, wire.rateLimits),
    requestHeaders: order(readHeaderOperations(reading, path, 'request', wire.requestHeadersToAdd, wire.requestHeadersToRemove), table.requestHeaders),
    responseHeaders: order(readHeaderOperations(reading, path, 'response', wire.responseHeadersToAdd, wire.responseHeadersToRemove), table.responseHeaders),
  }
  return {
    name: wire.name,
    requireTls: wire.requireTls === Tls.ALL,
    includeAttemptCount: wire.includeRequestAttemptCount,
    routes: wire.routes.map((route, index) => readOneRoute(reading, at(path, 'routes', index), route, outer, order)),
  }
}

function readOneRoute(reading: Reading, path: string, wire: WireRoute, outer: Outer, order: typeof thenHeaders): Route {
  reading.only(path, RouteSchema, wire, [
    'name', 'match', 'route', 'redirect', 'direct_response', 'metadata', 'decorator', 'typed_per_filter_config', 'request_headers_to_add', 'request_headers_to_remove',
    'response_headers_to_add', 'response_headers_to_remove', 'stat_prefix',
  ])
  const origin = originOf(wire.metadata)
  const { predicate, matched } = readRouteMatch(reading, at(path, 'match'), wire.match)
  const filters = readPerFilter(reading, path, wire.typedPerFilterConfig)
  const jwt = filters.jwt ?? outer.jwt
  const extAuthz = filters.extAuthz ?? outer.extAuthz
  const grpcWeb = filters.grpcWeb ?? outer.grpcWeb
  const rateLimits = readRouteRateLimits(reading, path, wire.action.case === 'route' ? wire.action.value : undefined, filters.rateLimits ?? outer.rateLimits, outer.limits)
  const localRateLimits = overridden(filters.localRateLimits, outer.localRateLimits)
  const older = wire.action.case === 'route' ? wire.action.value.cors : undefined
  return {
    name: wire.name,
    origin,
    words: predicate.words,
    matches: predicate.matches,
    action: withSession(readAction(reading, path, wire, matched, origin, outer), filters.session ?? outer.session),
    requestHeaders: order(readHeaderOperations(reading, path, 'request', wire.requestHeadersToAdd, wire.requestHeadersToRemove), outer.requestHeaders),
    responseHeaders: order(readHeaderOperations(reading, path, 'response', wire.responseHeadersToAdd, wire.responseHeadersToRemove), outer.responseHeaders),
    fault: filters.fault ?? outer.fault,
    cors: filters.cors ?? (older === undefined ? undefined : readRouteCors(reading, at(path, 'route.cors'), older)) ?? outer.cors,
    ...(jwt === undefined ? {} : { jwt }),
    ...(extAuthz === undefined ? {} : { extAuthz }),
    ...(grpcWeb === undefined ? {} : { grpcWeb }),
    ...(rateLimits === undefined ? {} : { rateLimits }),
    ...(localRateLimits === undefined ? {} : { localRateLimits }),
    operation: wire.decorator?.operation ?? '',
  }
}

/** The inner replaces the outer of the same filter. */
const overridden = (inner: LocalRateLimits | undefined, outer: LocalRateLimits | undefined): LocalRateLimits | undefined => (inner === undefined || outer === undefined ? (inner ?? outer) : new Map([...outer, ...inner]))

const withSession = (action: Route['action'], session: SessionPlan | undefined): Route['action'] => (action.kind !== 'forward' || session === undefined ? action : { ...action, session })

function readAction(reading: Reading, path: string, wire: WireRoute, matched: MatchedPath, origin: Route['origin'], outer: Outer): Route['action'] {
  const { action } = wire
  switch (action.case) {
    case 'route':
      return readForward(reading, at(path, 'route'), action.value, matched, origin, outer)
    case 'redirect':
      return readRedirect(reading, at(path, 'redirect'), action.value, matched)
    case 'directResponse':
      return readDirect(reading, at(path, 'direct_response'), action.value)
    default:
      if (action.case === undefined) reading.invalid(path, 'has no action')
      return { kind: 'direct', status: 500, body: '' }
  }
}

function readPerFilter(reading: Reading, path: string, configs: Readonly<Record<string, Any>>): PerFilter {
  let fault: FaultPlan | undefined
  let cors: CorsPlan | undefined
  let jwt: RouteJwt | undefined
  let extAuthz: RouteExtAuthz | undefined
  let rateLimits: RateLimitPerRoute | undefined
  let session: SessionPlan | undefined
  let grpcWeb: boolean | undefined
  const localRateLimits = new Map<string, LocalRateLimitPlan>()
  for (const [name, any] of Object.entries(configs)) {
    const where = at(path, 'typed_per_filter_config', name)
    switch (typeNameOf(any)) {
      case HTTPFaultSchema.typeName: {
        const message = reading.unpack(where, any, HTTPFaultSchema)
        if (message !== undefined) fault = readFault(reading, where, message)
        break
      }
      case CorsPolicySchema.typeName: {
        const message = reading.unpack(where, any, CorsPolicySchema)
        if (message !== undefined) cors = readFilterCors(reading, where, message)
        break
      }
      case JwtPerRouteSchema.typeName: {
        const by = reading.unpack(where, any, JwtPerRouteSchema)?.requirementSpecifier
        jwt = { disabled: by?.case === 'disabled' && by.value, requirement: by?.case === 'requirementName' ? by.value : undefined }
        break
      }
      case ExtAuthzPerRouteSchema.typeName: {
        const message = reading.unpack(where, any, ExtAuthzPerRouteSchema)
        if (message !== undefined) extAuthz = readRouteExtAuthz(reading, where, message)
        break
      }
      case RateLimitPerRouteSchema.typeName:
        rateLimits = reading.unpack(where, any, RateLimitPerRouteSchema)
        break
      case LocalRateLimitSchema.typeName: {
        const message = reading.unpack(where, any, LocalRateLimitSchema)
        if (message !== undefined) localRateLimits.set(name, readLocalRateLimit(reading, where, message, true))
        break
      }
      case StatefulSessionPerRouteSchema.typeName: {
        const message = reading.unpack(where, any, StatefulSessionPerRouteSchema)
        session = message && readSession(reading, where, message)
        break
      }
      case FilterConfigSchema.typeName: {
        const message = reading.unpack(where, any, FilterConfigSchema)
        if (message === undefined) break
        reading.only(where, FilterConfigSchema, message, ['disabled', 'config', 'is_optional'])
        if (name === GRPC_WEB_FILTER) grpcWeb = !message.disabled
        else reading.unsupported(where, 'is not supported for this filter', name)
        break
      }
      default:
        reading.unsupported(where, 'is not supported', typeNameOf(any))
    }
  }
  return { fault, cors, jwt, extAuthz, rateLimits, session, grpcWeb, localRateLimits: localRateLimits.size === 0 ? undefined : localRateLimits }
}
