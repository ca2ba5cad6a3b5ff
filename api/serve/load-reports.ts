import { create } from '@bufbuild/protobuf'
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt'
import { status } from '@grpc/grpc-js'
import { Faults } from '#core/fault/fault.ts'
import type { Clock, Timer } from '#core/time/clock.ts'
import type { Address } from '#core/wire/gen/envoy/config/core/v3/address_pb.ts'
import type { ClusterStats, EndpointLoadMetricStats, UpstreamEndpointStats, UpstreamLocalityStats } from '#core/wire/gen/envoy/config/endpoint/v3/load_report_pb.ts'
import { LoadReportingService, type LoadStatsRequest, type LoadStatsResponse, LoadStatsResponseSchema } from '#core/wire/gen/envoy/service/load_stats/v3/lrs_pb.ts'
import { defineTypedMethod, methodsOf } from '#core/wire/grpc.ts'
import { readNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { CallRefused, contradiction, identify, refusalBy } from './credentials.ts'
import type { Peer, ServeDoors } from './peer.ts'
import { type DuplexCall, duplex, type GrpcMethod } from './transport/method.ts'
import type { TrustStore } from './trust.ts'

/** Requests since the caller's last report; `inProgress` is what runs now. */
export interface LoadTotals {
  readonly succeeded: number
  readonly failed: number
  readonly inProgress: number
  readonly issued: number
  /** By metric name: requests that reported it, and the sum of what they reported. */
  readonly metrics: ReadonlyMap<string, { readonly requests: number; readonly sum: number }>
}

export interface LocalityLoad extends LoadTotals {
  /** `region/zone/subzone`. */
  readonly locality: string
  readonly priority: number
  /** The same requests by endpoint; empty when the caller does not go down to them. */
  readonly endpoints: readonly (LoadTotals & { /** `ADDRESS:PORT` */ readonly endpoint: string })[]
}

export interface ClusterLoad {
  /** xDS cluster name. */
  readonly cluster: string
  /** The time that the counts cover, as the caller measured it. */
  readonly spanMs: number
  readonly dropped: number
  readonly localities: readonly LocalityLoad[]
}

export interface LoadDoors {
  readonly clock: Clock
  readonly serve: Pick<ServeDoors, 'authenticate' | 'watch'>
  /** One report of one caller. Counts are since its last, so each is added once, whatever stream it came on. */
  onLoad(peer: Peer, node: ProxyNode, stats: readonly ClusterLoad[]): void
  /** The caller's stream ended. */
  onGone?(peer: Peer, node: ProxyNode): void
}

type LoadCall = DuplexCall<LoadStatsRequest, LoadStatsResponse>

const wrap = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * `envoy.service.load_stats.v3.LoadReportingService` (xds-rules 30): hand it to `startXds` among its services.
 * @param intervalMs how often callers are asked to report
 */
export function loadReporting(doors: LoadDoors, intervalMs = 1000): (trust: TrustStore | undefined) => readonly GrpcMethod[] {
  const lrs = methodsOf(LoadReportingService)
  const ask = create(LoadStatsResponseSchema, { sendAllClusters: true, reportEndpointGranularity: true, loadReportingInterval: durationFromMs(intervalMs) })
  return (trust) => [duplex(defineTypedMethod(lrs.streamLoadStats, wrap), (call) => void new LoadSession(doors, trust, call, ask))]
}

/** One caller's stream: its first message says who it is, and is answered by what is wanted; each later one is a report. */
class LoadSession {
  readonly #doors: LoadDoors
  readonly #trust: TrustStore | undefined
  readonly #call: LoadCall
  readonly #ask: LoadStatsResponse
  #caller: { readonly peer: Peer; readonly node: ProxyNode } | undefined
  #expiry: Timer | undefined
  #unwatch: (() => void) | undefined
  #over = false

  constructor(doors: LoadDoors, trust: TrustStore | undefined, call: LoadCall, ask: LoadStatsResponse) {
    this.#doors = doors
    this.#trust = trust
    this.#call = call
    this.#ask = ask
    call.onEnd(() => {
      this.#finish()
      call.end()
    })
    call.onCancelled(() => this.#finish())
    call.onRequest((request) => this.#onMessage(request))
  }

  #onMessage(request: LoadStatsRequest): void {
    if (this.#over) return
    if (this.#caller) {
      if (request.clusterStats.length > 0) this.#doors.onLoad(this.#caller.peer, this.#caller.node, request.clusterStats.map(readCluster))
      return
    }
    this.#call.pause()
    this.#open(request).then(
      () => this.#call.resume(),
      (raised: unknown) => this.#end(raised),
    )
  }

  async #open(request: LoadStatsRequest): Promise<void> {
    const peer = await identify(this.#call, this.#doors.serve, this.#trust)
    if (!request.node) throw new CallRefused(status.INVALID_ARGUMENT, 'the first message of a stream must carry a node')
    const node = readNode(request.node)
    const wrong = contradiction(peer, node)
    if (wrong !== undefined) throw new CallRefused(status.PERMISSION_DENIED, wrong)
    if (this.#over) return
    this.#caller = { peer, node }
    const leftMs = Math.min(peer.expiresAtMs - this.#doors.clock.wallMs(), 2 ** 31 - 1)
    this.#expiry = this.#doors.clock.after(Math.max(leftMs, 0), () => this.#end(new CallRefused(status.UNAUTHENTICATED, 'the credential has expired')))
    this.#unwatch = this.#doors.serve.watch?.(peer, () => this.#end(new CallRefused(status.UNAUTHENTICATED, 'the credential is not valid any more')))
    this.#call.write(this.#ask)
  }

  #end(raised: unknown): void {
    if (this.#over) return
    this.#finish()
    const refused = raised instanceof Faults ? refusalBy(raised) : raised
    if (refused instanceof CallRefused) this.#call.fail(refused.code, refused.message)
    else this.#call.fail(status.UNAVAILABLE, 'the control plane could not answer; try again')
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#expiry?.cancel()
    this.#unwatch?.()
    if (this.#caller) this.#doors.onGone?.(this.#caller.peer, this.#caller.node)
  }
}

const readCluster = (stats: ClusterStats): ClusterLoad => ({
  cluster: stats.clusterName,
  spanMs: stats.loadReportInterval ? durationMs(stats.loadReportInterval) : 0,
  dropped: Number(stats.totalDroppedRequests),
  localities: stats.upstreamLocalityStats.map(readLocality),
})

function readLocality(stats: UpstreamLocalityStats): LocalityLoad {
  const { region = '', zone = '', subZone = '' } = stats.locality ?? {}
  return {
    locality: [region, zone, subZone].join('/').replace(/\/+$/, ''),
    priority: stats.priority,
    ...readTotals(stats),
    endpoints: stats.upstreamEndpointStats.map((one) => ({ endpoint: endpointOf(one.address), ...readTotals(one) })),
  }
}

const readTotals = (stats: UpstreamLocalityStats | UpstreamEndpointStats): LoadTotals => ({
  succeeded: Number(stats.totalSuccessfulRequests),
  failed: Number(stats.totalErrorRequests),
  inProgress: Number(stats.totalRequestsInProgress),
  issued: Number(stats.totalIssuedRequests),
  metrics: new Map(stats.loadMetricStats.map((one: EndpointLoadMetricStats) => [one.metricName, { requests: Number(one.numRequestsFinishedWithMetric), sum: one.totalMetricValue }])),
})

function endpointOf(address: Address | undefined): string {
  if (address?.address.case !== 'socketAddress') return ''
  const { value } = address.address
  const port = value.portSpecifier.case === 'portValue' ? value.portSpecifier.value : 0
  return value.address.includes(':') ? `[${value.address}]:${port}` : `${value.address}:${port}`
}
