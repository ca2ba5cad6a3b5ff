import type { LimitVerdict } from '#core/limit/local-limiter.ts'
import type { TokenBucket } from '#core/limit/token-bucket.ts'
import type { LocalRateLimitPlan } from '#core/plan/local-rate-limit.ts'
import type { DescriptorEntry } from '#core/plan/rate-limit.ts'
import { answers } from '../http/answer.ts'
import type { Engine } from '../http/engine.ts'
import type { Exchange } from '../http/exchange.ts'
import { ANSWERED, CONTINUE } from './filter.ts'
import type { HttpFilter } from './filter.ts'
import { operationsOf, renderConditional, renderOperations } from './header-operations.ts'
import { renderFormat } from '../telemetry/format.ts'

const NO_DESCRIPTORS: readonly (readonly DescriptorEntry[])[] = []

/** 429 `local_rate_limited` when a bucket is empty (Envoy's local rate limit filter; flag RL). A route's or virtual host's settings replace the filter's own. */
export function localRateLimit(name: string, own: LocalRateLimitPlan, engine: Engine): HttpFilter {
  const { clock, random } = engine.doors
  const draws = (percent: number): boolean => percent >= 100 || (percent > 0 && random.draw() * 100 < percent)
  return (exchange) => {
    const plan = exchange.route?.localRateLimits?.get(name) ?? own
    if (!draws(plan.enabledPercent)) return CONTINUE
    const nowMs = clock.monotonicMs()
    const verdict: LimitVerdict = engine.limiters.limiterOf(plan, exchange.peer).judge(describe(exchange, plan), nowMs)
    if (plan.tellsQuota && verdict.bucket !== undefined) exchange.responseFields += quota(verdict.bucket, nowMs)
    if (verdict.passes) return CONTINUE
    if (!draws(plan.enforcedPercent)) {
      mark(exchange, plan)
      return CONTINUE
    }
    exchange.answerWith(answers.localRateLimited(plan.status, answerFields(exchange, plan), plan.asResourceExhausted))
    return ANSWERED
  }
}

/** What the limit's own words, or those of the route and of its virtual host, make of a request. */
function describe(exchange: Exchange, plan: LocalRateLimitPlan): readonly (readonly DescriptorEntry[])[] {
  if (plan.descriptors.length === 0) return NO_DESCRIPTORS
  const limits = exchange.route?.rateLimits
  const ofHost = limits !== undefined && (limits.includesHost || plan.virtualHost === 'include' || (plan.virtualHost === 'override' && limits.own.length === 0)) ? limits.ofHost : []
  const client = exchange.request.remoteAddress ?? exchange.peer.address
  const descriptors: (readonly DescriptorEntry[])[] = []
  for (const { stage, describe: entriesOf } of plan.actions ?? [...(limits?.own ?? []), ...ofHost]) {
    const entries = plan.actions !== undefined || stage === plan.stage ? entriesOf(exchange.request, client) : undefined
    if (entries !== undefined) descriptors.push(entries)
  }
  return descriptors
}

/** It is one too many, and passes: who is behind is told so. */
function mark(exchange: Exchange, plan: LocalRateLimitPlan): void {
  if (plan.requestHeaders === undefined) return
  const { drops, lines, conditional } = operationsOf(plan.requestHeaders)
  for (const name of drops) exchange.removeRequestHeader(name)
  for (const { start, parts } of lines) exchange.addRequestHeader(start.slice(0, -2), renderFormat(parts, exchange))
  for (const { name, wants, parts } of conditional) {
    if ((exchange.request.header(name) !== undefined) !== wants) continue
    if (wants) exchange.removeRequestHeader(name)
    exchange.addRequestHeader(name, renderFormat(parts, exchange))
  }
}

function answerFields(exchange: Exchange, plan: LocalRateLimitPlan): string {
  if (plan.responseHeaders === undefined) return ''
  const compiled = operationsOf(plan.responseHeaders)
  const lines = renderOperations(compiled, exchange)
  return lines + renderConditional(compiled, exchange, undefined, NOTHING_DROPPED, lines)
}

const NOTHING_DROPPED = new Uint8Array(0)

/** Envoy's three of them, which say nothing of other limits. */
const quota = (bucket: TokenBucket, nowMs: number): string =>
  `x-ratelimit-limit: ${bucket.tokensMax}\r\nx-ratelimit-remaining: ${bucket.left(nowMs)}\r\nx-ratelimit-reset: ${Math.floor(bucket.waitMs(nowMs) / 1000)}\r\n`
