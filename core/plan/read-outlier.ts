import { type OutlierDetection, OutlierDetectionSchema } from '../wire/gen/envoy/config/cluster/v3/outlier_detection_pb.ts'
import type { OutlierPlan } from './cluster.ts'
import { at, type Reading } from './read.ts'
import { milliseconds } from './read-value.ts'

/** Consecutive failures, success rates and failure percentages, with Envoy's defaults: success rates are looked at unless `enforcing_success_rate` is 0, as Istio sends it. */
export function readOutlier(reading: Reading, path: string, wire: OutlierDetection | undefined): OutlierPlan | undefined {
  if (wire === undefined) return undefined
  reading.only(path, OutlierDetectionSchema, wire, [
    'consecutive_5xx', 'interval', 'base_ejection_time', 'max_ejection_percent', 'enforcing_consecutive_5xx', 'enforcing_success_rate', 'success_rate_minimum_hosts',
    'success_rate_request_volume', 'success_rate_stdev_factor', 'consecutive_gateway_failure', 'enforcing_consecutive_gateway_failure', 'split_external_local_origin_errors',
    'consecutive_local_origin_failure', 'enforcing_consecutive_local_origin_failure', 'enforcing_local_origin_success_rate', 'failure_percentage_threshold',
    'enforcing_failure_percentage', 'enforcing_failure_percentage_local_origin', 'failure_percentage_minimum_hosts', 'failure_percentage_request_volume', 'max_ejection_time',
    'max_ejection_time_jitter', 'successful_active_health_check_uneject_host', 'always_eject_one_host',
  ])
  // One rate counts both origins here; where they are split, the local one is watched by its consecutive failures.
  if (wire.splitExternalLocalOriginErrors && (wire.enforcingFailurePercentageLocalOrigin ?? 0) !== 0) {
    reading.unsupported(at(path, 'enforcing_failure_percentage_local_origin'), 'only 0 is supported', wire.enforcingFailurePercentageLocalOrigin)
  }
  const bySuccess = onOrOff(reading, at(path, 'enforcing_success_rate'), wire.enforcingSuccessRate ?? 100)
  const byPercentage = onOrOff(reading, at(path, 'enforcing_failure_percentage'), wire.enforcingFailurePercentage ?? 0)
  const threshold = (field: string, value: number, enforcing: number) => (onOrOff(reading, at(path, field), enforcing) ? value : 0)
  const baseEjectionMs = milliseconds(wire.baseEjectionTime, 30_000)
  return {
    consecutive5xx: threshold('enforcing_consecutive_5xx', wire.consecutive5xx ?? 5, wire.enforcingConsecutive5xx ?? 100),
    consecutiveGatewayFailure: threshold('enforcing_consecutive_gateway_failure', wire.consecutiveGatewayFailure ?? 5, wire.enforcingConsecutiveGatewayFailure ?? 0),
    consecutiveLocalOrigin: threshold('enforcing_consecutive_local_origin_failure', wire.consecutiveLocalOriginFailure ?? 5, wire.enforcingConsecutiveLocalOriginFailure ?? 100),
    splitLocalOrigin: wire.splitExternalLocalOriginErrors,
    intervalMs: milliseconds(wire.interval, 10_000),
    baseEjectionMs,
    maxEjectionMs: Math.max(baseEjectionMs, milliseconds(wire.maxEjectionTime, 300_000)),
    maxEjectionPercent: Math.min(100, wire.maxEjectionPercent ?? 10),
    minHealthPercent: 0,
    ...(bySuccess ? { successRate: { hostsMin: wire.successRateMinimumHosts ?? 5, requestsMin: wire.successRateRequestVolume ?? 100, deviations: (wire.successRateStdevFactor ?? 1900) / 1000 } } : {}),
    ...(byPercentage ? { failurePercentage: { threshold: wire.failurePercentageThreshold ?? 85, hostsMin: wire.failurePercentageMinimumHosts ?? 5, requestsMin: wire.failurePercentageRequestVolume ?? 50 } } : {}),
    ...(wire.maxEjectionTimeJitter === undefined ? {} : { ejectionJitterMs: milliseconds(wire.maxEjectionTimeJitter, 0) }),
    alwaysEjectOne: wire.alwaysEjectOneHost ?? false,
  }
}

function onOrOff(reading: Reading, path: string, enforcing: number): boolean {
  if (enforcing !== 0 && enforcing !== 100) reading.unsupported(path, 'only 0 and 100 are supported', enforcing)
  return enforcing !== 0
}
