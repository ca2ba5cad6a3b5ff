import { durationMs } from '@bufbuild/protobuf/wkt'
import { type RateLimitResponse, RateLimitResponse_RateLimit_Unit as Unit } from '#core/wire/gen/envoy/service/ratelimit/v3/rls_pb.ts'

const SECONDS: Readonly<Record<number, number>> = { [Unit.SECOND]: 1, [Unit.MINUTE]: 60, [Unit.HOUR]: 3600, [Unit.DAY]: 86_400, [Unit.WEEK]: 604_800, [Unit.MONTH]: 2_592_000, [Unit.YEAR]: 31_536_000 }

/** The limit that is nearest to its end, and all that there are (draft-ietf-httpapi-ratelimit-headers-03). */
export function quotaFields({ statuses }: RateLimitResponse): string {
  const limits = statuses.filter(({ currentLimit }) => currentLimit !== undefined)
  if (limits.length === 0) return ''
  const nearest = limits.reduce((best, one) => (one.limitRemaining < best.limitRemaining ? one : best))
  const policies = limits.flatMap(({ currentLimit }) => {
    const seconds = SECONDS[currentLimit?.unit ?? 0]
    return currentLimit === undefined || seconds === undefined ? [] : [`${currentLimit.requestsPerUnit};w=${seconds}${currentLimit.name === '' ? '' : `;name="${currentLimit.name.replaceAll(/[^ !#-[\]-~]/g, '')}"`}`]
  })
  const resetS = nearest.durationUntilReset === undefined ? 0 : Math.floor(durationMs(nearest.durationUntilReset) / 1000)
  return `x-ratelimit-limit: ${[String(nearest.currentLimit?.requestsPerUnit ?? 0), ...policies].join(', ')}\r\nx-ratelimit-remaining: ${nearest.limitRemaining}\r\nx-ratelimit-reset: ${resetS}\r\n`
}
