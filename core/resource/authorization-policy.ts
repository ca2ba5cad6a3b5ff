import { z } from 'zod'
import { judged, text, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { fault } from '../fault/fault.ts'
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
      const accounts = (['serviceAccounts', 'notServiceAccounts'] as const).find((field) => value[field] !== undefined)
      if (accounts === undefined) return
      for (const field of ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const) if (value[field] !== undefined) yield { at: [accounts], code: 'object.field-conflict', rule: `not together with ${field}` }
      for (const field of ['serviceAccounts', 'notServiceAccounts'] as const) {
        for (const [index, account] of (value[field] ?? []).entries()) if (account.split('/').length > 2 || account.split('/').includes('')) yield { at: [field, index], value: account, rule: '[NAMESPACE/]NAME' }
      }
    }),
  )
export type Source = z.infer<typeof source>

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
      if (Object.keys(value).length === 0) yield { code: 'object.field-required', rule: 'an operation names something' }
      yield* emptyEntries(value)
      for (const field of ['ports', 'notPorts'] as const) {
        for (const [index, port] of (value[field] ?? []).entries()) if (!/^\d{1,5}$/.test(port) || Number(port) > 65535 || Number(port) < 1) yield { at: [field, index], value: port, rule: 'a port, 1..65535' }
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

// istio.io/latest/docs/reference/config/security/authorization-policy/#Operation: {*} is one segment, {**} the rest, once.
function pathTemplateComplaint(path: string): string | undefined {
  if (!path.includes('{*}') && !path.includes('{**}')) return undefined
  if (path.startsWith('*') || path.endsWith('*')) return 'either * at an end, or a template with {*} and {**}'
  const segments = path.split('/').slice(1)
  let deep = false
  for (const segment of segments) {
    if (segment === '{*}') {
      if (deep) return 'nothing but text after {**}'
      continue
    }
    if (segment === '{**}') {
      if (deep) return '{**} once'
      deep = true
      continue
    }
    if (segment.includes('{') || segment.includes('}')) return '{*} or {**} as a whole segment'
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
          if (value.key === 'destination.port' && (!/^\d{1,5}$/.test(one) || Number(one) < 1 || Number(one) > 65535)) yield { at: [field, index], value: one, rule: 'a port, 1..65535' }
        }
      }
    }),
  )

const ATTRIBUTES = ['source.ip', 'remote.ip', 'source.namespace', 'source.principal', 'source.serviceAccount', 'source.trustDomain', 'request.auth.principal', 'request.auth.audiences', 'request.auth.presenter', 'destination.ip', 'destination.port', 'connection.sni']

function isAttribute(key: string): boolean {
  if (ATTRIBUTES.includes(key)) return true
  return /^request\.headers\[[^\]]+\]$/.test(key) || /^request\.auth\.claims(\[[^\]]+\])+$/.test(key) || /^experimental\.envoy\.filters\..+$/.test(key)
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
      for (const field of ['from', 'to'] as const) if (value[field]?.length === 0) yield { at: [field], code: 'object.field-required', rule: 'left out, or at least one entry' }
      for (const [index, one] of (value.from ?? []).entries()) if (Object.keys(one.source).length === 0) yield { at: ['from', index, 'source'], code: 'object.field-required', rule: 'a source names something' }
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
        if (value.rules === undefined) yield { at: ['rules'], code: 'object.field-required', rule: 'needed for action CUSTOM' }
      } else if (value.provider !== undefined) yield { at: ['provider'], code: 'object.field-conflict', rule: `only for action CUSTOM, and this is ${action}` }
      if (action === 'DENY' && value.rules === undefined) yield { at: ['rules'], code: 'object.field-required', rule: 'needed for action DENY: without rules it would do nothing' }
    }),
  )
export type AuthorizationPolicySpec = z.infer<typeof authorizationPolicySpec>
type AuthorizationPolicy = ResourceObject & { readonly spec?: AuthorizationPolicySpec | undefined }

// The external authorizer is asked before identity and token are judged, so a CUSTOM rule cannot hang on them.
function* customComplaints(rules: readonly AuthorizationRule[]): Iterable<Complaint> {
  const fields = ['namespaces', 'notNamespaces', 'principals', 'notPrincipals', 'requestPrincipals', 'notRequestPrincipals', 'serviceAccounts', 'notServiceAccounts', 'trustDomains', 'notTrustDomains'] as const
  for (const [index, rule] of rules.entries()) {
    for (const [at, one] of (rule.from ?? []).entries()) {
      for (const field of fields) if (one.source[field] !== undefined) yield { at: ['rules', index, 'from', at, 'source', field], code: 'object.field-conflict', rule: 'not for action CUSTOM' }
    }
    for (const [at, one] of (rule.when ?? []).entries()) {
      if (/^(source\.(namespace|principal|serviceAccount|trustDomain)|request\.auth\.)/.test(one.key)) yield { at: ['rules', index, 'when', at, 'key'], value: one.key, code: 'object.field-conflict', rule: 'not for action CUSTOM' }
    }
  }
}

function check(object: AuthorizationPolicy): Fault[] {
  const faults = emptySelectorWarnings(object.spec?.selector, 'spec.selector')
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
