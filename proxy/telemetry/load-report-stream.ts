import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt'
import type * as grpc from '@grpc/grpc-js'
import { durationMetrics, mutualTlsMetric } from '#core/telemetry/load-metrics.ts'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { ClusterStatsSchema, UpstreamEndpointStatsSchema, UpstreamLocalityStatsSchema } from '#core/wire/gen/envoy/config/endpoint/v3/load_report_pb.ts'
import { LoadReportingService, type LoadStatsRequest, LoadStatsRequestSchema, type LoadStatsResponse } from '#core/wire/gen/envoy/service/load_stats/v3/lrs_pb.ts'
import { defineTypedMethod, methodsOf } from '#core/wire/grpc.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { writeNode } from '#core/workload/node-message.ts'
import { describeError, type Log } from '../admin/log.ts'
import { controlPlaneChannel, type ControlPlane } from '../ads/control-plane.ts'
import { backOffMs } from '#core/time/back-off.ts'
import type { WorkloadCertificate } from '../identity/certificate.ts'
import type { ClusterLoad } from './reports.ts'

const streamLoadStats = defineTypedMethod(methodsOf(LoadReportingService).streamLoadStats, (bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))

const RECONNECT_BASE_MS = 1000
const RECONNECT_MAX_MS = 30_000
const INTERVAL_MS_MIN = 100

/**
 * Tells the control plane what was sent where (envoy.service.load_stats.v3), at the interval that it asks for. Loads are taken when they are sent, so a lost stream
 * counts nothing twice; what passes while there is none is told by the first report after it.
 */
export class LoadReports {
  readonly #doors: Doors
  readonly #controlPlane: ControlPlane
  readonly #node: ProxyNode
  readonly #certificate: () => WorkloadCertificate | undefined
  readonly #take: () => Promise<readonly ClusterLoad[]>
  readonly #log: Log
  #call: grpc.ClientDuplexStream<LoadStatsRequest, LoadStatsResponse> | undefined
  #client: grpc.Client | undefined
  #reports: Timer | undefined
  #retry: Timer | undefined
  #attempt = 0
  #stopped = false

  constructor(
    doors: Doors,
    of: { controlPlane: ControlPlane; node: ProxyNode; certificate: () => WorkloadCertificate | undefined },
    take: () => Promise<readonly ClusterLoad[]>,
    log: Log,
  ) {
    this.#doors = doors
    this.#controlPlane = of.controlPlane
    this.#node = of.node
    this.#certificate = of.certificate
    this.#take = take
    this.#log = log
  }

  /** Begins, or begins anew with the certificate that is now in force. */
  start(): void {
    this.#close()
    if (this.#stopped) return
    const client = controlPlaneChannel(this.#controlPlane, this.#certificate())
    const call = client.makeBidiStreamRequest(streamLoadStats.path, streamLoadStats.requestSerialize, streamLoadStats.responseDeserialize)
    this.#client = client
    this.#call = call
    call.on('data', (response: LoadStatsResponse) => {
      if (call === this.#call) this.#follow(call, response)
    })
    call.on('error', (error: Error) => this.#lost(call, describeError(error)))
    call.on('end', () => this.#lost(call, 'closed by the control plane'))
    call.write(create(LoadStatsRequestSchema, { node: writeNode(this.#node) }))
  }

  /** Sends what is left, and ends. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#retry?.cancel()
    const call = this.#call
    this.#call = undefined
    if (this.#reports && call) call.write(reportOf(await this.#take(), 0))
    this.#reports?.cancel()
    call?.end()
  }

  /** Ends the connection; after `stop`, once that had time to leave. */
  close(): void {
    this.#close()
  }

  #follow(call: grpc.ClientDuplexStream<LoadStatsRequest, LoadStatsResponse>, { loadReportingInterval }: LoadStatsResponse): void {
    this.#attempt = 0
    this.#reports?.cancel()
    const intervalMs = Math.max(INTERVAL_MS_MIN, loadReportingInterval ? durationMs(loadReportingInterval) : 0)
    let sinceMs = this.#doors.clock.monotonicMs()
    this.#reports = this.#doors.clock.every(intervalMs, () => {
      const nowMs = this.#doors.clock.monotonicMs()
      const passedMs = nowMs - sinceMs
      sinceMs = nowMs
      void this.#take().then((loads) => {
        if (call === this.#call) call.write(reportOf(loads, passedMs))
      })
    })
  }

  #lost(call: grpc.ClientDuplexStream<LoadStatsRequest, LoadStatsResponse>, error: string): void {
    if (call !== this.#call || this.#stopped) return
    this.#close()
    const delayMs = backOffMs(this.#attempt++, this.#doors.random.draw(), RECONNECT_BASE_MS, RECONNECT_MAX_MS)
    this.#log.debug('load-reports.lost', { error, retryInMs: Math.round(delayMs) })
    this.#retry = this.#doors.clock.after(delayMs, () => this.start())
  }

  #close(): void {
    this.#retry?.cancel()
    this.#reports?.cancel()
    this.#reports = undefined
    const call = this.#call
    this.#call = undefined
    call?.cancel()
    this.#client?.close()
    this.#client = undefined
  }
}

/** Loads by endpoint → one LoadStatsRequest: clusters, their localities, their endpoints. */
function reportOf(loads: readonly ClusterLoad[], intervalMs: number): LoadStatsRequest {
  const clusters = new Map<string, { endpointsName: string; localities: Map<string, ClusterLoad[]> }>()
  for (const load of loads) {
    const cluster = clusters.get(load.cluster) ?? { endpointsName: load.endpointsName, localities: new Map<string, ClusterLoad[]>() }
    clusters.set(load.cluster, cluster)
    const within = cluster.localities.get(load.locality)
    if (within) within.push(load)
    else cluster.localities.set(load.locality, [load])
  }
  const clusterStats = [...clusters].map(
    ([clusterName, { endpointsName, localities }]): MessageInitShape<typeof ClusterStatsSchema> => ({
      clusterName,
      clusterServiceName: endpointsName,
      loadReportInterval: durationFromMs(Math.round(intervalMs)),
      upstreamLocalityStats: [...localities].map(([locality, within]) => localityStats(locality, within)),
    }),
  )
  return create(LoadStatsRequestSchema, { clusterStats })
}

function localityStats(locality: string, loads: readonly ClusterLoad[]): MessageInitShape<typeof UpstreamLocalityStatsSchema> {
  const [region = '', zone = '', subZone = ''] = locality.split('/')
  const sum = (of: (load: ClusterLoad) => number): bigint => BigInt(loads.reduce((total, load) => total + of(load), 0))
  return {
    locality: { region, zone, subZone },
    totalSuccessfulRequests: sum(({ succeeded }) => succeeded),
    totalErrorRequests: sum(({ failed }) => failed),
    totalIssuedRequests: sum(({ issued }) => issued),
    totalRequestsInProgress: sum(({ active }) => active),
    upstreamEndpointStats: loads.map(endpointStats),
  }
}

function endpointStats(load: ClusterLoad): MessageInitShape<typeof UpstreamEndpointStatsSchema> {
  const colon = load.address.lastIndexOf(':')
  const metric = (metricName: string, count: number, total: number) => ({ metricName, numRequestsFinishedWithMetric: BigInt(count), totalMetricValue: total })
  return {
    address: {
      address: { case: 'socketAddress', value: { address: load.address.slice(0, colon).replace(/^\[|\]$/g, ''), portSpecifier: { case: 'portValue', value: Number(load.address.slice(colon + 1)) } } },
    },
    totalSuccessfulRequests: BigInt(load.succeeded),
    totalErrorRequests: BigInt(load.failed),
    totalIssuedRequests: BigInt(load.issued),
    totalRequestsInProgress: BigInt(load.active),
    loadMetricStats: [
      ...load.durations.flatMap((count, bucket) => (count === 0 ? [] : [metric(durationMetrics[bucket] ?? '', count, 0)])),
      ...[...(load.calls ?? [])].map(([call, count]) => metric(call, count, 0)),
      ...(load.secured > 0 ? [metric(mutualTlsMetric, load.secured, load.secured)] : []),
    ],
  }
}
