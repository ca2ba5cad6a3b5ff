import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { AuthorizationRule } from '#core/resource/authorization-policy.ts'
import { PolicySchema, RBAC_Action as RbacAction, RBACSchema } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import type { Permission, Policy, Principal, RBAC } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import { RBACSchema as HttpRbacSchema } from '#core/wire/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import type { FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { RBACSchema as NetworkRbacSchema } from '#core/wire/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import { httpFilter } from './http-connection.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { anyOf } from './message.ts'
import { allPermissions, anyPermission, eitherPermission, neitherPermission, notPermission, operationParts, permissionCondition } from './rbac-permission.ts'
import { allPrincipals, eitherPrincipal, neitherPrincipal, nobody, principalCondition, sourceParts } from './rbac-principal.ts'
import type { PrincipalContext } from './rbac-principal.ts'

/** What one AuthorizationPolicy says, and what it is called. */
export interface ScopedPolicy {
  readonly name: string
  readonly namespace: string
  readonly action: 'AUDIT' | 'DENY' | 'ALLOW' | 'CUSTOM'
  readonly rules: readonly AuthorizationRule[]
  /** Only logged (annotation istio.io/dry-run). */
  readonly dryRun: boolean
  /** The external authorizer of a CUSTOM policy. */
  readonly provider: string
}

/** In Istio's order: what is audited, then what is denied, then what is allowed. */
const ACTIONS = [
  { action: 'AUDIT', wire: RbacAction.LOG },
  { action: 'DENY', wire: RbacAction.DENY },
  { action: 'ALLOW', wire: RbacAction.ALLOW },
] as const

/** What rules are judged by: requests, or connections, which have no more than their addresses and certificates. */
export type Judged = 'requests' | 'connections'

/** RBAC filters for requests. No ALLOW policy: everything that is not denied is allowed. */
export const rbacFilters = (policies: readonly ScopedPolicy[], trustDomains: readonly string[]): HttpFilterInit[] =>
  [...rulesByAction(policies, trustDomains, 'requests')].map((rules) => httpFilter('envoy.filters.http.rbac', anyOf(HttpRbacSchema, rules)))

/** The same for connections. */
export const networkRbacFilters = (policies: readonly ScopedPolicy[], trustDomains: readonly string[]): MessageInitShape<typeof FilterSchema>[] =>
  [...rulesByAction(policies, trustDomains, 'connections')].map((rules) => networkRbac({ statPrefix: 'tcp.', ...rules }))

export const networkRbac = (rules: MessageInitShape<typeof NetworkRbacSchema>): MessageInitShape<typeof FilterSchema> => ({
  name: 'envoy.filters.network.rbac',
  configType: { case: 'typedConfig', value: anyOf(NetworkRbacSchema, rules) },
})

function* rulesByAction(policies: readonly ScopedPolicy[], trustDomains: readonly string[], judged: Judged) {
  for (const { action, wire } of ACTIONS) {
    const of = policies.filter((one) => one.action === action)
    const live = of.filter((one) => !one.dryRun)
    const shadow = of.filter((one) => one.dryRun)
    if (of.length === 0) continue
    yield {
      ...(live.length === 0 ? {} : { rules: translatePolicies(wire, live, trustDomains, judged) }),
      ...(shadow.length === 0 ? {} : { shadowRules: translatePolicies(wire, shadow, trustDomains, judged), shadowRulesStatPrefix: `istio_dry_run_${action.toLowerCase()}_` }),
    }
  }
}

const ruleName = (policy: ScopedPolicy, index: number): string => `ns[${policy.namespace}]-policy[${policy.name}]-rule[${index}]`

/** Policies of one action as Envoy's RBAC; `name` tells what a rule is called. */
export function translatePolicies(action: RbacAction, policies: readonly ScopedPolicy[], trustDomains: readonly string[], judged: Judged, name = ruleName): RBAC {
  const translated: Record<string, Policy> = {}
  for (const policy of policies) {
    const context: PrincipalContext = { namespace: policy.namespace, trustDomains }
    for (const [index, rule] of policy.rules.entries()) {
      const enforceable = judged === 'requests' ? rule : connectionRule(rule, action === RbacAction.ALLOW)
      translated[name(policy, index)] = enforceable === undefined ? matchesNothing() : translateRule(enforceable, context, action === RbacAction.ALLOW)
    }
    // A policy without rules, or with one that connections cannot be judged by, matches nothing: an ALLOW one then denies all, which an empty RBAC would too, but this way the log names it.
    if (policy.rules.length === 0) translated[name(policy, 0)] = matchesNothing()
  }
  return create(RBACSchema, { action, policies: translated })
}

const matchesNothing = (): Policy => create(PolicySchema, { permissions: [notPermission(anyPermission())], principals: [nobody()] })

/** A rule holds when one source, one operation and all conditions do. */
function translateRule(rule: AuthorizationRule, context: PrincipalContext, allows: boolean): Policy {
  const conditions = (rule.when ?? []).map((one) => translateCondition(one, context))
  // What cannot be judged must not let anything through, nor hold back a denial: such a rule never allows, and of a denial the rest counts.
  if (allows && conditions.includes(undefined)) return matchesNothing()
  const operations = rule.to === undefined || rule.to.length === 0 ? [undefined] : rule.to.map((one) => one.operation)
  const sources = rule.from === undefined || rule.from.length === 0 ? [undefined] : rule.from.map((one) => one.source)
  return create(PolicySchema, {
    permissions: operations.map((operation) => allPermissions([...operationParts(operation), ...conditions.flatMap((one) => one?.permissions ?? [])])),
    principals: sources.map((source) => allPrincipals([...sourceParts(source, context), ...conditions.flatMap((one) => one?.principals ?? [])])),
  })
}

/** Where a condition looks decides on which side of the policy it stands; undefined: nobody knows its key. */
function translateCondition({ key, values, notValues }: NonNullable<AuthorizationRule['when']>[number], context: PrincipalContext): { permissions: Permission[]; principals: Principal[] } | undefined {
  const makePrincipal = principalCondition(key, context)
  if (makePrincipal !== undefined) return { permissions: [], principals: [...eitherPrincipal(values, makePrincipal), ...neitherPrincipal(notValues, makePrincipal)] }
  const makePermission = permissionCondition(key)
  return makePermission && { permissions: [...eitherPermission(values, makePermission), ...neitherPermission(notValues, makePermission)], principals: [] }
}

const HTTP_OPERATION: readonly string[] = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths']
const HTTP_SOURCE: readonly string[] = ['requestPrincipals', 'notRequestPrincipals']

/** What of a rule only a request has, by its path in the rule: `to[0].operation.methods`. */
export function* requestOnlyFields(rule: AuthorizationRule): Iterable<string> {
  for (const [index, one] of (rule.to ?? []).entries()) yield* namedIn(one.operation, HTTP_OPERATION, `to[${index}].operation`)
  for (const [index, one] of (rule.from ?? []).entries()) yield* namedIn(one.source, HTTP_SOURCE, `from[${index}].source`)
  for (const [index, one] of (rule.when ?? []).entries()) if (one.key.startsWith('request.')) yield `when[${index}]`
}

function* namedIn(of: object | undefined, names: readonly string[], path: string): Iterable<string> {
  for (const [name, value] of Object.entries(of ?? {})) if (names.includes(name) && value !== undefined) yield `${path}.${name}`
}

/**
 * A rule as connections can be judged by it: one that allows and asks for what only a request has cannot hold (undefined), and of others only the rest counts, so that neither lets more through.
 * istio.io/latest/docs/tasks/security/authorization/authz-tcp
 */
function connectionRule(rule: AuthorizationRule, allows: boolean): AuthorizationRule | undefined {
  const lost = [...requestOnlyFields(rule)].length > 0
  if (!lost) return rule
  if (allows) return undefined
  return {
    to: (rule.to ?? []).map((one) => ({ operation: without(one.operation ?? {}, HTTP_OPERATION) })),
    from: (rule.from ?? []).map((one) => ({ source: without(one.source ?? {}, HTTP_SOURCE) })),
    when: (rule.when ?? []).filter((one) => !one.key.startsWith('request.')),
  }
}

const without = <T extends object>(of: T, names: readonly string[]): T => Object.fromEntries(Object.entries(of).filter(([name]) => !names.includes(name))) as T
