import { z } from 'zod'
import { judged } from './field.ts'
import type { Complaint } from './field.ts'
import { apiGroup, fraction, hostName, kindName, mirrorTarget, objectNameText, routePort } from './gateway-api-reference.ts'

const HEADER = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/
export const headerName = () => z.string().min(1).max(256).regex(HEADER, 'a header name')
const headerValue = () => z.string().min(1).max(4096)

const headerList = (what: string) =>
  z
    .array(z.strictObject({ name: headerName().describe('Name; case does not count.'), value: headerValue().describe('Value.') }))
    .max(16)
    .superRefine(judged((list) => eachOnce(list.map((one) => one.name.toLowerCase()))))
    .optional()
    .describe(what)

const headerModifier = z.strictObject({
  set: headerList('Headers that replace those of the same name.'),
  add: headerList('Headers that are added.'),
  remove: z.array(z.string()).max(16).superRefine(judged(eachOnce)).optional().describe('Headers that are taken away.'),
})

export function* eachOnce(names: readonly string[]): Iterable<Complaint> {
  const seen = new Set<string>()
  for (const [index, name] of names.entries()) {
    if (seen.has(name)) yield { at: [index], value: name, code: 'object.field-conflict', rule: 'each name once' }
    seen.add(name)
  }
}

const pathModifier = z
  .strictObject({
    type: z.enum(['ReplaceFullPath', 'ReplacePrefixMatch']).describe('What is replaced.'),
    replaceFullPath: z.string().max(1024).optional().describe('The path.'),
    replacePrefixMatch: z.string().max(1024).optional().describe('What stands in place of the prefix that matched.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      const [own, other] = value.type === 'ReplaceFullPath' ? (['replaceFullPath', 'replacePrefixMatch'] as const) : (['replacePrefixMatch', 'replaceFullPath'] as const)
      if (value[own] === undefined) yield { at: [own], code: 'object.field-required', rule: `needed for type ${value.type}` }
      if (value[other] !== undefined) yield { at: [other], code: 'object.field-conflict', rule: `not for type ${value.type}` }
    }),
  )

const requestMirror = z
  .strictObject({
    backendRef: mirrorTarget.describe('Where copies go.'),
    percent: z.int().min(0).max(100).optional().describe('Share of requests; all by default.'),
    fraction: fraction.optional().describe('Share of requests, as a fraction.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.percent !== undefined && value.fraction !== undefined) yield { at: ['fraction'], code: 'object.field-conflict', rule: 'only one of percent, fraction may be set' }
    }),
  )

const extensionRef = z.strictObject({ group: apiGroup().describe('API group.'), kind: kindName().describe('Kind.'), name: objectNameText().describe('Name.') })

const shared = {
  requestHeaderModifier: headerModifier.optional().describe('Changes headers of the request.'),
  responseHeaderModifier: headerModifier.optional().describe('Changes headers of the response.'),
  requestMirror: requestMirror.optional().describe('Sends copies elsewhere.'),
  extensionRef: extensionRef.optional().describe('An extension.'),
}

const redirect = z.strictObject({
  scheme: z.enum(['http', 'https']).optional().describe('Scheme of the new location.'),
  hostname: hostName(false).optional().describe('Host of the new location.'),
  path: pathModifier.optional().describe('Path of the new location.'),
  port: routePort().optional().describe('Port of the new location.'),
  statusCode: z.literal([301, 302, 303, 307, 308]).optional().describe('Status; 302 by default.'),
})

const rewrite = z.strictObject({ hostname: hostName(false).optional().describe('Host that the backend sees.'), path: pathModifier.optional().describe('Path that the backend sees.') })

const ORIGIN = /^\*$|^([a-z][a-z0-9+.-]*):\/\/(\*|(\*\.)?[^/*\s]+)$/i

const cors = z.strictObject({
  allowOrigins: z.array(z.string().min(1).max(253).regex(ORIGIN, 'an origin such as https://example.com, or *')).max(64).superRefine(judged(function* (list): Iterable<Complaint> {
    if (list.length > 1 && list.includes('*')) yield { code: 'object.field-conflict', rule: '* stands alone' }
  })).optional().describe('Origins that may read answers; * for any.'),
  allowCredentials: z.boolean().optional().describe('Whether credentials may be sent; false by default.'),
  allowMethods: z.array(z.enum(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', '*'])).max(9).superRefine(judged(function* (list): Iterable<Complaint> {
    if (list.length > 1 && list.includes('*')) yield { code: 'object.field-conflict', rule: '* stands alone' }
  })).optional().describe('Methods that may be used.'),
  allowHeaders: z.array(headerName()).max(64).optional().describe('Headers that may be sent.'),
  exposeHeaders: z.array(headerName()).max(64).optional().describe('Headers that scripts may read.'),
  maxAge: z.int().min(1).max(2147483647).optional().describe('Seconds for which the answer to a preflight holds; 5 by default.'),
})

const externalAuth = z
  .strictObject({
    protocol: z.enum(['HTTP', 'GRPC']).describe('How the authorizer is asked.'),
    backendRef: mirrorTarget.describe('The authorizer.'),
    grpc: z.strictObject({ allowedHeaders: z.array(z.string()).max(64).optional().describe('Headers that are sent.') }).optional().describe('Details of gRPC.'),
    http: z
      .strictObject({ path: z.string().optional().describe('Prefix of the path.'), allowedHeaders: z.array(z.string()).max(64).optional().describe('Headers that are sent.'), allowedResponseHeaders: z.array(z.string()).max(64).optional().describe('Headers of its answer that go on.') })
      .optional()
      .describe('Details of HTTP.'),
    forwardBody: z.strictObject({ maxSize: z.int().min(0).max(65535).optional().describe('Bytes of the body, at most; 0 for none.') }).optional().describe('Whether the body is sent, too.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.protocol === 'GRPC' && value.http !== undefined) yield { at: ['http'], code: 'object.field-conflict', rule: 'not for protocol GRPC' }
      if (value.protocol === 'HTTP' && value.grpc !== undefined) yield { at: ['grpc'], code: 'object.field-conflict', rule: 'not for protocol HTTP' }
    }),
  )

const HTTP_FILTERS = { RequestHeaderModifier: 'requestHeaderModifier', ResponseHeaderModifier: 'responseHeaderModifier', RequestMirror: 'requestMirror', RequestRedirect: 'requestRedirect', URLRewrite: 'urlRewrite', ExtensionRef: 'extensionRef', CORS: 'cors', ExternalAuth: 'externalAuth' } as const
const GRPC_FILTERS = { RequestHeaderModifier: 'requestHeaderModifier', ResponseHeaderModifier: 'responseHeaderModifier', RequestMirror: 'requestMirror', ExtensionRef: 'extensionRef' } as const

const httpFilter = z
  .strictObject({
    type: z.enum(['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'RequestRedirect', 'URLRewrite', 'ExtensionRef', 'CORS', 'ExternalAuth']).describe('What it does.'),
    ...shared,
    requestRedirect: redirect.optional().describe('Answers with a redirect.'),
    urlRewrite: rewrite.optional().describe('Changes what the backend sees.'),
    cors: cors.optional().describe('Answers cross-origin preflights.'),
    externalAuth: externalAuth.optional().describe('Asks an authorizer.'),
  })
  .superRefine(judged((value) => filterComplaints(value, HTTP_FILTERS)))

const grpcFilter = z
  .strictObject({ type: z.enum(['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'ExtensionRef']).describe('What it does.'), ...shared })
  .superRefine(judged((value) => filterComplaints(value, GRPC_FILTERS)))

function* filterComplaints(value: { type: string }, members: Readonly<Record<string, string>>): Iterable<Complaint> {
  for (const [type, member] of Object.entries(members)) {
    const there = Object.hasOwn(value, member) && (value as Record<string, unknown>)[member] !== undefined
    if (type === value.type && !there) yield { at: [member], code: 'object.field-required', rule: `needed for type ${type}` }
    if (type !== value.type && there) yield { at: [member], code: 'object.field-conflict', rule: `not for type ${value.type}` }
  }
}

const REPEATABLE = ['RequestMirror', 'ExtensionRef', 'ExternalAuth']

function* listComplaints(filters: readonly { type: string }[]): Iterable<Complaint> {
  const seen = new Set<string>()
  for (const [index, { type }] of filters.entries()) {
    if (seen.has(type) && !REPEATABLE.includes(type)) yield { at: [index, 'type'], value: type, code: 'object.field-conflict', rule: 'once in a list of filters' }
    seen.add(type)
  }
  if (seen.has('RequestRedirect') && seen.has('URLRewrite')) yield { code: 'object.field-conflict', rule: 'RequestRedirect or URLRewrite, not both' }
}

export const httpFilters = z.array(httpFilter).max(16).superRefine(judged(listComplaints)).optional().describe('What is done with requests, in order.')
export const grpcFilters = z.array(grpcFilter).max(16).superRefine(judged(listComplaints)).optional().describe('What is done with requests, in order.')
export type HttpFilter = z.infer<typeof httpFilter>
