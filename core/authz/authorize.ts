import type { Origin } from '../plan/origin.ts'
import type { RbacPlan, RbacPolicyPlan } from '../plan/rbac.ts'
import type { PeerInfo, RequestHead } from '../route/request.ts'

export type AuthzDecision =
  /** `shadowDenied`: the policy that would have denied, were its filter enforced. */
  | { readonly allowed: true; readonly shadowDenied?: string }
  /** `policy` is its name, or 'no policy matched'; the origin is then that of the first ALLOW policy that stood in the way. */
  | { readonly allowed: false; readonly policy: string; readonly origin: Origin | undefined; readonly why: string }

/** Told of every policy tried; absent while serving. */
export type AuthzNote = (filter: RbacPlan, policy: RbacPolicyPlan, permission: boolean, principal: boolean) => void

export const NO_POLICY_MATCHED = 'no policy matched'

const ALLOWED: AuthzDecision = { allowed: true }

/**
 * Whether a request (undefined: a TCP connection) may pass all RBAC filters, in their order (envoy.config.rbac.v3.RBAC):
 * an `allow` filter needs one policy that matches, so without policies it denies all; a `deny` filter needs none that does; a `log` filter lets pass.
 * A policy matches when its permission and its principal do.
 */
export function authorize(policies: readonly RbacPlan[], request: RequestHead | undefined, peer: PeerInfo, note?: AuthzNote): AuthzDecision {
  let shadowDenied: string | undefined
  for (let at = 0; at < policies.length; at++) {
    const filter = policies[at]
    if (filter === undefined || filter.action === 'log') continue
    const matched = firstMatch(filter, request, peer, note)
    if ((filter.action === 'allow') === (matched !== undefined)) continue
    if (filter.shadow) shadowDenied ??= matched?.name ?? NO_POLICY_MATCHED
    else return denial(filter, matched)
  }
  return shadowDenied === undefined ? ALLOWED : { allowed: true, shadowDenied }
}

function firstMatch(filter: RbacPlan, request: RequestHead | undefined, peer: PeerInfo, note: AuthzNote | undefined): RbacPolicyPlan | undefined {
  const { policies } = filter
  for (let at = 0; at < policies.length; at++) {
    const policy = policies[at]
    if (policy === undefined) break
    const permission = policy.permission.matches(request, peer)
    if (note !== undefined) note(filter, policy, permission, policy.principal.matches(request, peer))
    if (permission && policy.principal.matches(request, peer)) return policy
  }
  return undefined
}

function denial(filter: RbacPlan, matched: RbacPolicyPlan | undefined): AuthzDecision {
  if (matched !== undefined) {
    return { allowed: false, policy: matched.name, origin: matched.origin, why: `${matched.permission.words} and ${matched.principal.words}` }
  }
  const { policies } = filter
  const why = policies.length === 0 ? 'the filter allows nothing' : `none of ${policies.length} allow ${policies.length === 1 ? 'policy' : 'policies'} matched`
  return { allowed: false, policy: NO_POLICY_MATCHED, origin: policies[0]?.origin, why }
}
