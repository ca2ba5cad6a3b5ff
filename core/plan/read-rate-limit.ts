import {
  type RateLimit as WireRateLimit, type RateLimit_Action, RateLimit_Action_HeaderValueMatchSchema, RateLimit_Action_QueryParameterValueMatchSchema, RateLimitSchema as RouteRateLimitSchema, type RouteAction,
} from '../wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { GrpcService_EnvoyGrpcSchema, GrpcServiceSchema } from '../wire/gen/envoy/config/core/v3/grpc_service_pb.ts'
import { type RateLimit, RateLimit_XRateLimitHeadersRFCVersion as Headers, type RateLimitPerRoute, RateLimitPerRoute_VhRateLimitsOptions as VhOptions, RateLimitPerRouteSchema, RateLimitSchema } from '../wire/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts'
import { maskAddress } from '../match/cidr.ts'
import { queryParameter } from '../match/query.ts'
import type { RequestHead } from '../route/request.ts'
import type { DescriptorEntry, RateLimitActions, RateLimitPlan, RouteRateLimits } from './rate-limit.ts'
import { readHeaderMatch, readQueryMatch } from './read-match.ts'
import { at, type Reading } from './read.ts'
import { milliseconds, runtimePercentOf } from './read-value.ts'

const TIMEOUT_MS = 20
const STAGE_MAX = 10

/** RateLimit → RateLimitPlan; undefined: switched off. */
export function readRateLimit(reading: Reading, path: string, wire: RateLimit): RateLimitPlan | undefined {
  reading.only(path, RateLimitSchema, wire, [
    'domain', 'stage', 'request_type', 'timeout', 'failure_mode_deny', 'rate_limited_as_resource_exhausted', 'rate_limit_service', 'enable_x_ratelimit_headers', 'disable_x_envoy_ratelimited_header',
    'rate_limited_status', 'status_on_error', 'stat_prefix', 'filter_enabled', 'filter_enforced',
  ])
  if (wire.domain === '') reading.invalid(at(path, 'domain'), 'is missing')
  if (wire.requestType !== '' && wire.requestType !== 'both') reading.unsupported(at(path, 'request_type'), 'only both is supported', wire.requestType)
  if (wire.stage > STAGE_MAX) reading.invalid(at(path, 'stage'), `0..${STAGE_MAX}`, wire.stage)
  const enabled = runtimePercentOf(wire.filterEnabled, 100)
  for (const [field, percent] of [['filter_enabled', enabled], ['filter_enforced', runtimePercentOf(wire.filterEnforced, 100)]] as const) {
    if (percent !== 100 && !(percent === 0 && field === 'filter_enabled')) reading.unsupported(at(path, field), 'only 100 % is supported', percent)
  }
  const service = wire.rateLimitService?.grpcService
  const target = service?.targetSpecifier
  if (service !== undefined) reading.only(at(path, 'rate_limit_service.grpc_service'), GrpcServiceSchema, service, ['envoy_grpc', 'timeout', 'initial_metadata'])
  if (target?.case !== 'envoyGrpc' || target.value.clusterName === '') {
    reading.invalid(at(path, 'rate_limit_service.grpc_service.envoy_grpc.cluster_name'), 'is missing')
    return undefined
  }
  reading.only(at(path, 'rate_limit_service.grpc_service.envoy_grpc'), GrpcService_EnvoyGrpcSchema, target.value, ['cluster_name', 'authority', 'skip_envoy_headers'])
  if (enabled === 0) return undefined
  const status = wire.rateLimitedStatus?.code ?? 0
  return {
    domain: wire.domain,
    stage: wire.stage,
    service: { cluster: target.value.clusterName, authority: target.value.authority || target.value.clusterName, metadata: (service?.initialMetadata ?? []).map(({ key, value }) => ({ name: key.toLowerCase(), value })) },
    timeoutMs: milliseconds(wire.timeout, TIMEOUT_MS),
    failsClosed: wire.failureModeDeny,
    statusOnError: wire.statusOnError?.code || 500,
    // Envoy: a status that is no error is not taken.
    limitedStatus: status >= 400 ? status : 429,
    asResourceExhausted: wire.rateLimitedAsResourceExhausted,
    tellsQuota: wire.enableXRatelimitHeaders === Headers.DRAFT_VERSION_03,
    marksLimited: !wire.disableXEnvoyRatelimitedHeader,
  }
}

/** Rate limits of a virtual host or a route. */
export function readRateLimits(reading: Reading, path: string, wire: readonly WireRateLimit[]): RateLimitActions[] {
  return wire.map((one, index) => {
    const where = at(path, 'rate_limits', index)
    reading.only(where, RouteRateLimitSchema, one, ['stage', 'actions'])
    const actions = one.actions.map((action, nth) => readAction(reading, at(where, 'actions', nth), action))
    return {
      stage: one.stage ?? 0,
      describe(request, client) {
        const entries: DescriptorEntry[] = []
        for (const action of actions) {
          const entry = action(request, client)
          if (entry === undefined) return undefined
          if (entry !== 'skipped') entries.push(entry)
        }
        return entries.length === 0 ? undefined : entries
      },
    }
  })
}

/** Undefined: nothing is told of the request; `skipped`: the others go without this one. */
type Action = (request: RequestHead, client: string) => DescriptorEntry | undefined | 'skipped'

function readAction(reading: Reading, path: string, { actionSpecifier: by }: RateLimit_Action): Action {
  switch (by.case) {
    case 'genericKey': {
      const entry: DescriptorEntry = [by.value.descriptorKey || 'generic_key', by.value.descriptorValue]
      return () => entry
    }
    case 'remoteAddress':
      return (_request, client) => ['remote_address', client]
    case 'maskedRemoteAddress': {
      const { v4PrefixMaskLen = 32, v6PrefixMaskLen = 128 } = by.value
      return (_request, client) => ['masked_remote_address', maskAddress(client, client.includes(':') ? v6PrefixMaskLen : v4PrefixMaskLen)]
    }
    case 'requestHeaders': {
      const { headerName, descriptorKey, skipIfAbsent } = by.value
      const name = headerName.toLowerCase()
      return (request) => {
        const value = headerOrPseudo(request, name)
        return value === undefined ? absent(skipIfAbsent) : [descriptorKey, value]
      }
    }
    case 'queryParameters': {
      const { queryParameterName, descriptorKey, skipIfAbsent } = by.value
      return (request) => {
        const value = queryParameter(request.path, queryParameterName)
        return value === undefined ? absent(skipIfAbsent) : [descriptorKey, value]
      }
    }
    case 'headerValueMatch': {
      reading.only(path, RateLimit_Action_HeaderValueMatchSchema, by.value, ['descriptor_key', 'descriptor_value', 'expect_match', 'headers'])
      const headers = by.value.headers.map((one, index) => readHeaderMatch(reading, at(path, 'header_value_match.headers', index), one))
      const entry: DescriptorEntry = [by.value.descriptorKey || 'header_match', by.value.descriptorValue]
      const expected = by.value.expectMatch !== false
      return (request) => (headers.every((one) => one.matches(request)) === expected ? entry : undefined)
    }
    case 'queryParameterValueMatch': {
      reading.only(path, RateLimit_Action_QueryParameterValueMatchSchema, by.value, ['descriptor_key', 'descriptor_value', 'expect_match', 'query_parameters'])
      const parameters = by.value.queryParameters.map((one, index) => readQueryMatch(reading, at(path, 'query_parameter_value_match.query_parameters', index), one))
      const entry: DescriptorEntry = [by.value.descriptorKey || 'query_match', by.value.descriptorValue]
      const expected = by.value.expectMatch !== false
      return (request) => (parameters.every((one) => one.matches(request)) === expected ? entry : undefined)
    }
    default:
      reading.unsupported(path, 'is not supported', by.case ?? 'nothing')
      return () => undefined
  }
}

const absent = (skipped: boolean): undefined | 'skipped' => (skipped ? 'skipped' : undefined)

function headerOrPseudo(request: RequestHead, name: string): string | undefined {
  switch (name) {
    case ':method':
      return request.method
    case ':path':
      return request.path
    case ':authority':
      return request.authority
    case ':scheme':
      return request.scheme
    default:
      return request.header(name)
  }
}

/** What a route tells, its virtual host's settings considered: those count where the route has none, or asks for both (RouteAction.include_vh_rate_limits, RateLimitPerRoute.vh_rate_limits). */
export function readRouteRateLimits(reading: Reading, path: string, action: RouteAction | undefined, perRoute: RateLimitPerRoute | undefined, virtualHost: readonly RateLimitActions[]): RouteRateLimits | undefined {
  // Who is answered by the proxy itself costs no service anything, and is not counted.
  if (action === undefined) return undefined
  const own = readRateLimits(reading, at(path, 'route'), action.rateLimits)
  if (perRoute !== undefined) reading.only(path, RateLimitPerRouteSchema, perRoute, ['vh_rate_limits'])
  const option = perRoute?.vhRateLimits ?? VhOptions.OVERRIDE
  const both = option === VhOptions.INCLUDE || (option === VhOptions.OVERRIDE && (own.length === 0 || action.includeVhRateLimits === true))
  return own.length + virtualHost.length === 0 ? undefined : { own, virtualHost: both ? virtualHost : [], ofHost: virtualHost, includesHost: action.includeVhRateLimits === true }
}
