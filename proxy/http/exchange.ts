import type { Origin } from '#core/plan/origin.ts'
import type { ForwardAction, RetryPlan, Route, RouteTable, VirtualHost, WeightedCluster } from '#core/plan/route.ts'
import type { PeerInfo } from '#core/route/request.ts'
import { shouldRetry } from '#core/balance/retry.ts'
import type { TryOutcome } from '#core/balance/retry.ts'
import { normalizePath } from '#core/route/normalize.ts'
import { redirectLocation } from '#core/route/redirect.ts'
import { findVirtualHost, selectRoute, withoutPort } from '#core/route/select.ts'
import { pickCluster } from '#core/route/split.ts'
import type { HttpStack } from '../filter/stack.ts'
import { CONTINUE } from '../filter/filter.ts'
import type { Facts } from '../telemetry/facts.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import type { PoolUser } from '../upstream/pool.ts'
import { countTry } from '../upstream/count-try.ts'
import { pickHost } from '../upstream/pick-host.ts'
import { stickyHash } from '../upstream/sticky.ts'
import { startMirrors } from '../upstream/mirror.ts'
import { answers } from './answer.ts'
import type { Answer } from './answer.ts'
import { LENGTH, NO_BODY } from './body.ts'
import { KeptBody, NOTHING_KEPT } from './kept-body.ts'
import { Retries } from './retries.ts'
import type { Engine } from './engine.ts'
import { REQUEST_ID } from './field-kind.ts'
import { asGrpc, grpcTimeoutMs, httpStatusOf, isGrpc, statusInTrailers } from './grpc.ts'
import { answerLines, responseLines, upgradeLines } from './response-out.ts'
import { RequestLines } from './request-lines.ts'
import { dropByName, withoutLines } from './request-out.ts'
import type { HttpRequestHead } from './request-head.ts'
import type { HttpResponseHead } from './response-reader.ts'
import type { Downstream, TunnelledUpstream, Upstream, UpstreamUser } from './sides.ts'
import { TunnelUpstream } from './tunnel-upstream.ts'
import { noteCall } from '../telemetry/reports.ts'
import { Trace } from '../telemetry/trace.ts'

/** A body up to this size is kept so that it can be sent again; a larger one goes on unkept, and the request is not retried. */
const KEPT_BYTES_MAX = 256 * 1024
/** Before an upstream connection stands, the client is told to wait beyond this. */
const WAITING_BYTES_MAX = 64 * 1024
/** The body of a refused request is read to its end up to this size; beyond, the connection is closed. */
const DISCARDED_BYTES_MAX = 64 * 1024

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

/** Envoy's words for why an upstream was lost. */
const RESETS = { reset: 'connection_termination', protocol: 'protocol_error', remote: 'remote_reset', refused: 'remote_refused_stream_reset' } as const

/**
 * One request and its answer, from the first byte to the log line. Both directions stream; each side is told to wait when the other cannot follow.
 * A plan is looked up once, at the start.
 */
export class Exchange implements UpstreamUser, PoolUser, Facts {
  readonly engine: Engine
  readonly stack: HttpStack
  readonly connection: Downstream
  readonly request: HttpRequestHead
  readonly peer: PeerInfo
  /** Monotonic. */
  readonly startMs: number
  /** Among the exchanges under way. */
  place = -1
  durationMs = 0
  startWallMs = 0
  status = 0
  flags = ''
  details = ''
  requestBytes = 0
  responseBytes = 0
  requestId = ''
  policy = ''
  attempts = 0
  upstreamFailure = ''
  upstreamServiceMs = -1
  planRevision = 0
  table: RouteTable | undefined = undefined
  virtualHost: VirtualHost | undefined = undefined
  route: Route | undefined = undefined
  entry: WeightedCluster | undefined = undefined
  cluster: Cluster | undefined = undefined
  host: UpstreamHost | undefined = undefined
  trace: Trace | undefined = undefined
  /** Lines that filters add to the answer, each with its CRLF. */
  responseFields = ''
  /** Lines that filters add to the request as it goes upstream, each with its CRLF. */
  requestFields = ''
  /** What shadow filters noted: their key, and the policy that matched. Absent until one does. */
  shadowPolicies: Map<string, string> | undefined = undefined
  over = false
  requestComplete = false
  /** The answer's head is written; nothing can be tried again. */
  responseStarted = false
  #action: ForwardAction | undefined = undefined
  #filterAt = 0
  #lines: RequestLines | undefined = undefined
  #upstream: Upstream | undefined = undefined
  #overMutualTls = false
  #responseHead: HttpResponseHead | undefined = undefined
  #waits = false
  #counted = false
  /** The body may be needed again: what comes of it is kept even as it is sent on. */
  #keeps = false
  #kept: KeptBody | undefined = undefined
  #trailers = ''
  /** From the first failure on. */
  #retries: Retries | undefined = undefined
  #resent = false
  #hash: bigint | undefined = undefined
  #attemptMs = 0
  #deadlineMs = 0
  #tryDeadlineMs = 0
  #lastActiveMs = 0
  #downstreamPaused = false
  #upstreamPaused = false
  #mirrors = false
  /** The client speaks gRPC; known once it matters. */
  #grpc = false
  /** -1: no gRPC; -2: none was said. */
  #grpcStatus = -1
  #bodyWaiter: { readonly bytesMax: number; readonly tell: (body: Buffer, whole: boolean) => void } | undefined = undefined

  constructor(engine: Engine, stack: HttpStack, connection: Downstream, request: HttpRequestHead) {
    this.engine = engine
    this.stack = stack
    this.connection = connection
    this.request = request
    this.peer = connection.peer
    this.startMs = engine.doors.clock.monotonicMs()
    this.#lastActiveMs = this.startMs
    engine.active.add(this)
  }

  // ---- facts

  get grpcStatus(): number {
    return this.#grpcStatus
  }

  get routeName(): string {
    return this.route?.name ?? ''
  }

  get clusterName(): string {
    return this.cluster?.plan.name ?? ''
  }

  get upstreamAddress(): string {
    return this.host?.plan.key ?? ''
  }

  get origin(): Origin | undefined {
    return this.entry?.origin ?? this.route?.origin
  }

  get downstreamTlsVersion(): string {
    return this.connection.tlsVersion
  }

  get protocol(): string {
    return this.connection.protocol
  }

  /** Only HTTP/1.1 can switch protocols with every server. */
  get needsHttp1(): boolean {
    return this.request.upgrade !== ''
  }

  get overHttp2(): boolean {
    return this.connection.protocol === 'HTTP/2'
  }

  responseHeader(name: string): string | undefined {
    return this.#responseHead?.header(name)
  }

  /** A filter takes a request header away: from what goes upstream, and from what decides after it. */
  removeRequestHeader(lowerName: string): void {
    dropByName(this.request.fields, this.request.dropped, lowerName)
    this.requestFields = withoutLines(this.requestFields, lowerName)
    this.request.overwrite(lowerName, undefined)
  }

  /** A filter adds a line to the request, beside those that are there. */
  addRequestHeader(lowerName: string, value: string): void {
    const before = this.request.header(lowerName)
    this.request.overwrite(lowerName, before === undefined ? value : `${before},${value}`)
    this.requestFields += `${lowerName}: ${value}\r\n`
  }

  addFlag(flag: string): void {
    if (flag !== '') this.flags = this.flags === '' ? flag : `${this.flags},${flag}`
  }

  // ---- the request arrives

  start(): void {
    const { engine, request, stack } = this
    if (request.method === 'POST' && isGrpc(request)) {
      this.#grpc = true
      this.#grpcStatus = -2
    }
    const bound = engine.overload.bound(engine.active.size)
    this.planRevision = engine.plans.revision
    this.requestComplete = request.framing === NO_BODY
    this.requestId = request.fields.findKind(REQUEST_ID) ?? engine.identifiers.uuid()
    if (bound !== undefined) return this.answerWith(answers.overloaded(bound))
    if (stack.plan.tracing !== undefined) this.trace = Trace.begin(engine, stack.plan.tracing, request)
    const { useRemoteAddress, trustedHops } = stack.plan
    if (!useRemoteAddress || trustedHops > 0) request.trustForwarded(trustedHops, useRemoteAddress)
    if (stack.plan.stripPort) request.authority = withoutPort(request.authority)
    if (stack.rewritesPath) {
      const path = normalizePath(request.path, stack.pathRules)
      if (path === undefined) return this.answerWith(answers.badPath)
      if (typeof path === 'object') return this.answerWith(answers.redirect(307, path.redirect, 'path_normalization_redirect'))
      request.path = path
    }
    this.chooseRoute()
    this.resumeFilters()
  }

  /** Finds the route; again, when a filter learned what routes may depend on. */
  chooseRoute(): void {
    const { engine, request, stack } = this
    this.virtualHost = undefined
    this.route = undefined
    this.table = stack.tableFor(engine.plans, request)
    if (this.table === undefined) return
    this.virtualHost = findVirtualHost(this.table, request.authority)
    if (this.virtualHost !== undefined) this.route = selectRoute(this.virtualHost, request)
    if (this.route === undefined && request.method === 'CONNECT' && stack.plan.connects === true) this.#chooseTunnel()
  }

  /** A known host without a route of its own for tunnels. */
  #chooseTunnel(): void {
    const table = this.stack.connectTable(this.engine.plans)
    if (table?.any === undefined) return
    this.table = table
    this.virtualHost = table.any
    this.route = selectRoute(table.any, this.request)
  }

  /** A filter that waits wants the body first: all of it, or as much as `bytesMax`. Called once, at once when it is there. */
  waitForBody(bytesMax: number, tell: (body: Buffer, whole: boolean) => void): void {
    this.#bodyWaiter = { bytesMax, tell }
    this.#tellBody()
  }

  #tellBody(): void {
    const waiter = this.#bodyWaiter
    if (waiter === undefined || this.over) return
    const { chunks, bytes } = this.#kept ?? NOTHING_KEPT
    if (!this.requestComplete && bytes <= waiter.bytesMax) return
    this.#bodyWaiter = undefined
    waiter.tell(Buffer.concat(chunks), bytes <= waiter.bytesMax)
  }

  /** Runs the filters that are left, then the route. */
  resumeFilters(): void {
    const { filters } = this.stack
    while (this.#filterAt < filters.length) {
      const filter = filters[this.#filterAt++]
      if (filter !== undefined && filter(this) !== CONTINUE) return
    }
    this.#run()
  }

  #run(): void {
    const { virtualHost, route, request } = this
    if (virtualHost?.requireTls === true && request.scheme === 'http') {
      return this.answerWith(answers.redirect(301, `https://${request.authority}${request.path}`, 'tls_required'))
    }
    if (route === undefined) return this.answerWith(answers.noRoute)
    const { action } = route
    switch (action.kind) {
      case 'redirect':
        return this.answerWith(answers.redirect(action.status, redirectLocation(action, request), 'direct_response'))
      case 'direct':
        return this.answerWith(answers.direct(action.status, action.body))
      case 'forward':
        return this.#forward(action)
    }
  }

  #forward(action: ForwardAction): void {
    const { engine, request } = this
    this.#action = action
    if (action.endsTunnels === true && !this.#mayTunnel) return this.answerWith(answers.upgradeRefused)
    const entry = pickCluster(action.clusters, engine.doors.random.draw())
    this.entry = entry
    const cluster = engine.cluster(entry.cluster)
    if (cluster === undefined) return this.answerWith(answers.noCluster(action.noClusterStatus ?? 503))
    this.cluster = cluster
    if (cluster.requests >= cluster.plan.limits.requestsMax) return this.#overflow(cluster)
    cluster.requests += 1
    cluster.requestsTotal += 1
    this.#counted = true
    if (action.endsTunnels === true) return this.#openTunnel(cluster)
    if (request.expectsContinue) this.connection.sendContinue()
    this.#lines = new RequestLines(this, action)
    if (action.mirrors.length > 0) this.#mirrors = true
    this.#keeps = request.framing !== NO_BODY && ((action.retry !== undefined && action.retry.retriesMax > 0) || this.#mirrors || IDEMPOTENT.has(request.method))
    if (this.requestComplete) this.#requestIsComplete()
    this.#attempt()
  }

  #requestIsComplete(): void {
    const timeoutMs = this.#timeoutMs()
    // Envoy starts this clock when the whole request has arrived.
    if (timeoutMs > 0) this.#deadlineMs = (this.request.framing === NO_BODY ? this.startMs : this.engine.doors.clock.monotonicMs()) + timeoutMs
    if (this.#mirrors && this.#lines !== undefined && this.#action !== undefined) {
      // Once: a request without a body is complete with its head, and its end is reported again.
      this.#mirrors = false
      const { chunks, bytes } = this.#kept ?? NOTHING_KEPT
      startMirrors(this.engine, this.#action.mirrors, this.#lines, chunks, this.requestBytes === bytes)
    }
  }

  #timeoutMs(): number {
    const action = this.#action
    if (action === undefined) return 0
    const maxMs = action.grpcTimeoutMaxMs
    if (maxMs === undefined || !this.#grpc) return action.timeoutMs
    const saidMs = grpcTimeoutMs(this.request.fields.find('grpc-timeout')) ?? 0
    return maxMs > 0 && (saidMs === 0 || saidMs > maxMs) ? maxMs : saidMs
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    const length = end - start
    this.requestBytes += length
    if (this.over || this.#action === undefined) {
      // A filter waits, or the answer is given already.
      if (!this.over) this.#keep(bytes, start, end)
      this.#tellBody()
      return
    }
    this.#lastActiveMs = this.engine.sweptMs
    const upstream = this.#upstream
    if (upstream === undefined || this.#keeps) this.#keep(bytes, start, end)
    if (upstream === undefined) return
    if (this.#keeps && this.#keptTooMuch) this.#stopKeeping()
    upstream.sendBody(bytes, start, end)
    if (upstream.congested) this.#pauseDownstream()
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const kept = (this.#kept ??= new KeptBody())
    kept.add(bytes, start, end)
    if (this.#upstream === undefined && kept.bytes > WAITING_BYTES_MAX) this.#pauseDownstream()
  }

  get #keptTooMuch(): boolean {
    return this.#kept !== undefined && this.#kept.bytes > KEPT_BYTES_MAX
  }

  #stopKeeping(): void {
    this.#keeps = false
    this.#kept = undefined
  }

  onRequestEnd(trailers: string): void {
    this.requestComplete = true
    if (this.over) return
    this.#trailers = trailers
    if (this.#action === undefined) return this.#tellBody()
    this.#requestIsComplete()
    this.#upstream?.sendEnd(trailers)
  }

  /** All that one read of the client brought has been told. */
  onDownstreamReadDone(): void {
    const upstream = this.#upstream
    if (upstream === undefined) return
    if (this.connection.readsRecords && !this.requestComplete) upstream.flushLate()
    else upstream.flush()
  }

  onDownstreamWritable(): void {
    if (!this.#upstreamPaused) return
    this.#upstreamPaused = false
    this.#upstream?.resume()
  }

  /** The client went away. */
  onDownstreamClosed(): void {
    if (this.over) return
    this.addFlag('DC')
    this.details = this.details === '' ? 'downstream_remote_disconnect' : this.details
    this.#release(false)
    this.#finish()
  }

  #pauseDownstream(): void {
    if (this.#downstreamPaused) return
    this.#downstreamPaused = true
    this.connection.pause()
  }

  #resumeDownstream(): void {
    if (!this.#downstreamPaused) return
    this.#downstreamPaused = false
    this.connection.resume()
  }

  // ---- a tunnel that ends here

  /** HTTP/2 has tunnels too, which nobody asks a sidecar for; and what stands before a tunnel is no body (RFC 9110 §9.3.6). */
  get #mayTunnel(): boolean {
    return this.stack.plan.connects === true && !this.overHttp2 && this.request.framing === NO_BODY
  }

  /** What the tunnel carries goes to the cluster as it comes. */
  #openTunnel(cluster: Cluster): void {
    const { engine, request, peer } = this
    if (cluster.connections >= cluster.plan.limits.connectionsMax) return this.#overflow(cluster)
    const host = pickHost(cluster, request, peer, undefined, undefined)
    if (host === undefined) return this.answerWith(answers.noHealthyUpstream)
    this.attempts = 1
    this.host = host
    host.active += 1
    host.load.issued += 1
    this.#attemptMs = this.startMs
    const upstream = new TunnelUpstream(cluster, host, engine.doors.clock, peer, (problem) => {
      if (problem === '') return this.#becomeTunnel(upstream, upstream.tunnel, host, undefined)
      this.upstreamFailure = problem
      cluster.record(host, 'connect-failure')
      this.answerWith(answers.connectFailure(problem))
    })
    this.#upstream = upstream
    this.#overMutualTls = upstream.secure
  }

  // ---- upstream

  #overflow(cluster: Cluster): void {
    cluster.overflows += 1
    this.answerWith(answers.overflow)
  }

  #attempt(): void {
    const { cluster, request } = this
    const action = this.#action
    if (cluster === undefined || action === undefined) return
    this.attempts += 1
    if (action.hash.length > 0) this.#hash ??= stickyHash(this, action.hash)
    const host = pickHost(cluster, request, this.peer, this.#hash, this.#retries)
    if (host === undefined) return this.answerWith(answers.noHealthyUpstream)
    this.host = host
    host.active += 1
    host.load.issued += 1
    this.#waits = true
    const got = host.pool.acquire(this)
    if (got === 'waits') return
    this.#waits = false
    if (got === 'overflow') {
      host.active -= 1
      return this.#overflow(cluster)
    }
    this.#send(got)
  }

  onConnection(connection: Upstream): void {
    this.#waits = false
    if (this.over) return connection.finish()
    this.#send(connection)
  }

  #send(upstream: Upstream): void {
    const { request, host } = this
    const lines = this.#lines
    if (host === undefined || lines === undefined) return
    this.#upstream = upstream
    this.#overMutualTls = upstream.secure
    upstream.begin(this, request.method)
    this.#attemptMs = this.attempts === 1 && this.requestComplete && upstream.requests > 1 ? this.startMs : this.engine.doors.clock.monotonicMs()
    const perTryMs = this.#action?.retry?.perTryTimeoutMs ?? 0
    this.#tryDeadlineMs = perTryMs > 0 ? this.#attemptMs + perTryMs : 0
    lines.send(upstream, this.attempts, host.plan.hostname)
    if (this.#kept !== undefined) for (const chunk of this.#kept.chunks) upstream.sendBody(chunk, 0, chunk.length)
    if (this.requestComplete) upstream.sendEnd(this.#trailers)
    if (!this.connection.reading) upstream.flush()
    if (!this.#keeps || this.#keptTooMuch) this.#stopKeeping()
    if (upstream.congested) this.#pauseDownstream()
    else this.#resumeDownstream()
  }

  onConnectFailure(why: string): void {
    this.#waits = false
    if (this.over) return
    const { cluster, host } = this
    this.upstreamFailure = why === '' ? 'connection_timeout' : why
    if (host !== undefined && cluster !== undefined) {
      host.active -= 1
      this.#countLoad(host, false)
      cluster.record(host, 'connect-failure')
    }
    if (this.#retry({ reset: 'connect-failure' })) return
    this.answerWith(why === '' ? answers.connectTimeout : answers.connectFailure(why))
  }

  onUpstreamWritable(): void {
    this.#resumeDownstream()
  }

  onUpstreamResponse(head: HttpResponseHead): void {
    const { cluster, host } = this
    const upstream = this.#upstream
    if (upstream === undefined || cluster === undefined || host === undefined) return
    this.#lastActiveMs = this.engine.sweptMs
    this.upstreamServiceMs = Math.max(0, Math.floor(this.engine.doors.clock.monotonicMs() - this.#attemptMs))
    if (head.status === 101) return this.#switchProtocols(upstream, head)
    const grpcStatus = this.#grpc ? head.header('grpc-status') : undefined
    if (grpcStatus !== undefined) this.#grpcStatus = Number(grpcStatus)
    cluster.record(host, grpcStatus === undefined ? head.status : httpStatusOf(this.#grpcStatus))
    if (this.#action?.retry !== undefined && this.#wantsRetry(head)) {
      this.#leave(upstream, host, head.status < 500)
      upstream.abort()
      this.#scheduleRetry()
      return
    }
    this.#responseHead = head
    this.status = head.status
    if (this.details === '') this.details = 'via_upstream'
    this.responseStarted = true
    this.#tryDeadlineMs = 0
    this.connection.sendHead(head.status, head.statusText, responseLines(this, head), head.framing)
    if (!this.#mirrors) this.#stopKeeping()
  }

  #wantsRetry(head: HttpResponseHead): boolean {
    const plan = this.#action?.retry
    if (plan === undefined) return false
    if (head.status < 400 && head.header('grpc-status') === undefined) return false
    const grpc = head.header('grpc-status')
    const outcome: TryOutcome = {
      status: head.status,
      ...(grpc !== undefined && { grpcStatus: Number(grpc) }),
      ...(head.header('x-envoy-ratelimited') !== undefined && { rateLimited: true }),
    }
    if (!shouldRetry(plan, outcome, this.request.method)) return false
    return this.#mayRetry(plan)
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    const upstream = this.#upstream
    if (upstream === undefined) return
    const { connection } = this
    this.responseBytes += end - start
    this.#lastActiveMs = this.engine.sweptMs
    connection.sendBody(bytes, start, end)
    if (connection.congested && !this.#upstreamPaused) {
      this.#upstreamPaused = true
      upstream.pause()
    }
  }

  onUpstreamEnd(trailers: string): void {
    const { host } = this
    const upstream = this.#upstream
    if (upstream === undefined || host === undefined) return
    this.connection.sendEnd(trailers)
    if (this.#grpc && trailers !== '') this.#grpcStatus = statusInTrailers(trailers) < 0 ? this.#grpcStatus : statusInTrailers(trailers)
    const nowMs = this.engine.doors.clock.monotonicMs()
    this.#leave(upstream, host, this.status < 500, nowMs)
    if (this.#upstreamPaused) {
      this.#upstreamPaused = false
      upstream.resume()
    }
    // Logged before the connection is handed on: the next request overwrites the answer's head.
    this.#finish(nowMs)
    if (this.requestComplete) upstream.finish()
    else upstream.abort()
    this.connection.exchangeOver(this.requestComplete, false)
  }

  onUpstreamReadDone(): void {
    if (this.#upstream?.readsRecords === true) this.connection.flushLate()
    else this.connection.flush()
  }

  onUpstreamReset(why: 'reset' | 'protocol' | 'remote' | 'refused'): void {
    const { cluster, host } = this
    const upstream = this.#upstream
    if (upstream === undefined || cluster === undefined || host === undefined) return
    this.#upstream = undefined
    host.active -= 1
    this.#countLoad(host, false)
    if (this.responseStarted) {
      // Half an answer cannot be taken back: the client learns by the broken connection.
      this.addFlag(why === 'protocol' ? 'UPE' : why === 'reset' ? 'UC' : 'UR')
      this.details = `upstream_reset_after_response_started{${RESETS[why]}}`
      cluster.record(host, 'reset')
      this.#finish()
      return this.connection.fail()
    }
    const lost = why === 'reset' && upstream.requests > 1 && !upstream.answered && IDEMPOTENT.has(this.request.method)
    if ((lost || why === 'refused') && !this.#resent && this.#canResend()) {
      // The server closed a kept-alive connection while the request was on its way. Nothing came back, and the method may be repeated (RFC 9110 §9.2.2);
      // or it says itself that it did nothing (RFC 9113 §8.7).
      this.#resent = true
      this.attempts -= 1
      return this.#attempt()
    }
    cluster.record(host, 'reset')
    if (this.#retry({ reset: why === 'refused' ? 'refused' : 'reset' })) return
    this.answerWith(why === 'protocol' ? answers.protocolError : why === 'reset' ? answers.connectionTermination : answers.remoteReset)
  }

  // ---- retries

  #canResend(): boolean {
    return this.request.framing === NO_BODY || this.#keeps || (this.requestBytes === 0 && !this.requestComplete)
  }

  #mayRetry(plan: RetryPlan): boolean {
    const { cluster } = this
    if (cluster === undefined || this.responseStarted || !this.#canResend()) return false
    const retries = (this.#retries ??= new Retries(plan, cluster))
    if (retries.spent) {
      if (plan.retriesMax > 0) this.addFlag('URX')
      return false
    }
    if (retries.fits) return true
    cluster.overflows += 1
    return false
  }

  /** True when another try is under way. */
  #retry(outcome: TryOutcome): boolean {
    const plan = this.#action?.retry
    if (plan === undefined || !shouldRetry(plan, outcome, this.request.method) || !this.#mayRetry(plan)) return false
    this.#scheduleRetry()
    return true
  }

  #scheduleRetry(): void {
    const { engine, host } = this
    this.#tryDeadlineMs = 0
    const delayMs = this.#retries?.next(host, engine.doors.random.draw()) ?? 0
    engine.doors.clock.after(delayMs, () => {
      if (!this.over) this.#attempt()
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

  #countLoad(host: UpstreamHost, succeeded: boolean, nowMs = this.engine.doors.clock.monotonicMs()): void {
    const ms = this.#attemptMs === 0 ? 0 : Math.max(0, nowMs - this.#attemptMs)
    countTry(host, ms, succeeded)
  }

  /** Lets go of whatever is upstream: a place in a queue, or a connection, which is closed. */
  #release(succeeded: boolean): void {
    const { host } = this
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

  // ---- deadlines, swept ten times a second

  sweep(nowMs: number): void {
    if (this.#deadlineMs > 0 && nowMs >= this.#deadlineMs) return this.#timedOut(answers.upstreamTimeout)
    if (this.#tryDeadlineMs > 0 && nowMs >= this.#tryDeadlineMs) return this.#tryTimedOut()
    const idleMs = this.#action?.idleTimeoutMs ?? this.stack.plan.streamIdleTimeoutMs
    const stallMs = this.#waitsForClient ? this.engine.overload.limits.stallMs : 0
    if ((idleMs > 0 && nowMs - this.#lastActiveMs >= idleMs) || (stallMs > 0 && nowMs - this.#lastActiveMs >= stallMs)) this.#timedOut(this.requestComplete ? answers.streamIdle : answers.requestTimeout)
  }

  /** It is the client's turn: to send the rest of its request, to which there is no answer yet, or to take what there is of one. Streams of gRPC rest when they like. */
  get #waitsForClient(): boolean {
    return !this.#grpc && ((!this.requestComplete && !this.responseStarted) || this.#upstreamPaused)
  }

  #tryTimedOut(): void {
    this.#tryDeadlineMs = 0
    const { cluster, host } = this
    if (host !== undefined && cluster !== undefined && this.#upstream !== undefined) cluster.record(host, 'timeout')
    this.#release(false)
    if (this.#retry({ reset: 'per-try-timeout' })) return
    this.answerWith(answers.perTryTimeout)
  }

  #timedOut(answer: Answer): void {
    const { cluster, host } = this
    if (host !== undefined && cluster !== undefined && this.#upstream !== undefined && !this.responseStarted) cluster.record(host, 'timeout')
    this.#release(false)
    if (!this.responseStarted) return this.answerWith(answer)
    this.addFlag(answer.flag)
    this.details = answer.details
    this.#finish()
    this.connection.fail()
  }

  // ---- answers

  /** Weft answers in the upstream's place. */
  answerWith(own: Answer): void {
    if (this.over || this.responseStarted) return
    const answer = this.#grpc ? asGrpc(own) : own
    if (this.#grpc) this.#grpcStatus = statusInTrailers(answer.fields)
    this.#release(false)
    this.responseStarted = true
    this.status = answer.status
    this.addFlag(answer.flag)
    this.details = answer.details
    this.responseBytes = this.request.method === 'HEAD' ? 0 : answer.body.length
    const { request } = this
    const closes = !this.requestComplete && (own.status === 408 || request.framing !== LENGTH || request.bodyLength > DISCARDED_BYTES_MAX || request.expectsContinue)
    this.connection.sendAnswer(answer.status, answerLines(this, answer), request.method === 'HEAD' || answer.status === 204 || answer.status === 304 ? '' : answer.body, closes)
    this.#finish()
    this.connection.exchangeOver(this.requestComplete, closes)
  }

  /** A head that could not be read: answered, logged, closed. */
  refuse(answer: Answer): void {
    this.requestComplete = true
    this.responseStarted = true
    this.status = answer.status
    this.addFlag(answer.flag)
    this.details = answer.details
    this.responseBytes = answer.body.length
    this.connection.sendAnswer(answer.status, answerLines(this, answer), answer.body, true)
    this.#finish()
    this.connection.exchangeOver(true, true)
  }

  #switchProtocols(upstream: Upstream, head: HttpResponseHead): void {
    const { host } = this
    const { tunnel } = upstream
    if (this.request.upgrade === '' || host === undefined || tunnel === undefined) {
      this.#release(false)
      return this.answerWith(answers.protocolError)
    }
    this.#responseHead = head
    this.#becomeTunnel(upstream, tunnel, host, head)
  }

  /** `head`: undefined for a CONNECT. */
  #becomeTunnel(upstream: Upstream, tunnel: TunnelledUpstream, host: UpstreamHost, head: HttpResponseHead | undefined): void {
    this.status = head === undefined ? 200 : 101
    this.details = 'via_upstream'
    this.responseStarted = true
    this.#deadlineMs = 0
    this.#tryDeadlineMs = 0
    // The sweep has no part in a tunnel: it has an idle limit of its own.
    this.engine.active.delete(this)
    this.connection.becomeTunnel(head, upgradeLines(this, head), tunnel, (sentBytes, receivedBytes) => {
      this.requestBytes += sentBytes
      this.responseBytes += receivedBytes
      this.#leave(upstream, host, true)
      upstream.abort()
      this.#finish()
    })
  }

  #finish(nowMs = this.engine.doors.clock.monotonicMs()): void {
    if (this.over) return
    this.over = true
    const { engine, cluster } = this
    engine.active.delete(this)
    this.durationMs = nowMs - this.startMs
    this.startWallMs = engine.doors.clock.wallMs() - this.durationMs
    if (cluster !== undefined) {
      if (this.#counted) cluster.requests -= 1
    }
    const inbound = this.stack.direction === 'inbound'
    const destination = inbound ? ((this.peer.uriSans.length > 0 ? cluster?.selfSecured : cluster?.selfDestination) ?? engine.metrics.unknownDestination) : (this.host?.destination ?? cluster?.destination ?? engine.metrics.unknownDestination)
    if (!inbound && this.host !== undefined) noteCall(this.host.load, this.request, this.peer)
    // A tunnel that leads back to this proxy is no call: those inside it are.
    if (this.#action?.endsTunnels !== true || cluster?.plan.destination !== undefined) engine.metrics.request(inbound, inbound ? this.connection.sourceOf(this.request) : this.#overMutualTls ? engine.metrics.selfSecured : engine.metrics.self, destination, this.status, this.flags, this.#grpcStatus, this.durationMs, this.requestBytes, this.responseBytes, this.stack.metricRules, this)
    const { logs } = this.stack
    for (const log of logs) log.add(this)
    if (this.trace !== undefined) this.trace.finish(this)
    this.#retries?.release()
    this.#kept = undefined
    this.#resumeDownstream()
  }
}
