import { durationBucket } from '#core/telemetry/load-metrics.ts'
import type { UpstreamHost } from './host.ts'

/** Counts one try that ended, for the load report and for the table of endpoints. */
export function countTry(host: UpstreamHost, durationMs: number, succeeded: boolean): void {
  const bucket = durationBucket(durationMs)
  for (const load of [host.load, host.total]) {
    if (succeeded) load.succeeded += 1
    else load.failed += 1
    load.latencyMsSum += durationMs
    load.durations[bucket] = (load.durations[bucket] ?? 0) + 1
  }
}
