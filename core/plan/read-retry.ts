import { type RetryPolicy, RetryPolicy_RetryBackOffSchema, RetryPolicySchema } from '../wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { parseRetryOn } from '../balance/retry.ts'
import type { RetryPlan } from './route.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { milliseconds } from './read-value.ts'
import { PreviousPrioritiesConfigSchema } from '../wire/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts'

const PREVIOUS_HOSTS = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'

/** Envoy's defaults: one retry, from 25 ms on, up to ten times the base. */
export function readRetry(reading: Reading, path: string, policy: RetryPolicy | undefined): RetryPlan | undefined {
  if (policy === undefined) return undefined
  reading.only(path, RetryPolicySchema, policy, [
    'retry_on', 'num_retries', 'per_try_timeout', 'retry_host_predicate', 'host_selection_retry_max_attempts', 'retriable_status_codes', 'retry_back_off', 'retry_priority',
  ])
  const conditions = parseRetryOn(policy.retryOn)
  for (const word of conditions.unknown) reading.unsupported(at(path, 'retry_on'), 'is no condition that Weft knows', word)
  for (const [index, predicate] of policy.retryHostPredicate.entries()) {
    const { configType } = predicate
    if (configType.case !== 'typedConfig' || typeNameOf(configType.value) !== PREVIOUS_HOSTS) {
      reading.unsupported(at(path, 'retry_host_predicate', index), 'only previous_hosts is supported', predicate.name)
    }
  }
  const backoff = policy.retryBackOff
  if (backoff !== undefined) reading.only(at(path, 'retry_back_off'), RetryPolicy_RetryBackOffSchema, backoff, ['base_interval', 'max_interval'])
  const baseMs = Math.max(1, milliseconds(backoff?.baseInterval, 25))
  const maxMs = milliseconds(backoff?.maxInterval, baseMs * 10)
  if (maxMs < baseMs) reading.invalid(at(path, 'retry_back_off.max_interval'), 'is below base_interval')
  return {
    on: conditions.flags,
    statusCodes: new Set([...policy.retriableStatusCodes, ...conditions.statusCodes]),
    retriesMax: policy.numRetries ?? 1,
    perTryTimeoutMs: milliseconds(policy.perTryTimeout, 0),
    backoffBaseMs: baseMs,
    backoffMaxMs: maxMs,
    avoidTriedHosts: policy.retryHostPredicate.length > 0,
    hostSelectionAttemptsMax: Math.max(1, Number(policy.hostSelectionRetryMaxAttempts)),
    ...readPriorities(reading, at(path, 'retry_priority'), policy),
  }
}

function readPriorities(reading: Reading, path: string, { retryPriority }: RetryPolicy): Pick<RetryPlan, 'avoidTriedPriorities'> {
  const config = retryPriority?.configType
  if (config?.case === undefined) {
    if (retryPriority !== undefined) reading.unsupported(path, 'has no typed_config', retryPriority.name)
    return {}
  }
  if (typeNameOf(config.value) !== PreviousPrioritiesConfigSchema.typeName) {
    reading.unsupported(path, 'only previous_priorities is supported', typeNameOf(config.value))
    return {}
  }
  const wire = reading.unpack(at(path, 'typed_config'), config.value, PreviousPrioritiesConfigSchema)
  if (wire === undefined) return {}
  if (wire.updateFrequency < 1) reading.invalid(at(path, 'typed_config.update_frequency'), '1 or more', wire.updateFrequency)
  return { avoidTriedPriorities: { updateFrequency: wire.updateFrequency } }
}
