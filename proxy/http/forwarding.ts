import type { PeerInfo } from '#core/route/request.ts'
import type { ForwardAction, RetryPlan } from '#core/plan/route.ts'
import { observeLatency } from '#core/balance/peak-ewma.ts'
import { shouldRetry } from '#core/balance/retry.ts'
import type { TryOutcome } from '#core/balance/retry.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import type { PoolUser } from '../upstream/pool.ts'
import { countTry } from '../upstream/count-try.ts'
import { pickHost } from '../upstream/pick-host.ts'
import { keptHost, tellHost } from '../upstream/session.ts'
import { stickyHash } from '../upstream/sticky.ts'
import { startMirrors } from '../upstream/mirror.ts'
import { answers } from './answer.ts'
import type { Answer } from './answer.ts'
import { NO_BODY } from './body.ts'
import type { Engine } from './engine.ts'
import type { Exchange } from './exchange.ts'
import { httpStatusOf, statusInTrailers } from './grpc.ts'
import { NOTHING_KEPT } from './kept-body.ts'
import { RequestLines } from './request-lines.ts'
import { responseLines } from './response-out.ts'
import type { HttpResponseHead } from './response-reader.ts'
import { timeoutOf } from './request-timeout.ts'
import { outcomeOf, Retries } from './retries.ts'
import type { TunnelledUpstream, Upstream, UpstreamLoss, UpstreamUser } from './sides.ts'
import { digTunnel, joinTunnel } from './tunnelling.ts'
import { lastWords, losses } from './upstream-loss.ts'

/** A body up to this size is kept so that it can be sent again; a larger one goes on unkept, and the request is not retried. */
const KEPT_BYTES_MAX = 256 * 1024

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

/** A request on its way to an endpoint of a cluster, and the answer on its way back: tries, retries and their deadlines. */
export class Forwarding implements UpstreamUser, PoolUser {
  readonly action: ForwardAction
  /** Until when the whole answer must be there; 0: no matter. */
  deadlineMs = 0
  /** The same of the present try, until its answer begins. */
  tryDeadlineMs = 0
  overMutualTls = false
  /** The client cannot follow, so that nothing more of the answer is read. */
  upstreamPaused = false
  readonly #exchange: Exchange
  readonly #engine: Engine
  readonly #cluster: Cluster
  #lines: RequestLines | undefined = undefined
  #upstream: Upstream | undefined = undefined
  #waits = false
  /** The body may be needed again: what comes of it is kept even as it is sent on. */
  #keeps: boolean
  /** From the first failure on. */
  #retries: Retries | undefined = undefined
  #resent = false
  #hash: bigint | undefined = undefined
  #attemptMs = 0
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
    this.#keeps = request.framing !== NO_BODY && ((action.retry !== undefined && action.retry.retriesMax > 0) || this.#mirrors || IDEMPOTENT.has(request.method))
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

  // ---- the rest of the request

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

  sendBody(bytes: Buffer, start: number, end: number): void {
    const exchange = this.#exchange
    const upstream = this.#upstream
    if (upstream === undefined || this.#keeps) exchange.keep(bytes, start, end, upstream === undefined)
    if (upstream === undefined) return
    if (this.#keeps && this.#keptTooMuch) this.#stopKeeping()
    upstream.sendBody(bytes, start, end)
    if (upstream.congested) exchange.pauseDownstream()
  }

  get #keptTooMuch(): boolean {
    const { kept } = this.#exchange
    return kept !== undefined && kept.bytes > KEPT_BYTES_MAX
  }

  #stopKeeping(): void {
    this.#keeps = false
    this.#exchange.kept = undefined
  }

  sendEnd(trailers: string): void {
    this.#requestIsComplete()
    this.#upstream?.sendEnd(trailers)
  }

  /** All that one read of the client brought has been told. */
  flush(): void {
    const exchange = this.#exchange
    const upstream = this.#upstream
    if (upstream === undefined) return
    if (exchange.connection.readsRecords && !exchange.requestComplete) upstream.flushLate()
    else upstream.flush()
  }

  /** The client follows again. */
  resumeUpstream(): void {
    if (!this.upstreamPaused) return
    this.upstreamPaused = false
    this.#upstream?.resume()
  }

  // ---- tries

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
    host.active += 1
    host.load.issued += 1
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
    this.#attemptMs = exchange.attempts === 1 && exchange.requestComplete && upstream.requests > 1 ? exchange.startMs : this.#engine.doors.clock.monotonicMs()
    const perTryMs = this.action.retry?.perTryTimeoutMs ?? 0
    this.tryDeadlineMs = perTryMs > 0 ? this.#attemptMs + perTryMs : 0
    lines.send(upstream, exchange.attempts, host.plan.hostname)
    if (exchange.kept !== undefined) for (const chunk of exchange.kept.chunks) upstream.sendBody(chunk, 0, chunk.length)
    if (exchange.requestComplete) upstream.sendEnd(exchange.trailers)
    if (!exchange.connection.reading) upstream.flush()
    if (!this.#keeps || this.#keptTooMuch) this.#stopKeeping()
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
      host.active -= 1
      this.#countLoad(host, false)
      cluster.record(host, 'connect-failure')
    }
    if (this.#retry({ reset: 'connect-failure' })) return
    this.#giveUp(why === '' ? answers.connectTimeout : answers.connectFailure(why))
  }

  onUpstreamWritable(): void {
    const exchange = this.#exchange
    exchange.resumeDownstream()
  }

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
    if (this.action.retry !== undefined && this.#wantsRetry(head)) {
      this.#leave(upstream, host, head.status < 500)
      upstream.abort()
      this.#scheduleRetry()
      return
    }
    exchange.responseHead = head
    exchange.status = head.status
    if (exchange.details === '') exchange.details = 'via_upstream'
    exchange.responseStarted = true
    this.tryDeadlineMs = 0
    if (this.action.session !== undefined) tellHost(this.action.session, exchange, host)
    if (exchange.grpcWeb === undefined) exchange.connection.sendHead(head.status, head.statusText, responseLines(exchange, head), head.framing)
    else exchange.grpcWeb.sendHead(exchange, head)
    if (!this.#mirrors) this.#stopKeeping()
  }

  #wantsRetry(head: HttpResponseHead): boolean {
    const plan = this.action.retry
    const outcome = plan && outcomeOf(head)
    return plan !== undefined && outcome !== undefined && shouldRetry(plan, outcome, this.#exchange.request.method) && this.#mayRetry(plan)
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    const exchange = this.#exchange
    const upstream = this.#upstream
    if (upstream === undefined) return
    const { connection, grpcWeb } = exchange
    exchange.lastActiveMs = this.#engine.sweptMs
    exchange.messages?.response.read(bytes, start, end)
    if (grpcWeb !== undefined) return grpcWeb.sendBody(exchange, bytes, start, end)
    exchange.responseBytes += end - start
    connection.sendBody(bytes, start, end)
  }

  onUpstreamEnd(trailers: string): void {
    const exchange = this.#exchange
    const { host } = exchange
    const upstream = this.#upstream
    if (upstream === undefined || host === undefined) return
    if (exchange.grpcWeb === undefined) exchange.connection.sendEnd(trailers)
    else exchange.grpcWeb.sendEnd(exchange, trailers)
    if (exchange.isGrpc && trailers !== '') exchange.grpcStatus = statusInTrailers(trailers) < 0 ? exchange.grpcStatus : statusInTrailers(trailers)
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

  onUpstreamReset(why: UpstreamLoss): void {
    const exchange = this.#exchange
    const { host } = exchange
    const cluster = this.#cluster
    const upstream = this.#upstream
    if (upstream === undefined || host === undefined) return
    this.#upstream = undefined
    host.active -= 1
    this.#countLoad(host, false)
    if (exchange.responseStarted) {
      // Half an answer cannot be taken back: the client learns by the broken connection.
      exchange.addFlag(losses[why].flag)
      exchange.details = `upstream_reset_after_response_started{${losses[why].words}}`
      cluster.record(host, 'reset')
      exchange.finish()
      return exchange.connection.fail()
    }
    const lost = why === 'reset' && upstream.requests > 1 && !upstream.answered && IDEMPOTENT.has(exchange.request.method)
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

  #giveUp(answer: Answer): void {
    this.#exchange.answerWith(lastWords(answer, this.#exchange.attempts))
  }

  // ---- retries

  #canResend(): boolean {
    const exchange = this.#exchange
    return exchange.request.framing === NO_BODY || this.#keeps || (exchange.requestBytes === 0 && !exchange.requestComplete)
  }

  #mayRetry(plan: RetryPlan): boolean {
    const exchange = this.#exchange
    const cluster = this.#cluster
    if (exchange.responseStarted || !this.#canResend()) return false
    const retries = (this.#retries ??= new Retries(plan, cluster))
    if (retries.spent) {
      if (plan.retriesMax > 0) exchange.addFlag('URX')
      return false
    }
    if (retries.fits) return true
    cluster.overflows += 1
    exchange.addFlag('UO')
    return false
  }

  /** True when another try is under way. */
  #retry(outcome: TryOutcome): boolean {
    const exchange = this.#exchange
    const plan = this.action.retry
    if (plan === undefined || !shouldRetry(plan, outcome, exchange.request.method) || !this.#mayRetry(plan)) return false
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

  /** This exchange and its upstream connection part. */
  #leave(upstream: Upstream, host: UpstreamHost, succeeded: boolean, nowMs?: number): void {
    if (this.#upstream !== upstream) return
    this.#upstream = undefined
    host.active -= 1
    if (upstream.secure) {
      host.load.secured += 1
      host.total.secured += 1
    }
    this.#countLoad(host, succeeded, nowMs)
  }

  #countLoad(host: UpstreamHost, succeeded: boolean, nowMs = this.#engine.doors.clock.monotonicMs()): void {
    const ms = this.#attemptMs === 0 ? 0 : Math.max(0, nowMs - this.#attemptMs)
    countTry(host, ms, succeeded)
    if (this.#exchange.cluster?.plan.balancer === 'peak-ewma') observeLatency(host, ms, succeeded, nowMs)
  }

  /** Lets go of whatever is upstream: a place in a queue, or a connection, which is closed. */
  release(succeeded: boolean): void {
    const { host } = this.#exchange
    if (host === undefined) return
    if (this.#waits) {
      this.#waits = false
      host.pool.cancel(this)
      host.active -= 1
    }
    const upstream = this.#upstream
    if (upstream === undefined) return
    this.#leave(upstream, host, succeeded)
    upstream.abort()
  }

  tryTimedOut(): void {
    const exchange = this.#exchange
    this.tryDeadlineMs = 0
    this.noteTimeout()
    this.release(false)
    if (this.#retry({ reset: 'per-try-timeout' })) return
    exchange.answerWith(answers.perTryTimeout)
  }

  /** The endpoint did not answer in time. */
  noteTimeout(): void {
    const { host } = this.#exchange
    if (host !== undefined && this.#upstream !== undefined) this.#cluster.record(host, 'timeout')
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
      this.release(false)
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

  /** The exchange has ended. */
  leaveCluster(): void {
    this.#cluster.requests -= 1
    this.#retries?.release()
  }
}
