import type { Any } from '@bufbuild/protobuf/wkt'
import { CorsSchema } from '../wire/gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { ExtAuthzSchema } from '../wire/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import { GrpcWebSchema } from '../wire/gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts'
import { HTTPFaultSchema } from '../wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { JwtAuthenticationSchema } from '../wire/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import { StatefulSessionSchema } from '../wire/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { LocalRateLimitSchema } from '../wire/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import { LuaSchema } from '../wire/gen/envoy/extensions/filters/http/lua/v3/lua_pb.ts'
import { RateLimitSchema } from '../wire/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts'
import { RBACSchema } from '../wire/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { RouterSchema } from '../wire/gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { type HttpFilter, HttpFilterSchema } from '../wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import type { HttpFilterPlan } from './http.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { readExtAuthz } from './read-ext-authz.ts'
import { readFault } from './read-fault.ts'
import { readJwt } from './read-jwt.ts'
import { readLocalRateLimit } from './read-local-rate-limit.ts'
import { readMetricRules } from './read-metrics.ts'
import type { MetricRulePlan } from '../telemetry/metric-rules.ts'
import { readRateLimit } from './read-rate-limit.ts'
import { readRbac } from './read-rbac.ts'

export interface FiltersPlan {
  readonly filters: readonly HttpFilterPlan[]
  /** The control plane's own Lua filter is there: Weft does in `findScope` what it does in Envoy. */
  readonly scopeFallback: boolean
  /** Changes to what is counted; empty: none. */
  readonly metricRules: readonly MetricRulePlan[]
}

const SCOPE_FALLBACK: ReadonlySet<string> = new Set(['weft.fallback', 'weft.scope_fallback'])

/** Istio's name of its filter of metrics. */
const METRICS_FILTER = 'istio.stats'

/** Routes switch it on and off by this name. */
export const GRPC_WEB_FILTER = 'envoy.filters.http.grpc_web'

/** Resolves names for clusters that go by a request's host, which Weft's do themselves. */
const ONLY_RESOLVES = 'envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig'

/** They say nothing to a request: they count, or resolve what is resolved anyway. */
const ONLY_COUNTS: ReadonlySet<string> = new Set([ONLY_RESOLVES, 'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig', 'stats.PluginConfig'])

/** The chain of HTTP filters, which ends with the router. A filter that Weft does not have is refused, unless it is marked optional. */
export function readHttpFilters(reading: Reading, path: string, wire: readonly HttpFilter[]): FiltersPlan {
  const filters: HttpFilterPlan[] = []
  let scopeFallback = false
  const metricRules: MetricRulePlan[] = []
  for (const [index, filter] of wire.entries()) {
    const where = at(path, 'http_filters', index)
    const last = index === wire.length - 1
    // A filter that is off by default could only be switched on by a route, which is refused there but for one.
    if (filter.disabled && filter.name !== GRPC_WEB_FILTER) continue
    reading.only(where, HttpFilterSchema, filter, ['name', 'typed_config', 'is_optional', ...(filter.disabled ? ['disabled'] : [])])
    if (filter.configType.case !== 'typedConfig') {
      if (filter.configType.case === undefined) reading.unsupported(where, 'has no typed_config', filter.name)
      continue
    }
    const any = filter.configType.value
    const isRouter = typeNameOf(any) === RouterSchema.typeName
    if (isRouter !== last) reading.invalid(where, last ? 'the last filter is the router' : 'the router is the last filter', filter.name)
    if (isRouter) checkRouter(reading, at(where, 'typed_config'), any)
    else if (SCOPE_FALLBACK.has(filter.name) && typeNameOf(any) === LuaSchema.typeName) scopeFallback = true
    else if (filter.name === METRICS_FILTER) metricRules.push(...(readMetricRules(reading, at(where, 'typed_config'), any) ?? []))
    else filters.push(...readFilter(reading, at(where, 'typed_config'), filter, any))
  }
  if (wire.length === 0) reading.invalid(at(path, 'http_filters'), 'is empty: there is no router')
  return { filters, scopeFallback, metricRules }
}

function checkRouter(reading: Reading, path: string, any: Any): void {
  const router = reading.unpack(path, any, RouterSchema)
  if (router !== undefined) reading.only(path, RouterSchema, router, ['dynamic_stats', 'start_child_span', 'suppress_envoy_headers', 'suppress_grpc_request_failure_code_stats'])
}

function readFilter(reading: Reading, path: string, filter: HttpFilter, any: Any): HttpFilterPlan[] {
  const { name } = filter
  switch (typeNameOf(any)) {
    case RBACSchema.typeName: {
      const message = reading.unpack(path, any, RBACSchema)
      if (message === undefined) return []
      reading.only(path, RBACSchema, message, ['rules', 'shadow_rules', 'rules_stat_prefix', 'shadow_rules_stat_prefix', 'track_per_rule_stats'])
      const enforced = message.rules && { kind: 'rbac' as const, name, policy: readRbac(reading, at(path, 'rules'), message.rules, false) }
      const shadow = message.shadowRules && { kind: 'rbac' as const, name, policy: { ...readRbac(reading, at(path, 'shadow_rules'), message.shadowRules, true), shadowKey: `${message.shadowRulesStatPrefix}shadow_effective_policy_id` } }
      return [shadow, enforced].filter((one) => one !== undefined)
    }
    case HTTPFaultSchema.typeName: {
      const message = reading.unpack(path, any, HTTPFaultSchema)
      return message === undefined ? [] : [{ kind: 'fault', name, fault: readFault(reading, path, message) }]
    }
    case JwtAuthenticationSchema.typeName: {
      const message = reading.unpack(path, any, JwtAuthenticationSchema)
      return message === undefined ? [] : [{ kind: 'jwt', name, jwt: readJwt(reading, path, message) }]
    }
    case ExtAuthzSchema.typeName: {
      const message = reading.unpack(path, any, ExtAuthzSchema)
      const check = message && readExtAuthz(reading, path, message)
      return check === undefined ? [] : [{ kind: 'ext-authz', name, check }]
    }
    case GrpcWebSchema.typeName:
      return [{ kind: 'grpc-web', name, byDefault: !filter.disabled }]
    case CorsSchema.typeName:
      return [{ kind: 'cors', name }]
    case StatefulSessionSchema.typeName: {
      const message = reading.unpack(path, any, StatefulSessionSchema)
      // Routes say how clients are kept; for all of a listener's nothing is.
      if (message?.sessionState !== undefined) reading.unsupported(at(path, 'session_state'), 'is supported on routes alone')
      return []
    }
    case LocalRateLimitSchema.typeName: {
      const message = reading.unpack(path, any, LocalRateLimitSchema)
      return message === undefined ? [] : [{ kind: 'local-rate-limit', name, limit: readLocalRateLimit(reading, path, message, false) }]
    }
    case RateLimitSchema.typeName: {
      const message = reading.unpack(path, any, RateLimitSchema)
      const limit = message && readRateLimit(reading, path, message)
      return limit === undefined ? [] : [{ kind: 'rate-limit', name, limit }]
    }
    default:
      if (!filter.isOptional && !ONLY_COUNTS.has(typeNameOf(any))) reading.unsupported(path, `filter ${name} is not supported`, typeNameOf(any))
      return []
  }
}
