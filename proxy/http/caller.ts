import type { PeerInfo } from '#core/route/request.ts'
import type { Source, TrafficMetrics } from '../telemetry/metrics.ts'
import { PEER_ID } from './field-kind.ts'
import type { HttpRequestHead } from './request-head.ts'

/** Who calls on one connection, for metrics. Looked up anew only where a request tells another peer id, which those of one mesh peer do not. */
export class Caller {
  readonly #metrics: TrafficMetrics
  readonly #peer: PeerInfo
  #source: Source | undefined
  #peerId = ''

  constructor(metrics: TrafficMetrics, peer: PeerInfo) {
    this.#metrics = metrics
    this.#peer = peer
  }

  source({ fields }: HttpRequestHead): Source {
    const { tls, uriSans } = this.#peer
    const peerId = tls ? (fields.findKind(PEER_ID) ?? '') : ''
    if (this.#source === undefined || peerId !== this.#peerId) {
      // Who does not say its name does not say more of itself.
      this.#source = this.#metrics.source(uriSans[0] ?? '', peerId, uriSans.length > 0, peerId === '' ? '' : fields.find('x-envoy-peer-metadata'))
      this.#peerId = peerId
    }
    return this.#source
  }
}
