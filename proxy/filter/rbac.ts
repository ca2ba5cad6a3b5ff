import type { RbacPlan } from '#core/plan/rbac.ts'
import { NO_POLICY_MATCHED, authorize, denialDetails, denialWords } from '#core/authz/authorize.ts'
import { answers } from '../http/answer.ts'
import { ANSWERED, CONTINUE } from './filter.ts'
import type { HttpFilter } from './filter.ts'

/** One RBAC filter: 403 `RBAC: access denied`, with the policy that decided in the log. */
export function rbac(plan: RbacPlan): HttpFilter {
  const policies = [plan]
  return (exchange) => {
    const decision = authorize(policies, exchange.request, exchange.peer)
    if (decision.allowed) {
      if (decision.shadowDenied !== undefined) {
        exchange.policy = `shadow: ${decision.shadowDenied}`
        if (plan.shadowKey !== undefined && decision.shadowDenied !== NO_POLICY_MATCHED) (exchange.shadowPolicies ??= new Map()).set(plan.shadowKey, decision.shadowDenied)
      }
      return CONTINUE
    }
    exchange.policy = denialWords(decision)
    exchange.answerWith(answers.denied(denialDetails(decision)))
    return ANSWERED
  }
}
