import type { FaultPlan } from '#core/plan/route.ts'
import type { Doors } from '#core/time/clock.ts'
import { answers } from '../http/answer.ts'
import type { Exchange } from '../http/exchange.ts'
import { ANSWERED, CONTINUE, WAITING } from './filter.ts'
import type { HttpFilter } from './filter.ts'

/** Delays, then aborts, as the route's fault says, or else the filter's own (Envoy's fault filter). Response flags DI and FI. */
export function fault(plan: FaultPlan, doors: Doors): HttpFilter {
  const draws = (percent: number): boolean => percent > 0 && doors.random.draw() * 100 < percent
  const abort = (exchange: Exchange, what: FaultPlan): boolean => {
    const grpc = what.abortGrpcStatus
    if ((what.abortStatus === 0 && grpc === undefined) || !draws(what.abortPercent)) return false
    exchange.answerWith(grpc === undefined ? answers.faultAbort(what.abortStatus) : answers.faultGrpc(grpc))
    return true
  }
  return (exchange) => {
    const what = exchange.route?.fault ?? plan
    if (what.delayMs > 0 && draws(what.delayPercent)) {
      exchange.addFlag('DI')
      doors.clock.after(what.delayMs, () => {
        if (!exchange.over && !abort(exchange, what)) exchange.resumeFilters()
      })
      return WAITING
    }
    return abort(exchange, what) ? ANSWERED : CONTINUE
  }
}
