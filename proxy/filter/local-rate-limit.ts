import type { HttpFilterPlan } from '#core/plan/http.ts'
import type { Clock } from '#core/time/clock.ts'
import { TokenBucket } from '#core/limit/token-bucket.ts'
import { answers } from '../http/answer.ts'
import { ANSWERED, CONTINUE } from './filter.ts'
import type { HttpFilter } from './filter.ts'

/** 429 `local_rate_limited` when the bucket is empty (Envoy's local rate limit filter; flag RL). */
export function localRateLimit(plan: Extract<HttpFilterPlan, { kind: 'local-rate-limit' }>, clock: Clock): HttpFilter {
  const bucket = new TokenBucket(plan, clock.monotonicMs())
  return (exchange) => {
    if (bucket.take(clock.monotonicMs())) return CONTINUE
    exchange.answerWith(answers.localRateLimited)
    return ANSWERED
  }
}
