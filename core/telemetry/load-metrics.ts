/**
 * What Weft's own proxies add to a load report (LRS), as named load metrics on each endpoint: stock Envoys leave these out, and readers say so.
 * `num_requests_finished_with_metric` holds the count.
 */

/** Upper bounds of the duration buckets, ms; the last bucket is open. */
export const durationBoundsMs = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000] as const

/** Metric of each duration bucket: requests that took longer than the bound before and at most this one. */
export const durationMetrics: readonly string[] = [...durationBoundsMs.map((bound) => `weft.duration_ms_le_${bound}`), 'weft.duration_ms_le_inf']

/** Requests that travelled over mutual TLS, as the handshake had it. */
export const mutualTlsMetric = 'weft.mutual_tls'

/** Index of the bucket that a duration falls into. */
export function durationBucket(ms: number): number {
  let low = 0
  let high: number = durationBoundsMs.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (ms <= (durationBoundsMs[middle] ?? Infinity)) high = middle
    else low = middle + 1
  }
  return low
}
