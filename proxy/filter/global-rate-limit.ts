import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { durationMs } from '@bufbuild/protobuf/wkt'
import type { HeaderValue } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { RateLimitRequestSchema, type RateLimitResponse, RateLimitResponse_Code as Code, RateLimitResponse_RateLimit_Unit as Unit, RateLimitResponseSchema } from '#core/wire/gen/envoy/service/ratelimit/v3/rls_pb.ts'
import type { DescriptorEntry, RateLimitPlan } from '#core/plan/rate-limit.ts'
import { answers } from '../http/answer.ts'
import type { Engine } from '../http/engine.ts'
import type { Exchange } from '../http/exchange.ts'
import { CONTINUE, type HttpFilter, WAITING } from './filter.ts'

const SHOULD_RATE_LIMIT = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit'

/**
 * Asks a service that counts for all proxies whether a request is one too many (Envoy's ratelimit filter). A request that its route says nothing of is not asked about; one that is too many
 * is answered 429 with flag RL; while the service does not answer requests pass, unless the plan says otherwise.
 */
export function globalRateLimit(plan: RateLimitPlan, engine: Engine): HttpFilter {
  const check = async (exchange: Exchange, descriptors: readonly (readonly DescriptorEntry[])[]): Promise<void> => {
    let response: RateLimitResponse
    try {
      response = await ask(plan, engine, descriptors)
    } catch (error) {
      if (exchange.over) return
      exchange.policy = `ratelimit ${plan.service.cluster}: ${error instanceof Error ? error.message : String(error)}`
      return plan.failsClosed ? exchange.answerWith(answers.rateLimiterFailed(plan.statusOnError)) : exchange.resumeFilters()
    }
    if (exchange.over) return
    const quota = plan.tellsQuota ? quotaFields(response) : ''
    const fields = quota + response.responseHeadersToAdd.map(line).join('')
    if (response.overallCode === Code.OVER_LIMIT) {
      exchange.policy = `ratelimit ${plan.domain}`
      const marked = plan.marksLimited ? `x-envoy-ratelimited: true\r\n${fields}` : fields
      return exchange.answerWith(answers.rateLimited(plan.limitedStatus, Buffer.from(response.rawBody).toString('latin1'), marked, plan.asResourceExhausted))
    }
    for (const { key, value } of response.requestHeadersToAdd) if (isField(key, value)) exchange.addRequestHeader(key.toLowerCase(), value)
    exchange.responseFields += fields
    exchange.resumeFilters()
  }

  return (exchange) => {
    const limits = exchange.route?.rateLimits
    if (limits === undefined) return CONTINUE
    const client = exchange.request.remoteAddress ?? exchange.peer.address
    const descriptors: (readonly DescriptorEntry[])[] = []
    for (const { stage, describe } of [...limits.own, ...limits.virtualHost]) {
      const entries = stage === plan.stage ? describe(exchange.request, client) : undefined
      if (entries !== undefined) descriptors.push(entries)
    }
    if (descriptors.length === 0) return CONTINUE
    void check(exchange, descriptors)
    return WAITING
  }
}

async function ask(plan: RateLimitPlan, engine: Engine, descriptors: readonly (readonly DescriptorEntry[])[]): Promise<RateLimitResponse> {
  const request = create(RateLimitRequestSchema, { domain: plan.domain, descriptors: descriptors.map((entries) => ({ entries: entries.map(([key, value]) => ({ key, value })) })) })
  const bytes = await engine.callouts.call(engine.cluster(plan.service.cluster), SHOULD_RATE_LIMIT, toBinary(RateLimitRequestSchema, request), {
    authority: plan.service.authority,
    metadata: plan.service.metadata.map(({ name, value }) => [name, value] as const),
    timeoutMs: plan.timeoutMs,
  })
  const response = fromBinary(RateLimitResponseSchema, bytes)
  if (response.overallCode === Code.UNKNOWN) throw new Error('answered nothing')
  return response
}

const isField = (name: string, value: string): boolean => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && !/[\r\n\0]/.test(value)

const line = ({ key, value }: HeaderValue): string => (isField(key, value) ? `${key.toLowerCase()}: ${value}\r\n` : '')

const SECONDS: Readonly<Record<number, number>> = { [Unit.SECOND]: 1, [Unit.MINUTE]: 60, [Unit.HOUR]: 3600, [Unit.DAY]: 86_400, [Unit.WEEK]: 604_800, [Unit.MONTH]: 2_592_000, [Unit.YEAR]: 31_536_000 }

/** The limit that is nearest to its end, and all that there are (draft-ietf-httpapi-ratelimit-headers-03). */
function quotaFields({ statuses }: RateLimitResponse): string {
  const limits = statuses.filter(({ currentLimit }) => currentLimit !== undefined)
  if (limits.length === 0) return ''
  const nearest = limits.reduce((best, one) => (one.limitRemaining < best.limitRemaining ? one : best))
  const policies = limits.flatMap(({ currentLimit }) => {
    const seconds = SECONDS[currentLimit?.unit ?? 0]
    return currentLimit === undefined || seconds === undefined ? [] : [`${currentLimit.requestsPerUnit};w=${seconds}${currentLimit.name === '' ? '' : `;name="${currentLimit.name.replaceAll('"', '')}"`}`]
  })
  const resetS = nearest.durationUntilReset === undefined ? 0 : Math.floor(durationMs(nearest.durationUntilReset) / 1000)
  return `x-ratelimit-limit: ${[String(nearest.currentLimit?.requestsPerUnit ?? 0), ...policies].join(', ')}\r\nx-ratelimit-remaining: ${nearest.limitRemaining}\r\nx-ratelimit-reset: ${resetS}\r\n`
}
