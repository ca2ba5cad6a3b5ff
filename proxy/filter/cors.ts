import type { CorsPlan } from '#core/plan/route.ts'
import { answers } from '../http/answer.ts'
import { ANSWERED, CONTINUE } from './filter.ts'
import type { HttpFilter } from './filter.ts'

/** Answers preflights and adds CORS fields to answers, by the route's policy (Envoy's CORS filter; fetch.spec.whatwg.org#http-cors-protocol). */
export const cors: HttpFilter = (exchange) => {
  const plan = exchange.route?.cors
  if (plan === undefined) return CONTINUE
  const origin = exchange.request.header('origin')
  if (origin === undefined) return CONTINUE
  const isPreflight = exchange.request.method === 'OPTIONS' && exchange.request.header('access-control-request-method') !== undefined
  if (!plan.allowOrigins.some((allowed) => allowed.matches(origin))) {
    if (!isPreflight || plan.keepsUnmatchedPreflights !== true) return CONTINUE
    exchange.answerWith(answers.preflight(''))
    return ANSWERED
  }
  const granted = `access-control-allow-origin: ${origin}\r\n${plan.allowCredentials ? 'access-control-allow-credentials: true\r\n' : ''}`
  if (isPreflight) {
    exchange.answerWith(answers.preflight(granted + preflightFields(plan)))
    return ANSWERED
  }
  exchange.responseFields += granted + (plan.exposeHeaders === '' ? '' : `access-control-expose-headers: ${plan.exposeHeaders}\r\n`)
  return CONTINUE
}

function preflightFields(plan: CorsPlan): string {
  let fields = plan.exposeHeaders === '' ? '' : `access-control-expose-headers: ${plan.exposeHeaders}\r\n`
  if (plan.allowMethods !== '') fields += `access-control-allow-methods: ${plan.allowMethods}\r\n`
  if (plan.allowHeaders !== '') fields += `access-control-allow-headers: ${plan.allowHeaders}\r\n`
  if (plan.maxAge !== '') fields += `access-control-max-age: ${plan.maxAge}\r\n`
  return fields
}
