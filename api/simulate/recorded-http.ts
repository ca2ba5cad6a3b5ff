import { fromBinary } from '@bufbuild/protobuf'
import type { Duration } from '@bufbuild/protobuf/wkt'
import type { Departure } from '#core/explain/client.ts'
import { unpackAny } from '#core/wire/any.ts'
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction as AppendAction, type RuntimeFractionalPercent } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import type { Route, RouteAction, RouteAction_HashPolicy } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { type RouteConfiguration, RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { CorsPolicySchema } from '#core/wire/gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { type HTTPFault, HTTPFaultSchema } from '#core/wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { HttpConnectionManagerSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { type FractionalPercent, FractionalPercent_DenominatorType as Denominator } from '#core/wire/gen/envoy/type/v3/percent_pb.ts'
import { messageToJson } from '#core/wire/registry.ts'
import { LISTENER, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { destinationOf, type Destination } from './recorded-destination.ts'
import type { Sent } from './world.ts'

/** What a route does beside leading somewhere, where it is not the default. */
export type HttpDetails = Readonly<Record<string, unknown>>

/** The message of the route that was taken: from its RouteConfiguration, or from inside the listener. */
export function routeMessage(sent: Sent, passed: Departure['passed']): Route | undefined {
  const { table, host, route } = passed
  if (table === undefined || host === undefined || route === undefined) return undefined
  const resource = sent.resources.get(`${ROUTE_CONFIGURATION} ${table.name}`)
  const configuration = resource === undefined ? inlineConfiguration(sent, passed) : fromBinary(RouteConfigurationSchema, resource.bytes)
  return configuration?.virtualHosts.find((one) => one.name === host.name)?.routes[host.routes.indexOf(route)]
}

function inlineConfiguration(sent: Sent, { listener, chain }: Departure['passed']): RouteConfiguration | undefined {
  const resource = sent.resources.get(`${LISTENER} ${listener?.name ?? ''}`)
  if (resource === undefined) return undefined
  const message = fromBinary(ListenerSchema, resource.bytes)
  const filter = [...message.filterChains, message.defaultFilterChain].find((one) => one?.name === chain?.name)?.filters.at(-1)?.configType
  const manager = filter?.case === 'typedConfig' ? unpackAny(filter.value, HttpConnectionManagerSchema) : undefined
  return manager?.routeSpecifier.case === 'routeConfig' ? manager.routeSpecifier.value : undefined
}

const DEFAULT_RETRIES = { attempts: 2, on: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes' }

export function httpDetails(route: Route, to: readonly Destination[]): HttpDetails {
  const details: Record<string, unknown> = {}
  const cors = unpackAny(route.typedPerFilterConfig['envoy.filters.http.cors'], CorsPolicySchema)
  if (cors !== undefined) {
    const { filterEnabled: _, ...rest } = messageToJson(CorsPolicySchema, cors) as Record<string, unknown>
    details['cors'] = rest
  }
  const fault = unpackAny(route.typedPerFilterConfig['envoy.filters.http.fault'], HTTPFaultSchema)
  if (fault !== undefined) details['fault'] = faultOf(fault)
  const headers = headersOf(route)
  if (headers !== undefined) details['headers'] = headers
  if (route.action.case === 'route') actionDetails(route.action.value, wholePath(route), to, details)
  return details
}

/** The pattern that a route's whole path has met; undefined: it has met none. */
const wholePath = ({ match }: Route): string | undefined => (match?.pathSpecifier.case === 'safeRegex' ? match.pathSpecifier.value.regex : undefined)

function actionDetails(action: RouteAction, pattern: string | undefined, to: readonly Destination[], details: Record<string, unknown>): void {
  if (action.timeout !== undefined && seconds(action.timeout) > 0) details['timeout'] = durationText(action.timeout)
  const retry = action.retryPolicy
  const retries =
    retry === undefined
      ? { attempts: 0 }
      : {
          attempts: retry.numRetries ?? 1,
          on: retry.retryOn,
          ...(retry.perTryTimeout === undefined ? {} : { perTryTimeout: durationText(retry.perTryTimeout) }),
          ...(retry.retriableStatusCodes.length === 0 ? {} : { statusCodes: retry.retriableStatusCodes }),
        }
  const passedOn = retry === undefined && to.every((one) => one.kind !== 'service')
  if (!passedOn && JSON.stringify(retries) !== JSON.stringify(DEFAULT_RETRIES)) details['retries'] = retries
  const rewrite = {
    ...(action.prefixRewrite === '' ? {} : { prefix: action.prefixRewrite }),
    // What stands in place of all that a route's own pattern met is that in place of the path, as under `prefix_rewrite`.
    ...(action.regexRewrite === undefined ? {} : pattern !== undefined && action.regexRewrite.pattern?.regex === pattern && !/\\[0-9]/.test(action.regexRewrite.substitution) ? { prefix: action.regexRewrite.substitution.replaceAll('\\\\', '\\') } : { regex: { match: action.regexRewrite.pattern?.regex ?? '', rewrite: action.regexRewrite.substitution } }),
    ...(action.hostRewriteSpecifier.case === 'hostRewriteLiteral' ? { host: action.hostRewriteSpecifier.value } : {}),
  }
  if (Object.keys(rewrite).length > 0) details['rewrite'] = rewrite
  if (action.requestMirrorPolicies.length > 0) details['mirrors'] = action.requestMirrorPolicies.map((one) => ({ to: destinationOf(one.cluster, undefined), percent: percentOf(one.runtimeFraction) }))
  if (action.hashPolicy.length > 0) details['hash'] = action.hashPolicy.map(hashOf)
}

function hashOf({ policySpecifier: by }: RouteAction_HashPolicy): unknown {
  switch (by.case) {
    case 'header':
      return { header: by.value.headerName }
    case 'cookie':
      return { cookie: { name: by.value.name, ...(by.value.ttl === undefined ? {} : { ttl: durationText(by.value.ttl) }), ...(by.value.path === '' ? {} : { path: by.value.path }) } }
    case 'queryParameter':
      return { queryParameter: by.value.name }
    case 'connectionProperties':
      return { sourceIp: by.value.sourceIp }
    default:
      return {}
  }
}

function faultOf({ delay, abort }: HTTPFault): unknown {
  return {
    ...(delay === undefined ? {} : { delay: { ...(delay.faultDelaySecifier.case === 'fixedDelay' ? { fixedDelay: durationText(delay.faultDelaySecifier.value) } : {}), percent: fractionOf(delay.percentage) } }),
    ...(abort === undefined ? {} : { abort: { ...(abort.errorType.case === undefined ? {} : { [abort.errorType.case]: abort.errorType.value }), percent: fractionOf(abort.percentage) } }),
  }
}

interface Operations {
  set?: Record<string, string>
  add?: Record<string, string>
  remove?: readonly string[]
}

export function headersOf(of: Pick<Route, 'requestHeadersToAdd' | 'requestHeadersToRemove' | 'responseHeadersToAdd' | 'responseHeadersToRemove'>): { request?: Operations; response?: Operations } | undefined {
  const request = operations(of.requestHeadersToAdd, of.requestHeadersToRemove)
  const response = operations(of.responseHeadersToAdd, of.responseHeadersToRemove)
  if (request === undefined && response === undefined) return undefined
  return { ...(request === undefined ? {} : { request }), ...(response === undefined ? {} : { response }) }
}

function operations(options: readonly HeaderValueOption[], remove: readonly string[]): Operations | undefined {
  const found: Operations = {}
  for (const { header, appendAction } of options) {
    const kind = appendAction === AppendAction.OVERWRITE_IF_EXISTS_OR_ADD ? 'set' : 'add'
    found[kind] = { ...found[kind], [header?.key ?? '']: header?.value ?? '' }
  }
  if (remove.length > 0) found.remove = remove
  return Object.keys(found).length === 0 ? undefined : found
}

const percentOf = (share: RuntimeFractionalPercent | undefined): number => fractionOf(share?.defaultValue)

function fractionOf(share: FractionalPercent | undefined): number {
  if (share === undefined) return 100
  const of = share.denominator === Denominator.MILLION ? 10_000 : share.denominator === Denominator.TEN_THOUSAND ? 100 : 1
  return share.numerator / of
}

const seconds = (of: Duration): number => Number(of.seconds) + of.nanos / 1e9

/** As proto JSON writes it: `3s`, `0.030s`. */
export function durationText(of: Duration): string {
  if (of.nanos === 0) return `${of.seconds}s`
  const fraction = String(of.nanos).padStart(9, '0').replace(/(000){1,2}$/, '')
  return `${of.seconds}.${fraction}s`
}
