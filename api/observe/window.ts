import type { CallWords } from '#core/telemetry/call-words.ts'
import { durationBoundsMs } from '#core/telemetry/load-metrics.ts'

/** What one caller did to one endpoint of one cluster in one report. */
export interface Traffic {
  /** xDS cluster name, `outbound|8080|v1|order-service.prod.svc.cluster.local`. */
  readonly cluster: string
  /** `ADDRESS:PORT`; empty when the report does not go down to endpoints. */
  readonly endpoint: string
  readonly succeeded: number
  readonly failed: number
  /** Requests by duration, one more than bounds; undefined when the caller does not measure it. */
  readonly durations: readonly number[] | undefined
  /** Requests that travelled over mutual TLS; undefined when the caller does not report it. */
  readonly mutualTls: number | undefined
  /** What was called, as far as the caller tells it; absent: it does not. */
  readonly calls?: readonly CallWords[]
}

export interface Report {
  readonly atMs: number
  /** The time that the counts cover. */
  readonly spanMs: number
  readonly traffic: readonly Traffic[]
}

export interface Flow {
  succeeded: number
  failed: number
  durations: number[] | undefined
  mutualTls: number | undefined
}

const emptyFlow = (): Flow => ({ succeeded: 0, failed: 0, durations: undefined, mutualTls: undefined })

/** Adds what `more` knows to `sum`; what one of them does not measure stays what the other says. */
export function addFlow(sum: Flow, more: Pick<Traffic, 'succeeded' | 'failed' | 'durations' | 'mutualTls'>): void {
  sum.succeeded += more.succeeded
  sum.failed += more.failed
  if (more.durations) {
    sum.durations ??= Array.from({ length: durationBoundsMs.length + 1 }, () => 0)
    for (const [index, count] of more.durations.entries()) sum.durations[index] = (sum.durations[index] ?? 0) + count
  }
  if (more.mutualTls !== undefined) sum.mutualTls = (sum.mutualTls ?? 0) + more.mutualTls
}

/** The value below which `share` of the requests lie, interpolated within its bucket, ms. Null when there are none. */
export function quantileMs(durations: readonly number[] | undefined, share: number): number | null {
  const total = durations?.reduce((sum, count) => sum + count, 0) ?? 0
  if (!durations || total === 0) return null
  let left = share * total
  for (const [index, count] of durations.entries()) {
    const lower = index === 0 ? 0 : (durationBoundsMs[index - 1] ?? 0)
    const upper = durationBoundsMs[index] ?? lower
    if (left <= count) return count === 0 ? lower : lower + (upper - lower) * (left / count)
    left -= count
  }
  return durationBoundsMs.at(-1) ?? null
}

/** One caller's reports of the last `windowMs`. */
export class TrafficWindow {
  readonly #windowMs: number
  readonly #reports: Report[] = []

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  add(report: Report): void {
    this.#reports.push(report)
    this.#forget(report.atMs)
  }

  /** Time covered, and flows by cluster and endpoint: key `CLUSTER ENDPOINT`. */
  sum(nowMs: number): { spanMs: number; flows: Map<string, { cluster: string; endpoint: string; flow: Flow }> } {
    this.#forget(nowMs)
    const flows = new Map<string, { cluster: string; endpoint: string; flow: Flow }>()
    let spanMs = 0
    for (const report of this.#reports) {
      spanMs += report.spanMs
      for (const one of report.traffic) {
        const key = `${one.cluster} ${one.endpoint}`
        let entry = flows.get(key)
        if (!entry) flows.set(key, (entry = { cluster: one.cluster, endpoint: one.endpoint, flow: emptyFlow() }))
        addFlow(entry.flow, one)
      }
    }
    return { spanMs, flows }
  }

  #forget(nowMs: number): void {
    let gone = 0
    while (gone < this.#reports.length && (this.#reports[gone]?.atMs ?? nowMs) < nowMs - this.#windowMs) gone++
    if (gone > 0) this.#reports.splice(0, gone)
  }
}
