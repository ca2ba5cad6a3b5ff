import type { Origin } from '../plan/origin.ts'
import type { RbacPlan, RbacPolicyPlan, RequestPredicate } from '../plan/rbac.ts'
import type { PeerInfo, RequestHead } from '../route/request.ts'

export type AuthzDecision =
  /** `shadowDenied`: the policy that would have denied, were its filter enforced. */
  | { readonly allowed: true; readonly shadowDenied?: string }
  /** `policy` is its name, or 'no policy matched'; the origin is then that of the first ALLOW policy that stood in the way. `why` names the conditions that decided: of a DENY policy those that held, of each ALLOW policy those that failed. */
  | { readonly allowed: false; readonly policy: string; readonly origin: Origin | undefined; readonly why: string }

export type Denial = Extract<AuthzDecision, { readonly allowed: false }>

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
    else return denial(filter, matched, request, peer)
  }
  return shadowDenied === undefined ? ALLOWED : { allowed: true, shadowDenied }
}

/** Who refused and why, for a line of the log: object and field, the policy, the conditions that decided. */
export function denialWords({ policy, origin, why }: Denial): string {
  const object = origin === undefined ? '' : `${origin.resource} ${origin.field}: `
  return `${object}${policy === NO_POLICY_MATCHED ? '' : `${policy}: `}${why}`
}

/** What Envoy's RBAC filters leave as details. */
export const denialDetails = ({ policy }: Denial): string => `rbac_access_denied_matched_policy[${policy === NO_POLICY_MATCHED ? 'none' : policy}]`

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

/** Of many ALLOW policies, these many are told of: a line of the log is bounded. */
const MISSES_TOLD_MAX = 8

/** Put together only when a request is refused. */
function denial(filter: RbacPlan, matched: RbacPolicyPlan | undefined, request: RequestHead | undefined, peer: PeerInfo): AuthzDecision {
  if (matched !== undefined) {
    return { allowed: false, policy: matched.name, origin: matched.origin, why: `${decisive(matched.permission, request, peer)} and ${decisive(matched.principal, request, peer)}` }
  }
  const { policies } = filter
  if (policies.length === 0) return { allowed: false, policy: NO_POLICY_MATCHED, origin: undefined, why: 'the filter allows nothing' }
  const misses = policies.slice(0, MISSES_TOLD_MAX).map((policy) => {
    const failing = [policy.permission, policy.principal].filter((half) => !half.matches(request, peer))
    return `${policy.name}: not ${failing.map((half) => decisive(half, request, peer)).join(' and not ')}`
  })
  const more = policies.length > misses.length ? `; and ${policies.length - misses.length} more` : ''
  const why = `none of ${policies.length} allow ${policies.length === 1 ? 'policy' : 'policies'} matched: ${misses.join('; ')}${more}`
  return { allowed: false, policy: NO_POLICY_MATCHED, origin: policies[0]?.origin, why }
}

const decisive = (half: RequestPredicate, request: RequestHead | undefined, peer: PeerInfo): string => half.decidedBy?.(request, peer) ?? half.words
