import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { MeshReader, Typed } from '#api/model/mesh-reader.ts'
import { selects } from '#api/model/labels.ts'
import type { Labels } from '#api/model/labels.ts'
import type { AuthorizationPolicySpec, AuthorizationRule, Operation as AuthorizationOperation, Source as AuthorizationSource } from '#core/resource/authorization-policy.ts'
import { PermissionSchema, PolicySchema, PrincipalSchema, RBAC_Action as RbacAction, RBACSchema } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import type { Permission, Policy, Principal, RBAC } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import { RBACSchema as HttpRbacSchema } from '#core/wire/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import type { FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { RBACSchema as NetworkRbacSchema } from '#core/wire/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import { ValueMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/value_pb.ts'
import type { StringMatcher } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { httpFilter } from './http-connection.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { anyOf, endingWith, escapeRegex, exactly, matchingRegex, startingWith } from './message.ts'
import { pathTemplateRegex } from './path-template.ts'

type Action = 'AUDIT' | 'DENY' | 'ALLOW'

/** What one policy says, and what it is called. */
export interface ScopedPolicy {
  readonly name: string
  readonly namespace: string
  readonly action: Action | 'CUSTOM'
  readonly rules: readonly AuthorizationRule[]
  /** Only logged (annotation istio.io/dry-run). */
  readonly dryRun: boolean
}

/** The policies that select a workload: those of the root namespace and of its own, in order of name. */
export function policiesFor(reader: MeshReader, namespace: string, labels: Labels): ScopedPolicy[] {
  const wide = namespace === reader.rootNamespace ? [] : reader.authorizationPolicies(reader.rootNamespace)
  return [...wide, ...reader.authorizationPolicies(namespace)]
    .filter((one) => selects(one.spec.selector?.matchLabels, labels))
    .map(scopedPolicy)
    .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1))
}

const scopedPolicy = ({ name, namespace, spec, stored }: Typed<AuthorizationPolicySpec>): ScopedPolicy => ({
  name,
  namespace,
  action: spec.action ?? 'ALLOW',
  rules: spec.rules ?? [],
  dryRun: stored.object.metadata.annotations?.['istio.io/dry-run'] === 'true',
})

/** RBAC filters in Istio's order: what is audited, then what is denied, then what is allowed. No ALLOW policy: everything else is allowed. */
export function rbacFilters(policies: readonly ScopedPolicy[]): HttpFilterInit[] {
  const filters: HttpFilterInit[] = []
  for (const action of ['AUDIT', 'DENY', 'ALLOW'] as const) {
    const of = policies.filter((one) => one.action === action)
    const live = of.filter((one) => !one.dryRun)
    const shadow = of.filter((one) => one.dryRun)
    if (of.length === 0) continue
    filters.push(
      httpFilter(
        'envoy.filters.http.rbac',
        anyOf(HttpRbacSchema, {
          ...(live.length === 0 ? {} : { rules: translatePolicies(action, live) }),
          ...(shadow.length === 0 ? {} : { shadowRules: translatePolicies(action, shadow), shadowRulesStatPrefix: `istio_dry_run_${action.toLowerCase()}_` }),
        }),
      ),
    )
  }
  return filters
}

/** The same for connections: an ALLOW rule that asks for what only HTTP has cannot hold, and of a DENY rule only the rest counts, so that neither lets more through. As in Istio. */
export function networkRbacFilters(policies: readonly ScopedPolicy[]): MessageInitShape<typeof FilterSchema>[] {
  const filters: MessageInitShape<typeof FilterSchema>[] = []
  for (const action of ['AUDIT', 'DENY', 'ALLOW'] as const) {
    const live = policies.filter((one) => one.action === action && !one.dryRun)
    if (live.length === 0) continue
    const narrowed = live.map((one) => ({ ...one, rules: one.rules.flatMap((rule) => connectionRule(rule, action === 'ALLOW') ?? []) }))
    filters.push({ name: 'envoy.filters.network.rbac', configType: { case: 'typedConfig', value: anyOf(NetworkRbacSchema, { statPrefix: 'tcp.', rules: translatePolicies(action, narrowed) }) } })
  }
  return filters
}

const HTTP_OPERATION = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const
const HTTP_SOURCE = ['requestPrincipals', 'notRequestPrincipals', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const

function connectionRule(rule: AuthorizationRule, all: boolean): AuthorizationRule | undefined {
  const to = (rule.to ?? []).map((one) => ({ operation: without(one.operation ?? {}, HTTP_OPERATION) }))
  const from = (rule.from ?? []).map((one) => ({ source: without(one.source ?? {}, HTTP_SOURCE) }))
  const when = (rule.when ?? []).filter((one) => !one.key.startsWith('request.') && one.key !== 'remote.ip')
  const lost = when.length !== (rule.when ?? []).length || (rule.to ?? []).some((one) => has(one.operation, HTTP_OPERATION)) || (rule.from ?? []).some((one) => has(one.source, HTTP_SOURCE))
  return all && lost ? undefined : { to, from, when }
}

const has = (of: object | undefined, names: readonly string[]): boolean => Object.entries(of ?? {}).some(([name, value]) => names.includes(name) && value !== undefined)
const without = <T extends object>(of: T, names: readonly string[]): T => Object.fromEntries(Object.entries(of).filter(([name]) => !names.includes(name))) as T

const ACTIONS = { AUDIT: RbacAction.LOG, DENY: RbacAction.DENY, ALLOW: RbacAction.ALLOW }

export function translatePolicies(action: Action, policies: readonly ScopedPolicy[]): RBAC {
  const translated: Record<string, Policy> = {}
  for (const policy of policies) {
    const name = (index: number): string => `ns[${policy.namespace}]-policy[${policy.name}]-rule[${index}]`
    for (const [index, rule] of policy.rules.entries()) translated[name(index)] = translateRule(rule, policy.namespace)
    // A policy without rules matches nothing: an ALLOW one then denies all, which an empty RBAC would too, but this way the log names it.
    if (policy.rules.length === 0) translated[name(0)] = create(PolicySchema, { permissions: [never(anyPermission())], principals: [neverPrincipal()] })
  }
  return create(RBACSchema, { action: ACTIONS[action], policies: translated })
}

/** A rule of a policy in `namespace` holds when one source, one operation and all conditions do. */
function translateRule(rule: AuthorizationRule, namespace: string): Policy {
  const conditions = (rule.when ?? []).map((one) => translateCondition(one, namespace))
  const operations = rule.to === undefined || rule.to.length === 0 ? [undefined] : rule.to.map((one) => one.operation)
  const sources = rule.from === undefined || rule.from.length === 0 ? [undefined] : rule.from.map((one) => one.source)
  return create(PolicySchema, {
    permissions: operations.map((operation) => allPermissions([...operationParts(operation), ...conditions.flatMap((one) => one.permissions)])),
    principals: sources.map((source) => allPrincipals([...sourceParts(source, namespace), ...conditions.flatMap((one) => one.principals)])),
  })
}

// ---- operations

function operationParts(operation: AuthorizationOperation | undefined): Permission[] {
  if (operation === undefined) return []
  const { hosts, notHosts, ports, notPorts, methods, notMethods, paths, notPaths } = operation
  return [
    ...either(hosts, hostPermission),
    ...neither(notHosts, hostPermission),
    ...either(methods, methodPermission),
    ...neither(notMethods, methodPermission),
    ...either(paths, pathPermission),
    ...neither(notPaths, pathPermission),
    ...either(ports, portPermission),
    ...neither(notPorts, portPermission),
  ]
}

const permission = (rule: Permission['rule']): Permission => create(PermissionSchema, { rule })
const anyPermission = (): Permission => permission({ case: 'any', value: true })
const never = (of: Permission): Permission => permission({ case: 'notRule', value: of })
const setOf = (rules: Permission[]) => ({ $typeName: 'envoy.config.rbac.v3.Permission.Set' as const, rules })
const allPermissions = (parts: Permission[]): Permission => permission({ case: 'andRules', value: setOf(parts.length === 0 ? [anyPermission()] : parts) })
const either = (values: readonly string[] | undefined, make: (value: string) => Permission): Permission[] => (values === undefined || values.length === 0 ? [] : [permission({ case: 'orRules', value: setOf(values.map(make)) })])
const neither = (values: readonly string[] | undefined, make: (value: string) => Permission): Permission[] => either(values, make).map(never)

const headerOf = (name: string, value: StringMatcher) => ({ $typeName: 'envoy.config.route.v3.HeaderMatcher' as const, name, invertMatch: false, treatMissingHeaderAsEmpty: false, headerMatchSpecifier: { case: 'stringMatch' as const, value } })
const headerPresent = (name: string) => ({ $typeName: 'envoy.config.route.v3.HeaderMatcher' as const, name, invertMatch: false, treatMissingHeaderAsEmpty: false, headerMatchSpecifier: { case: 'presentMatch' as const, value: true } })

const hostPermission = (host: string): Permission => permission({ case: 'header', value: host === '*' ? headerPresent(':authority') : headerOf(':authority', valueMatcher(host, true)) })
const methodPermission = (method: string): Permission => permission({ case: 'header', value: method === '*' ? headerPresent(':method') : headerOf(':method', valueMatcher(method)) })
const pathPermission = (path: string): Permission => permission({ case: 'urlPath', value: { $typeName: 'envoy.type.matcher.v3.PathMatcher', rule: { case: 'path', value: /\{\*{1,2}\}/.test(path) ? matchingRegex(pathTemplateRegex(path)) : valueMatcher(path) } } })
const portPermission = (port: string): Permission => permission({ case: 'destinationPort', value: Number(port) })

/** Istio's values: exact, `prefix*`, `*suffix`, or `*` for anything but the empty text. */
function valueMatcher(value: string, ignoreCase = false): StringMatcher {
  if (value === '*') return matchingRegex('.+')
  if (value.startsWith('*')) return endingWith(value.slice(1), ignoreCase)
  return value.endsWith('*') ? startingWith(value.slice(0, -1), ignoreCase) : exactly(value, ignoreCase)
}

// ---- sources

function sourceParts(source: AuthorizationSource | undefined, namespace: string): Principal[] {
  if (source === undefined) return []
  return [
    ...anyOfIds(source.principals, identity),
    ...noneOfIds(source.notPrincipals, identity),
    ...anyOfIds(source.requestPrincipals, requestPrincipal),
    ...noneOfIds(source.notRequestPrincipals, requestPrincipal),
    ...anyOfIds(source.namespaces, namespaceIdentity),
    ...noneOfIds(source.notNamespaces, namespaceIdentity),
    ...anyOfIds(source.serviceAccounts, accountIdentity(namespace)),
    ...noneOfIds(source.notServiceAccounts, accountIdentity(namespace)),
    ...anyOfIds(source.ipBlocks, directAddress),
    ...noneOfIds(source.notIpBlocks, directAddress),
    ...anyOfIds(source.remoteIpBlocks, remoteAddress),
    ...noneOfIds(source.notRemoteIpBlocks, remoteAddress),
  ]
}

const principal = (identifier: Principal['identifier']): Principal => create(PrincipalSchema, { identifier })
const anyone = (): Principal => principal({ case: 'any', value: true })
const neverPrincipal = (): Principal => principal({ case: 'notId', value: anyone() })
const idsOf = (ids: Principal[]) => ({ $typeName: 'envoy.config.rbac.v3.Principal.Set' as const, ids })
const allPrincipals = (parts: Principal[]): Principal => principal({ case: 'andIds', value: idsOf(parts.length === 0 ? [anyone()] : parts) })
const anyOfIds = (values: readonly string[] | undefined, make: (value: string) => Principal): Principal[] => (values === undefined || values.length === 0 ? [] : [principal({ case: 'orIds', value: idsOf(values.map(make)) })])
const noneOfIds = (values: readonly string[] | undefined, make: (value: string) => Principal): Principal[] => anyOfIds(values, make).map((one) => principal({ case: 'notId', value: one }))
const certified = (value: StringMatcher): Principal => principal({ case: 'authenticated', value: { $typeName: 'envoy.config.rbac.v3.Principal.Authenticated', principalName: value } })

/** `cluster.local/ns/prod/sa/a`: what a certificate proves, without its scheme. */
function identity(value: string): Principal {
  if (value === '*') return certified(matchingRegex('.+'))
  if (value.startsWith('*')) return certified(matchingRegex(`spiffe://.*${escapeRegex(value.slice(1))}`))
  return certified(value.endsWith('*') ? startingWith(`spiffe://${value.slice(0, -1)}`) : exactly(`spiffe://${value}`))
}

/** A wildcard within a namespace stands for characters of that namespace's name. */
const namespaceIdentity = (value: string): Principal => certified(matchingRegex(`.*/ns/${wildcardRegex(value)}/.*`))

/** `NAMESPACE/ACCOUNT`, or an account of the policy's own namespace. */
const accountIdentity = (own: string) => (value: string): Principal => {
  const slash = value.indexOf('/')
  const [namespace, account] = slash < 0 ? [own, value] : [value.slice(0, slash), value.slice(slash + 1)]
  return certified(matchingRegex(`spiffe://[^/]+/ns/${escapeRegex(namespace)}/sa/${escapeRegex(account)}`))
}

const wildcardRegex = (value: string): string => value.split('*').map(escapeRegex).join('[^/]*')

function cidr(block: string) {
  const [addressPrefix = '', length] = block.split('/')
  return { $typeName: 'envoy.config.core.v3.CidrRange' as const, addressPrefix, prefixLen: length === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(length) }
}
const directAddress = (block: string): Principal => principal({ case: 'directRemoteIp', value: cidr(block) })
const remoteAddress = (block: string): Principal => principal({ case: 'remoteIp', value: cidr(block) })

/** A validated token's content, as Envoy's JWT filter leaves it: one value, or one of several where a claim may be a list. */
function claim(path: readonly string[], value: StringMatcher, form: 'single' | 'or in a list' = 'single'): Principal {
  const single = create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value } })
  const listed = create(ValueMatcherSchema, { matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: single } } } })
  return principal({
    case: 'metadata',
    value: {
      $typeName: 'envoy.type.matcher.v3.MetadataMatcher',
      filter: 'envoy.filters.http.jwt_authn',
      invert: false,
      path: ['payload', ...path].map((key) => ({ $typeName: 'envoy.type.matcher.v3.MetadataMatcher.PathSegment' as const, segment: { case: 'key' as const, value: key } })),
      value: form === 'single' ? single : create(ValueMatcherSchema, { matchPattern: { case: 'orMatch', value: { valueMatchers: [single, listed] } } }),
    },
  })
}

/** `ISSUER/SUBJECT`; either side may end in the wildcard. */
function requestPrincipal(value: string): Principal {
  const slash = value.lastIndexOf('/')
  if (value === '*') return allPrincipals([claim(['iss'], matchingRegex('.+')), claim(['sub'], matchingRegex('.+'))])
  if (slash < 0) return claim(['iss'], valueMatcher(value))
  return allPrincipals([claim(['iss'], valueMatcher(value.slice(0, slash))), claim(['sub'], valueMatcher(value.slice(slash + 1)))])
}

// ---- conditions

/** Where a condition looks decides on which side of the policy it stands. */
function translateCondition({ key, values, notValues }: NonNullable<AuthorizationRule['when']>[number], namespace: string): { permissions: Permission[]; principals: Principal[] } {
  const makePrincipal = principalCondition(key, namespace)
  if (makePrincipal !== undefined) return { permissions: [], principals: [...anyOfIds(values, makePrincipal), ...noneOfIds(notValues, makePrincipal)] }
  const makePermission = permissionCondition(key)
  if (makePermission !== undefined) return { permissions: [...either(values, makePermission), ...neither(notValues, makePermission)], principals: [] }
  // What cannot be judged must not let anything through, nor hold back a denial: the rule never holds for ALLOW.
  throw new RangeError(`the condition ${key} is not known`)
}

function principalCondition(key: string, namespace: string): ((value: string) => Principal) | undefined {
  const bracketed = /^([a-z.]+)\[(.+)\]$/.exec(key)
  switch (bracketed?.[1] ?? key) {
    case 'source.ip':
      return directAddress
    case 'remote.ip':
      return remoteAddress
    case 'source.namespace':
      return namespaceIdentity
    case 'source.principal':
      return identity
    case 'source.serviceAccount':
      return accountIdentity(namespace)
    case 'request.auth.principal':
      return requestPrincipal
    case 'request.auth.audiences':
      return (value) => claim(['aud'], valueMatcher(value), 'or in a list')
    case 'request.auth.presenter':
      return (value) => claim(['azp'], valueMatcher(value))
    case 'request.auth.claims':
      return (value) => claim((bracketed?.[2] ?? '').split(']['), valueMatcher(value), 'or in a list')
    case 'request.headers':
      return (value) => principal({ case: 'header', value: value === '*' ? headerPresent(bracketed?.[2] ?? '') : headerOf(bracketed?.[2] ?? '', valueMatcher(value)) })
    default:
      return undefined
  }
}

function permissionCondition(key: string): ((value: string) => Permission) | undefined {
  switch (key) {
    case 'destination.ip':
      return (value) => permission({ case: 'destinationIp', value: cidr(value) })
    case 'destination.port':
      return portPermission
    case 'connection.sni':
      return (value) => permission({ case: 'requestedServerName', value: valueMatcher(value) })
    default:
      return undefined
  }
}
