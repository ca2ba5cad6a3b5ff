import type { ClusterPlan } from '#core/plan/cluster.ts'
import { observeLatency } from '#core/balance/peak-ewma.ts'
import { durationBucket } from '#core/telemetry/load-metrics.ts'
import type { UpstreamHost } from './host.ts'

/** A try of a request begins at this endpoint; `countTryEnded` follows, or the caller takes it off `active` again where nothing was sent. */
export function countTryBegun(host: UpstreamHost): void {
  host.active += 1
  host.load.issued += 1
}

/** A try that began at `beganMs` (0: it was never sent) is over: for balancing, for the load report and for the table of endpoints. */
export function countTryEnded(host: UpstreamHost, balancer: ClusterPlan['balancer'], beganMs: number, nowMs: number, succeeded: boolean): void {
  host.active -= 1
  const ms = beganMs === 0 ? 0 : Math.max(0, nowMs - beganMs)
  const bucket = durationBucket(ms)
  for (const load of [host.load, host.total]) {
    if (succeeded) load.succeeded += 1
    else load.failed += 1
    load.latencyMsSum += ms
    load.durations[bucket] = (load.durations[bucket] ?? 0) + 1
  }
  if (balancer === 'peak-ewma') observeLatency(host, ms, succeeded, nowMs)
}
