import { readCallMetric } from '#core/telemetry/call-words.ts'
import { durationMetrics, mutualTlsMetric } from '#core/telemetry/load-metrics.ts'
import type { ClusterLoad, LoadTotals } from '../serve/load-reports.ts'
import type { Report, Traffic } from './window.ts'

/** One caller's load report as traffic by cluster and endpoint. */
export function reportOf(clusters: readonly ClusterLoad[], atMs: number): Report {
  const traffic = clusters.flatMap((cluster) =>
    cluster.localities.flatMap((locality) =>
      locality.endpoints.length > 0 ? locality.endpoints.map((one) => trafficOf(cluster.cluster, one.endpoint, one)) : [trafficOf(cluster.cluster, '', locality)],
    ),
  )
  return { atMs, spanMs: Math.max(0, ...clusters.map((cluster) => cluster.spanMs)), traffic: traffic.filter((one) => one.succeeded + one.failed > 0) }
}

function trafficOf(cluster: string, endpoint: string, totals: LoadTotals): Traffic {
  const count = (metric: string): number | undefined => totals.metrics.get(metric)?.requests
  const measured = durationMetrics.some((metric) => totals.metrics.has(metric))
  return {
    cluster,
    endpoint,
    succeeded: totals.succeeded,
    failed: totals.failed,
    durations: measured ? durationMetrics.map((metric) => count(metric) ?? 0) : undefined,
    // A caller that measures durations is one of ours, and reports this one too: leaving it out says none.
    mutualTls: measured ? (count(mutualTlsMetric) ?? 0) : undefined,
    ...(measured ? { calls: [...totals.metrics.keys()].map(readCallMetric).filter((call) => call !== undefined) } : {}),
  }
}
