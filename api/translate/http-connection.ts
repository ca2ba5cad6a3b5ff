import type { Message, MessageInitShape } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { CorsSchema } from '#core/wire/gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { GrpcWebSchema } from '#core/wire/gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts'
import { HTTPFaultSchema } from '#core/wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { LuaSchema } from '#core/wire/gen/envoy/extensions/filters/http/lua/v3/lua_pb.ts'
import { StatefulSessionSchema } from '#core/wire/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { RouterSchema } from '#core/wire/gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HeaderMutationSchema } from '#core/wire/gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.ts'
import {
  HttpConnectionManager_ForwardClientCertDetails as ClientCertificateHeader,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManagerSchema,
} from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { UuidRequestIdConfigSchema } from '#core/wire/gen/envoy/extensions/request_id/uuid/v3/uuid_pb.ts'
import { accessLogs } from './access-log.ts'
import { anyOf, duration, fromAds, headerValue } from './message.ts'
import { messagesFilter, metricsFilter } from './metrics.ts'
import { CORS_FILTER, FAULT_FILTER, GRPC_WEB_FILTER, SESSION_FILTER } from './route-filters.ts'
import { CONNECT_SCOPE, FALLBACK_FILTER, SCOPE_HEADER, SCOPE_PORT_HEADER } from './route.ts'
import { applySettings } from './http-settings.ts'
import { saidProtocolFilter } from './said-protocol.ts'
import { tracingOf } from './spans.ts'
import type { TracingScope } from './telemetry.ts'

export type HttpManager = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, Message>
export type HttpFilterInit = NonNullable<HttpManager['httpFilters']>[number]

export interface ManagerScope {
  readonly statPrefix: string
  readonly tracing: TracingScope
  readonly routes: NonNullable<HttpManager['routeSpecifier']>
  /** Those before faults, CORS and the router. */
  readonly filters: readonly HttpFilterInit[]
  /** Writes the scope key, for scoped routes. */
  readonly scopePort?: string
  /** Takes CONNECT too, where a route says so. */
  readonly connects?: boolean
  readonly role: 'outbound' | 'inbound' | 'gateway'
}

/** The HTTP connection manager of a role, as a network filter. */
export function httpManager(scope: ManagerScope): MessageInitShape<typeof FilterSchema> {
  const reporting = scope.role === 'inbound' ? scope.tracing.servers : scope.tracing.clients
  const spans = tracingOf(scope.tracing, reporting?.spans)
  const manager: HttpManager = {
    statPrefix: scope.statPrefix,
    routeSpecifier: scope.routes,
    httpFilters: httpFilters(scope),
    accessLog: accessLogs(reporting?.log, 'http'),
    // A request's bound is its route's timeout; what is streamed may stay silent as long as its ends like, as in Istio.
    streamIdleTimeout: duration(0),
    upgradeConfigs: [{ upgradeType: 'websocket' }, ...(scope.connects === true ? [{ upgradeType: 'CONNECT' }] : [])],
    normalizePath: true,
    pathWithEscapedSlashesAction: EscapedSlashes.KEEP_UNCHANGED,
    ...(spans === undefined ? {} : { tracing: spans, ...(reporting?.spans?.passesIds === true ? { requestIdExtension: { typedConfig: anyOf(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: false }) } } : {}) }),
    ...roleSettings(scope.role),
    ...(scope.scopePort === undefined ? {} : { earlyHeaderMutationExtensions: [scopeMutation(scope.scopePort)] }),
  }
  return { name: 'envoy.filters.network.http_connection_manager', configType: { case: 'typedConfig', value: anyOf(HttpConnectionManagerSchema, applySettings(manager, scope.tracing.http, scope.role)) } }
}

/** The chain of HTTP filters: first the route is found, metrics see all that follows, and what goes by the route stands after what may change the route. */
function httpFilters({ role, scopePort, filters, tracing: { clients, servers, http } }: ManagerScope): HttpFilterInit[] {
  const metrics = (role === 'inbound' ? servers : clients)?.metrics
  const chain = [
    // Filters that find no route let a request pass, an authorizer's among them.
    scopePort !== undefined && fallbackFilter(),
    metrics && metricsFilter(metrics),
    ...filters,
    httpFilter(FAULT_FILTER, anyOf(HTTPFaultSchema, {})),
    httpFilter(CORS_FILTER, anyOf(CorsSchema, {})),
    http?.countsMessages && messagesFilter(),
    role !== 'inbound' && http?.sessions && httpFilter(SESSION_FILTER, anyOf(StatefulSessionSchema, {})),
    role !== 'inbound' && http?.saysProtocol && saidProtocolFilter(),
    httpFilter('envoy.filters.http.router', anyOf(RouterSchema, {})),
  ]
  return chain.filter((one) => typeof one === 'object')
}

/** Who is believed about the client: a gateway takes what the connection proves, a sidecar adds to what its peer has proved. */
function roleSettings(role: ManagerScope['role']): HttpManager {
  switch (role) {
    case 'inbound':
      return {
        useRemoteAddress: false,
        forwardClientCertDetails: ClientCertificateHeader.APPEND_FORWARD,
        setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
      }
    case 'gateway':
      return {
        useRemoteAddress: true,
        forwardClientCertDetails: ClientCertificateHeader.SANITIZE_SET,
        setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
        commonHttpProtocolOptions: { headersWithUnderscoresAction: 0, idleTimeout: duration(3_600_000) },
        mergeSlashes: true,
        // Strangers who never finish a head would hold their connections for ever.
        requestHeadersTimeout: duration(60_000),
      }
    case 'outbound':
      return { useRemoteAddress: false, forwardClientCertDetails: ClientCertificateHeader.SANITIZE, mergeSlashes: false }
  }
}

export const httpFilter = (name: string, typedConfig: Any): HttpFilterInit => ({ name, configType: { case: 'typedConfig', value: typedConfig } })

/** Makes gRPC of gRPC-Web for whoever is called; where callers of many services come, only for hosts that switch it on. */
export const grpcWebFilter = (onlyWhereAsked: boolean): HttpFilterInit => ({ ...httpFilter(GRPC_WEB_FILTER, anyOf(GrpcWebSchema, {})), ...(onlyWhereAsked ? { disabled: true } : {}) })

/** Overwrites the scope headers on every request, so that no caller can choose its own. */
const scopeMutation = (port: string) => ({
  name: 'envoy.http.early_header_mutation.header_mutation',
  typedConfig: anyOf(HeaderMutationSchema, {
    mutations: [
      { action: { case: 'append', value: headerValue(SCOPE_HEADER, '%REQ(:AUTHORITY)%', 'set') } },
      { action: { case: 'append', value: headerValue(SCOPE_PORT_HEADER, port, 'set') } },
    ],
  }),
})

/**
 * Scopes match exactly and by case. A request that found no route is tried by its host in lower case, then goes to scope `*`, whose routes hold wildcard hosts and say what
 * becomes of unknown ones. A host that is known but has no route for the request keeps its 404: its virtual host says so. Every route of ours has a name, so one without is none.
 * A CONNECT that found none is for a known host with HTTP: its scope leads the tunnel back to the listener.
 */
const FALLBACK_SCRIPT = `function lost(handle)
  return handle:streamInfo():routeName() == "" and not handle:virtualHost():metadata():get("known")
end
function lead(handle, scope)
  handle:headers():replace("${SCOPE_HEADER}", scope)
  handle:clearRouteCache()
  -- Asking for metadata makes Envoy look for the route again, now.
  handle:metadata()
end
function find(handle)
  if not lost(handle) then return end
  local host = handle:headers():get("${SCOPE_HEADER}") or ""
  local lower = string.lower(host)
  if lower ~= host then
    lead(handle, lower)
    if not lost(handle) then return end
  end
  lead(handle, "*")
end
function envoy_on_request(handle)
  find(handle)
  if handle:headers():get(":method") == "CONNECT" and handle:streamInfo():routeName() == "" then lead(handle, "${CONNECT_SCOPE}") end
end
`

const fallbackFilter = (): HttpFilterInit => httpFilter(FALLBACK_FILTER, anyOf(LuaSchema, { defaultSourceCode: { specifier: { case: 'inlineString', value: FALLBACK_SCRIPT } } }))

/** Routes by scope: key (port, host), both from the headers that the early mutation wrote. */
export function scopedRoutes(split: 'at-colon' | 'whole'): NonNullable<HttpManager['routeSpecifier']> {
  return {
    case: 'scopedRoutes',
    value: {
      name: 'weft',
      scopeKeyBuilder: {
        fragments: [
          { type: { case: 'headerValueExtractor', value: { name: SCOPE_PORT_HEADER, extractType: { case: 'index', value: 0 } } } },
          { type: { case: 'headerValueExtractor', value: { name: SCOPE_HEADER, ...(split === 'at-colon' ? { elementSeparator: ':' } : {}), extractType: { case: 'index', value: 0 } } } },
        ],
      },
      rdsConfigSource: fromAds(),
      configSpecifier: { case: 'scopedRds', value: { scopedRdsConfigSource: fromAds() } },
    },
  }
}
