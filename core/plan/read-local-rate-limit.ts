import { VhRateLimitsOptions as VhOptions, XRateLimitHeadersRFCVersion as Headers, LocalRateLimitDescriptorSchema } from '../wire/gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts'
import { type LocalRateLimit, LocalRateLimitSchema } from '../wire/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import type { TokenBucket } from '../wire/gen/envoy/type/v3/token_bucket_pb.ts'
import type { BucketPlan, LocalRateLimitPlan } from './local-rate-limit.ts'
import { readHeaderOperations } from './read-headers.ts'
import { readRateLimits } from './read-rate-limit.ts'
import { at, type Reading } from './read.ts'
import { milliseconds, runtimePercentOf } from './read-value.ts'

const STAGE_MAX = 10
const HEADERS_MAX = 10
const BUCKETS_MAX = 20
/** Envoy fills no bucket more often. */
const FILL_INTERVAL_MS_MIN = 50

const VIRTUAL_HOST: Readonly<Record<number, LocalRateLimitPlan['virtualHost']>> = { [VhOptions.OVERRIDE]: 'override', [VhOptions.INCLUDE]: 'include', [VhOptions.IGNORE]: 'ignore' }

/** LocalRateLimit → LocalRateLimitPlan. A listener's may leave the bucket to its routes; a route's has one. */
export function readLocalRateLimit(reading: Reading, path: string, wire: LocalRateLimit, ofRoute: boolean): LocalRateLimitPlan {
  reading.only(path, LocalRateLimitSchema, wire, [
    'stat_prefix', 'status', 'token_bucket', 'filter_enabled', 'filter_enforced', 'request_headers_to_add_when_not_enforced', 'response_headers_to_add', 'descriptors', 'stage',
    'local_rate_limit_per_downstream_connection', 'enable_x_ratelimit_headers', 'vh_rate_limits', 'always_consume_default_token_bucket', 'rate_limited_as_resource_exhausted', 'rate_limits',
    'max_dynamic_descriptors',
  ])
  if (wire.statPrefix === '') reading.invalid(at(path, 'stat_prefix'), 'is missing')
  if (wire.stage > STAGE_MAX) reading.invalid(at(path, 'stage'), `0..${STAGE_MAX}`, wire.stage)
  if (ofRoute && wire.tokenBucket === undefined) reading.invalid(at(path, 'token_bucket'), 'is missing')
  for (const [field, list] of [['response_headers_to_add', wire.responseHeadersToAdd], ['request_headers_to_add_when_not_enforced', wire.requestHeadersToAddWhenNotEnforced]] as const) {
    if (list.length > HEADERS_MAX) reading.invalid(at(path, field), `${HEADERS_MAX} at most`, list.length)
  }
  const virtualHost = VIRTUAL_HOST[wire.vhRateLimits]
  if (virtualHost === undefined) reading.invalid(at(path, 'vh_rate_limits'), 'is not known', wire.vhRateLimits)
  const known = new Set<string>()
  const descriptors = wire.descriptors.map((one, index) => {
    const where = at(path, 'descriptors', index)
    reading.only(where, LocalRateLimitDescriptorSchema, one, ['entries', 'token_bucket'])
    const entries = one.entries.map(({ key, value }) => [key, value] as const)
    const text = JSON.stringify(entries)
    if (known.has(text)) reading.invalid(where, 'is there twice', text)
    known.add(text)
    if (one.tokenBucket === undefined) reading.invalid(at(where, 'token_bucket'), 'is missing')
    return { entries, bucket: readBucket(reading, at(where, 'token_bucket'), one.tokenBucket) ?? { tokensMax: 1, tokensPerFill: 1, fillIntervalMs: FILL_INTERVAL_MS_MIN } }
  })
  const status = wire.status?.code ?? 0
  return {
    bucket: readBucket(reading, at(path, 'token_bucket'), wire.tokenBucket),
    descriptors,
    bucketsMax: wire.maxDynamicDescriptors ?? BUCKETS_MAX,
    actions: wire.rateLimits.length === 0 ? undefined : readRateLimits(reading, path, wire.rateLimits),
    stage: wire.stage,
    virtualHost: virtualHost ?? 'override',
    alwaysTakesDefault: wire.alwaysConsumeDefaultTokenBucket !== false,
    perConnection: wire.localRateLimitPerDownstreamConnection,
    enabledPercent: runtimePercentOf(wire.filterEnabled, 0),
    enforcedPercent: runtimePercentOf(wire.filterEnforced, 0),
    // Envoy: a status that is no error is not taken.
    status: status >= 400 ? status : 429,
    asResourceExhausted: wire.rateLimitedAsResourceExhausted,
    responseHeaders: readHeaderOperations(reading, path, 'response', wire.responseHeadersToAdd, []),
    requestHeaders: readHeaderOperations(reading, path, 'request', wire.requestHeadersToAddWhenNotEnforced, []),
    tellsQuota: wire.enableXRatelimitHeaders === Headers.DRAFT_VERSION_03,
  }
}

function readBucket(reading: Reading, path: string, bucket: TokenBucket | undefined): BucketPlan | undefined {
  if (bucket === undefined) return undefined
  const fillIntervalMs = milliseconds(bucket.fillInterval, 0)
  if (bucket.maxTokens === 0) reading.invalid(at(path, 'max_tokens'), '1 or more', 0)
  if (bucket.tokensPerFill === 0) reading.invalid(at(path, 'tokens_per_fill'), '1 or more', 0)
  if (fillIntervalMs < FILL_INTERVAL_MS_MIN) reading.invalid(at(path, 'fill_interval'), `${FILL_INTERVAL_MS_MIN}ms or more`, fillIntervalMs)
  return { tokensMax: bucket.maxTokens, tokensPerFill: bucket.tokensPerFill ?? 1, fillIntervalMs }
}
