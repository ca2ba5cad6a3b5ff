import { z } from 'zod'
import { atMostOne, duration, flag, int32, judged, portNumber, regexComplaint, text, textMap, texts, uint32 } from './field.ts'
import type { Complaint } from './field.ts'
import { destination, destinationComplaints } from './destination.ts'
import { pathMatch, stringMatch } from './string-match.ts'
import { durationNs } from './duration.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE']
const HEADER_NAME = /^[-_A-Za-z0-9]+$/
const RETRY_POLICIES = new Set(
  '5xx gateway-error reset reset-before-request connect-failure retriable-4xx refused-stream retriable-status-codes retriable-headers envoy-ratelimited http3-post-connect-failure cancelled deadline-exceeded internal resource-exhausted unavailable'.split(' '),
)
const GRPC_CODES = new Set(
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(' '),
)
const JWT_CLAIM = /^@request\.auth\.claims(\..+|\[.+\])$/

const percent = z.strictObject({ value: z.number().optional().describe('0.0 to 100.0.') })
export type Percent = z.infer<typeof percent>

function* percentComplaints(value: Percent | undefined, at: readonly (string | number)[], fine: boolean): Iterable<Complaint> {
  const given = value?.value ?? 0
  if (given < 0 || given > 100) yield { at: [...at, 'value'], value: given, rule: '0..100' }
  else if (fine && given !== 0 && given < 0.0001) yield { at: [...at, 'value'], value: given, rule: '0, or 0.0001..100' }
}

const httpMatch = z
  .strictObject({
    name: text().optional().describe('A name for the match, shown in logs.'),
    uri: pathMatch.optional().describe('The path. Compared with case unless ignoreUriCase is set.'),
    scheme: stringMatch.optional().describe('The URI scheme.'),
    method: stringMatch.optional().describe('The HTTP method.'),
    authority: stringMatch.optional().describe('The Host or :authority.'),
    headers: z.record(z.string(), stringMatch).optional().describe('Header values by name, all of which must match. An empty match asks that the header is there.'),
    port: portNumber().optional().describe('The port that the request is addressed to.'),
    sourceLabels: textMap().optional().describe('Labels of the workload that calls.'),
    gateways: texts().optional().describe('Gateways (or mesh) for which the match counts.'),
    queryParams: z.record(z.string(), stringMatch).optional().describe('Query parameters by name.'),
    ignoreUriCase: flag().optional().describe('Compares the path without regard to case; exact and prefix only.'),
    withoutHeaders: z.record(z.string(), stringMatch).optional().describe('Headers that must not match.'),
    sourceNamespace: text().optional().describe('The namespace of the workload that calls.'),
    statPrefix: text().optional().describe('A prefix for statistics of the route.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const field of ['headers', 'withoutHeaders'] as const) {
        for (const name of Object.keys(value[field] ?? {})) {
          if (name === '') yield { at: [field, name], rule: 'the name of a header' }
          else if (name.startsWith('@request.auth.claims')) {
            if (!JWT_CLAIM.test(name)) yield { at: [field, name], rule: '@request.auth.claims.NAME or @request.auth.claims[NAME]' }
          } else if (!/^:?[-_A-Za-z0-9]+$/.test(name)) yield { at: [field, name], rule: 'a header name of letters, digits, - and _' }
        }
      }
    }),
  )
export type HttpMatch = z.infer<typeof httpMatch>

const headerOperations = z
  .strictObject({
    set: textMap().optional().describe('Headers to set, instead of values that are there.'),
    add: textMap().optional().describe('Header values to add.'),
    remove: texts().optional().describe('Headers to remove.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const field of ['set', 'add'] as const) {
        for (const [name, content] of Object.entries(value[field] ?? {})) {
          const complaint = headerNameComplaint(name)
          if (complaint !== undefined) yield { at: [field, name], rule: complaint }
          const badValue = headerValueComplaint(content)
          if (badValue !== undefined) yield { at: [field, name], value: content, rule: badValue }
        }
      }
      for (const [index, name] of (value.remove ?? []).entries()) {
        const complaint = headerNameComplaint(name)
        if (complaint !== undefined) yield { at: ['remove', index], value: name, rule: complaint }
      }
    }),
  )
const headers = z.strictObject({
  request: headerOperations.optional().describe('Changes before the request is passed on.'),
  response: headerOperations.optional().describe('Changes before the response is passed back.'),
})
export type Headers = z.infer<typeof headers>

function headerNameComplaint(name: string): string | undefined {
  if (name === '') return 'the name of a header'
  return /^:?[-_A-Za-z0-9]+$/.test(name) ? undefined : 'a header name of letters, digits, - and _'
}

// Envoy reads %…% in header values as variables and refuses a single percent sign; %% is the sign itself.
function headerValueComplaint(value: string): string | undefined {
  if (/[\r\n\0]/.test(value)) return 'a header value without line breaks'
  const signs = value.replaceAll('%%', '').split('%').length - 1
  return signs % 2 === 0 ? undefined : 'a header value whose %VARIABLE% ends (write %% for a percent sign)'
}

const httpRouteDestination = z
  .strictObject({
    destination: destination.describe('The service that takes the requests.'),
    weight: int32().optional().describe('The share of requests, relative to the sum of all weights.'),
    headers: headers.optional().describe('Changes to headers of what goes this way.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* destinationComplaints(value.destination, ['destination'])
      if (value.weight !== undefined && (value.weight < 0 || value.weight > 100)) {
        yield { at: ['weight'], code: 'virtual-service.weight', value: value.weight, rule: '0..100', hint: 'the weights of one route add up to 100' }
      }
    }),
  )
type HttpRouteDestination = z.infer<typeof httpRouteDestination>

const redirect = z
  .strictObject({
    uri: text().optional().describe('The path to redirect to, in place of the whole path.'),
    authority: text().optional().describe('The host to redirect to.'),
    port: portNumber().optional().describe('The port to redirect to.'),
    derivePort: z.enum(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT']).optional().describe('Where the port comes from when it is not given.'),
    scheme: text().optional().describe('http or https.'),
    redirectCode: uint32().optional().describe('The status, 301 by default.'),
    prefixRewrite: text().optional().describe('Replaces the prefix that matched.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* atMostOne(value, ['port', 'derivePort'])
      yield* atMostOne(value, ['uri', 'prefixRewrite'])
      if (!['uri', 'authority', 'port', 'derivePort', 'scheme', 'prefixRewrite'].some((name) => Object.hasOwn(value, name))) {
        yield { code: 'object.field-required', rule: 'a redirect names a uri, authority, scheme or port' }
      }
      const code = value.redirectCode ?? 0
      if (code !== 0 && (code < 300 || code > 399)) yield { at: ['redirectCode'], value: code, rule: '300..399' }
      if (value.scheme !== undefined && !['', 'http', 'https'].includes(value.scheme)) yield { at: ['scheme'], value: value.scheme, rule: 'http or https' }
    }),
  )
export type Redirect = z.infer<typeof redirect>

const directResponse = z
  .strictObject({
    status: z.int().describe('The HTTP status to answer.'),
    body: z
      .strictObject({ string: text().optional().describe('The body as text.'), bytes: text().optional().describe('The body in base64.') })
      .superRefine(judged((value) => atMostOne(value, ['string', 'bytes'])))
      .optional()
      .describe('The body to answer; none by default.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.status < 200 || value.status > 599) yield { at: ['status'], value: value.status, rule: '200..599' }
      const size = Math.max(value.body?.string?.length ?? 0, ((value.body?.bytes?.length ?? 0) * 3) / 4)
      if (size > 1024 * 1024) yield { at: ['body'], rule: 'a body of at most 1 MiB' }
      if (value.body?.bytes !== undefined && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value.body.bytes)) yield { at: ['body', 'bytes'], rule: 'base64', code: 'object.field-type' }
    }),
  )
export type DirectResponse = z.infer<typeof directResponse>

const rewrite = z
  .strictObject({
    uri: text().optional().describe('Replaces the path, or the prefix that matched.'),
    authority: text().optional().describe('Replaces the Host.'),
    uriRegexRewrite: z
      .strictObject({
        match: text().optional().describe('A regular expression in RE2 syntax.'),
        rewrite: text().optional().describe(String.raw`What replaces it; \1 is the first group.`),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          if (!value.match || !value.rewrite) yield { code: 'object.field-required', rule: 'both match and rewrite' }
          const complaint = value.match ? regexComplaint(value.match) : undefined
          if (complaint !== undefined) yield { at: ['match'], value: value.match, rule: complaint }
        }),
      )
      .optional()
      .describe('Rewrites the path by a regular expression.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (!value.uri && !value.authority && value.uriRegexRewrite === undefined) yield { code: 'object.field-required', rule: 'a rewrite names a uri, an authority or a uriRegexRewrite' }
      if (value.uri && value.uriRegexRewrite !== undefined) yield { at: ['uriRegexRewrite'], code: 'object.field-conflict', rule: 'only one of uri, uriRegexRewrite may be set' }
    }),
  )
export type Rewrite = z.infer<typeof rewrite>

export const retries = z
  .strictObject({
    attempts: int32().optional().describe('How often to try again; 0 switches retries off.'),
    perTryTimeout: duration().optional().describe('The bound of each attempt. By default the timeout of the route.'),
    retryOn: text().optional().describe('When to try again: Envoy’s policies and status codes, separated by commas.'),
    retryRemoteLocalities: flag().optional().describe('Whether to try other localities.'),
    retryIgnorePreviousHosts: flag().optional().describe('Whether hosts already tried are left out. True by default.'),
    backoff: duration().optional().describe('The shortest pause between attempts; 25ms by default.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if ((value.attempts ?? 0) < 0) yield { at: ['attempts'], value: value.attempts, rule: '0 or more' }
      if ((value.attempts ?? 0) === 0 && (value.perTryTimeout !== undefined || value.retryOn || value.retryRemoteLocalities !== undefined)) {
        yield { at: ['attempts'], code: 'object.field-conflict', rule: 'with attempts 0 nothing else is set', hint: 'attempts: 0 switches retries off' }
      }
      for (const policy of value.retryOn ? value.retryOn.split(',') : []) {
        const name = policy.trim()
        if (/^\d+$/.test(name) ? Number(name) < 100 || Number(name) > 599 : !RETRY_POLICIES.has(name)) yield { at: ['retryOn'], value: name, rule: 'policies as Envoy has them, or status codes', hint: `known: ${[...RETRY_POLICIES].join(', ')}` }
      }
    }),
  )
export type Retries = z.infer<typeof retries>

const faultInjection = z
  .strictObject({
    delay: z
      .strictObject({
        percent: int32().optional().describe('Deprecated: use percentage.'),
        fixedDelay: duration().optional().describe('How long to wait before passing the request on.'),
        exponentialDelay: duration().optional().describe('Not in use.'),
        percentage: percent.optional().describe('The share of requests.'),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          yield* percentComplaints(value.percentage, ['percentage'], true)
          const old = value.percent ?? 0
          if (old < 0 || old > 100) yield { at: ['percent'], value: old, rule: '0..100' }
          if (value.exponentialDelay !== undefined) yield { at: ['exponentialDelay'], rule: 'fixedDelay: exponentialDelay is not supported' }
          else if (value.fixedDelay === undefined) yield { at: ['fixedDelay'], code: 'object.field-required', rule: 'a fixedDelay' }
        }),
      )
      .optional()
      .describe('Delays requests.'),
    abort: z
      .strictObject({
        httpStatus: int32().optional().describe('The HTTP status to answer.'),
        grpcStatus: text().optional().describe('The gRPC status to answer, such as UNAVAILABLE.'),
        http2Error: text().optional().describe('Not in use.'),
        percentage: percent.optional().describe('The share of requests.'),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          yield* percentComplaints(value.percentage, ['percentage'], true)
          yield* atMostOne(value, ['httpStatus', 'grpcStatus', 'http2Error'])
          if (value.http2Error !== undefined) yield { at: ['http2Error'], rule: 'httpStatus or grpcStatus: http2Error is not supported' }
          else if (value.httpStatus === undefined && value.grpcStatus === undefined) yield { code: 'object.field-required', rule: 'httpStatus or grpcStatus' }
          if (value.httpStatus !== undefined && (value.httpStatus < 200 || value.httpStatus > 599)) yield { at: ['httpStatus'], value: value.httpStatus, rule: '200..599' }
          if (value.grpcStatus !== undefined && !GRPC_CODES.has(value.grpcStatus)) yield { at: ['grpcStatus'], value: value.grpcStatus, rule: 'a gRPC status such as UNAVAILABLE' }
        }),
      )
      .optional()
      .describe('Answers requests with an error.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.delay === undefined && value.abort === undefined) yield { code: 'object.field-required', rule: 'a delay, an abort, or both' }
    }),
  )
export type FaultInjection = z.infer<typeof faultInjection>

const corsPolicy = z
  .strictObject({
    allowOrigin: texts().optional().describe('Deprecated: use allowOrigins.'),
    allowOrigins: z.array(stringMatch).optional().describe('Origins that may make requests.'),
    allowMethods: texts().optional().describe('Methods that may be used.'),
    allowHeaders: texts().optional().describe('Request headers that may be sent.'),
    exposeHeaders: texts().optional().describe('Response headers that scripts may read.'),
    maxAge: duration().optional().describe('How long a preflight may be cached, in whole seconds.'),
    allowCredentials: flag().optional().describe('Whether credentials may be sent.'),
    unmatchedPreflights: z.enum(['UNSPECIFIED', 'FORWARD', 'IGNORE']).optional().describe('Whether preflights from other origins are passed on.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const [index, origin] of (value.allowOrigins ?? []).entries()) {
        if (Object.keys(origin).length === 0) yield { at: ['allowOrigins', index], code: 'object.field-required', rule: 'exact, prefix or regex' }
      }
      for (const [index, method] of (value.allowMethods ?? []).entries()) {
        if (method !== '*' && !METHODS.includes(method)) yield { at: ['allowMethods', index], value: method, rule: `one of ${METHODS.join(', ')}` }
      }
      for (const field of ['allowHeaders', 'exposeHeaders'] as const) {
        for (const [index, name] of (value[field] ?? []).entries()) {
          if (name !== '*' && !HEADER_NAME.test(name)) yield { at: [field, index], value: name, rule: 'the name of a header' }
        }
      }
      const ns = value.maxAge === undefined ? 0 : (durationNs(value.maxAge) ?? 0)
      if (ns % 1e9 !== 0) yield { at: ['maxAge'], value: value.maxAge, rule: 'a duration in whole seconds' }
    }),
  )
export type CorsPolicy = z.infer<typeof corsPolicy>

const mirrorPolicy = z
  .strictObject({
    destination: destination.describe('Where the copies go.'),
    percentage: percent.optional().describe('The share of requests that are copied; all by default.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* destinationComplaints(value.destination, ['destination'])
      yield* percentComplaints(value.percentage, ['percentage'], false)
    }),
  )

const delegate = z.strictObject({
  name: text().optional().describe('The VirtualService that is delegated to.'),
  namespace: text().optional().describe('Its namespace; that of the root by default.'),
})

export const httpRoute = z
  .strictObject({
    name: text().optional().describe('A name for the route, shown in logs.'),
    match: z.array(httpMatch).optional().describe('Conditions, one of which must hold. Within a condition all must. None: every request.'),
    route: z.array(httpRouteDestination).optional().describe('Where requests go, by weight.'),
    redirect: redirect.optional().describe('Answers with a redirect.'),
    directResponse: directResponse.optional().describe('Answers with a fixed response.'),
    delegate: delegate.optional().describe('A VirtualService that routes what matches.'),
    rewrite: rewrite.optional().describe('Changes path and authority before passing on.'),
    timeout: duration().optional().describe('The bound of the whole request; none by default.'),
    retries: retries.optional().describe('When and how often to try again.'),
    fault: faultInjection.optional().describe('Delays or errors to inject.'),
    mirror: destination.optional().describe('A service that gets a copy of requests.'),
    mirrors: z.array(mirrorPolicy).optional().describe('Several services that get copies.'),
    mirrorPercent: uint32().optional().describe('Deprecated: use mirrorPercentage.'),
    mirror_percent: uint32().optional().describe('Deprecated: use mirrorPercentage.'),
    mirrorPercentage: percent.optional().describe('The share of requests that are copied; all by default.'),
    corsPolicy: corsPolicy.optional().describe('Cross-origin requests from browsers.'),
    headers: headers.optional().describe('Changes to headers.'),
  })
  .superRefine(judged(routeComplaints))
export type HttpRoute = z.infer<typeof httpRoute>

type RouteParts = { [Name in 'redirect' | 'directResponse' | 'delegate' | 'rewrite' | 'fault' | 'mirror' | 'mirrors' | 'route']?: unknown } & {
  route?: HttpRouteDestination[] | undefined
  mirror?: z.infer<typeof destination> | undefined
  mirrorPercentage?: Percent | undefined
  mirrorPercent?: number | undefined
}

function* routeComplaints(value: RouteParts): Iterable<Complaint> {
  const answer = value.redirect !== undefined ? 'redirect' : value.directResponse !== undefined ? 'directResponse' : undefined
  if (value.delegate !== undefined) {
    for (const field of ['route', 'redirect', 'directResponse'] as const) {
      if (value[field] !== undefined) yield { at: [field], code: 'object.field-conflict', rule: `not together with delegate` }
    }
  } else if (answer !== undefined) {
    for (const field of ['route', 'fault', 'rewrite', ...(answer === 'redirect' ? (['directResponse'] as const) : [])] as const) {
      if (value[field] !== undefined && !(field === 'route' && value.route?.length === 0)) yield { at: [field], code: 'object.field-conflict', rule: `not together with ${answer}` }
    }
  } else if ((value.route ?? []).length === 0) {
    yield { at: ['route'], code: 'object.field-required', rule: 'a route, redirect, directResponse or delegate' }
  }
  if (value.mirror !== undefined && value.mirrors !== undefined) yield { at: ['mirrors'], code: 'object.field-conflict', rule: 'only one of mirror, mirrors may be set' }
  if (value.mirror !== undefined) yield* destinationComplaints(value.mirror, ['mirror'])
  yield* percentComplaints(value.mirrorPercentage, ['mirrorPercentage'], false)
  if ((value.mirrorPercent ?? 0) > 100) yield { at: ['mirrorPercent'], value: value.mirrorPercent, rule: '0..100' }
  const weights = (value.route ?? []).map((one) => one.weight ?? 0)
  if (weights.length > 1 && weights.every((weight) => weight === 0)) yield { at: ['route'], code: 'virtual-service.weight', rule: 'weights whose sum is not 0' }
}
