import type { StatefulSessionPerRoute } from '../wire/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { StatefulSessionPerRouteSchema, StatefulSessionSchema } from '../wire/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { CookieBasedSessionStateSchema } from '../wire/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.ts'
import { HeaderBasedSessionStateSchema } from '../wire/gen/envoy/extensions/http/stateful_session/header/v3/header_pb.ts'
import { CookieSchema } from '../wire/gen/envoy/type/http/v3/cookie_pb.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { milliseconds } from './read-value.ts'
import type { SessionPlan } from './route.ts'

/** A route's stateful session (envoy.extensions.filters.http.stateful_session.v3). Undefined: none, or switched off. */
export function readSession(reading: Reading, path: string, message: StatefulSessionPerRoute): SessionPlan | undefined {
  reading.only(path, StatefulSessionPerRouteSchema, message, ['disabled', 'stateful_session'])
  if (message.override.case !== 'statefulSession') return undefined
  const where = at(path, 'stateful_session')
  reading.only(where, StatefulSessionSchema, message.override.value, ['session_state', 'stat_prefix'])
  const any = message.override.value.sessionState?.typedConfig
  if (any === undefined) return undefined
  const state = at(where, 'session_state.typed_config')
  switch (typeNameOf(any)) {
    case CookieBasedSessionStateSchema.typeName: {
      const cookie = reading.unpack(state, any, CookieBasedSessionStateSchema)?.cookie
      if (cookie === undefined || cookie.name === '') reading.invalid(at(state, 'cookie.name'), 'is missing')
      if (cookie === undefined) return undefined
      reading.only(at(state, 'cookie'), CookieSchema, cookie, ['name', 'ttl', 'path'])
      return { by: 'cookie', name: cookie.name, ttlMs: milliseconds(cookie.ttl, 0), path: cookie.path }
    }
    case HeaderBasedSessionStateSchema.typeName: {
      const header = reading.unpack(state, any, HeaderBasedSessionStateSchema)
      if (header?.name === '') reading.invalid(at(state, 'name'), 'is missing')
      return header && { by: 'header', name: header.name.toLowerCase(), ttlMs: 0, path: '' }
    }
    default:
      reading.unsupported(state, 'is not supported', typeNameOf(any))
      return undefined
  }
}
