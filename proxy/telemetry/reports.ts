import type { Overload } from '../overload/overload.ts'
import type { Cluster } from '../upstream/cluster.ts'
import { callMetric, pathTemplate } from '#core/telemetry/call-words.ts'
import type { PeerInfo, RequestHead } from '#core/route/request.ts'
import { emptyLoad } from '../upstream/host.ts'
import type { HostLoad } from '../upstream/host.ts'

/** One cluster for `/clusters`. */
export interface ClusterReport {
  readonly name: string
  readonly connections: number
  readonly pending: number
  readonly requests: number
  readonly retries: number
  readonly requestsTotal: number
  readonly overflows: number
  readonly connectFailures: number
  readonly ejections: number
  readonly hosts: readonly {
    readonly address: string
    readonly locality: string
    readonly health: string
    readonly ejected: boolean
    readonly active: number
    readonly connections: number
    readonly weight: number
    readonly total: HostLoad
  }[]
}

export function clusterReport(cluster: Cluster): ClusterReport {
  return {
    name: cluster.plan.name,
    connections: cluster.connections,
    pending: cluster.pending,
    requests: cluster.requests,
    retries: cluster.retries,
    requestsTotal: cluster.requestsTotal,
    overflows: cluster.overflows,
    connectFailures: cluster.connectFailures,
    ejections: cluster.ejectionsTotal,
    hosts: [...cluster.hosts.values()].map((host) => ({
      address: host.plan.key,
      locality: host.locality,
      health: host.plan.health,
      ejected: host.ejectedUntilMs !== 0,
      active: host.active,
      connections: host.pool.connections,
      weight: host.plan.weight,
      total: { ...host.total, issued: host.total.succeeded + host.total.failed },
    })),
  }
}

/** What one endpoint was sent since the last report (envoy.config.endpoint.v3.UpstreamLocalityStats, one endpoint). */
export interface ClusterLoad extends HostLoad {
  readonly cluster: string
  readonly endpointsName: string
  readonly address: string
  readonly locality: string
  readonly active: number
}

/** Endpoints with anything to say; their counts start anew. */
export function takeLoad(cluster: Cluster): ClusterLoad[] {
  const loads: ClusterLoad[] = []
  for (const host of cluster.hosts.values()) {
    const { load } = host
    if (load.issued === 0 && load.succeeded === 0 && load.failed === 0 && host.active === 0) continue
    host.load = emptyLoad()
    loads.push({ ...load, cluster: cluster.plan.name, endpointsName: cluster.plan.endpointsName, address: host.plan.key, locality: host.locality, active: host.active })
  }
  return loads
}

/** Requests to one endpoint between two reports whose call is noted: which calls there are is told by a few as well as by all. */
const CALLS_NOTED_MAX = 16

/** Notes what a request called, in words that hold no one's data. */
export function noteCall(load: HostLoad, request: Pick<RequestHead, 'method' | 'authority' | 'path'>, peer: Pick<PeerInfo, 'localPort' | 'tls'>): void {
  if (load.issued > CALLS_NOTED_MAX || (load.calls !== undefined && load.calls.size >= CALLS_NOTED_MAX)) return
  const call = callMetric({ port: peer.localPort, tls: peer.tls, method: request.method, authority: request.authority, path: pathTemplate(request.path) })
  if (call === undefined) return
  load.calls ??= new Map<string, number>()
  load.calls.set(call, (load.calls.get(call) ?? 0) + 1)
}

const quoted = (name: string): string => name.replace(/["\\\n]/g, '_')

/** The proxy's own metrics as Prometheus text. */
export function statsText(clusters: Iterable<Cluster>, connections: number, requests: number, overload: Overload, logsDropped: number): string {
  const lines = [
    '# TYPE weft_proxy_connections gauge', `weft_proxy_connections ${connections}`,
    '# TYPE weft_proxy_requests gauge', `weft_proxy_requests ${requests}`,
  ]
  lines.push('# TYPE weft_proxy_log_entries_dropped_total counter', `weft_proxy_log_entries_dropped_total ${logsDropped}`)
  lines.push('# TYPE weft_proxy_shed_total counter')
  for (const [bound, count] of Object.entries(overload.shed)) lines.push(`weft_proxy_shed_total{bound="${bound}"} ${count}`)
  const all = [...clusters]
  const metric = (name: string, kind: string, value: (cluster: Cluster) => number): void => {
    lines.push(`# TYPE ${name} ${kind}`)
    for (const cluster of all) lines.push(`${name}{cluster="${quoted(cluster.plan.name)}"} ${value(cluster)}`)
  }
  metric('weft_proxy_cluster_requests_total', 'counter', (cluster) => cluster.requestsTotal)
  metric('weft_proxy_cluster_connections', 'gauge', (cluster) => cluster.connections)
  metric('weft_proxy_cluster_pending', 'gauge', (cluster) => cluster.pending)
  metric('weft_proxy_cluster_overflows_total', 'counter', (cluster) => cluster.overflows)
  metric('weft_proxy_cluster_connect_failures_total', 'counter', (cluster) => cluster.connectFailures)
  metric('weft_proxy_cluster_ejections_total', 'counter', (cluster) => cluster.ejectionsTotal)
  return `${lines.join('\n')}\n`
}
