import { create } from '@bufbuild/protobuf'
import type { Retries } from '#core/resource/virtual-service-http.ts'
import { RetryPolicySchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { RetryPolicy } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { PreviousHostsPredicateSchema } from '#core/wire/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts'
import { PreviousPrioritiesConfigSchema } from '#core/wire/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts'
import { anyOf, durationOf } from './message.ts'

const DEFAULT_ON = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes'
const DEFAULT_ATTEMPTS = 2

/** HTTPRetry as Envoy's RetryPolicy; undefined when retries are off (`attempts: 0`). Without any, Istio's default. Numbers within retryOn are status codes. */
export function retryPolicy(retries: Retries | undefined): RetryPolicy | undefined {
  if (retries !== undefined && (retries.attempts ?? 0) <= 0) return undefined
  const words = (retries?.retryOn || DEFAULT_ON).split(',').map((one) => one.trim()).filter((one) => one !== '')
  const codes = words.filter((one) => /^\d+$/.test(one)).map(Number)
  const policies = words.filter((one) => !/^\d+$/.test(one))
  if (codes.length > 0 && !policies.includes('retriable-status-codes')) policies.push('retriable-status-codes')
  return create(RetryPolicySchema, {
    retryOn: policies.join(','),
    retriableStatusCodes: codes,
    numRetries: retries?.attempts ?? DEFAULT_ATTEMPTS,
    hostSelectionRetryMaxAttempts: 5n,
    ...(retries?.perTryTimeout === undefined ? {} : { perTryTimeout: durationOf(retries.perTryTimeout) }),
    ...(retries?.backoff === undefined ? {} : { retryBackOff: { baseInterval: durationOf(retries.backoff) } }),
    // Every second try leaves out the localities that were tried, as Istio has it.
    ...(retries?.retryRemoteLocalities === true
      ? { retryPriority: { name: 'envoy.retry_priorities.previous_priorities', configType: { case: 'typedConfig', value: anyOf(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }) } } }
      : {}),
    retryHostPredicate:
      retries?.retryIgnorePreviousHosts === false
        ? []
        : [{ name: 'envoy.retry_host_predicates.previous_hosts', configType: { case: 'typedConfig', value: anyOf(PreviousHostsPredicateSchema, {}) } }],
  })
}
