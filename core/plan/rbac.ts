import type { PeerInfo, RequestHead } from '../route/request.ts'
import type { Origin } from './origin.ts'

/** Envoy's RBAC, compiled. `shadow` only counts and logs. */
export interface RbacPlan {
  readonly action: 'allow' | 'deny' | 'log'
  /** In order of name. */
  readonly policies: readonly RbacPolicyPlan[]
  readonly shadow: boolean
  /** Under which key a shadow filter notes the policy that matched, for filters behind it: `istio_ext_authz_shadow_effective_policy_id`. */
  readonly shadowKey?: string
}

export interface RbacPolicyPlan {
  /** As sent: `ns[prod]-policy[payment-authz]-rule[0]`. */
  readonly name: string
  readonly origin: Origin | undefined
  readonly permission: RequestPredicate
  readonly principal: RequestPredicate
}

/** A condition over request and peer, with words for explain. For TCP the request is undefined: HTTP attributes then do not match. */
export interface RequestPredicate {
  readonly words: string
  /**
   * Which of its conditions made it match, or kept it from matching, and what caller and address were; absent: `words` are all there is to say.
   * Values of headers and tokens are never in it: it goes to the log.
   */
  decidedBy?(request: RequestHead | undefined, peer: PeerInfo): string
  matches(request: RequestHead | undefined, peer: PeerInfo): boolean
}
