import type { Origin } from '#core/plan/origin.ts'
import type { Route, RouteTable, VirtualHost, WeightedCluster } from '#core/plan/route.ts'
import type { PeerInfo } from '#core/route/request.ts'
import type { HttpStack } from '../filter/stack.ts'
import { CONTINUE } from '../filter/filter.ts'
import type { Facts } from '../telemetry/facts.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import { account, accountMessages } from '../telemetry/account.ts'
import { Trace } from '../telemetry/trace.ts'
import { answers } from './answer.ts'
import type { Answer } from './answer.ts'
import { LENGTH, NO_BODY } from './body.ts'
import { chooseRoute } from './choose-route.ts'
import type { Engine } from './engine.ts'
import { REQUEST_ID } from './field-kind.ts'
import type { Forwarding } from './forwarding.ts'
import { asGrpc, isGrpc, statusInTrailers } from './grpc.ts'
import { CallMessages } from './grpc-messages.ts'
import type { GrpcWebCall } from './grpc-web/call.ts'
import { asGrpcWeb } from './grpc-web/protocol.ts'
import { KeptBody, NOTHING_KEPT } from './kept-body.ts'
import { normalizeRequest } from './normalize-request.ts'
import type { HttpRequestHead } from './request-head.ts'
import { dropByName, valueIn, withoutLines } from './request-out.ts'
import { answerLines } from './response-out.ts'
import type { HttpResponseHead } from './response-reader.ts'
import { runRouteAction } from './route-action.ts'
import type { Downstream } from './sides.ts'

/** Before an upstream connection stands, the client is told to wait beyond this. */
const WAITING_BYTES_MAX = 64 * 1024
/** The body of a refused request is read to its end up to this size; beyond, the connection is closed. */
const DISCARDED_BYTES_MAX = 64 * 1024

/**
 * One request and its answer, from the first byte to the log line. Both directions stream; each side is told to wait when the other cannot follow.
 * A plan is looked up once, at the start.
 *
 * The walk: a connection reads a head (server-connection.ts, h2/server-stream.ts) and calls `start` → normalize-request.ts → choose-route.ts → the filters of filter/stack.ts → route-action.ts
 * → forwarding.ts, which sends request-lines.ts to an endpoint and its answer back (response-relay.ts) → `finish`, and telemetry/account.ts.
 * `answerWith` is the way out at every step before an answer began, `giveUp` at every step, and deadlines.ts takes it when time is up.
 */
export class Exchange implements Facts {
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
  /** What the client is told; 0: nothing yet. */
  status = 0
  /** Response flags, with commas between. */
  flags = ''
  /** Envoy's `response_code_details`. */
  details = ''
  /** Of bodies as the client sends and gets them. */
  requestBytes = 0
  responseBytes = 0
  requestId = ''
  /** The policy that decided, where one did. */
  policy = ''
  /** Tries that were begun. */
  attempts = 0
  /** Why the last endpoint could not be connected to. */
  upstreamFailure = ''
  /** From a try's begin to its answer's head; -1: there was none. */
  upstreamServiceMs = -1
  planRevision = 0
  table: RouteTable | undefined = undefined
  virtualHost: VirtualHost | undefined = undefined
  route: Route | undefined = undefined
  /** Which of the route's clusters was drawn. */
  entry: WeightedCluster | undefined = undefined
  cluster: Cluster | undefined = undefined
  /** The endpoint of the last try. */
  host: UpstreamHost | undefined = undefined
  trace: Trace | undefined = undefined
  /** Lines that filters add to the answer, each with its CRLF. */
  responseFields = ''
  /** Lines that filters add to the request as it goes upstream, each with its CRLF. */
  requestFields = ''
  /** What shadow filters noted: their key, and the policy that matched. Absent until one does. */
  shadowPolicies: Map<string, string> | undefined = undefined
  /** Logged, and nothing more happens. */
  over = false
  /** All of the client's message came. */
  requestComplete = false
  /** The answer's head is written; nothing can be tried again. */
  responseStarted = false
  /** What came of the body and may be needed (again): a filter or a try waits for it, or it can be sent once more. */
  kept: KeptBody | undefined = undefined
  /** The request's: lines with their CRLFs. */
  trailers = ''
  /** The client speaks gRPC; known once it matters. */
  isGrpc = false
  /** Those of its call, counted, where it does. */
  messages: CallMessages | undefined = undefined
  /** The client speaks gRPC-Web, and the upstream gRPC. */
  grpcWeb: GrpcWebCall | undefined = undefined
  /** -1: no gRPC; -2: none was said. */
  grpcStatus = -1
  responseHead: HttpResponseHead | undefined = undefined
  /** From the moment on that it is decided where to. */
  forwarding: Forwarding | undefined = undefined
  /** A CONNECT whose tunnel ends at this proxy: what it carries goes on, and the request does not. */
  endsTunnel = false
  /** When bytes last passed, either way; monotonic, as of the last sweep. */
  lastActiveMs: number
  #filterAt = 0
  /** Of an answer of the proxy's own. */
  #ownLines = ''
  #downstreamPaused = false
  #bodyWaiter: { readonly bytesMax: number; readonly tell: (body: Buffer, whole: boolean) => void } | undefined = undefined

  constructor(engine: Engine, stack: HttpStack, connection: Downstream, request: HttpRequestHead) {
    this.engine = engine
    this.stack = stack
    this.connection = connection
    this.request = request
    this.peer = connection.peer
    this.startMs = engine.doors.clock.monotonicMs()
    this.lastActiveMs = this.startMs
    engine.active.add(this)
  }

  // ---- facts

  get routeName(): string {
    return this.route?.name ?? ''
  }

  get clusterName(): string {
    return this.cluster?.plan.name ?? this.#routedCluster
  }

  /** Where the request would have gone, had nobody answered it before; of a route to several nobody knows. */
  get #routedCluster(): string {
    const action = this.route?.action
    const entries = action?.kind === 'forward' ? action.clusters.entries : []
    return entries.length === 1 ? (this.engine.cluster(entries[0]?.cluster ?? '')?.plan.name ?? '') : ''
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

  get overHttp2(): boolean {
    return this.connection.protocol === 'HTTP/2'
  }

  responseHeader(name: string): string | undefined {
    return this.responseHead === undefined ? valueIn(this.#ownLines, name) : this.responseHead.header(name)
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

  /** From here on the request is a call of gRPC: its messages are counted, and it has a status of its own. */
  speakGrpc(): void {
    this.isGrpc = true
    this.messages = new CallMessages()
    this.grpcStatus = -2
  }

  /** Bytes of the request's body as it goes on. */
  get bodyBytes(): number {
    return this.grpcWeb?.requestBytes ?? this.requestBytes
  }

  addFlag(flag: string): void {
    if (flag !== '') this.flags = this.flags === '' ? flag : `${this.flags},${flag}`
  }

  // ---- the request arrives

  start(): void {
    const { engine, request, stack } = this
    if (isGrpc(request)) this.speakGrpc()
    const bound = engine.overload.bound(engine.active.size)
    this.planRevision = engine.plans.revision
    this.requestComplete = request.framing === NO_BODY
    this.requestId = request.fields.findKind(REQUEST_ID) ?? engine.identifiers.uuid()
    if (bound !== undefined) return this.answerWith(answers.overloaded(bound))
    if (stack.plan.tracing !== undefined) this.trace = Trace.begin(engine, stack.plan.tracing, request, this.requestId)
    const refusal = normalizeRequest(request, stack)
    if (refusal !== undefined) return this.answerWith(refusal)
    chooseRoute(this)
    this.resumeFilters()
  }

  /** A filter that waits wants the body first: all of it, or as much as `bytesMax`. Called once, at once when it is there. */
  waitForBody(bytesMax: number, tell: (body: Buffer, whole: boolean) => void): void {
    this.#bodyWaiter = { bytesMax, tell }
    this.#tellBody()
  }

  #tellBody(): void {
    const waiter = this.#bodyWaiter
    if (waiter === undefined || this.over) return
    const { chunks, bytes } = this.kept ?? NOTHING_KEPT
    if (!this.requestComplete && bytes <= waiter.bytesMax) return
    this.#bodyWaiter = undefined
    waiter.tell(Buffer.concat(chunks), bytes <= waiter.bytesMax)
  }

  /** Runs the filters that are left, and then what the route says. */
  resumeFilters(): void {
    const { filters } = this.stack
    while (this.#filterAt < filters.length) {
      const filter = filters[this.#filterAt++]
      if (filter !== undefined && filter(this) !== CONTINUE) return
    }
    runRouteAction(this)
  }

  overflow(cluster: Cluster): void {
    cluster.overflows += 1
    this.answerWith(answers.overflow)
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    this.requestBytes += end - start
    if (this.grpcWeb === undefined || this.over) this.takeBody(bytes, start, end)
    else this.grpcWeb.readBody(this, bytes, start, end)
  }

  /** A piece of the body as it goes on: the client's own, or what a call of gRPC-Web makes of it. */
  takeBody(bytes: Buffer, start: number, end: number): void {
    this.messages?.request.read(bytes, start, end)
    const forwarding = this.forwarding
    if (!this.over && forwarding !== undefined) {
      this.lastActiveMs = this.engine.sweptMs
      forwarding.sendBody(bytes, start, end)
      return
    }
    // A filter waits, or the answer is given already.
    if (!this.over) this.keep(bytes, start, end, true)
    this.#tellBody()
  }

  /** `waits`: nothing of it can go on yet. */
  keep(bytes: Buffer, start: number, end: number, waits: boolean): void {
    const kept = (this.kept ??= new KeptBody())
    kept.add(bytes, start, end)
    if (waits && kept.bytes > WAITING_BYTES_MAX) this.pauseDownstream()
  }

  onRequestEnd(trailers: string): void {
    this.requestComplete = true
    if (this.over || this.grpcWeb?.readEnd(this) === false) return
    this.trailers = trailers
    if (this.forwarding === undefined) this.#tellBody()
    else this.forwarding.sendEnd(trailers)
  }

  // ---- the client's connection: read from, written to, paused, gone

  /** All that one read of the client brought has been told. */
  onDownstreamReadDone(): void {
    this.forwarding?.flush()
  }

  onDownstreamWritable(): void {
    this.forwarding?.resumeUpstream()
  }

  /** The client went away, with its connection unless `flag` says otherwise. */
  onDownstreamClosed(flag = 'DC', details = 'downstream_remote_disconnect'): void {
    if (this.over) return
    this.addFlag(flag)
    // A reset is the last word on a stream, whatever was answered before.
    if (this.details === '' || flag === 'DR') this.details = details
    this.forwarding?.release()
    this.finish()
  }

  pauseDownstream(): void {
    if (this.#downstreamPaused) return
    this.#downstreamPaused = true
    this.connection.pause()
  }

  resumeDownstream(): void {
    if (!this.#downstreamPaused) return
    this.#downstreamPaused = false
    this.connection.resume()
  }

  // ---- answers

  /** Weft answers in the upstream's place. */
  answerWith(own: Answer): void {
    if (this.over || this.responseStarted) return
    const answer = this.grpcWeb !== undefined ? asGrpcWeb(own, this.grpcWeb.form) : this.isGrpc ? asGrpc(own) : own
    if (this.isGrpc) this.grpcStatus = statusInTrailers(answer.fields)
    this.forwarding?.release()
    const { request } = this
    // What follows a CONNECT was meant for a tunnel, however it named where to.
    const closes = request.method === 'CONNECT' || (!this.requestComplete && (own.status === 408 || request.framing !== LENGTH || request.bodyLength > DISCARDED_BYTES_MAX || request.expectsContinue))
    this.responseBytes = request.method === 'HEAD' ? 0 : answer.body.length
    this.#sendAnswer(answer, request.method === 'HEAD' || answer.status === 204 || answer.status === 304 ? '' : answer.body, closes)
  }

  /** A head that could not be read: answered, logged, closed. Nothing that the head says is looked at: it may be the request's before. */
  refuse(answer: Answer): void {
    this.requestComplete = true
    this.responseBytes = answer.body.length
    this.#sendAnswer(answer, answer.body, true)
  }

  #sendAnswer(answer: Answer, body: string, closes: boolean): void {
    this.responseStarted = true
    this.status = answer.status
    this.addFlag(answer.flag)
    this.details = answer.details
    this.#ownLines = answerLines(this, answer)
    this.connection.sendAnswer(answer.status, this.#ownLines, body, closes)
    this.finish()
    this.connection.exchangeOver(this.requestComplete, closes)
  }

  /** Answers so, or where an answer has begun already breaks it off: half of one cannot be taken back. */
  giveUp(answer: Answer): void {
    if (!this.responseStarted) return this.answerWith(answer)
    this.forwarding?.release()
    this.addFlag(answer.flag)
    this.details = answer.details
    this.finish()
    this.connection.fail()
  }

  // ---- the end

  /** What its call has carried so far, for metrics: once an answer shows what it is counted under. */
  tellMessages(): void {
    if (this.responseStarted) accountMessages(this, this.forwarding?.overMutualTls === true)
  }

  finish(nowMs = this.engine.doors.clock.monotonicMs()): void {
    if (this.over) return
    this.over = true
    const { engine, cluster } = this
    engine.active.delete(this)
    this.durationMs = nowMs - this.startMs
    this.startWallMs = engine.doors.clock.wallMs() - this.durationMs
    this.forwarding?.leaveCluster()
    // A tunnel that leads back to this proxy is no call: those inside it are.
    account(this, !this.endsTunnel || cluster?.plan.destination !== undefined, this.forwarding?.overMutualTls === true)
    this.kept = undefined
    this.resumeDownstream()
  }
}
