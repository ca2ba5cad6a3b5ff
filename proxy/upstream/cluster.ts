import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointPlan, EndpointsPlan } from '#core/plan/endpoints.ts'
import { buildPickSet } from '#core/balance/locality.ts'
import type { PickSet } from '#core/balance/locality.ts'
import { pick } from '#core/balance/pick.ts'
import { eject, judgeRates, recordResult, sweep } from '#core/balance/outlier.ts'
import { retriesAllowed } from '#core/balance/retry.ts'
import { rampOf } from '#core/balance/warm-up.ts'
import type { HostOutcome } from '#core/balance/outlier.ts'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { SecretSource } from '../sources.ts'
import type { Destination, TrafficMetrics } from '../telemetry/metrics.ts'
import type { Callouts } from './callout.ts'
import { HealthChecks } from './health.ts'
import { ResolvedNames } from './resolve.ts'
import type { UpstreamConnection } from './connection.ts'
import { UpstreamHost, transportOf } from './host.ts'
import type { PoolOwner } from './pool.ts'

/** Endpoints that an original-destination cluster makes up as requests name them, at most. */
const MADE_UP_MAX = 1024

/** A cluster at work: its endpoints with their state, what may be picked, and the counts that its circuit breakers bound. */
export class Cluster implements PoolOwner {
  plan: ClusterPlan
  readonly secrets: SecretSource
  readonly hosts = new Map<string, UpstreamHost>()
  connections = 0
  pending = 0
  requests = 0
  retries = 0
  connectFailures = 0
  overflows = 0
  /** Requests since the start, for admin. */
  requestsTotal = 0
  ejectionsTotal = 0
  /** For answers that reached no endpoint. */
  destination: Destination
  /** This workload as one that serves the cluster's service: what inbound traffic counts under. */
  selfDestination: Destination
  /** The same for callers who proved who they are, and to whom this workload did. */
  selfSecured: Destination
  /** Some endpoint of it is reached over TLS with our certificate: a mesh peer. */
  securesPeers: boolean
  readonly connecting: Set<UpstreamConnection>
  readonly #doors: Doors
  readonly #metrics: TrafficMetrics
  #endpoints: EndpointsPlan | undefined
  #set: PickSet = { levels: [], cumulative: [] }
  #outlierTimer: Timer | undefined
  readonly #callouts: Callouts
  #checks: HealthChecks[] = []
  #names: ResolvedNames | undefined
  #warmUpTimer: Timer | undefined
  /** By the priorities that are left out; made when a retry first wants one. */
  #setsWithout = new Map<string, PickSet>()

  constructor(doors: Doors, secrets: SecretSource, metrics: TrafficMetrics, connecting: Set<UpstreamConnection>, plan: ClusterPlan, callouts: Callouts) {
    this.#callouts = callouts
    this.#doors = doors
    this.secrets = secrets
    this.#metrics = metrics
    this.connecting = connecting
    this.plan = plan
    this.destination = metrics.destination(plan.destination, undefined)
    this.selfDestination = metrics.selfDestination(plan.destination, false)
    this.selfSecured = metrics.selfDestination(plan.destination, true)
    this.securesPeers = securesPeers(plan)
    this.#watchOutliers(undefined)
    this.#makeChecks()
  }

  nowMs(): number {
    return this.#doors.clock.monotonicMs()
  }

  get endpoints(): EndpointsPlan | undefined {
    return this.#endpoints
  }

  /** A new plan; endpoints, their connections and counts stay, unless the way to them changed. */
  replacePlan(plan: ClusterPlan): void {
    const before = this.plan
    this.plan = plan
    this.destination = this.#metrics.destination(plan.destination, undefined)
    this.selfDestination = this.#metrics.selfDestination(plan.destination, false)
    this.selfSecured = this.#metrics.selfDestination(plan.destination, true)
    this.securesPeers = securesPeers(plan)
    // What is open beyond a lowered bound would never close by itself under load.
    const fewer = plan.limits.connectionsMax < before.limits.connectionsMax && this.connections > plan.limits.connectionsMax
    const wayChanged = JSON.stringify(before.transports) !== JSON.stringify(plan.transports)
    for (const host of this.hosts.values()) {
      host.tls = transportOf(plan, host.plan)
      host.destination = this.#metrics.destination(plan.destination, host.plan.workload, host.principal)
      if (wayChanged || fewer) host.pool.drain(false)
    }
    this.#watchOutliers(before)
    if (JSON.stringify(before.healthChecks) !== JSON.stringify(plan.healthChecks)) this.#makeChecks()
    this.#rebuild()
  }

  /** Endpoints as the plan names them: by address, or by name, which is resolved first where all its addresses count. */
  replaceEndpoints(endpoints: EndpointsPlan | undefined): void {
    this.#names?.stop()
    this.#names = undefined
    // Until its addresses are known a name is dialled as it stands.
    this.#useEndpoints(endpoints)
    if (this.plan.discovery !== 'strict-dns' || endpoints === undefined || !ResolvedNames.needed(endpoints)) return
    this.#names = new ResolvedNames(this.#doors.clock, endpoints, this.plan.dnsRefreshMs, (resolved) => this.#useEndpoints(resolved))
  }

  #useEndpoints(endpoints: EndpointsPlan | undefined): void {
    this.#endpoints = endpoints
    const gone = new Set(this.hosts.keys())
    for (const locality of endpoints?.localities ?? []) {
      for (const endpoint of locality.endpoints) {
        gone.delete(endpoint.key)
        const known = this.hosts.get(endpoint.key)
        const host = known ?? this.#addHost(endpoint, locality.locality)
        host.priority = locality.priority
        if (known !== undefined) this.#replaceHost(known, endpoint, locality.locality)
      }
    }
    for (const key of gone) {
      this.hosts.get(key)?.pool.drain(true)
      this.hosts.delete(key)
    }
    for (const checks of this.#checks) checks.watch(this.hosts.values())
    this.#rebuild()
  }

  #makeChecks(): void {
    for (const checks of this.#checks) checks.stop()
    this.#checks = (this.plan.healthChecks ?? []).slice(0, 1).map((plan) => new HealthChecks(this, this.#doors.clock, this.#callouts, plan, () => this.#rebuild()))
    for (const checks of this.#checks) checks.watch(this.hosts.values())
  }

  #addHost(endpoint: EndpointPlan, locality: string): UpstreamHost {
    const host = new UpstreamHost(this, endpoint, this.#metrics.destination(this.plan.destination, endpoint.workload))
    host.locality = locality
    host.addedMs = this.nowMs()
    this.hosts.set(endpoint.key, host)
    return host
  }

  #replaceHost(host: UpstreamHost, endpoint: EndpointPlan, locality: string): void {
    host.plan = endpoint
    host.locality = locality
    const tls = transportOf(this.plan, endpoint)
    if (tls !== host.tls) {
      host.tls = tls
      host.pool.drain(false)
    }
    host.destination = this.#metrics.destination(this.plan.destination, endpoint.workload, host.principal)
  }

  #rebuild(): void {
    this.#setsWithout.clear()
    this.#warmUp()
    if (this.#endpoints !== undefined) this.#set = buildPickSet(this.#endpoints, this.hosts, this.plan.panicThresholdPercent, this.plan.localityWeighted !== false)
    else this.#set = { levels: [], cumulative: [] }
  }

  #watchOutliers(before: ClusterPlan | undefined): void {
    if (before !== undefined && before.outlier?.intervalMs === this.plan.outlier?.intervalMs) return
    this.#outlierTimer?.cancel()
    this.#outlierTimer = undefined
    const outlier = this.plan.outlier
    if (outlier === undefined) return
    this.#outlierTimer = this.#doors.clock.every(outlier.intervalMs, () => {
      const now = this.plan.outlier
      if (now === undefined) return
      const went = judgeRates(now, [...this.hosts.values()], this.nowMs(), () => this.#doors.random.draw())
      if (sweep(now, this.hosts.values(), this.nowMs()) || went) this.#rebuild()
    })
  }

  /** Endpoints that came lately get less; looked at again while any is warming. */
  #warmUp(): void {
    this.#warmUpTimer?.cancel()
    this.#warmUpTimer = undefined
    const { slowStart } = this.plan
    let warming = false
    for (const host of this.hosts.values()) {
      host.ramp = slowStart === undefined ? 1 : rampOf(slowStart, this.nowMs() - host.addedMs)
      if (host.ramp < 1) warming = true
    }
    if (warming && slowStart !== undefined) this.#warmUpTimer = this.#doors.clock.after(Math.max(100, slowStart.windowMs / 50), () => this.#rebuild())
  }

  /** Whether one more request may be retried now. */
  get mayRetry(): boolean {
    return this.retries < retriesAllowed(this.plan.limits, this.requests + this.pending)
  }

  /** What may be picked when these priorities are left out; all, when nothing else has endpoints. */
  #setWithout(priorities: ReadonlySet<number>): PickSet {
    const endpoints = this.#endpoints
    if (endpoints === undefined) return this.#set
    const left = endpoints.localities.filter((one) => !priorities.has(one.priority))
    if (left.every((one) => one.endpoints.length === 0)) return this.#set
    const key = [...priorities].join()
    const known = this.#setsWithout.get(key)
    if (known !== undefined) return known
    const made = buildPickSet({ ...endpoints, localities: left }, this.hosts, this.plan.panicThresholdPercent, this.plan.localityWeighted !== false)
    this.#setsWithout.set(key, made)
    return made
  }

  /** An endpoint for a request; `tried` are avoided for at most `attemptsMax` draws. Undefined: none is healthy (UH). */
  pick(hash: bigint | undefined, tried: readonly UpstreamHost[] | undefined, attemptsMax: number, withoutPriorities?: ReadonlySet<number>): UpstreamHost | undefined {
    const set = withoutPriorities === undefined || withoutPriorities.size === 0 ? this.#set : this.#setWithout(withoutPriorities)
    let chosen: UpstreamHost | undefined
    for (let attempt = 0; ; attempt++) {
      const found = pick(set, this.plan, this.#doors.random, hash, this.plan.balancer === 'peak-ewma' ? this.nowMs() : 0, attempt)
      if (!(found instanceof UpstreamHost)) return undefined
      chosen = found
      if (tried === undefined || attempt >= attemptsMax || !tried.includes(found)) return chosen
    }
  }

  /** The endpoint `address:port` itself, for clusters that go where the request was going. */
  hostAt(address: string, port: number): UpstreamHost {
    const key = `${address}:${port}`
    const known = this.hosts.get(key)
    if (known !== undefined) return known
    if (this.hosts.size >= MADE_UP_MAX) {
      for (const [old, host] of this.hosts) {
        if (host.active > 0) continue
        host.pool.drain(true)
        this.hosts.delete(old)
        break
      }
    }
    return this.#addHost({ key, address, port, weight: 1, health: 'healthy', hostname: address, transport: {}, workload: undefined }, '')
  }

  /** A handshake told who an endpoint is. */
  recognize(host: UpstreamHost, principal: string): void {
    if (host.principal === principal) return
    host.principal = principal
    host.destination = this.#metrics.destination(this.plan.destination, host.plan.workload, principal)
  }

  /** Tells outlier detection how a request ended. */
  record(host: UpstreamHost, outcome: HostOutcome): void {
    const outlier = this.plan.outlier
    if (outlier === undefined) return
    const { errorCodes } = outlier
    const counted = errorCodes === undefined || typeof outcome !== 'number' ? outcome : errorCodes.includes(outcome) ? 500 : 200
    if (recordResult(outlier, host.outlier, counted) === undefined) return
    if (eject(outlier, host, this.hosts.values(), this.nowMs(), this.#doors.random.draw())) {
      this.ejectionsTotal += 1
      this.#rebuild()
    }
  }

  sweepIdle(nowMs: number): void {
    for (const host of this.hosts.values()) host.pool.sweepIdle(nowMs, this.plan.idleTimeoutMs)
  }

  /** The cluster is gone from the plan: what runs may end, nothing new comes. */
  retire(): void {
    this.#stopTimers()
    for (const host of this.hosts.values()) host.pool.drain(true)
  }

  #stopTimers(): void {
    this.#outlierTimer?.cancel()
    this.#warmUpTimer?.cancel()
    this.#names?.stop()
    for (const checks of this.#checks) checks.stop()
    this.#checks = []
  }

  destroy(): void {
    this.#stopTimers()
    for (const host of this.hosts.values()) host.pool.destroy()
  }
}

const securesPeers = (plan: ClusterPlan): boolean => plan.transports.some((transport) => transport.tls?.certificate !== undefined)
