import type { ClusterReport } from '../telemetry/reports.ts'

type Host = ClusterReport['hosts'][number]

/** Reports of several threads as one: counts are added up, and an endpoint that any thread ejected is shown as ejected. */
export function mergeClusters(reports: readonly (readonly ClusterReport[])[]): ClusterReport[] {
  const merged = new Map<string, ClusterReport>()
  for (const report of reports.flat()) {
    const known = merged.get(report.name)
    merged.set(report.name, known === undefined ? report : { ...addCounts(known, report), hosts: mergeHosts([...known.hosts, ...report.hosts]) })
  }
  return [...merged.values()]
}

const addCounts = (one: ClusterReport, other: ClusterReport): Omit<ClusterReport, 'hosts'> => ({
  name: one.name,
  connections: one.connections + other.connections,
  pending: one.pending + other.pending,
  requests: one.requests + other.requests,
  retries: one.retries + other.retries,
  requestsTotal: one.requestsTotal + other.requestsTotal,
  overflows: one.overflows + other.overflows,
  connectFailures: one.connectFailures + other.connectFailures,
  ejections: one.ejections + other.ejections,
})

function mergeHosts(hosts: readonly Host[]): Host[] {
  const merged = new Map<string, Host>()
  for (const host of hosts) {
    const known = merged.get(host.address)
    merged.set(host.address, known === undefined ? host : addHosts(known, host))
  }
  return [...merged.values()]
}

const addHosts = (one: Host, other: Host): Host => ({
  ...one,
  ejected: one.ejected || other.ejected,
  active: one.active + other.active,
  connections: one.connections + other.connections,
  total: {
    ...one.total,
    succeeded: one.total.succeeded + other.total.succeeded,
    failed: one.total.failed + other.total.failed,
    issued: one.total.issued + other.total.issued,
    latencyMsSum: one.total.latencyMsSum + other.total.latencyMsSum,
    secured: one.total.secured + other.total.secured,
    durations: one.total.durations.map((count, bucket) => count + (other.total.durations[bucket] ?? 0)),
  },
})
