import { z } from 'zod'
import { judged, text, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { fault, warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isCidr, isIp } from './address.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, whereComplaints, whereFields } from './selector.ts'

const source = z
  .strictObject({
    principals: texts().optional().describe('Identities from the peer’s certificate, TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT.'),
    notPrincipals: texts().optional().describe('Identities that do not match.'),
    requestPrincipals: texts().optional().describe('ISSUER/SUBJECT of a valid token.'),
    notRequestPrincipals: texts().optional().describe('ISSUER/SUBJECT that does not match.'),
    namespaces: texts().optional().describe('Namespaces from the peer’s certificate.'),
    notNamespaces: texts().optional().describe('Namespaces that do not match.'),
    serviceAccounts: z.array(z.string().max(320)).max(16).optional().describe('Service accounts, [NAMESPACE/]NAME.'),
    notServiceAccounts: z.array(z.string().max(320)).max(16).optional().describe('Service accounts that do not match.'),
    trustDomains: texts().optional().describe('Trust domains from the peer’s certificate.'),
    notTrustDomains: texts().optional().describe('Trust domains that do not match.'),
    ipBlocks: texts().optional().describe('Addresses or blocks of the peer of the connection.'),
    notIpBlocks: texts().optional().describe('Addresses or blocks that do not match.'),
    remoteIpBlocks: texts().optional().describe('Addresses or blocks of the original client (X-Forwarded-For, PROXY protocol).'),
    notRemoteIpBlocks: texts().optional().describe('Addresses or blocks that do not match.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* emptyEntries(value)
      for (const field of ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const) {
        for (const [index, block] of (value[field] ?? []).entries()) if (!isIp(block) && !isCidr(block)) yield { at: [field, index], value: block, rule: 'an IP address or a block such as 10.0.0.0/8' }
      }
      for (const field of ['trustDomains', 'notTrustDomains'] as const) {
        for (const [index, domain] of (value[field] ?? []).entries()) if (!isTrustDomainPattern(domain)) yield { at: [field, index], value: domain, rule: 'a trust domain, with one * at its start or end at most' }
      }
      for (const field of ['serviceAccounts', 'notServiceAccounts'] as const) {
        for (const [index, account] of (value[field] ?? []).entries()) if (!isServiceAccount(account)) yield { at: [field, index], value: account, rule: '[NAMESPACE/]NAME' }
      }
      const accounts = (['serviceAccounts', 'notServiceAccounts'] as const).find((field) => value[field] !== undefined)
      if (accounts === undefined) return
      for (const field of ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const) if (value[field] !== undefined) yield { at: [accounts], code: 'object.field-conflict', rule: `not together with ${field}` }
    }),
  )
export type Source = z.infer<typeof source>

const isServiceAccount = (text: string): boolean => !text.includes('*') && text.split('/').length <= 2 && !text.split('/').includes('')

const isWildcard = (text: string): boolean => /^(\*?[^*]*|[^*]*\*)$/.test(text)
const isTrustDomainPattern = (text: string): boolean => isWildcard(text) && !text.includes('/')
/** Nothing that could match is named: an empty list is one that is left out. */
const isEmpty = (lists: Readonly<Record<string, unknown>>): boolean => Object.values(lists).every((one) => Array.isArray(one) && one.length === 0)

const operation = z
  .strictObject({
    hosts: texts().optional().describe('Hosts, without regard to case.'),
    notHosts: texts().optional().describe('Hosts that do not match.'),
    ports: texts().optional().describe('Ports of the workload.'),
    notPorts: texts().optional().describe('Ports that do not match.'),
    methods: texts().optional().describe('HTTP methods.'),
    notMethods: texts().optional().describe('HTTP methods that do not match.'),
    paths: texts().optional().describe('Paths; a * at the start or end, or a template with {*} and {**}.'),
    notPaths: texts().optional().describe('Paths that do not match.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (isEmpty(value)) yield { code: 'object.field-required', rule: 'an operation names something' }
      yield* emptyEntries(value)
      for (const field of ['ports', 'notPorts'] as const) {
        for (const [index, port] of (value[field] ?? []).entries()) if (!isPort(port)) yield { at: [field, index], value: port, rule: 'a port, 0..65535' }
      }
      for (const field of ['paths', 'notPaths'] as const) {
        for (const [index, path] of (value[field] ?? []).entries()) {
          const complaint = pathTemplateComplaint(path)
          if (complaint !== undefined) yield { at: [field, index], value: path, rule: complaint }
        }
      }
    }),
  )
export type Operation = z.infer<typeof operation>

/** 0 is a port that nobody listens on: it matches nothing, and is no fault. */
const isPort = (text: string): boolean => /^\d+$/.test(text) && Number(text) <= 65535

// istio.io/latest/docs/reference/config/security/authorization-policy/#Operation: {*} is one segment, {**} the rest, once.
function pathTemplateComplaint(path: string): string | undefined {
  const isTemplate = path.includes('{*}') || path.includes('{**}')
  let deep = false
  for (const segment of path.replace(/^\/+|\/+$/g, '').split('/')) {
    if (segment === '{*}' || segment === '{**}') {
      if (deep) return 'nothing but text after {**}'
      deep = segment === '{**}'
    } else if (/[{}]/.test(segment)) return '{*} or {**} as a whole segment'
    else if (isTemplate && !/^[a-zA-Z0-9-._~%!$&'()+,;:@=]+$/.test(segment)) return 'a template of {*}, {**} and text that a path may hold'
  }
  return undefined
}

const condition = z
  .strictObject({
    key: text().describe('An attribute: source.ip, request.headers[NAME], request.auth.claims[NAME], connection.sni and others.'),
    values: texts().optional().describe('Values, one of which must match.'),
    notValues: texts().optional().describe('Values, none of which may match.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.key === '') yield { at: ['key'], code: 'object.field-required', rule: 'the name of an attribute' }
      else if (!isAttribute(value.key)) yield { at: ['key'], value: value.key, rule: 'an attribute that Istio knows, such as source.ip or request.headers[NAME]' }
      if (!value.values?.length && !value.notValues?.length) yield { code: 'object.field-required', rule: 'values, notValues, or both' }
      yield* emptyEntries({ values: value.values, notValues: value.notValues })
      for (const field of ['values', 'notValues'] as const) {
        for (const [index, one] of (value[field] ?? []).entries()) {
          if (['source.ip', 'remote.ip', 'destination.ip'].includes(value.key) && !isIp(one) && !isCidr(one)) yield { at: [field, index], value: one, rule: 'an IP address or a block such as 10.0.0.0/8' }
          if (value.key === 'destination.port' && !isPort(one)) yield { at: [field, index], value: one, rule: 'a port, 0..65535' }
          if (value.key === 'source.serviceAccount' && !isServiceAccount(one)) yield { at: [field, index], value: one, rule: '[NAMESPACE/]NAME' }
          if (value.key === 'source.trustDomain' && !isWildcard(one)) yield { at: [field, index], value: one, rule: 'a trust domain, with one * at its start or end at most' }
        }
      }
    }),
  )

const ATTRIBUTES = ['source.ip', 'remote.ip', 'source.namespace', 'source.principal', 'source.serviceAccount', 'source.trustDomain', 'request.auth.principal', 'request.auth.audiences', 'request.auth.presenter', 'destination.ip', 'destination.port', 'connection.sni']

function isAttribute(key: string): boolean {
  if (ATTRIBUTES.includes(key)) return true
  return /^(request\.headers|request\.auth\.claims|experimental\.)[^[]*\[.+\]$/.test(key)
}

function* emptyEntries(lists: { readonly [field: string]: readonly string[] | undefined }): Iterable<Complaint> {
  for (const [field, values] of Object.entries(lists)) {
    for (const [index, value] of (values ?? []).entries()) if (value === '') yield { at: [field, index], rule: 'a value that is not empty' }
  }
}

const authorizationRule = z
  .strictObject({
    from: z
      .array(z.strictObject({ source: source.describe('The peer. All that is named must match.') }))
      .max(512)
      .optional()
      .describe('Peers, one of which must match; any by default.'),
    to: z
      .array(z.strictObject({ operation: operation.describe('The request. All that is named must match.') }))
      .optional()
      .describe('Requests, one of which must match; any by default.'),
    when: z.array(condition).optional().describe('Further conditions, all of which must hold.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const [index, one] of (value.from ?? []).entries()) if (isEmpty(one.source)) yield { at: ['from', index, 'source'], code: 'object.field-required', rule: 'a source names something' }
    }),
  )
export type AuthorizationRule = z.infer<typeof authorizationRule>

const authorizationPolicySpec = z
  .strictObject({
    ...whereFields,
    rules: z.array(authorizationRule).max(512).optional().describe('Rules, one of which must match. None: the policy matches nothing, so ALLOW denies all.'),
    action: z.enum(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']).optional().describe('What becomes of a request that matches; ALLOW by default.'),
    provider: z.strictObject({ name: text().optional().describe('The external authorizer, from the mesh settings.') }).optional().describe('For action CUSTOM.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* whereComplaints(value)
      const action = value.action ?? 'ALLOW'
      if (action === 'CUSTOM') {
        if (!value.provider?.name) yield { at: ['provider', 'name'], code: 'object.field-required', rule: 'needed for action CUSTOM' }
        yield* customComplaints(value.rules ?? [])
        if (!value.rules?.length) yield { at: ['rules'], code: 'object.field-required', rule: 'needed for action CUSTOM: without rules nothing is asked about' }
      } else if (value.provider !== undefined) yield { at: ['provider'], code: 'object.field-conflict', rule: `only for action CUSTOM, and this is ${action}` }
      if (action === 'DENY' && !value.rules?.length) yield { at: ['rules'], code: 'object.field-required', rule: 'needed for action DENY: without rules it would do nothing' }
    }),
  )
export type AuthorizationPolicySpec = z.infer<typeof authorizationPolicySpec>
type AuthorizationPolicy = ResourceObject & { readonly spec?: AuthorizationPolicySpec | undefined }

// The external authorizer is asked before identity and token are judged, so a CUSTOM rule cannot hang on them.
function* customComplaints(rules: readonly AuthorizationRule[]): Iterable<Complaint> {
  const fields = ['namespaces', 'notNamespaces', 'principals', 'notPrincipals', 'requestPrincipals', 'notRequestPrincipals', 'serviceAccounts', 'notServiceAccounts', 'trustDomains', 'notTrustDomains'] as const
  for (const [index, rule] of rules.entries()) {
    for (const [at, one] of (rule.from ?? []).entries()) {
      for (const field of fields) if (one.source[field]?.length) yield { at: ['rules', index, 'from', at, 'source', field], code: 'object.field-conflict', rule: 'not for action CUSTOM' }
    }
    for (const [at, one] of (rule.when ?? []).entries()) {
      if (/^(source\.(namespace|principal|serviceAccount|trustDomain)|request\.auth\.)/.test(one.key)) yield { at: ['rules', index, 'when', at, 'key'], value: one.key, code: 'object.field-conflict', rule: 'not for action CUSTOM' }
    }
  }
}

const CONNECTION_FIELDS = ['principals', 'notPrincipals', 'ipBlocks', 'notIpBlocks', 'namespaces', 'notNamespaces', 'remoteIpBlocks', 'notRemoteIpBlocks', 'serviceAccounts', 'notServiceAccounts'] as const

/** A rule that says nothing of connections: where there are no requests, all that is left of it matches. */
function deniesAllBytes({ from = [], to = [] }: AuthorizationRule): boolean {
  if (to.length > 0) return !to.some(({ operation }) => operation.ports?.length || operation.notPorts?.length)
  return from.length > 0 && !from.some(({ source }) => CONNECTION_FIELDS.some((field) => source[field]?.length))
}

function check(object: AuthorizationPolicy): Fault[] {
  const faults = emptySelectorWarnings(object.spec?.selector, 'spec.selector')
  if (object.spec?.action === 'DENY') {
    for (const [index, rule] of (object.spec.rules ?? []).entries()) {
      if (deniesAllBytes(rule)) faults.push(warning('object.field-range', { path: `spec.rules[${index}]`, rule: 'denies all TCP traffic of its workloads: what it names is known of requests alone', hint: 'name the ports that it is meant for' }))
    }
  }
  const dryRun = object.metadata.annotations?.['istio.io/dry-run']
  if (dryRun === undefined) return faults
  const path = 'metadata.annotations["istio.io/dry-run"]'
  if (!/^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(dryRun)) faults.push(fault('object.field-range', { path, value: dryRun, rule: 'true or false' }))
  else if (!['ALLOW', 'DENY'].includes(object.spec?.action ?? 'ALLOW')) faults.push(fault('object.field-conflict', { path, value: dryRun, rule: 'only for ALLOW and DENY' }))
  return faults
}

export const authorizationPolicy: ResourceKind<{ spec?: AuthorizationPolicySpec | undefined }> = {
  group: 'security.istio.io',
  versions: ['v1', 'v1beta1'],
  kind: 'AuthorizationPolicy',
  plural: 'authorizationpolicies',
  singular: 'authorizationpolicy',
  shortNames: ['ap'],
  categories: ['istio-io', 'security-istio-io'],
  namespaced: true,
  description: 'Who may do what on workloads: CUSTOM is asked first, then DENY, then ALLOW.',
  fields: z.strictObject({ spec: authorizationPolicySpec.optional().describe('The policy.') }),
  check,
  secretFields: [],
  printerColumns: [{ name: 'Action', type: 'string', jsonPath: '.spec.action' }],
  example: {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'payment', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'payment' } },
      rules: [{ from: [{ source: { principals: ['cluster.local/ns/default/sa/order'] } }], to: [{ operation: { methods: ['POST'], paths: ['/api/pay'] } }] }],
    },
  },
}
