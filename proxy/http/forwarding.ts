import type { PeerInfo } from '#core/route/request.ts'
import type { ForwardAction, RetryPlan } from '#core/plan/route.ts'
import { shouldRetry } from '#core/balance/retry.ts'
import type { TryOutcome } from '#core/balance/retry.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import type { PoolUser } from '../upstream/pool.ts'
import { countTryBegun, countTryEnded } from '../upstream/count-try.ts'
import { pickHost } from '../upstream/pick-host.ts'
import { keptHost, tellHost } from '../upstream/session.ts'
import { stickyHash } from '../upstream/sticky.ts'
import { startMirrors } from '../upstream/mirror.ts'
import { answers } from './answer.ts'
import type { Answer } from './answer.ts'
import { NO_BODY } from './body.ts'
import type { Engine } from './engine.ts'
import type { Exchange } from './exchange.ts'
import { httpStatusOf } from './grpc.ts'
import { NOTHING_KEPT } from './kept-body.ts'
import { RequestLines } from './request-lines.ts'
import { timeoutOf } from './request-timeout.ts'
import type { HttpResponseHead } from './response-reader.ts'
import { relayBody, relayEnd, relayHead } from './response-relay.ts'
import { isIdempotent, retriesAfter, Retries } from './retries.ts'
import type { TunnelledUpstream, Upstream, UpstreamLoss, UpstreamUser } from './sides.ts'
import { digTunnel, joinTunnel } from './tunnelling.ts'
import { breakOff, lastWords, losses } from './upstream-loss.ts'

/**
 * A request on its way to an endpoint of a cluster, and the answer on its way back (Envoy's router): tries, retries and their deadlines. Sections are in the order in which they happen.
 * A try picks an endpoint (upstream/pick-host.ts), waits for a connection of its pool (upstream/pool.ts), sends the head (request-lines.ts) and what was kept of the body, and ends by an answer
 * that goes on to the client (response-relay.ts), or by another try.
 */
export class Forwarding implements UpstreamUser, PoolUser {
  readonly action: ForwardAction
  /** Until when the whole answer must be there; 0: no matter. */
  deadlineMs = 0
  /** The same of the present try, until its answer begins. */
  tryDeadlineMs = 0
  /** The last try went to a peer that proved who it is. */
  overMutualTls = false
  /** The client cannot follow, so that nothing more of the answer is read. */
  upstreamPaused = false
  readonly #exchange: Exchange
  readonly #engine: Engine
  readonly #cluster: Cluster
  #lines: RequestLines | undefined = undefined
  #upstream: Upstream | undefined = undefined
  /** For a connection. */
  #waits = false
  /** The body may be needed again: what comes of it is kept even as it is sent on. */
  #keeps: boolean
  /** From the first failure on. */
  #retries: Retries | undefined = undefined
  /** Sent anew once already on a connection that closed under it, which counts as no try. */
  #resent = false
  #hash: bigint | undefined = undefined
  /** When the present try was sent; 0: none was. */
  #attemptMs = 0
  /** Copies are to be sent, once the request is complete. */
  #mirrors: boolean

  /** Takes its place among the cluster's requests, until `leaveCluster`. */
  constructor(exchange: Exchange, action: ForwardAction, cluster: Cluster) {
    const { request } = exchange
    this.#exchange = exchange
    this.#engine = exchange.engine
    this.action = action
    this.#cluster = cluster
    cluster.requests += 1
    cluster.requestsTotal += 1
    this.#mirrors = action.mirrors.length > 0
    this.#keeps = request.framing !== NO_BODY && ((action.retry !== undefined && action.retry.retriesMax > 0) || this.#mirrors || isIdempotent(request.method))
  }

  begin(): void {
    const exchange = this.#exchange
    if (this.action.endsTunnels === true && this.#connects) return this.#openTunnel()
    if (exchange.request.expectsContinue) exchange.connection.sendContinue()
    this.#lines = new RequestLines(exchange, this.action)
    if (exchange.requestComplete) this.#requestIsComplete()
    this.#attempt()
  }

  get #connects(): boolean {
    return this.#exchange.request.method === 'CONNECT'
  }

  /** Only HTTP/1.1 can switch protocols with every server. */
  get needsHttp1(): boolean {
    return this.#exchange.request.upgrade !== ''
  }

  get client(): PeerInfo {
    return this.#exchange.peer
  }

  get overHttp2(): boolean {
    return this.#exchange.overHttp2
  }

  // ---- a try: an endpoint, a connection to it, and what there is of the request

  #attempt(): void {
    const exchange = this.#exchange
    const { action } = this
    const cluster = this.#cluster
    exchange.attempts += 1
    if (action.hash.length > 0) this.#hash ??= stickyHash(exchange, action.hash)
    const kept = action.session !== undefined && exchange.attempts === 1 ? keptHost(action.session, exchange.request, cluster) : undefined
    const host = kept ?? pickHost(cluster, exchange.request, exchange.peer, this.#hash, this.#retries)
    if (host === undefined) return exchange.answerWith(answers.noHealthyUpstream)
    exchange.host = host
    countTryBegun(host)
    this.#waits = true
    const got = host.pool.acquire(this)
    if (got === 'waits') return
    this.#waits = false
    if (got === 'overflow') {
      host.active -= 1
      return exchange.overflow(cluster)
    }
    this.#send(got)
  }

  onConnection(connection: Upstream): void {
    const exchange = this.#exchange
    this.#waits = false
    if (exchange.over) return connection.finish()
    this.#send(connection)
  }

  #send(upstream: Upstream): void {
    const exchange = this.#exchange
    const { host } = exchange
    const lines = this.#lines
    if (host === undefined || lines === undefined) return
    this.#upstream = upstream
    this.overMutualTls = upstream.secure
    upstream.begin(this, exchange.request.method)
    // A request that came whole and found a connection begins with its exchange: the clock is asked once less.
    this.#attemptMs = exchange.attempts === 1 && exchange.requestComplete && upstream.requests > 1 ? exchange.startMs : this.#engine.doors.clock.monotonicMs()
    const perTryMs = this.action.retry?.perTryTimeoutMs ?? 0
    this.tryDeadlineMs = perTryMs > 0 ? this.#attemptMs + perTryMs : 0
    lines.send(upstream, exchange.attempts, host.plan.hostname)
    if (exchange.kept !== undefined) for (const chunk of exchange.kept.chunks) upstream.sendBody(chunk, 0, chunk.length)
    if (exchange.requestComplete) upstream.sendEnd(exchange.trailers)
    if (!exchange.connection.reading) upstream.flush()
    if (!this.#keeps || exchange.kept?.resendable === false) this.#stopKeeping()
    if (upstream.congested) exchange.pauseDownstream()
    else exchange.resumeDownstream()
  }

  onConnectFailure(why: string): void {
    const exchange = this.#exchange
    this.#waits = false
    if (exchange.over) return
    const { host } = exchange
    const cluster = this.#cluster
    exchange.upstreamFailure = why === '' ? 'connection_timeout' : why
    if (host !== undefined) {
      this.#countEnd(host, false)
      cluster.record(host, 'connect-failure')
    }
    if (this.#retry({ reset: 'connect-failure' })) return
    this.#giveUp(why === '' ? answers.connectTimeout : answers.connectFailure(why))
  }

  // ---- the rest of the request

  sendBody(bytes: Buffer, start: number, end: number): void {
    const exchange = this.#exchange
    const upstream = this.#upstream
    if (upstream === undefined || this.#keeps) exchange.keep(bytes, start, end, upstream === undefined)
    if (upstream === undefined) return
    if (this.#keeps && exchange.kept?.resendable === false) this.#stopKeeping()
    upstream.sendBody(bytes, start, end)
    if (upstream.congested) exchange.pauseDownstream()
  }

  #stopKeeping(): void {
    this.#keeps = false
    this.#exchange.kept = undefined
  }

  sendEnd(trailers: string): void {
    this.#requestIsComplete()
    this.#upstream?.sendEnd(trailers)
  }

  #requestIsComplete(): void {
    const exchange = this.#exchange
    const timeoutMs = timeoutOf(exchange, this.action)
    // Envoy starts this clock when the whole request has arrived.
    if (timeoutMs > 0) this.deadlineMs = (exchange.request.framing === NO_BODY ? exchange.startMs : this.#engine.doors.clock.monotonicMs()) + timeoutMs
    if (this.#mirrors && this.#lines !== undefined) {
      // Once: a request without a body is complete with its head, and its end is reported again.
      this.#mirrors = false
      const { chunks, bytes } = exchange.kept ?? NOTHING_KEPT
      startMirrors(this.#engine, this.action.mirrors, this.#lines, chunks, exchange.bodyBytes === bytes)
    }
  }

  /** All that one read of the client brought has been told. */
  flush(): void {
    const exchange = this.#exchange
    const upstream = this.#upstream
    if (upstream === undefined) return
    if (exchange.connection.readsRecords && !exchange.requestComplete) upstream.flushLate()
    else upstream.flush()
  }

  onUpstreamWritable(): void {
    this.#exchange.resumeDownstream()
  }

  // ---- the answer

  onUpstreamResponse(head: HttpResponseHead): void {
    const exchange = this.#exchange
    const { host } = exchange
    const cluster = this.#cluster
    const upstream = this.#upstream
    if (upstream === undefined || host === undefined) return
    exchange.lastActiveMs = this.#engine.sweptMs
    exchange.upstreamServiceMs = Math.max(0, Math.floor(this.#engine.doors.clock.monotonicMs() - this.#attemptMs))
    if (head.status === 101 || (head.status < 300 && this.#connects)) return this.#switchProtocols(upstream, head)
    const grpcStatus = exchange.isGrpc ? head.header('grpc-status') : undefined
    if (grpcStatus !== undefined) exchange.grpcStatus = Number(grpcStatus)
    cluster.record(host, grpcStatus === undefined ? head.status : httpStatusOf(exchange.grpcStatus))
    const { retry } = this.action
    if (retry !== undefined && retriesAfter(retry, head) && this.#mayRetry(retry)) {
      this.#leave(upstream, host, head.status < 500)
      upstream.abort()
      this.#scheduleRetry()
      return
    }
    this.tryDeadlineMs = 0
    if (this.action.session !== undefined) tellHost(this.action.session, exchange, host)
    relayHead(exchange, head)
    if (!this.#mirrors) this.#stopKeeping()
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    if (this.#upstream === undefined) return
    this.#exchange.lastActiveMs = this.#engine.sweptMs
    relayBody(this.#exchange, bytes, start, end)
  }

  onUpstreamEnd(trailers: string): void {
    const exchange = this.#exchange
    const { host } = exchange
    const upstream = this.#upstream
    if (upstream === undefined || host === undefined) return
    relayEnd(exchange, trailers)
    const nowMs = this.#engine.doors.clock.monotonicMs()
    this.#leave(upstream, host, exchange.status < 500, nowMs)
    if (this.upstreamPaused) {
      this.upstreamPaused = false
      upstream.resume()
    }
    // Logged before the connection is handed on: the next request overwrites the answer's head.
    exchange.finish(nowMs)
    if (exchange.requestComplete) upstream.finish()
    else upstream.abort()
    exchange.connection.exchangeOver(exchange.requestComplete, false)
  }

  onUpstreamReadDone(): void {
    const { connection } = this.#exchange
    const upstream = this.#upstream
    if (upstream?.readsRecords === true) connection.flushLate()
    else connection.flush()
    // Asked once a read, and not of an answer that is complete with it: to pause and to resume costs more than what one read brings.
    if (upstream !== undefined && connection.congested && !this.upstreamPaused) {
      this.upstreamPaused = true
      upstream.pause()
    }
  }

  /** The client follows again. */
  resumeUpstream(): void {
    if (!this.upstreamPaused) return
    this.upstreamPaused = false
    this.#upstream?.resume()
  }

  // ---- no answer, or half of one

  onUpstreamReset(why: UpstreamLoss): void {
    const exchange = this.#exchange
    const { host } = exchange
    const cluster = this.#cluster
    const upstream = this.#upstream
    if (upstream === undefined || host === undefined) return
    this.#upstream = undefined
    this.#countEnd(host, false)
    if (exchange.responseStarted) {
      cluster.record(host, 'reset')
      return breakOff(exchange, why)
    }
    const lost = why === 'reset' && upstream.requests > 1 && !upstream.answered && isIdempotent(exchange.request.method)
    if ((lost || why === 'refused') && !this.#resent && this.#canResend()) {
      // The server closed a kept-alive connection while the request was on its way. Nothing came back, and the method may be repeated (RFC 9110 §9.2.2);
      // or it says itself that it did nothing (RFC 9113 §8.7).
      this.#resent = true
      exchange.attempts -= 1
      return this.#attempt()
    }
    cluster.record(host, 'reset')
    if (this.#retry({ reset: why === 'refused' ? 'refused' : 'reset' })) return
    this.#giveUp(losses[why].answer)
  }

  tryTimedOut(): void {
    const exchange = this.#exchange
    this.tryDeadlineMs = 0
    this.noteTimeout()
    this.release()
    if (this.#retry({ reset: 'per-try-timeout' })) return
    exchange.answerWith(answers.perTryTimeout)
  }

  /** The endpoint did not answer in time. */
  noteTimeout(): void {
    const { host } = this.#exchange
    if (host !== undefined && this.#upstream !== undefined) this.#cluster.record(host, 'timeout')
  }

  #giveUp(answer: Answer): void {
    this.#exchange.answerWith(lastWords(answer, this.#exchange.attempts))
  }

  // ---- another try

  #canResend(): boolean {
    const exchange = this.#exchange
    return exchange.request.framing === NO_BODY || this.#keeps || (exchange.requestBytes === 0 && !exchange.requestComplete)
  }

  #mayRetry(plan: RetryPlan): boolean {
    if (this.#exchange.responseStarted || !this.#canResend()) return false
    this.#retries ??= new Retries(plan, this.#cluster)
    return this.#retries.mayGoOn(this.#exchange)
  }

  /** True when another try is under way. */
  #retry(outcome: TryOutcome): boolean {
    const plan = this.action.retry
    if (plan === undefined || !shouldRetry(plan, outcome) || !this.#mayRetry(plan)) return false
    this.#scheduleRetry()
    return true
  }

  #scheduleRetry(): void {
    const exchange = this.#exchange
    const { engine, host } = exchange
    this.tryDeadlineMs = 0
    const delayMs = this.#retries?.next(host, engine.doors.random.draw()) ?? 0
    engine.doors.clock.after(delayMs, () => {
      if (!exchange.over) this.#attempt()
    })
  }

  // ---- tunnels

  #openTunnel(): void {
    const upstream = digTunnel(this.#exchange, this.#cluster, (dug, host) => this.#becomeTunnel(dug, dug.tunnel, host, undefined))
    if (upstream === undefined) return
    this.#attemptMs = this.#exchange.startMs
    this.#upstream = upstream
    this.overMutualTls = upstream.secure
  }

  #switchProtocols(upstream: Upstream, head: HttpResponseHead): void {
    const exchange = this.#exchange
    const { host } = exchange
    const { tunnel } = upstream
    if ((head.status === 101 && exchange.request.upgrade === '') || host === undefined || tunnel === undefined) {
      this.release()
      return exchange.answerWith(answers.protocolError)
    }
    exchange.responseHead = head
    this.#becomeTunnel(upstream, tunnel, host, head)
  }

  /** `head`: undefined for a CONNECT that ends here. */
  #becomeTunnel(upstream: Upstream, tunnel: TunnelledUpstream, host: UpstreamHost, head: HttpResponseHead | undefined): void {
    this.deadlineMs = 0
    this.tryDeadlineMs = 0
    joinTunnel(this.#exchange, tunnel, head, () => {
      this.#leave(upstream, host, true)
      upstream.abort()
    })
  }

  // ---- the end of a try, and of them all

  /** This exchange and its upstream connection part; the caller says what becomes of the connection. */
  #leave(upstream: Upstream, host: UpstreamHost, succeeded: boolean, nowMs?: number): void {
    if (this.#upstream !== upstream) return
    this.#upstream = undefined
    if (upstream.secure) {
      host.load.secured += 1
      host.total.secured += 1
    }
    this.#countEnd(host, succeeded, nowMs)
  }

  #countEnd(host: UpstreamHost, succeeded: boolean, nowMs = this.#engine.doors.clock.monotonicMs()): void {
    countTryEnded(host, this.#cluster.plan.balancer, this.#attemptMs, nowMs, succeeded)
  }

  /** Lets go of whatever is upstream: a place in a queue, or a connection, which is closed. */
  release(): void {
    const { host } = this.#exchange
    if (host === undefined) return
    if (this.#waits) {
      this.#waits = false
      host.pool.cancel(this)
      host.active -= 1
    }
    const upstream = this.#upstream
    if (upstream === undefined) return
    this.#leave(upstream, host, false)
    upstream.abort()
  }

  /** The exchange has ended: others may have its place among the cluster's requests. */
  leaveCluster(): void {
    this.#cluster.requests -= 1
    this.#retries?.release()
  }
}
