import type { Server } from 'node:net'
import { plainAddress } from '#core/match/cidr.ts'
import type { HttpPlan } from '#core/plan/http.ts'
import type { FilterChainPlan, ListenerPlan, TcpPlan } from '#core/plan/listener.ts'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { KeySets } from './filter/key-sets.ts'
import { LocalLimiters } from './filter/local-limiters.ts'
import { HttpStack } from './filter/stack.ts'
import type { ClientConnection, Engine } from './http/engine.ts'
import { sweepDeadlines } from './http/deadlines.ts'
import type { Exchange } from './http/exchange.ts'
import { LiveSet } from './http/live-set.ts'
import { Listener, type ListeningServer } from './listener/listener.ts'
import type { Log } from './admin/log.ts'
import { noLimits } from './overload/limits.ts'
import type { Limits } from './overload/limits.ts'
import { Overload } from './overload/overload.ts'
import { ShedLog } from './overload/shed-log.ts'
import type { PlanSource, SecretSource } from './sources.ts'
import { TcpStack } from './tcp/tcp-stack.ts'
import type { Tunnel } from './tcp/tunnel.ts'
import { FileSink } from './telemetry/access-log.ts'
import type { LogSink } from './telemetry/access-log.ts'
import { Identifiers } from './telemetry/identifiers.ts'
import { clusterReport, statsText, takeLoad } from './telemetry/reports.ts'
import type { ClusterLoad, ClusterReport } from './telemetry/reports.ts'
import { TrafficMetrics, workloadName } from './telemetry/metrics.ts'
import { peerMetadataOf } from './telemetry/peer-metadata.ts'
import { Collectors } from './telemetry/collectors.ts'
import { LogServices } from './telemetry/log-services.ts'
import type { SpanSink } from './telemetry/span.ts'
import { Callouts } from './upstream/callout.ts'
import type { ListeningSockets } from './upgrade/listening-sockets.ts'
import { Cluster } from './upstream/cluster.ts'
import type { UpstreamConnection } from './upstream/connection.ts'
import type { Mirror } from './upstream/mirror.ts'

export type { PlanSource, SecretSource } from './sources.ts'
export type { SpanSink, FinishedSpan } from './telemetry/span.ts'
export type { LogSink } from './telemetry/access-log.ts'
export type { ClusterLoad, ClusterReport } from './telemetry/reports.ts'

export interface RuntimeOptions {
  readonly node: ProxyNode
  /** The workload's own SPIFFE ID, for metrics. */
  readonly principal?: string
  /** Where access log lines go; by default to the paths that the plan names. */
  readonly accessLog?: LogSink
  /** Sockets that another process has opened already. */
  readonly sockets?: ListeningSockets
  /** Other threads listen on the same ports; `begin` may say so later, before the first listener. */
  readonly sharesPorts?: boolean
  /** Takes spans of sampled requests. */
  readonly onSpan?: SpanSink
  /** The proxy's environment, of which spans may tell. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly limits?: Limits
  /** Told what is turned away. */
  readonly log?: Log
  /** Resident bytes of the process, for the bound on memory. */
  readonly residentBytes?: () => number
}

const listeningOf = (of: readonly ListeningServer[]): [SocketAddress, Server][] => of.flatMap(({ at, server }): [SocketAddress, Server][] => (server.listening ? [[at, server]] : []))

const SWEEP_MS = 100
/** A workload that has left and that nobody has called for so long is known to have left. */
const QUIET_MS = 500
/** How long collectors may take to take the last spans. */
const GOODBYE_MS = 1000

/**
 * The data path of one proxy: listeners, clusters and what runs between them. `apply…` and `remove…` are called after the plan's maps were swapped;
 * connections and requests that stand keep what they began with.
 */
export class Runtime implements Engine {
  readonly doors: Doors
  readonly node: ProxyNode
  readonly peerLines: string
  readonly plans: PlanSource
  readonly metrics: TrafficMetrics
  readonly identifiers = new Identifiers()
  readonly callouts: Callouts
  readonly limiters: LocalLimiters
  readonly keys: KeySets
  readonly onSpan: SpanSink | undefined
  readonly collectors: Collectors
  readonly logServices: LogServices
  readonly active = new LiveSet<Exchange>()
  readonly connections = new Set<ClientConnection>()
  readonly tunnels = new Set<Tunnel>()
  readonly mirrors = new Set<Mirror>()
  sweptMs: number
  dateLine = ''
  draining = false
  closesIdle = false
  readonly overload: Overload
  #environment: Readonly<Record<string, string | undefined>>
  readonly #residentBytes: () => number
  readonly #secrets: SecretSource
  readonly #sink: LogSink
  readonly #sockets: ListeningSockets | undefined
  #sharesPorts: boolean
  readonly #listeners = new Map<string, Listener>()
  /** Those that are reached by handing off alone; made anew when first needed after a change. */
  readonly #byAddress = new Map<string, Listener>()
  readonly #clusters = new Map<string, Cluster>()
  readonly #connecting = new Set<UpstreamConnection>()
  readonly #stacks = new Map<HttpPlan | TcpPlan, HttpStack | TcpStack>()
  readonly #sweeper: Timer
  #sweeps = 0
  readonly #shedLog: ShedLog | undefined
  #drained: (() => void) | undefined

  constructor(doors: Doors, plans: PlanSource, secrets: SecretSource, options: RuntimeOptions) {
    this.doors = doors
    this.plans = plans
    this.#secrets = secrets
    this.node = options.node
    this.peerLines = `x-envoy-peer-metadata-id: ${this.node.id}\r\nx-envoy-peer-metadata: ${peerMetadataOf(this.node, workloadName(this.node))}\r\n`
    this.#sink = options.accessLog ?? new FileSink()
    this.onSpan = options.onSpan
    this.#environment = options.environment ?? {}
    this.overload = new Overload(options.limits ?? noLimits)
    this.#shedLog = options.log && new ShedLog(this.overload, options.log)
    this.#residentBytes = options.residentBytes ?? (() => 0)
    this.#sockets = options.sockets
    this.#sharesPorts = options.sharesPorts === true
    this.limiters = new LocalLimiters(doors.clock)
    this.callouts = new Callouts(doors.clock)
    this.collectors = new Collectors(doors, this.callouts, (name) => this.cluster(name))
    this.logServices = new LogServices(doors, this.node, this.callouts, (name) => this.cluster(name))
    this.keys = new KeySets({ doors, callouts: this.callouts, cluster: (name) => this.cluster(name) })
    this.metrics = new TrafficMetrics(options.node, options.principal)
    this.sweptMs = doors.clock.monotonicMs()
    this.#tickSecond()
    this.#sweeper = doors.clock.every(SWEEP_MS, () => this.#sweep())
  }

  cluster(name: string): Cluster | undefined {
    return this.#clusters.get(name)
  }

  variable(name: string): string | undefined {
    return this.#environment[name]
  }

  /** What the mesh has a say in, and so is known after the first certificate only. Before the first listener. */
  begin(of: Required<Pick<RuntimeOptions, 'environment' | 'sharesPorts'>>): void {
    this.#environment = of.environment
    this.#sharesPorts = of.sharesPorts
  }

  // ---- configuration

  /** Resolves when the port is bound, or cannot be: then with the reason. Empty in good order, and for listeners that bind nothing. */
  applyListener(name: string): Promise<string> {
    const plan = this.plans.listeners.get(name)
    if (plan === undefined) return Promise.resolve(`no listener ${name}`)
    this.#byAddress.clear()
    const known = this.#listeners.get(name)
    if (known !== undefined && known.failure === '' && known.replacePlan(plan)) return Promise.resolve('')
    known?.close()
    return new Promise((settled) => {
      this.#listeners.set(name, new Listener({ engine: this, secrets: this.#secrets, sink: this.#sink, sockets: this.#sockets, sharesPorts: this.#sharesPorts, stackOf: (chain, direction) => this.#stackOf(chain, direction), listenerAt: (to) => this.#listenerAt(to) }, plan, (listener) => settled(listener.failure)))
      if (plan.bind === undefined) settled('')
    })
  }

  /** By exact address, then by any address of its family with its port. */
  #listenerAt(to: SocketAddress): Listener | undefined {
    if (this.#byAddress.size === 0) {
      for (const listener of this.#listeners.values()) {
        const { address, bind, further = [] } = listener.plan
        if (address === undefined || bind !== undefined) continue
        for (const one of [address, ...further]) this.#byAddress.set(`${plainAddress(one.address)} ${one.port}`, listener)
      }
    }
    return this.#byAddress.get(`${to.address} ${to.port}`) ?? this.#byAddress.get(`${to.address.includes(':') ? '::' : '0.0.0.0'} ${to.port}`)
  }

  removeListener(name: string): void {
    this.#byAddress.clear()
    this.#listeners.get(name)?.close()
    this.#listeners.delete(name)
  }

  /** The port that a listener is bound to, once it is. */
  portOf(name: string): number | undefined {
    return this.#listeners.get(name)?.port
  }

  /** Bound listeners' sockets, by the addresses that their plans bind. */
  listening(): [SocketAddress, Server][] {
    return [...this.#listeners.values()].flatMap(({ servers }) => listeningOf(servers))
  }

  /** Other sockets that bound listeners accept from, of threads of a process before this one. */
  listeningBeside(): [SocketAddress, Server][] {
    return [...this.#listeners.values()].flatMap(({ beside }) => listeningOf(beside))
  }

  applyCluster(name: string): void {
    const plan = this.plans.clusters.get(name)
    if (plan === undefined) return
    const known = this.#clusters.get(name)
    if (known !== undefined) known.replacePlan(plan)
    else this.#clusters.set(name, new Cluster(this.doors, this.#secrets, this.metrics, this.#connecting, plan, this.callouts))
    this.#giveEndpoints(name)
  }

  removeCluster(name: string): void {
    this.#clusters.get(name)?.retire()
    this.#clusters.delete(name)
  }

  /** `name` is the ClusterLoadAssignment's. */
  applyEndpoints(name: string): void {
    for (const [clusterName, cluster] of this.#clusters) {
      if (cluster.plan.discovery === 'eds' && cluster.plan.endpointsName === name) this.#giveEndpoints(clusterName)
    }
  }

  #giveEndpoints(name: string): void {
    const cluster = this.#clusters.get(name)
    if (cluster === undefined || cluster.plan.discovery === 'original-destination' || cluster.plan.discovery === 'by-host') return
    const endpoints = cluster.plan.discovery === 'eds' ? this.plans.endpoints.get(cluster.plan.endpointsName) : cluster.plan.inlineEndpoints
    cluster.replaceEndpoints(endpoints)
  }

  #stackOf(chain: FilterChainPlan, direction: ListenerPlan['direction']): HttpStack | TcpStack {
    const known = this.#stacks.get(chain.serve)
    if (known !== undefined) return known
    const made = chain.serve.kind === 'http' ? new HttpStack(chain.serve, direction, this, this.#sink) : new TcpStack(this, chain.serve, direction === 'inbound', this.#sink)
    this.#stacks.set(chain.serve, made)
    return made
  }

  // ---- time

  #sweep(): void {
    const nowMs = this.doors.clock.monotonicMs()
    this.sweptMs = nowMs
    for (const exchange of this.active) sweepDeadlines(exchange, nowMs)
    for (const connection of this.#connecting) if (nowMs >= connection.connectDeadlineMs) connection.pool.onConnectTimeout(connection)
    if (++this.#sweeps % 10 === 0) this.#sweepSecond(nowMs)
    else if (this.draining) for (const connection of this.connections) connection.sweep(nowMs)
    this.#drained?.()
  }

  #sweepSecond(nowMs: number): void {
    this.#tickSecond()
    if (this.overload.limits.memoryBytesMax > 0) this.overload.measure(this.#residentBytes())
    this.#shedLog?.tell(nowMs)
    for (const connection of this.connections) connection.sweep(nowMs)
    for (const tunnel of this.tunnels) tunnel.sweep(nowMs)
    for (const mirror of this.mirrors) mirror.sweep(nowMs)
    for (const cluster of this.#clusters.values()) cluster.sweepIdle(nowMs)
    this.flushLogs()
    this.#forgetStacks()
  }

  #tickSecond(): void {
    this.dateLine = `date: ${new Date(this.doors.clock.wallMs()).toUTCString()}\r\n`
  }

  /** Writes the access log lines that wait; done once a second anyway. */
  flushLogs(): void {
    for (const stack of this.#stacks.values()) for (const log of stack.logs) log.flush()
  }

  /** Stacks of plans that no listener has any more; connections that still use one keep it. */
  #forgetStacks(): void {
    const used = new Set<HttpPlan | TcpPlan>()
    for (const { plan } of this.#listeners.values()) {
      for (const chain of plan.chains) used.add(chain.serve)
      if (plan.defaultChain !== undefined) used.add(plan.defaultChain.serve)
    }
    const inUse = new Set<HttpStack | TcpStack>()
    for (const connection of this.connections) inUse.add(connection.stack)
    for (const [plan, stack] of this.#stacks) {
      if (used.has(plan) || inUse.has(stack)) continue
      for (const log of stack.logs) log.flush()
      this.#stacks.delete(plan)
    }
  }

  // ---- shutting down

  /**
   * For a workload that has just left the mesh: asks inbound clients to go, takes no more of them once none has come for a while (the last of them hears of the leaving some time after the first),
   * and resolves when no inbound request is under way, or after `withinMs`. Outbound goes on.
   */
  async drainInbound(withinMs: number): Promise<void> {
    const inbound = [...this.#listeners].filter(([, { plan }]) => plan.direction === 'inbound')
    const deadlineMs = this.doors.clock.monotonicMs() + withinMs
    for (const [, listener] of inbound) listener.drain()
    if (inbound.length > 0) await this.#quiet(inbound.map(([, listener]) => listener), withinMs / 2)
    for (const [name, listener] of inbound) {
      listener.close()
      this.#listeners.delete(name)
    }
    const busy = (): boolean => [...this.active].some((exchange) => exchange.stack.direction === 'inbound')
    await new Promise<void>((done) => {
      const look = (): void => {
        if (!busy() || this.doors.clock.monotonicMs() >= deadlineMs) done()
        else this.doors.clock.after(SWEEP_MS / 2, look)
      }
      look()
    })
  }

  /** Resolves when no connection has come for a while, or after `withinMs`. */
  #quiet(listeners: readonly Listener[], withinMs: number): Promise<void> {
    const accepted = (): number => listeners.reduce((sum, one) => sum + one.accepted, 0)
    const startMs = this.doors.clock.monotonicMs()
    let [count, sinceMs] = [accepted(), startMs]
    return new Promise((done) => {
      const look = (): void => {
        const nowMs = this.doors.clock.monotonicMs()
        if (accepted() !== count) [count, sinceMs] = [accepted(), nowMs]
        if (nowMs - sinceMs >= QUIET_MS || nowMs - startMs >= withinMs) done()
        else this.doors.clock.after(SWEEP_MS / 2, look)
      }
      look()
    })
  }

  /**
   * First, for `announceMs`, asks clients to close with every answer and goes on taking connections: a balancer in front learns by the readiness probe, and sends fewer and fewer.
   * Then stops accepting, waits for what is under way at most `graceMs`, and closes everything.
   */
  async drain(graceMs: number, announceMs = 0): Promise<void> {
    this.draining = true
    if (announceMs > 0) await new Promise<void>((over) => this.doors.clock.after(announceMs, over))
    this.closesIdle = true
    const closed = [...this.#listeners.values()]
    for (const listener of closed) listener.close()
    this.#listeners.clear()
    const deadlineMs = this.doors.clock.monotonicMs() + graceMs
    if (graceMs > 0) {
      await new Promise<void>((done) => {
        this.#drained = () => {
          const idle = this.connections.size === 0 && this.tunnels.size === 0 && closed.every(({ unserved }) => unserved === 0)
          if (idle || this.doors.clock.monotonicMs() >= deadlineMs) done()
        }
        for (const connection of this.connections) connection.sweep(this.sweptMs)
        this.#drained()
      })
    }
    // A collector that is away must not hold up a proxy that ends.
    await Promise.race([Promise.all([this.collectors.flush(), this.logServices.flush()]), new Promise<void>((over) => this.doors.clock.after(GOODBYE_MS, over))])
    this.close()
  }

  /** Ends everything now. */
  close(): void {
    this.#sweeper.cancel()
    for (const listener of this.#listeners.values()) listener.close()
    this.#listeners.clear()
    for (const connection of this.connections) connection.destroy()
    for (const tunnel of this.tunnels) tunnel.destroy()
    for (const cluster of this.#clusters.values()) cluster.destroy()
    this.#clusters.clear()
    this.keys.close()
    this.callouts.close()
    this.flushLogs()
  }

  // ---- what happened

  /** Prometheus text: Istio's standard metrics and the proxy's own. */
  metricsText(): string {
    for (const one of this.active) one.tellMessages()
    for (const one of this.tunnels) one.tell()
    return this.metrics.text() + statsText(this.#clusters.values(), this.connections.size, this.active.size, this.overload, this.logServices.dropped)
  }

  /** Clusters with their endpoints, for admin. */
  clusterReports(): ClusterReport[] {
    return [...this.#clusters.values()].map(clusterReport)
  }

  /** What was sent to each endpoint since the last call, for load reports. */
  takeLoads(): ClusterLoad[] {
    return [...this.#clusters.values()].flatMap(takeLoad)
  }
}
