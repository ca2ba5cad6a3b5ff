import { z } from 'zod'
import { durationNs } from './duration.ts'
import { judged } from './field.ts'
import type { Complaint } from './field.ts'
import { regexComplaint } from './field.ts'
import { eachOnce, headerName, httpFilters } from './gateway-api-filter.ts'
import type { HttpFilter } from './gateway-api-filter.ts'
import { backendComplaints, backendFields, GATEWAY_API, gatewayDuration, hostName, parentReferences, sectionName, weight } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const how = z.enum(['Exact', 'RegularExpression']).optional().describe('How it is compared; Exact by default.')

const valueMatch = z.strictObject({ type: how, name: headerName().describe('Name.'), value: z.string().min(1).max(4096).describe('Value, or a regular expression for it.') }).superRefine(
  judged(function* (value): Iterable<Complaint> {
    const complaint = value.type === 'RegularExpression' ? regexComplaint(value.value) : undefined
    if (complaint !== undefined) yield { at: ['value'], value: value.value, rule: complaint }
  }),
)

const pathMatch = z
  .strictObject({ type: z.enum(['Exact', 'PathPrefix', 'RegularExpression']).optional().describe('How it is compared; PathPrefix by default, by whole segments.'), value: z.string().max(1024).optional().describe('The path; / by default.') })
  .superRefine(
    judged(function* (path): Iterable<Complaint> {
      const value = path.value ?? '/'
      if (path.type === 'RegularExpression') {
        const complaint = regexComplaint(value)
        if (complaint !== undefined) yield { at: ['value'], value, rule: complaint }
        return
      }
      if (!value.startsWith('/')) yield { at: ['value'], value, rule: 'a path that begins with /' }
      for (const part of ['//', '/./', '/../', '%2f', '%2F', '#']) if (value.includes(part)) yield { at: ['value'], value, rule: `a path without ${part}` }
      for (const part of ['/..', '/.']) if (value.endsWith(part)) yield { at: ['value'], value, rule: `a path that does not end with ${part}` }
      if (!/^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/.test(value)) yield { at: ['value'], value, rule: 'characters that a path may hold (RFC 3986)' }
    }),
  )

const match = z.strictObject({
  path: pathMatch.optional().describe('The path.'),
  headers: z.array(valueMatch).max(16).superRefine(judged((list) => eachOnce(list.map((one) => one.name.toLowerCase())))).optional().describe('Headers, all of which must match.'),
  queryParams: z.array(valueMatch).max(16).superRefine(judged((list) => eachOnce(list.map((one) => one.name)))).optional().describe('Query parameters, all of which must match.'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']).optional().describe('The method.'),
})

const timeouts = z
  .strictObject({ request: gatewayDuration().optional().describe('How long the whole answer may take; 0s for ever.'), backendRequest: gatewayDuration().optional().describe('How long one try may take.') })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      const whole = value.request === undefined ? 0 : (durationNs(value.request) ?? 0)
      const one = value.backendRequest === undefined ? 0 : (durationNs(value.backendRequest) ?? 0)
      if (whole > 0 && one > whole) yield { at: ['backendRequest'], value: value.backendRequest, rule: 'at most request' }
    }),
  )

export const sessionPersistence = z
  .strictObject({
    sessionName: z.string().max(128).optional().describe('Name of the cookie or header.'),
    absoluteTimeout: gatewayDuration().optional().describe('How long a session lives.'),
    idleTimeout: gatewayDuration().optional().describe('How long an idle session lives.'),
    type: z.enum(['Cookie', 'Header']).optional().describe('Where the session is kept; Cookie by default.'),
    cookieConfig: z.strictObject({ lifetimeType: z.enum(['Permanent', 'Session']).optional().describe('Whether the cookie outlives the browser; Session by default.') }).optional().describe('Details of the cookie.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.cookieConfig !== undefined && (value.type ?? 'Cookie') !== 'Cookie') yield { at: ['cookieConfig'], code: 'object.field-conflict', rule: 'only for type Cookie' }
      if (value.cookieConfig?.lifetimeType === 'Permanent' && value.absoluteTimeout === undefined) yield { at: ['absoluteTimeout'], code: 'object.field-required', rule: 'needed where a cookie is Permanent' }
    }),
  )
export type SessionPersistence = z.infer<typeof sessionPersistence>

const rule = z
  .strictObject({
    name: sectionName().optional().describe('A name, unique within the route.'),
    matches: z.array(match).max(64).optional().describe('Conditions, one of which must hold; every request by default.'),
    filters: httpFilters,
    backendRefs: z.array(z.strictObject({ ...backendFields, weight, filters: httpFilters }).superRefine(judged(backendComplaints))).max(16).optional().describe('Where requests go, by weight. None: they are answered with 500.'),
    timeouts: timeouts.optional().describe('Bounds of time.'),
    retry: z
      .strictObject({
        codes: z.array(z.int().min(400).max(599)).optional().describe('Status codes upon which to try again.'),
        attempts: z.int().optional().describe('How often to try again.'),
        backoff: gatewayDuration().optional().describe('Time between tries, at least.'),
      })
      .optional()
      .describe('When and how often to try again.'),
    sessionPersistence: sessionPersistence.optional().describe('Keeps a client at one endpoint.'),
  })
  .superRefine(judged(ruleComplaints))

interface Rule {
  matches?: { path?: { type?: string | undefined } | undefined }[] | undefined
  filters?: HttpFilter[] | undefined
  backendRefs?: { filters?: HttpFilter[] | undefined }[] | undefined
}

function* ruleComplaints(value: Rule): Iterable<Complaint> {
  if (value.filters?.some((one) => one.type === 'RequestRedirect') && value.backendRefs?.length) yield { at: ['backendRefs'], code: 'object.field-conflict', rule: 'none where requests are redirected' }
  const onePrefix = (value.matches ?? []).length === 1 && (value.matches?.[0]?.path?.type ?? 'PathPrefix') === 'PathPrefix'
  const places: [(string | number)[], HttpFilter[]][] = [[['filters'], value.filters ?? []], ...(value.backendRefs ?? []).map((one, index): [(string | number)[], HttpFilter[]] => [['backendRefs', index, 'filters'], one.filters ?? []])]
  for (const [at, filters] of places) {
    for (const [index, one] of filters.entries()) {
      for (const [member, path] of [['requestRedirect', one.requestRedirect?.path], ['urlRewrite', one.urlRewrite?.path]] as const) {
        // Without a match, or with several, it is not plain which prefix would be replaced.
        if (path?.type === 'ReplacePrefixMatch' && !onePrefix) yield { at: [...at, index, member, 'path'], code: 'object.field-conflict', rule: 'ReplacePrefixMatch needs exactly one match, of type PathPrefix' }
      }
    }
  }
}

const httpRouteSpec = z.strictObject({
  parentRefs: parentReferences,
  hostnames: z.array(hostName(true)).max(16).optional().describe('Hosts for which the route counts; all of its listeners by default.'),
  useDefaultGateways: z.enum(['All', 'None']).optional().describe('Whether it is attached to default gateways.'),
  rules: z
    .array(rule)
    .min(1)
    .max(16)
    .superRefine(judged(function* (list): Iterable<Complaint> {
      yield* eachOnce(list.flatMap((one) => (one.name === undefined ? [] : [one.name])))
      if (list.reduce((sum, one) => sum + (one.matches?.length ?? 0), 0) > 128) yield { rule: 'at most 128 matches in all' }
    }))
    .optional()
    .describe('Rules; among those that match, the most specific wins.'),
})
export type HttpRouteSpec = z.infer<typeof httpRouteSpec>

export const httpRouteKind: ResourceKind<{ spec: HttpRouteSpec }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1beta1'],
  kind: 'HTTPRoute',
  plural: 'httproutes',
  singular: 'httproute',
  shortNames: [],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'Routes of HTTP requests from a Gateway, or from callers of a Service.',
  fields: z.strictObject({ spec: httpRouteSpec.describe('The routes.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Hostnames', type: 'string', jsonPath: '.spec.hostnames' }],
  example: {
    apiVersion: `${GATEWAY_API}/v1`,
    kind: 'HTTPRoute',
    metadata: { name: 'shop', namespace: 'default' },
    spec: { parentRefs: [{ name: 'edge' }], hostnames: ['shop.example.com'], rules: [{ matches: [{ path: { type: 'PathPrefix', value: '/orders' } }], backendRefs: [{ name: 'order-service', port: 8080 }] }] },
  },
}
