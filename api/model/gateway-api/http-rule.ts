import type { HttpFilter } from '#core/resource/gateway-api-filter.ts'
import type { GrpcRouteSpec } from '#core/resource/grpc-route.ts'
import type { HttpRouteSpec } from '#core/resource/http-route.ts'
import type { HttpMatch, HttpRoute } from '#core/resource/virtual-service-http.ts'
import { judgeBackend, NOWHERE } from './backend.ts'
import { sessionFrom } from './session.ts'
import type { DerivedHttpRoute } from './session.ts'
import { wrong } from './surroundings.ts'
import type { ApiObject, BackendReference, ConditionValue, GatewayApiObjects, RouteSpec, Surroundings } from './surroundings.ts'

type HttpRule = NonNullable<HttpRouteSpec['rules']>[number]
type HttpRuleMatch = NonNullable<HttpRule['matches']>[number]
type GrpcRule = NonNullable<GrpcRouteSpec['rules']>[number]
type Filters = readonly HttpFilter[]

/** One condition of one rule in Istio's model, with what its rank among the others depends on. */
export interface RankedRoute {
  readonly route: DerivedHttpRoute
  readonly of: ApiObject<RouteSpec>
  readonly index: number
  /** Which of the rule's conditions; undefined: it has none. */
  readonly match: number | undefined
  /** Which of its backends each destination is. */
  readonly backends: readonly number[]
}

/** What a rule is made of. */
interface RuleContext {
  readonly route: ApiObject<RouteSpec>
  readonly objects: GatewayApiObjects
  readonly around: Surroundings
  /** Gets what is wrong with backends. */
  readonly problems: ConditionValue[]
}

/** The rules of an HTTPRoute or GRPCRoute, each condition a route of its own. */
export function ruleRoutes(context: RuleContext): RankedRoute[] {
  const { route } = context
  return (route.spec.rules ?? []).flatMap((rule, index) => {
    const grpc = route.kind === 'GRPCRoute'
    const matches = grpc ? grpcMatches(rule as GrpcRule) : httpMatches(rule as HttpRule)
    const name = `${route.namespace}.${route.name}.${index}`
    const made = (match: HttpMatch | undefined): DerivedHttpRoute => ({ name, ...(match === undefined ? {} : { match: [match] }), ...actionOf(rule as HttpRule, match, context) })
    const conditions: (HttpMatch | undefined)[] = matches.length === 0 ? [undefined] : matches
    // What is wrong with a backend is told once, however many conditions lead to it.
    const backends = ((rule as HttpRule).backendRefs ?? []).flatMap((backend, place) => (backend.weight === 0 ? [] : [place]))
    return conditions.map((match, at) => ({ route: at === 0 ? made(match) : withoutTelling(context, () => made(match)), of: route, index, match: match === undefined ? undefined : at, backends }))
  })
}

function withoutTelling<T>(context: RuleContext, make: () => T): T {
  const told = context.problems.length
  const made = make()
  context.problems.length = told
  return made
}

const httpMatches = (rule: HttpRule): HttpMatch[] => (rule.matches ?? []).map(httpMatch)

function httpMatch({ path, headers, queryParams, method }: HttpRuleMatch): HttpMatch {
  const value = path?.value ?? '/'
  const uri = path === undefined ? undefined : path.type === 'Exact' ? { exact: value } : path.type === 'RegularExpression' ? { regex: value } : { prefix: value === '/' ? value : value.replace(/\/$/, '') }
  return {
    ...(uri === undefined ? {} : { uri }),
    ...(method === undefined ? {} : { method: { exact: method } }),
    ...(headers === undefined || headers.length === 0 ? {} : { headers: Object.fromEntries(headers.map((one) => [one.name, condition(one)])) }),
    ...(queryParams === undefined || queryParams.length === 0 ? {} : { queryParams: Object.fromEntries(queryParams.map((one) => [one.name, condition(one)])) }),
  }
}

const condition = (one: { readonly type?: string | undefined; readonly value: string }) => (one.type === 'RegularExpression' ? { regex: one.value } : { exact: one.value })

/** A call's path is /SERVICE/METHOD (github.com/grpc/grpc, PROTOCOL-HTTP2). */
const grpcMatches = (rule: GrpcRule): HttpMatch[] =>
  (rule.matches ?? []).map(({ method, headers }) => {
    const { service, method: name, type } = method ?? {}
    const uri =
      method === undefined
        ? undefined
        : type === 'RegularExpression'
          ? { regex: `/${service || '[^/]+'}/${name || '[^/]+'}` }
          : service && name
            ? { exact: `/${service}/${name}` }
            : service
              ? { prefix: `/${service}/` }
              : { regex: `/[^/]+/${name}` }
    return {
      ...(uri === undefined ? {} : { uri }),
      ...(headers === undefined || headers.length === 0 ? {} : { headers: Object.fromEntries(headers.map((one) => [one.name, condition(one)])) }),
    }
  })

function actionOf(rule: HttpRule, match: HttpMatch | undefined, context: RuleContext): Omit<DerivedHttpRoute, 'match' | 'name'> {
  const filters = rule.filters ?? []
  const shared = (rule.backendRefs ?? []).filter((one) => one.weight !== 0)
  // What is done for the one backend of a rule is done for all of its requests; headers aside, which stand with a backend in any case.
  const all = shared.length === 1 ? [...filters, ...(shared[0]?.filters ?? []).filter((one) => !isHeaderFilter(one))] : filters
  const redirect = redirectOf(all)
  const common = { ...headersOf(filters), ...corsOf(all), ...mirrorsOf(all, context), ...timesOf(rule), ...(rule.sessionPersistence === undefined ? {} : { session: sessionFrom(rule.sessionPersistence) }) }
  if (redirect !== undefined) return { ...headersOf(filters), redirect }
  // A filter that cannot be done must not be passed over: what it guards would lie open.
  const undone = [...filters, ...(rule.backendRefs ?? []).flatMap((one) => one.filters ?? [])].find((one) => one.type === 'ExtensionRef' || one.type === 'ExternalAuth')
  if (undone !== undefined) {
    context.problems.push(wrong('InvalidFilter', `unsupported filter type "${undone.type}"`))
    return { ...common, directResponse: { status: 500 } }
  }
  const backends = (rule.backendRefs ?? []).map((backend) => ({ backend, ...judge(backend, context) })).filter((one) => one.backend.weight !== 0)
  if (backends.length === 0) return { ...common, directResponse: { status: 500 } }
  const several = backends.length > 1
  return {
    ...common,
    ...rewriteOf(all, match),
    route: backends.map(({ backend, destination }) => ({ destination: (several && isUndoneBesideOthers(backend.filters ?? []) ? undefined : destination) ?? NOWHERE, ...(several ? { weight: backend.weight ?? 1 } : {}), ...headersOf(backend.filters ?? [], several) })),
  }
}

const isHeaderFilter = ({ type }: HttpFilter): boolean => type === 'RequestHeaderModifier' || type === 'ResponseHeaderModifier'

/** Where a backend has others beside it, its share of requests cannot be sent elsewhere or to another path: they are answered with an error, as where a backend is not there. Copies and answers to browsers are left out. */
export const isUndoneBesideOthers = (filters: Filters): boolean => filters.some((one) => one.type === 'RequestRedirect' || (one.type === 'URLRewrite' && one.urlRewrite?.path !== undefined))

function judge(backend: BackendReference, { route, objects, around, problems }: RuleContext) {
  const judged = judgeBackend(route, backend, objects, around)
  if (judged.problem !== undefined) problems.push(judged.problem)
  return judged
}

/** `renames`: a host that a filter gives to the requests of one backend is among its headers. */
function headersOf(filters: Filters, renames = false): Pick<HttpRoute, 'headers'> {
  const of = (type: 'RequestHeaderModifier' | 'ResponseHeaderModifier') => {
    const found = filters.find((one) => one.type === type)
    const one = type === 'RequestHeaderModifier' ? found?.requestHeaderModifier : found?.responseHeaderModifier
    if (one === undefined) return undefined
    const map = (list: readonly { readonly name: string; readonly value: string }[] | undefined) => (list === undefined || list.length === 0 ? undefined : Object.fromEntries(list.map(({ name, value }) => [name, value])))
    const [set, add] = [map(one.set), map(one.add)]
    return { ...(set === undefined ? {} : { set }), ...(add === undefined ? {} : { add }), ...(one.remove === undefined || one.remove.length === 0 ? {} : { remove: one.remove }) }
  }
  const hostname = renames ? filters.find((one) => one.type === 'URLRewrite')?.urlRewrite?.hostname : undefined
  const [changed, response] = [of('RequestHeaderModifier'), of('ResponseHeaderModifier')]
  const request = hostname === undefined ? changed : { ...changed, set: { ...changed?.set, ':authority': hostname } }
  return request === undefined && response === undefined ? {} : { headers: { ...(request === undefined ? {} : { request }), ...(response === undefined ? {} : { response }) } }
}

function mirrorsOf(filters: Filters, context: RuleContext): Pick<HttpRoute, 'mirrors'> {
  const mirrors = filters.flatMap(({ type, requestMirror }) => {
    if (type !== 'RequestMirror') return []
    const backend = requestMirror && judge(requestMirror.backendRef, context)
    // Copies that would reach nobody are not made.
    if (requestMirror === undefined || backend?.destination === undefined || backend.problem !== undefined) return []
    const { destination } = backend
    const { percent, fraction } = requestMirror
    const value = percent ?? (fraction && (fraction.numerator * 100) / (fraction.denominator ?? 100))
    return [{ destination, ...(value === undefined ? {} : { percentage: { value } }) }]
  })
  return mirrors.length === 0 ? {} : { mirrors }
}

function redirectOf(filters: Filters): HttpRoute['redirect'] {
  const redirect = filters.find((one) => one.type === 'RequestRedirect')?.requestRedirect
  if (redirect === undefined) return undefined
  const { scheme, hostname, port, statusCode, path } = redirect
  return {
    redirectCode: statusCode ?? 302,
    ...(scheme === undefined ? {} : { scheme }),
    ...(hostname === undefined ? {} : { authority: hostname }),
    ...(path?.type === 'ReplaceFullPath' ? { uri: path.replaceFullPath ?? '/' } : {}),
    // By Istio's convention: a prefix in place of the one that matched.
    ...(path?.type === 'ReplacePrefixMatch' ? { uri: `%PREFIX()%${path.replacePrefixMatch ?? ''}` } : {}),
    ...(port !== undefined ? { port } : { derivePort: scheme === undefined ? ('FROM_REQUEST_PORT' as const) : ('FROM_PROTOCOL_DEFAULT' as const) }),
  }
}

function rewriteOf(filters: Filters, match: HttpMatch | undefined): Pick<HttpRoute, 'rewrite'> {
  const rewrite = filters.find((one) => one.type === 'URLRewrite')?.urlRewrite
  if (rewrite === undefined) return {}
  const { hostname, path } = rewrite
  const prefix = (match?.uri?.prefix ?? '/').replace(/\/$/, '')
  const replacement = path?.type === 'ReplacePrefixMatch' ? path.replacePrefixMatch?.replace(/\/$/, '') : undefined
  return {
    rewrite: {
      ...(hostname === undefined ? {} : { authority: hostname }),
      ...(path?.type === 'ReplaceFullPath' ? { uriRegexRewrite: { match: '/.*', rewrite: path.replaceFullPath ?? '/' } } : {}),
      // By whole segments, and with one slash between what replaces the prefix and the rest: where either is all of a path, Envoy's prefix rewrite would have two or none.
      ...(replacement === undefined ? {} : prefix !== '' && replacement !== '' ? { uri: replacement } : { uriRegexRewrite: { match: `^${escaped(prefix)}(/?)(.*)`, rewrite: `${replacement}/\\2` } }),
    },
  }
}

const escaped = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')

function corsOf(filters: Filters): Pick<HttpRoute, 'corsPolicy'> {
  const cors = filters.find((one) => one.type === 'CORS')?.cors
  if (cors === undefined) return {}
  const origins = (cors.allowOrigins ?? []).map((one) => (one === '*' ? { regex: '.*' } : one.includes('*') ? { regex: one.split('*').map(escaped).join('.*') } : { exact: one }))
  return {
    corsPolicy: {
      allowOrigins: origins,
      ...(cors.allowMethods === undefined ? {} : { allowMethods: cors.allowMethods }),
      ...(cors.allowHeaders === undefined ? {} : { allowHeaders: cors.allowHeaders }),
      ...(cors.exposeHeaders === undefined ? {} : { exposeHeaders: cors.exposeHeaders }),
      ...(cors.allowCredentials === undefined ? {} : { allowCredentials: cors.allowCredentials }),
      maxAge: `${cors.maxAge ?? 5}s`,
    },
  }
}

function timesOf(rule: HttpRule): Pick<HttpRoute, 'timeout' | 'retries'> {
  const { timeouts, retry } = rule
  const ofTry = timeouts?.backendRequest
  const retries =
    retry === undefined && ofTry === undefined
      ? undefined
      : {
          attempts: retry === undefined ? 2 : (retry.attempts ?? 1),
          ...(retry === undefined ? {} : { retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', ...(retry.codes ?? []).map(String)].join(',') }),
          ...(retry?.backoff === undefined ? {} : { backoff: retry.backoff }),
          ...(ofTry === undefined || /^0+(h|m|s|ms)$/.test(ofTry) ? {} : { perTryTimeout: ofTry }),
        }
  const whole = timeouts?.request
  return { ...(whole === undefined || /^0+(h|m|s|ms)$/.test(whole) ? {} : { timeout: whole }), ...(retries === undefined ? {} : { retries }) }
}

/**
 * Which of two routes of one host is tried first: the more exact path, the longer, then by method, number of headers, of parameters, then the older route, its name, its order in the rule.
 * gateway-api.sigs.k8s.io/reference/spec/#httprouterule
 */
export function byPrecedence(a: RankedRoute, b: RankedRoute): number {
  const [ofA, ofB] = [rank(a.route.match?.[0]), rank(b.route.match?.[0])]
  for (const [index, value] of ofA.entries()) if (value !== ofB[index]) return (ofB[index] ?? 0) - value
  if (a.of.createdAtMs !== b.of.createdAtMs) return a.of.createdAtMs - b.of.createdAtMs
  const [nameA, nameB] = [`${a.of.namespace}/${a.of.name}`, `${b.of.namespace}/${b.of.name}`]
  return nameA === nameB ? a.index - b.index : nameA < nameB ? -1 : 1
}

function rank(match: HttpMatch | undefined): number[] {
  if (match === undefined) return [0, 0, 0, 0, 0]
  const { uri } = match
  const kind = uri?.exact !== undefined ? 3 : uri?.prefix !== undefined ? 2 : uri?.regex !== undefined ? 1 : 0
  const path = uri?.exact ?? uri?.prefix ?? uri?.regex ?? ''
  return [kind, path.length, match.method === undefined ? 0 : 1, Object.keys(match.headers ?? {}).length, Object.keys(match.queryParams ?? {}).length]
}
