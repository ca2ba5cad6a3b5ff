import type { PeerInfo } from '#core/route/request.ts'
import type { HttpRequestHead } from '../http/request-head.ts'
import type { Retries } from '../http/retries.ts'
import type { Cluster } from './cluster.ts'
import type { UpstreamHost } from './host.ts'

/**
 * The endpoint for one try: where the client was going, for a cluster that goes there (envoy.config.cluster.v3.Cluster.DiscoveryType ORIGINAL_DST); what the request's host resolves to,
 * for one that goes by it (dynamic forward proxy); and else the balancer's choice.
 * Undefined: none is healthy.
 */
export function pickHost(cluster: Cluster, request: HttpRequestHead, peer: PeerInfo, hash: bigint | undefined, retries: Retries | undefined): UpstreamHost | undefined {
  const { discovery } = cluster.plan
  if (discovery !== 'original-destination' && discovery !== 'by-host') return cluster.pick(hash, retries?.avoidedHosts, retries?.plan.hostSelectionAttemptsMax ?? 0, retries?.avoidedPriorities)
  if (discovery === 'original-destination' && peer.captured === true) return cluster.hostAt(peer.localAddress, peer.localPort)
  const { authority } = request
  const colon = authority.lastIndexOf(':')
  const port = Number(authority.slice(colon + 1))
  return colon > 0 && port > 0 ? cluster.hostAt(authority.slice(0, colon), port) : cluster.hostAt(authority, 80)
}
