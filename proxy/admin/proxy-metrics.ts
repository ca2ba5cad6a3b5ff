import type { Shown } from './pages.ts'

/** The proxy's metrics about itself, not its traffic: identity and configuration, as Prometheus text. */
export function proxyMetrics({ identity, ads, cell, clock, memory, uncaptured }: Pick<Shown, 'identity' | 'ads' | 'cell' | 'clock' | 'memory' | 'uncaptured'>): string {
  const leftSeconds = identity.now === undefined ? 0 : (identity.now.notAfterMs - clock.wallMs()) / 1000
  const samples: [name: string, kind: 'counter' | 'gauge', value: number][] = [
    ['weft_identity_certificates_total', 'counter', identity.counts.issued],
    ['weft_identity_failures_total', 'counter', identity.counts.failed],
    ['weft_identity_late_total', 'counter', identity.counts.late],
    ['weft_identity_overdue_seconds', 'gauge', identity.overdueMs / 1000],
    ['weft_identity_left_seconds', 'gauge', leftSeconds],
    ['weft_ads_connected', 'gauge', ads.isConnected ? 1 : 0],
    ['weft_ads_connects_total', 'counter', ads.counts.connects],
    ['weft_ads_failures_total', 'counter', ads.counts.failures],
    ['weft_ads_acks_total', 'counter', ads.counts.acks],
    ['weft_ads_nacks_total', 'counter', ads.counts.nacks],
    ['weft_ads_revision', 'gauge', cell.revision],
    ['weft_ads_warming', 'gauge', cell.warming.length],
    ['weft_capture_unproven', 'gauge', uncaptured() === '' ? 0 : 1],
    ['weft_proxy_memory_bytes', 'gauge', memory().rss],
  ]
  return samples.map(([name, kind, value]) => `# TYPE ${name} ${kind}\n${name} ${value}\n`).join('')
}
