import { denialDetails, denialWords } from '#core/authz/authorize.ts'
import type { Denial } from '#core/authz/authorize.ts'
import type { TcpPlan } from '#core/plan/listener.ts'
import type { Origin } from '#core/plan/origin.ts'
import type { PeerInfo, RequestHead } from '#core/route/request.ts'
import { requestFrom } from '#core/route/request.ts'
import { pickCluster } from '#core/route/split.ts'
import { xxHash64Text } from '#core/balance/xxhash.ts'
import type { Engine } from '../http/engine.ts'
import type { Wire, WireHandler } from '../http/socket.ts'
import type { LogSink } from '../telemetry/access-log.ts'
import { type Log, logOf } from '../telemetry/log-of.ts'
import type { Facts } from '../telemetry/facts.ts'
import type { TcpSeries } from '../telemetry/metrics.ts'
import type { Cluster } from '../upstream/cluster.ts'
import { dialHost } from '../upstream/connect.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import { AskedTunnel } from './asked-tunnel.ts'
import { connectTunnel } from './connect-tunnel.ts'
import { Tunnel } from './tunnel.ts'
import type { TunnelEnd } from './tunnel.ts'

/** Envoy's flags of an endpoint that cannot be reached: there is one attempt, and it was the last. */
const UNREACHED = 'UF,URX'
/** Client bytes kept until the upstream connection stands. */
const EARLY_BYTES_MAX = 64 * 1024

const noRequest: RequestHead = requestFrom({ method: '', authority: '', path: '' })

/** Envoy's tcp_proxy: connections go to a cluster whole, whatever they say. */
export class TcpStack {
  readonly plan: TcpPlan
  readonly inbound: boolean
  readonly logs: readonly Log[]
  readonly #engine: Engine

  constructor(engine: Engine, plan: TcpPlan, inbound: boolean, sink: LogSink) {
    this.#engine = engine
    this.plan = plan
    this.inbound = inbound
    this.logs = plan.accessLog.map((log) => logOf(log, sink, engine.logServices))
  }

  serve(wire: Wire, peer: PeerInfo, early: Buffer | undefined): void {
    new TcpConnection(this.#engine, this, wire, peer).begin(early)
  }

  /** Closes a connection that policies do not let pass; the log says so. */
  refuse(wire: Wire, peer: PeerInfo, denial: Denial): void {
    new TcpConnection(this.#engine, this, wire, peer).refuse(denial)
  }
}

/** One proxied TCP connection, from accept to log line. */
class TcpConnection implements Facts, WireHandler {
  readonly #engine: Engine
  readonly #stack: TcpStack
  readonly #wire: Wire
  readonly peer: PeerInfo
  readonly request = noRequest
  readonly #startMs: number
  startWallMs = 0
  durationMs = 0
  readonly status = 0
  flags = ''
  readonly details = ''
  requestBytes = 0
  responseBytes = 0
  readonly routeName = ''
  clusterName = ''
  readonly upstreamServiceMs = -1
  upstreamFailure = ''
  readonly requestId = ''
  attempts = 0
  origin: Origin | undefined = undefined
  policy = ''
  terminationDetails: string | undefined = undefined
  readonly planRevision: number
  readonly downstreamTlsVersion = ''
  readonly protocol = ''
  #host: UpstreamHost | undefined = undefined
  #cluster: Cluster | undefined = undefined
  #series: TcpSeries | undefined = undefined
  #countedRequest = 0
  #countedResponse = 0
  #early: Buffer[] = []
  #earlyBytes = 0
  #ended = false
  #over = false
  #dialled: Wire | undefined = undefined
  #asked: AskedTunnel | undefined = undefined

  constructor(engine: Engine, stack: TcpStack, wire: Wire, peer: PeerInfo) {
    this.#engine = engine
    this.#stack = stack
    this.#wire = wire
    this.peer = peer
    this.#startMs = engine.doors.clock.monotonicMs()
    this.planRevision = engine.plans.revision
  }

  get upstreamAddress(): string {
    return this.#host?.plan.key ?? ''
  }

  responseHeader(): string | undefined {
    return undefined
  }

  refuse(denial: Denial): void {
    this.policy = denialWords(denial)
    this.terminationDetails = denialDetails(denial)
    this.#finish()
  }

  begin(early: Buffer | undefined): void {
    this.#wire.handler = this
    if (early !== undefined) this.onRead(early, early.length)
    const { plan } = this.#stack
    const entry = plan.clusterBySni === true ? { cluster: this.peer.sni, origin: undefined } : pickCluster(plan.clusters, this.#engine.doors.random.draw())
    this.origin = entry.origin
    this.clusterName = entry.cluster
    const cluster = this.#engine.cluster(entry.cluster)
    if (cluster === undefined) return this.#fail('NC')
    this.#cluster = cluster
    const { metrics } = this.#engine
    const { inbound } = this.#stack
    const host = cluster.plan.discovery === 'original-destination' ? cluster.hostAt(this.peer.localAddress, this.peer.localPort) : cluster.pick(plan.hashesSource === true ? xxHash64Text(this.peer.address) : undefined, undefined, 0)
    this.#series = metrics.tcp(inbound, inbound ? metrics.source(this.peer.uriSans[0] ?? '', '', this.peer.uriSans.length > 0) : metrics.self, inbound ? (this.peer.uriSans.length > 0 ? cluster.selfSecured : cluster.selfDestination) : (host?.destination ?? cluster.destination))
    this.#series.opened += 1
    if (host === undefined) return this.#fail('UH')
    const { tunnelTo, tunnelByPost } = plan
    const { protocol, limits } = cluster.plan
    if (tunnelTo !== undefined && (tunnelByPost === true || protocol === 'http2' || protocol === 'as-downstream')) {
      if (cluster.requests >= limits.requestsMax) return this.#fail('UO')
      return this.#ask(cluster, host, tunnelTo, tunnelByPost === true ? 'POST' : 'CONNECT')
    }
    if (cluster.connections >= limits.connectionsMax) return this.#fail('UO')
    this.#dial(cluster, host)
  }

  /** A tunnel over the connections that the cluster's requests have. */
  #ask(cluster: Cluster, host: UpstreamHost, target: string, method: 'CONNECT' | 'POST'): void {
    this.#host = host
    this.attempts += 1
    host.active += 1
    this.#asked = new AskedTunnel(cluster, host, target, method, this.#engine.doors.clock, this.peer, (outcome) => {
      if (this.#over) return
      if ('end' in outcome) return this.#join(outcome.end, host, undefined)
      this.upstreamFailure = outcome.words
      this.#fail(outcome.problem === 'overflow' ? 'UO' : UNREACHED)
    })
    this.#asked.begin()
  }

  #dial(cluster: Cluster, host: UpstreamHost): void {
    this.#host = host
    this.attempts += 1
    cluster.connections += 1
    host.active += 1
    const handler: WireHandler = {
      onRead() {},
      onReadEnd() {},
      onWritable() {},
      onClosed: (error) => {
        cluster.connectFailures += 1
        cluster.record(host, 'connect-failure')
        this.upstreamFailure = error
        this.#fail(UNREACHED)
      },
    }
    this.#dialled = dialHost(cluster, host, handler, this.#engine.doors.clock, this.peer, (problem) => {
      if (this.#over || this.#dialled === undefined) return
      if (problem !== '') {
        this.upstreamFailure = problem
        return this.#fail(UNREACHED)
      }
      const { tunnelTo } = this.#stack.plan
      if (tunnelTo === undefined) return this.#join(this.#dialled, host, undefined)
      connectTunnel(this.#dialled, tunnelTo, this.#engine.doors.clock, cluster.plan.connectTimeoutMs, (refused, rest) => {
        if (this.#over || this.#dialled === undefined) return
        if (refused === '') return this.#join(this.#dialled, host, rest)
        this.upstreamFailure = refused
        this.#fail(UNREACHED)
      })
    })
    if (this.#dialled === undefined) {
      this.upstreamFailure = 'TLS_error:Secret_is_not_supplied_by_SDS'
      this.#fail(UNREACHED)
    }
  }

  #join(upstream: TunnelEnd, host: UpstreamHost, first: Buffer | undefined): void {
    host.total.issued += 1
    const tunnel = new Tunnel(this.#engine, this.#wire, upstream, this.#stack.plan.idleTimeoutMs, true, (sent, received) => {
      this.requestBytes = sent
      this.responseBytes = received
      if (tunnel.outlived) this.flags = 'DT'
      this.#finish()
    })
    tunnel.onAsked = (sent, received) => this.#count(sent, received)
    tunnel.begin(this.#early.length === 0 ? undefined : Buffer.concat(this.#early), first)
    this.#early = []
    const { lifetimeMaxMs = 0 } = this.#stack.plan
    if (lifetimeMaxMs > 0) tunnel.endsBy(this.#startMs + lifetimeMaxMs)
    if (this.#ended) upstream.end()
  }

  onRead(bytes: Buffer, length: number): void {
    this.#early.push(Buffer.from(bytes.subarray(0, length)))
    this.#earlyBytes += length
    if (this.#earlyBytes > EARLY_BYTES_MAX) this.#wire.pause()
  }

  onReadEnd(): void {
    this.#ended = true
  }

  onWritable(): void {}

  onClosed(): void {
    this.flags = 'DC'
    this.#finish()
  }

  #fail(flag: string): void {
    if (this.#over) return
    this.flags = flag
    this.#finish()
  }

  /** Adds to the metrics what passed since they were last told. */
  #count(requestBytes: number, responseBytes: number): void {
    if (this.#series === undefined) return
    this.#series.receivedBytes += requestBytes - this.#countedRequest
    this.#series.sentBytes += responseBytes - this.#countedResponse
    this.#countedRequest = requestBytes
    this.#countedResponse = responseBytes
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#wire.destroy()
    this.#dialled?.destroy()
    this.#asked?.destroy()
    if (this.#host !== undefined && this.#cluster !== undefined) {
      this.#host.active -= 1
      if (this.#asked === undefined) this.#cluster.connections -= 1
    }
    const { clock } = this.#engine.doors
    this.durationMs = clock.monotonicMs() - this.#startMs
    this.startWallMs = clock.wallMs() - this.durationMs
    if (this.#series !== undefined) {
      this.#series.closed += 1
    }
    this.#count(this.requestBytes, this.responseBytes)
    for (const log of this.#stack.logs) log.add(this)
  }
}
