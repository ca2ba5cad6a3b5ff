import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { HeaderValue } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { RateLimitRequestSchema, type RateLimitResponse, RateLimitResponse_Code as Code, RateLimitResponseSchema } from '#core/wire/gen/envoy/service/ratelimit/v3/rls_pb.ts'
import type { DescriptorEntry, RateLimitPlan } from '#core/plan/rate-limit.ts'
import { answers } from '../http/answer.ts'
import type { Engine } from '../http/engine.ts'
import type { Exchange } from '../http/exchange.ts'
import { CONTINUE, type HttpFilter, WAITING } from './filter.ts'
import { quotaFields } from './quota-fields.ts'
import { wireText } from '#core/wire/wire-text.ts'
import { isField } from './service-field.ts'

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
    for (const { key, value } of response.requestHeadersToAdd) if (isField(key, value)) exchange.addRequestHeader(key.toLowerCase(), wireText(value))
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

const line = ({ key, value }: HeaderValue): string => (isField(key, value) ? `${key.toLowerCase()}: ${wireText(value)}\r\n` : '')
