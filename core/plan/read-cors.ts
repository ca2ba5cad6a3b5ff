import { type CorsPolicy as FilterCors, CorsPolicySchema as FilterCorsSchema } from '../wire/gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { type CorsPolicy as RouteCors, CorsPolicySchema as RouteCorsSchema } from '../wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { CorsPlan } from './route.ts'
import { at, type Reading } from './read.ts'
import { readStringMatch } from './read-string.ts'
import { runtimePercentOf } from './read-value.ts'

const FIELDS = ['allow_origin_string_match', 'allow_methods', 'allow_headers', 'expose_headers', 'max_age', 'allow_credentials', 'filter_enabled', 'forward_not_matching_preflights']

/** A route's policy as per-filter configuration. Undefined: there, but switched off. */
export function readFilterCors(reading: Reading, path: string, cors: FilterCors): CorsPlan | undefined {
  reading.only(path, FilterCorsSchema, cors, FIELDS)
  return corsPlan(reading, path, cors, runtimePercentOf(cors.filterEnabled, 100))
}

/** The same in the older place, RouteAction.cors. */
export function readRouteCors(reading: Reading, path: string, cors: RouteCors): CorsPlan | undefined {
  reading.only(path, RouteCorsSchema, cors, FIELDS)
  return corsPlan(reading, path, cors, cors.enabledSpecifier.case === 'filterEnabled' ? runtimePercentOf(cors.enabledSpecifier.value, 100) : 100)
}

function corsPlan(reading: Reading, path: string, cors: FilterCors | RouteCors, enabledPercent: number): CorsPlan | undefined {
  if (enabledPercent !== 0 && enabledPercent !== 100) reading.unsupported(at(path, 'filter_enabled'), 'only 0 and 100 % are supported', enabledPercent)
  const allowOrigins = cors.allowOriginStringMatch.map((one, index) => readStringMatch(reading, at(path, 'allow_origin_string_match', index), one))
  if (enabledPercent === 0) return undefined
  return {
    allowOrigins,
    allowMethods: cors.allowMethods,
    allowHeaders: cors.allowHeaders,
    exposeHeaders: cors.exposeHeaders,
    maxAge: cors.maxAge,
    allowCredentials: cors.allowCredentials ?? false,
    ...(cors.forwardNotMatchingPreflights === false && { keepsUnmatchedPreflights: true }),
  }
}
