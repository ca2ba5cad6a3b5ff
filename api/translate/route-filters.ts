import type { Any } from '@bufbuild/protobuf/wkt'
import type { Session } from '#api/model/gateway-api/session.ts'
import { durationMs } from '#core/resource/duration.ts'
import type { CorsPolicy as CorsSpec, FaultInjection, HttpRoute, Percent } from '#core/resource/virtual-service-http.ts'
import { FilterConfigSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { CorsPolicySchema } from '#core/wire/gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { StatefulSessionPerRouteSchema } from '#core/wire/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { CookieBasedSessionStateSchema } from '#core/wire/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.ts'
import { HeaderBasedSessionStateSchema } from '#core/wire/gen/envoy/extensions/http/stateful_session/header/v3/header_pb.ts'
import { HTTPFaultSchema } from '#core/wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { anyOf, durationOf, exactly, fraction, matchingRegex, runtimeFraction, startingWith } from './message.ts'

export const FAULT_FILTER = 'envoy.filters.http.fault'
export const CORS_FILTER = 'envoy.filters.http.cors'
export const GRPC_WEB_FILTER = 'envoy.filters.http.grpc_web'
export const SESSION_FILTER = 'envoy.filters.http.stateful_session'

/** Switches a filter on that is off elsewhere (envoy.config.route.v3.FilterConfig with an empty `config`). */
export const switchedOn = (): Any => anyOf(FilterConfigSchema, { config: {} })

/** Settings of HTTP filters for one route: faults to inject, answers to browsers, where clients are kept. */
export function filterSettings(route: HttpRoute, session: Session | undefined): Record<string, Any> {
  return {
    ...(route.fault === undefined ? {} : { [FAULT_FILTER]: faultSettings(route.fault) }),
    ...(route.corsPolicy === undefined ? {} : { [CORS_FILTER]: corsSettings(route.corsPolicy) }),
    ...(session === undefined ? {} : { [SESSION_FILTER]: sessionSettings(session) }),
  }
}

const GRPC_STATUS = ['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED']

/** A share that is not given means all requests. */
const share = (percentage: Percent | undefined, old?: number) => fraction(percentage === undefined ? (old ?? 100) : (percentage.value ?? 0))

function faultSettings({ delay, abort }: FaultInjection): Any {
  return anyOf(HTTPFaultSchema, {
    ...(delay?.fixedDelay === undefined
      ? {}
      : { delay: { faultDelaySecifier: { case: 'fixedDelay', value: durationOf(delay.fixedDelay) }, percentage: share(delay.percentage, delay.percent) } }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            errorType: abort.grpcStatus === undefined ? { case: 'httpStatus', value: abort.httpStatus ?? 503 } : { case: 'grpcStatus', value: Math.max(0, GRPC_STATUS.indexOf(abort.grpcStatus)) },
            percentage: share(abort.percentage),
          },
        }),
  })
}

function corsSettings(cors: CorsSpec): Any {
  const origins = [
    ...(cors.allowOrigin ?? []).map((one) => exactly(one)),
    ...(cors.allowOrigins ?? []).map((one) => (one.exact !== undefined ? exactly(one.exact) : one.prefix !== undefined ? startingWith(one.prefix) : matchingRegex(one.regex ?? '.*'))),
  ]
  return anyOf(CorsPolicySchema, {
    allowOriginStringMatch: origins,
    allowMethods: (cors.allowMethods ?? []).join(','),
    allowHeaders: (cors.allowHeaders ?? []).join(','),
    exposeHeaders: (cors.exposeHeaders ?? []).join(','),
    maxAge: cors.maxAge === undefined ? '' : String(Math.floor(durationMs(cors.maxAge) / 1000)),
    ...(cors.allowCredentials === undefined ? {} : { allowCredentials: cors.allowCredentials }),
    filterEnabled: runtimeFraction(100),
    forwardNotMatchingPreflights: cors.unmatchedPreflights !== 'IGNORE',
  })
}

/** What keeps a client at an endpoint as long as that is there and healthy (envoy.extensions.filters.http.stateful_session.v3). */
export function sessionSettings({ by, name, lifetime }: Session): Any {
  const sessionState =
    by === 'header'
      ? { name: 'envoy.http.stateful_session.header', typedConfig: anyOf(HeaderBasedSessionStateSchema, { name }) }
      : { name: 'envoy.http.stateful_session.cookie', typedConfig: anyOf(CookieBasedSessionStateSchema, { cookie: { name, path: '/', ...(lifetime === undefined ? {} : { ttl: durationOf(lifetime) }) } }) }
  return anyOf(StatefulSessionPerRouteSchema, { override: { case: 'statefulSession', value: { sessionState } } })
}
