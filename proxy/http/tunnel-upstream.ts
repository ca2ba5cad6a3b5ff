import type { PeerInfo } from '#core/route/request.ts'
import type { Clock } from '#core/time/clock.ts'
import type { Cluster } from '../upstream/cluster.ts'
import { dialHost } from '../upstream/connect.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import type { TunnelledUpstream, Upstream, UpstreamUser } from './sides.ts'
import type { Wire, WireHandler } from './socket.ts'

/** The far end of a tunnel that a CONNECT asked for and that ends here: a connection of its own, on which no HTTP is spoken. */
export class TunnelUpstream implements Upstream, TunnelledUpstream, WireHandler {
  readonly protocol = 'HTTP/1.1'
  readonly congested = false
  readonly readsRecords = false
  readonly requests = 1
  readonly answered = false
  readonly secure: boolean
  readonly #cluster: Cluster
  #wire: Wire | undefined
  #settled: ((problem: string) => void) | undefined

  /** Dials. `settled` gets an empty string once the connection stands, else what is wrong; not called once `abort` was. */
  constructor(cluster: Cluster, host: UpstreamHost, clock: Clock, client: PeerInfo, settled: (problem: string) => void) {
    this.#cluster = cluster
    this.#settled = settled
    this.secure = host.tls !== undefined
    cluster.connections += 1
    this.#wire = dialHost(cluster, host, this, clock, client, (problem) => this.#settle(problem))
    if (this.#wire === undefined) clock.after(0, () => this.#settle('TLS_error:Secret_is_not_supplied_by_SDS'))
  }

  get wire(): Wire {
    if (this.#wire === undefined) throw new Error('a tunnel without a certificate has no connection')
    return this.#wire
  }

  get tunnel(): TunnelledUpstream {
    return this
  }

  takeRest(): undefined {
    return undefined
  }

  #settle(problem: string): void {
    const settled = this.#settled
    this.#settled = undefined
    settled?.(problem)
  }

  abort(): void {
    this.#settled = undefined
    this.#wire?.destroy()
    this.#cluster.connections -= 1
  }

  onClosed(error: string): void {
    if (this.#settled === undefined) return
    this.#cluster.connectFailures += 1
    this.#settle(error === '' ? 'closed' : error)
  }

  // ---- what there is none of in a tunnel that is being dug

  begin(_user: UpstreamUser, _method: string): void {}
  sendHead(): void {}
  sendBody(): void {}
  sendEnd(): void {}
  flush(): void {}
  flushLate(): void {}
  pause(): void {}
  resume(): void {}
  finish(): void {}
  onRead(): void {}
  onReadEnd(): void {}
  onWritable(): void {}
}
