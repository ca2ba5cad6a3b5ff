import { durationMetrics } from '#core/telemetry/load-metrics.ts'
import type { ClientTlsPlan, ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointPlan } from '#core/plan/endpoints.ts'
import type { HostState } from '#core/balance/host.ts'
import { newOutlierState } from '#core/balance/outlier.ts'
import type { OutlierState } from '#core/balance/outlier.ts'
import type { Destination } from '../telemetry/metrics.ts'
import { HostPool } from './pool.ts'
import type { PoolOwner } from './pool.ts'

/** What was sent to one endpoint since load was last reported. */
export interface HostLoad {
  succeeded: number
  failed: number
  issued: number
  latencyMsSum: number
  /** Finished requests by duration bucket (core/telemetry/load-metrics.ts). */
  readonly durations: number[]
  /** Requests over mutual TLS. */
  secured: number
  /** Requests by what they called (core/telemetry/call-words.ts): of the first few only. Absent until there is one. */
  calls?: Map<string, number>
}

export const emptyLoad = (): HostLoad => ({ succeeded: 0, failed: 0, issued: 0, latencyMsSum: 0, durations: durationMetrics.map(() => 0), secured: 0 })

/** An endpoint of a cluster with its connections. Lives as long as updates name its key. */
export class UpstreamHost implements HostState {
  plan: EndpointPlan
  active = 0
  ejectedUntilMs = 0
  failsCheck = false
  ramp = 1
  latencyMs = 0
  latencyAtMs = 0
  /** Since when it warms up. */
  addedMs = 0
  priority = 0
  readonly outlier: OutlierState = newOutlierState()
  /** How it is spoken to; undefined: in plaintext. */
  tls: ClientTlsPlan | undefined
  readonly pool: HostPool
  destination: Destination
  /** SPIFFE ID of its certificate, as the last handshake showed it; empty before, and without one. */
  principal = ''
  /** Since the last load report, which replaces it. */
  load = emptyLoad()
  /** Since the proxy started, for admin. */
  readonly total = emptyLoad()
  locality = ''

  constructor(owner: PoolOwner, plan: EndpointPlan, destination: Destination) {
    this.plan = plan
    this.destination = destination
    this.tls = transportOf(owner.plan, plan)
    this.pool = new HostPool(owner, this)
  }
}

/** The first transport whose conditions the endpoint's metadata meets (Envoy's transport_socket_matches); plaintext when there is none. */
export function transportOf(cluster: ClusterPlan, endpoint: EndpointPlan): ClientTlsPlan | undefined {
  for (const transport of cluster.transports) {
    if (Object.entries(transport.match).every(([key, value]) => endpoint.transport[key] === value)) return transport.tls
  }
  return undefined
}
