import type { Topology } from '#core/contract/topology.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import { standing } from '../proxies/proxy-rows.ts'

/** The mesh in five numbers. */
export interface Totals {
  readonly services: number
  /** Over all edges: every hop counts. */
  readonly requestsPerSecond: number
  readonly errorShare: number
  /** Of the requests for which a handshake was reported; undefined when none was. */
  readonly mutualTlsShare: number | undefined
  readonly proxies: { readonly synced: number; readonly stale: number; readonly rejected: number } | undefined
}

export function totals(topology: Topology, proxies: readonly ProxyStatus[] | undefined): Totals {
  let requests = 0
  let failed = 0
  let reported = 0
  let mutual = 0
  for (const edge of topology.edges) {
    requests += edge.requestsPerSecond
    failed += edge.requestsPerSecond * edge.errorShare
    if (edge.mutualTlsShare === null) continue
    reported += edge.requestsPerSecond
    mutual += edge.requestsPerSecond * edge.mutualTlsShare
  }
  const counts = { synced: 0, stale: 0, rejected: 0 }
  for (const proxy of proxies ?? []) counts[standing(proxy)] += 1
  return {
    services: topology.nodes.filter((node) => node.kind === 'service').length,
    requestsPerSecond: requests,
    errorShare: requests > 0 ? failed / requests : 0,
    mutualTlsShare: reported > 0 ? Math.min(1, mutual / reported) : undefined,
    proxies: proxies === undefined ? undefined : counts,
  }
}
