import type { PeerInfo } from '#core/route/request.ts'
import type { Clock } from '#core/time/clock.ts'
import { CHUNKED, NO_BODY } from '../http/body.ts'
import type { HttpResponseHead } from '../http/response-reader.ts'
import type { Upstream, UpstreamUser } from '../http/sides.ts'
import type { WireHandler } from '../http/socket.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import type { PoolUser } from '../upstream/pool.ts'
import type { TunnelEnd } from './tunnel.ts'

/** What became of it: the end that bytes go to and come from, or why there is none. `overflow`: too many wait for a connection already; `unreached`: no connection could be made. */
export type TunnelOutcome = { readonly end: TunnelEnd } | { readonly problem: 'overflow' | 'unreached' | 'refused'; readonly words: string }

const noHandler: WireHandler = { onRead() {}, onReadEnd() {}, onWritable() {}, onClosed() {} }

/**
 * A tunnel that is asked for with a request of its own, over the cluster's connections and in the HTTP that its endpoints speak. By POST, its bytes are the body of the request, and those that come back the body of the answer
 * (Envoy's `tunneling_config.use_post`); by CONNECT over HTTP/2, DATA both ways (RFC 9113 §8.5).
 */
export class AskedTunnel implements PoolUser, UpstreamUser, TunnelEnd {
  readonly needsHttp1 = false
  /** Where endpoints are spoken to as their clients speak: HTTP/2, as Envoy has it. */
  readonly overHttp2 = true
  readonly client: PeerInfo
  handler: WireHandler = noHandler
  readonly #cluster: Cluster
  readonly #host: UpstreamHost
  readonly #target: string
  readonly #method: 'CONNECT' | 'POST'
  readonly #clock: Clock
  #settled: ((outcome: TunnelOutcome) => void) | undefined
  #timer: { cancel(): void } | undefined
  #upstream: Upstream | undefined
  #waits = false
  #sentEnd = false
  #gotEnd = false
  #over = false

  /** `settled` hears once what became of it, and not after `destroy`. */
  constructor(cluster: Cluster, host: UpstreamHost, target: string, method: 'CONNECT' | 'POST', clock: Clock, client: PeerInfo, settled: (outcome: TunnelOutcome) => void) {
    this.#cluster = cluster
    this.#host = host
    this.#target = target
    this.#method = method
    this.#clock = clock
    this.client = client
    this.#settled = settled
  }

  begin(): void {
    this.#cluster.requests += 1
    this.#cluster.requestsTotal += 1
    this.#waits = true
    const got = this.#host.pool.acquire(this)
    if (got === 'overflow') this.#refuse('overflow', '')
    else if (got !== 'waits') this.onConnection(got)
  }

  onConnection(upstream: Upstream): void {
    this.#waits = false
    this.#upstream = upstream
    this.#timer = this.#clock.after(this.#cluster.plan.connectTimeoutMs, () => this.#refuse('refused', 'tunnel_refused:timeout'))
    const connects = this.#method === 'CONNECT'
    upstream.begin(this, this.#method)
    upstream.sendHead(this.#method, this.#host.tls === undefined ? 'http' : 'https', this.#target, connects ? '' : '/', '', connects ? NO_BODY : CHUNKED, '')
    upstream.flush()
  }

  onConnectFailure(why: string): void {
    this.#waits = false
    this.#cluster.record(this.#host, 'connect-failure')
    this.#refuse('unreached', why)
  }

  #settle(outcome: TunnelOutcome): void {
    const settled = this.#settled
    this.#settled = undefined
    this.#timer?.cancel()
    settled?.(outcome)
  }

  #refuse(problem: 'overflow' | 'unreached' | 'refused', words: string): void {
    this.#release()
    this.#settle({ problem, words })
  }

  /** Whatever is not complete is given up. */
  #release(): void {
    if (this.#over) return
    this.#over = true
    this.#timer?.cancel()
    this.#cluster.requests -= 1
    if (this.#waits) this.#host.pool.cancel(this)
    const upstream = this.#upstream
    this.#upstream = undefined
    if (upstream === undefined) return
    if (this.#sentEnd && this.#gotEnd) {
      upstream.resume()
      upstream.finish()
    } else upstream.abort()
  }

  // ---- what the endpoint says

  onUpstreamResponse(head: HttpResponseHead): void {
    if (head.status < 200 || head.status > 299) return this.#refuse('refused', `tunnel_refused:${head.status}`)
    if (this.#method === 'POST') return this.#settle({ end: this })
    const stream = this.#upstream?.tunnel
    if (stream === undefined) return this.#refuse('refused', 'tunnel_refused:no_answer')
    // From here on the stream speaks for itself, to its end.
    this.#upstream = undefined
    stream.takeRest()
    this.#settle({ end: stream.wire })
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    this.handler.onRead(start === 0 ? bytes : bytes.subarray(start, end), end - start)
  }

  onUpstreamEnd(): void {
    this.#gotEnd = true
    this.handler.onReadEnd()
    this.#closeIfComplete()
  }

  onUpstreamReadDone(): void {}

  onUpstreamReset(): void {
    this.#upstream = undefined
    if (this.#settled !== undefined) return this.#refuse('refused', 'tunnel_refused:closed')
    // An answer that is complete counts for what it said; who goes on asking learns that nobody listens.
    if (!this.#gotEnd || this.#sentEnd) this.handler.onClosed('ECONNRESET')
  }

  onUpstreamWritable(): void {
    this.handler.onWritable()
  }

  // ---- what the other end of the tunnel does

  get closed(): boolean {
    return this.#over
  }

  get congested(): boolean {
    return this.#upstream?.congested === true
  }

  putBytes(bytes: Buffer, start: number, end: number): void {
    if (!this.#sentEnd && end > start) this.#upstream?.sendBody(bytes, start, end)
  }

  flush(): void {
    if (this.#upstream !== undefined) this.#upstream.flush()
    else if (!this.#over) this.handler.onClosed('ECONNRESET')
  }

  pause(): void {
    this.#upstream?.pause()
  }

  resume(): void {
    this.#upstream?.resume()
  }

  end(): void {
    if (this.#sentEnd) return
    this.#sentEnd = true
    this.#upstream?.sendEnd('')
    this.#upstream?.flush()
    this.#closeIfComplete()
  }

  /** Both messages are complete: the connection may carry others. */
  #closeIfComplete(): void {
    if (this.#over || !this.#sentEnd || !this.#gotEnd) return
    this.#release()
    this.handler.onClosed('')
  }

  destroy(): void {
    this.#settled = undefined
    this.#release()
  }
}
