/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointPlan } from '#core/plan/endpoints.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Facts } from './facts.ts'
import type { MetricRules } from './metric-rules.ts'
import { readPeerMetadata } from './peer-metadata.ts'

/**
 * Istio's standard metrics (istio.io/latest/docs/reference/config/metrics): counted in typed arrays by label sets that are prepared when an endpoint or a peer is first seen;
 * words are joined on scrape alone. Label sets are bounded: past the bound everything new is counted under `unknown`.
 */

/** Bounds of Istio's histograms, shared by durations (ms) and sizes (bytes). */
const BOUNDS = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000]
const BUCKETS = BOUNDS.length + 1
/** A histogram is its buckets and its sum. */
const HISTOGRAM = BUCKETS + 1
const SERIES_MAX = 5000
/** Codes of gRPC are 0 to 16; what a server makes up beyond is counted as no status. */
const GRPC_STATUS_MAX = 17
const GRPC_STATUSES = GRPC_STATUS_MAX + 2
const SOURCES_MAX = 1000
/** Above the numbers of all others, those without a name among them. */
const SELF_SECURED = SOURCES_MAX + 8

/** Who calls, as labels. */
export interface Source {
  readonly id: number
  readonly labels: string
  /** Label `connection_security_policy`, which only the called side knows. */
  readonly policy: 'mutual_tls' | 'none' | 'unknown'
}

/** Who is called, as labels, with the series counted under it. */
export interface Destination {
  readonly labels: string
  /** By source, then by status and flags. */
  readonly series: Map<number, Map<number, RequestSeries>>
  readonly tcp: Map<number, TcpSeries>
}

interface RequestSeries {
  readonly labels: string
  readonly values: Float64Array
  /** Its labels as rules leave them, by metric. */
  bases?: { readonly of: MetricRules; readonly labels: readonly string[] }
}

/** Where each metric's values begin, in the order of `metricNames`. */
const OFFSETS = [0, 1, 1 + HISTOGRAM, 1 + 2 * HISTOGRAM, 1 + 3 * HISTOGRAM, 2 + 3 * HISTOGRAM] as const
const SERIES_VALUES = 3 + 3 * HISTOGRAM
/** Those that are one number; the others are histograms. */
const COUNTERS = { requests: 0, requestMessages: 4, responseMessages: 5 } as const
const isCounter = (index: number): boolean => index === COUNTERS.requests || index >= COUNTERS.requestMessages

export interface TcpSeries {
  readonly labels: string
  opened: number
  closed: number
  sentBytes: number
  receivedBytes: number
}

const escapeLabel = (value: string): string => (/["\\\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value)
const label = (name: string, value: string): string => `${name}="${escapeLabel(value === '' ? 'unknown' : value)}"`

export class TrafficMetrics {
  readonly #node: ProxyNode
  readonly #requests: RequestSeries[] = []
  /** What rules have changed the labels of, by metric and labels. */
  readonly #ruled: readonly Map<string, Float64Array>[] = OFFSETS.map(() => new Map())
  readonly #tcp: TcpSeries[] = []
  readonly #destinations = new Map<string, Destination>()
  readonly #sources = new Map<string, Source>()
  readonly #flags: string[] = ['']
  readonly #flagNumbers = new Map<string, number>([['', 0]])
  /** This workload as the caller. */
  readonly self: Source
  /** The same where this workload proved who it is. */
  readonly selfSecured: Source
  readonly unknownDestination: Destination
  readonly #selfLabels: Readonly<Record<string, string>>

  readonly #principal: string

  /** `principal`: this workload's own SPIFFE ID. */
  constructor(node: ProxyNode, principal = '') {
    this.#node = node
    this.#principal = principal
    this.#selfLabels = node.labels
    const app = node.labels['app'] ?? ''
    const version = node.labels['version'] ?? ''
    const own = (id: number, proven: string): Source => ({
      id,
      policy: 'unknown',
      labels: sourceLabels({
        workload: workloadName(node),
        namespace: node.namespace,
        principal: proven,
        app,
        version,
        service: node.labels['service.istio.io/canonical-name'] ?? app,
        revision: node.labels['service.istio.io/canonical-revision'] ?? (version === '' ? 'latest' : version),
        cluster: node.cluster,
      }),
    })
    this.self = own(0, 'unknown')
    this.selfSecured = principal === '' ? this.self : own(SELF_SECURED, principal)
    this.unknownDestination = this.destination({ host: '', name: '', namespace: '', subset: '', port: 0 }, undefined)
  }

  /**
   * A caller seen on an inbound connection: its SPIFFE ID, empty without one, and its own word of its name (`x-envoy-peer-metadata-id`) and of its labels (`x-envoy-peer-metadata`), believed within
   * the proven namespace only.
   */
  source(principal: string, peerId: string, secured: boolean, metadata = ''): Source {
    const key = `${principal} ${peerId} ${secured} ${metadata}`
    const known = this.#sources.get(key)
    if (known !== undefined) return known
    // Those of whom nothing is known have a place of their own above the bound.
    if (this.#sources.size >= SOURCES_MAX && (principal !== '' || peerId !== '' || metadata !== '')) return this.source('', '', secured)
    const proven = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(principal)
    const words = /^[a-z]+~[^~]*~([^~]*)\.([^.~]+)~/.exec(peerId)
    const believed = words !== null && (proven === null || words[2] === proven[1])
    const told = metadata === '' ? undefined : readPeerMetadata(metadata)
    const of = told !== undefined && proven !== null && told.namespace === proven[1] ? told : undefined
    const made: Source = {
      id: this.#sources.size + 1,
      policy: secured ? 'mutual_tls' : 'none',
      labels: sourceLabels({
        workload: of?.workload || (believed ? stripReplica(words[1] ?? '') : ''),
        namespace: proven?.[1] ?? (believed ? (words[2] ?? '') : ''),
        principal: principal === '' ? 'unknown' : principal,
        app: of?.app ?? '',
        version: of?.version ?? '',
        service: of?.service ?? '',
        revision: of?.revision ?? 'latest',
        cluster: of?.cluster ?? '',
      }),
    }
    this.#sources.set(key, made)
    return made
  }

  destination(of: ClusterPlan['destination'], workload: EndpointPlan['workload'], principal = ''): Destination {
    const labels = [
      label('destination_workload', workload?.name ?? ''),
      label('destination_workload_namespace', workload?.namespace ?? of.namespace),
      label('destination_principal', principal),
      label('destination_app', workload?.service ?? of.name),
      label('destination_version', workload?.version ?? of.subset),
      label('destination_service', of.host),
      label('destination_service_name', of.name),
      label('destination_service_namespace', of.namespace),
      label('destination_canonical_service', workload?.service ?? of.name),
      label('destination_canonical_revision', workload?.version || 'latest'),
      label('destination_cluster', workload?.cluster ?? ''),
    ].join(',')
    return this.#destinationOf(labels)
  }

  /** This workload as the one called, for one of its services. */
  selfDestination(of: ClusterPlan['destination'], secured: boolean): Destination {
    const node = this.#node
    return this.destination(of, {
      name: workloadName(node),
      namespace: node.namespace,
      service: this.#selfLabels['service.istio.io/canonical-name'] ?? this.#selfLabels['app'] ?? '',
      version: this.#selfLabels['version'] ?? '',
      cluster: node.cluster,
    }, secured ? this.#principal : '')
  }

  #destinationOf(labels: string): Destination {
    const known = this.#destinations.get(labels)
    if (known !== undefined) return known
    if (this.#destinations.size >= SERIES_MAX) return this.unknownDestination
    const made: Destination = { labels, series: new Map(), tcp: new Map() }
    this.#destinations.set(labels, made)
    return made
  }

  #flagNumber(flags: string): number {
    const known = this.#flagNumbers.get(flags)
    if (known !== undefined) return known
    const made = this.#flags.length
    this.#flags.push(flags)
    this.#flagNumbers.set(flags, made)
    return made
  }

  /** Counts one request that is over. `grpcStatus`: -1 for what is no gRPC, -2 for gRPC without a status. */
  request(inbound: boolean, source: Source, destination: Destination, status: number, flags: string, grpcStatus: number, durationMs: number, requestBytes: number, responseBytes: number, rules?: MetricRules, facts?: Facts): void {
    const series = this.#series(inbound, source, destination, status, flags, grpcStatus)
    if (rules !== undefined && facts !== undefined) return this.#changed(series, rules, facts, [1, durationMs, requestBytes, responseBytes])
    const { values } = series
    values[0]! += 1
    observe(values, 1, durationMs)
    observe(values, 1 + HISTOGRAM, requestBytes)
    observe(values, 1 + 2 * HISTOGRAM, responseBytes)
  }

  /** Counts messages of gRPC, in both directions, under what is known of their call by now. */
  messages(inbound: boolean, source: Source, destination: Destination, status: number, flags: string, grpcStatus: number, requestMessages: number, responseMessages: number, rules?: MetricRules, facts?: Facts): void {
    const series = this.#series(inbound, source, destination, status, flags, grpcStatus)
    if (rules !== undefined && facts !== undefined) return this.#changed(series, rules, facts, [undefined, undefined, undefined, undefined, requestMessages, responseMessages])
    series.values[OFFSETS[COUNTERS.requestMessages]]! += requestMessages
    series.values[OFFSETS[COUNTERS.responseMessages]]! += responseMessages
  }

  #series(inbound: boolean, source: Source, destination: Destination, status: number, flags: string, grpcStatus: number): RequestSeries {
    let bySource = destination.series.get(source.id)
    if (bySource === undefined) {
      bySource = new Map()
      destination.series.set(source.id, bySource)
    }
    const key = (inbound ? 1 : 0) + 2 * (status + 1000 * ((grpcStatus < GRPC_STATUS_MAX ? grpcStatus + 2 : 0) + GRPC_STATUSES * (flags === '' ? 0 : this.#flagNumber(flags))))
    return bySource.get(key) ?? this.#newSeries(bySource, key, inbound, source, destination, status, flags, grpcStatus)
  }

  /** `observed`: by metric; undefined: nothing of that one. */
  #changed(series: RequestSeries, rules: MetricRules, facts: Facts, observed: readonly (number | undefined)[]): void {
    if (series.bases?.of !== rules) series.bases = { of: rules, labels: rules.map((one) => one?.base(series.labels) ?? '') }
    for (const [index, value] of observed.entries()) {
      const rule = rules[index]
      if (value === undefined || rule?.dropped === true) continue
      const values = rule === undefined ? series.values : this.#ruledValues(index, `${series.bases.labels[index]}${rule.tags(facts)}`)
      const at = rule === undefined ? OFFSETS[index]! : 0
      if (isCounter(index)) values[at]! += value
      else observe(values, at, value)
    }
  }

  #ruledValues(index: number, labels: string): Float64Array {
    const all = this.#ruled[index]!
    const known = all.get(labels)
    if (known !== undefined) return known
    if (all.size >= SERIES_MAX) return this.#ruledValues(index, label('reporter', 'unknown'))
    const made = new Float64Array(isCounter(index) ? 1 : HISTOGRAM)
    all.set(labels, made)
    return made
  }

  #newSeries(bySource: Map<number, RequestSeries>, key: number, inbound: boolean, source: Source, destination: Destination, status: number, flags: string, grpcStatus: number): RequestSeries {
    if (this.#requests.length >= SERIES_MAX) {
      const overflow = this.#requests[SERIES_MAX - 1]!
      bySource.set(key, overflow)
      return overflow
    }
    const full = this.#requests.length === SERIES_MAX - 1
    const labels = full
      ? label('reporter', 'unknown')
      : [label('reporter', inbound ? 'destination' : 'source'), source.labels, destination.labels, label('request_protocol', grpcStatus === -1 ? 'http' : 'grpc'), `response_code="${status}"`, ...(grpcStatus >= 0 ? [`grpc_response_status="${grpcStatus}"`] : []), `response_flags="${flags === '' ? '-' : flags}"`, label('connection_security_policy', source.policy)].join(',')
    const series = { labels, values: new Float64Array(SERIES_VALUES) }
    this.#requests.push(series)
    bySource.set(key, series)
    return series
  }

  /** The series of a TCP connection, which the connection itself counts up. */
  tcp(inbound: boolean, source: Source, destination: Destination): TcpSeries {
    const key = source.id * 2 + (inbound ? 1 : 0)
    const known = destination.tcp.get(key)
    if (known !== undefined) return known
    const overflow = this.#tcp[SERIES_MAX - 1]
    if (overflow !== undefined) return overflow
    const made: TcpSeries = {
      labels: [label('reporter', inbound ? 'destination' : 'source'), source.labels, destination.labels, label('request_protocol', 'tcp'), 'response_flags="-"', label('connection_security_policy', source.policy)].join(','),
      opened: 0,
      closed: 0,
      sentBytes: 0,
      receivedBytes: 0,
    }
    this.#tcp.push(made)
    destination.tcp.set(key, made)
    return made
  }

  /** Prometheus text (exposition format 0.0.4). */
  text(): string {
    const lines: string[] = []
    this.#counter(lines, 'istio_requests_total', COUNTERS.requests)
    this.#histogram(lines, 'istio_request_duration_milliseconds', 1)
    this.#histogram(lines, 'istio_request_bytes', 2)
    this.#histogram(lines, 'istio_response_bytes', 3)
    this.#counter(lines, 'istio_request_messages_total', COUNTERS.requestMessages)
    this.#counter(lines, 'istio_response_messages_total', COUNTERS.responseMessages)
    for (const [name, field] of TCP_METRICS) {
      lines.push(`# TYPE ${name} counter`)
      for (const one of this.#tcp) lines.push(`${name}{${one.labels}} ${one[field]}`)
    }
    return `${lines.join('\n')}\n`
  }

  /** Labels and values of a metric; what was never counted, for rules say so, has none. */
  *#seriesOf(index: number): Iterable<readonly [labels: string, values: Float64Array]> {
    const offset = OFFSETS[index]!
    const length = isCounter(index) ? 1 : HISTOGRAM
    for (const { labels, values } of this.#requests) {
      const own = values.subarray(offset, offset + length)
      if (isCounter(index) ? own[0]! > 0 : own.subarray(0, BUCKETS).some((one) => one > 0)) yield [labels, own]
    }
    yield* this.#ruled[index]!
  }

  #counter(lines: string[], name: string, index: number): void {
    lines.push(`# TYPE ${name} counter`)
    for (const [labels, values] of this.#seriesOf(index)) lines.push(`${name}{${labels}} ${values[0]}`)
  }

  #histogram(lines: string[], name: string, index: number): void {
    lines.push(`# TYPE ${name} histogram`)
    for (const [labels, values] of this.#seriesOf(index)) {
      let count = 0
      for (let i = 0; i < BUCKETS; i++) {
        count += values[i]!
        lines.push(`${name}_bucket{${labels},le="${i < BOUNDS.length ? BOUNDS[i] : '+Inf'}"} ${count}`)
      }
      lines.push(`${name}_sum{${labels}} ${values[BUCKETS]}`, `${name}_count{${labels}} ${count}`)
    }
  }
}

const TCP_METRICS = [
  ['istio_tcp_connections_opened_total', 'opened'],
  ['istio_tcp_connections_closed_total', 'closed'],
  ['istio_tcp_sent_bytes_total', 'sentBytes'],
  ['istio_tcp_received_bytes_total', 'receivedBytes'],
] as const

function observe(values: Float64Array, offset: number, value: number): void {
  let bucket = 0
  while (bucket < BOUNDS.length && value > BOUNDS[bucket]!) bucket++
  values[offset + bucket]! += 1
  values[offset + BUCKETS]! += value
}

const sourceLabels = (of: { workload: string; namespace: string; principal: string; app: string; version: string; service: string; revision: string; cluster: string }): string =>
  [
    label('source_workload', of.workload),
    label('source_workload_namespace', of.namespace),
    label('source_principal', of.principal),
    label('source_app', of.app),
    label('source_version', of.version),
    label('source_canonical_service', of.service),
    label('source_canonical_revision', of.revision),
    label('source_cluster', of.cluster),
  ].join(',')

export const workloadName = (node: ProxyNode): string => stripReplica(node.name)

/** `orders-v1-7d9f8b6c5-x2x7q` → `orders-v1`: the hash of a ReplicaSet and its pod are not a workload's name. */
const stripReplica = (name: string): string => name.replace(/-[0-9a-f]{8,10}-[0-9a-z]{5}$/, '')
