import type { Cluster } from '../wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { Cluster_ClusterProtocolSelection as Selection } from '../wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { type Http1ProtocolOptions, Http1ProtocolOptionsSchema, type Http2ProtocolOptions, Http2ProtocolOptionsSchema, type HttpProtocolOptions as CommonOptions, KeepaliveSettingsSchema, HttpProtocolOptionsSchema as CommonOptionsSchema } from '../wire/gen/envoy/config/core/v3/protocol_pb.ts'
import type { MatchPredicate } from '../wire/gen/envoy/config/common/matcher/v3/matcher_pb.ts'
import { HttpProtocolOptions_ExplicitHttpConfigSchema, HttpProtocolOptionsSchema } from '../wire/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import type { ClusterPlan } from './cluster.ts'
import type { HttpPlan } from './http.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { milliseconds } from './read-value.ts'

export interface ProtocolPlan {
  readonly ping?: { readonly intervalMs: number; readonly timeoutMs: number }
  readonly streamsMax?: number
  readonly protocol: ClusterPlan['protocol']
  readonly idleTimeoutMs: number
  readonly longestMs?: number
  readonly requestsPerConnectionMax: number
}

/** Envoy's default for an upstream connection without requests. */
const IDLE_MS = 3_600_000

/** Flow control windows and bounds on frames are each side's own affair, and change nothing that a request sees. */
const HTTP2_FIELDS = [
  'hpack_table_size', 'max_concurrent_streams', 'initial_stream_window_size', 'initial_connection_window_size', 'allow_connect', 'max_outbound_frames', 'max_outbound_control_frames',
  'max_consecutive_inbound_frames_with_empty_payload', 'max_inbound_priority_frames_per_stream', 'max_inbound_window_update_frames_per_data_frame_sent', 'use_oghttp2_codec',
]

export function checkHttp2(reading: Reading, path: string, options: Http2ProtocolOptions | undefined): void {
  if (options !== undefined) reading.only(path, Http2ProtocolOptionsSchema, options, HTTP2_FIELDS)
}

/** What clients of a listener may send at once. */
export function readHttp2Bounds(options: Http2ProtocolOptions | undefined): Pick<HttpPlan, 'http2'> {
  if (options === undefined) return {}
  const http2 = {
    ...(options.maxConcurrentStreams !== undefined && { concurrentStreamsMax: options.maxConcurrentStreams }),
    ...(options.initialStreamWindowSize !== undefined && { streamWindow: options.initialStreamWindowSize }),
    ...(options.initialConnectionWindowSize !== undefined && { connectionWindow: options.initialConnectionWindowSize }),
  }
  return Object.keys(http2).length === 0 ? {} : { http2 }
}

/** Envoy's default for the answer to a PING is twice 10 s. */
const PING_TIMEOUT_MS = 20_000

/** Options of a connection that we open: the same, and PINGs. */
function readHttp2(reading: Reading, path: string, options: Http2ProtocolOptions | undefined): Pick<ProtocolPlan, 'ping' | 'streamsMax'> {
  if (options === undefined) return {}
  const streams = options.maxConcurrentStreams === undefined ? {} : { streamsMax: options.maxConcurrentStreams }
  reading.only(path, Http2ProtocolOptionsSchema, options, [...HTTP2_FIELDS, 'connection_keepalive'])
  const ping = options.connectionKeepalive
  if (ping === undefined) return streams
  reading.only(at(path, 'connection_keepalive'), KeepaliveSettingsSchema, ping, ['interval', 'timeout', 'interval_jitter'])
  const intervalMs = milliseconds(ping.interval, 0)
  return intervalMs === 0 ? streams : { ...streams, ping: { intervalMs, timeoutMs: milliseconds(ping.timeout, PING_TIMEOUT_MS) } }
}

export function checkHttp1(reading: Reading, path: string, options: Http1ProtocolOptions | undefined): void {
  if (options !== undefined) reading.only(path, Http1ProtocolOptionsSchema, options, ['allow_absolute_url', 'accept_http_10', 'default_host_for_http_10', 'enable_trailers', 'use_balsa_parser'])
}

/** The protocol towards a cluster, from `typed_extension_protocol_options` or from the older fields. */
export function readProtocol(reading: Reading, cluster: Cluster): ProtocolPlan {
  let plan = readOlder(reading, cluster)
  for (const [name, any] of Object.entries(cluster.typedExtensionProtocolOptions)) {
    const path = at('', 'typed_extension_protocol_options', name)
    if (typeNameOf(any) !== HttpProtocolOptionsSchema.typeName) {
      reading.unsupported(path, 'is not supported', typeNameOf(any))
      continue
    }
    const options = reading.unpack(path, any, HttpProtocolOptionsSchema)
    if (options === undefined) continue
    reading.only(path, HttpProtocolOptionsSchema, options, ['common_http_protocol_options', 'explicit_http_config', 'use_downstream_protocol_config', 'auto_config', 'outlier_detection'])
    const by = options.upstreamProtocolOptions
    if (by.case === undefined) reading.invalid(path, 'names no protocol')
    plan = { protocol: 'http1', ...readCommonOptions(reading, at(path, 'common_http_protocol_options'), options.commonHttpProtocolOptions) }
    if (by.case === 'useDownstreamProtocolConfig') {
      const inner = at(path, 'use_downstream_protocol_config')
      checkHttp1(reading, at(inner, 'http_protocol_options'), by.value.httpProtocolOptions)
      const http2 = readHttp2(reading, at(inner, 'http2_protocol_options'), by.value.http2ProtocolOptions)
      if (by.value.http3ProtocolOptions !== undefined) reading.unsupported(at(inner, 'http3_protocol_options'), 'is not supported')
      plan = { ...plan, ...http2, protocol: 'as-downstream' }
    }
    if (by.case === 'autoConfig') {
      const inner = at(path, 'auto_config')
      checkHttp1(reading, at(inner, 'http_protocol_options'), by.value.httpProtocolOptions)
      const http2 = readHttp2(reading, at(inner, 'http2_protocol_options'), by.value.http2ProtocolOptions)
      if (by.value.http3ProtocolOptions !== undefined) reading.unsupported(at(inner, 'http3_protocol_options'), 'is not supported')
      plan = { ...plan, ...http2, protocol: 'alpn' }
    }
    if (by.case === 'explicitHttpConfig') {
      const inner = at(path, 'explicit_http_config')
      reading.only(inner, HttpProtocolOptions_ExplicitHttpConfigSchema, by.value, ['http_protocol_options', 'http2_protocol_options'])
      const { protocolConfig } = by.value
      if (protocolConfig.case === 'httpProtocolOptions') checkHttp1(reading, at(inner, 'http_protocol_options'), protocolConfig.value)
      if (protocolConfig.case === 'http2ProtocolOptions') plan = { ...plan, ...readHttp2(reading, at(inner, 'http2_protocol_options'), protocolConfig.value), protocol: 'http2' }
    }
  }
  return cluster.maxRequestsPerConnection === undefined ? plan : { ...plan, requestsPerConnectionMax: cluster.maxRequestsPerConnection }
}

/** The status codes that `HttpProtocolOptions.outlier_detection` has count as errors: exact ones; undefined: it says nothing. */
export function readErrorCodes(reading: Reading, cluster: Cluster): readonly number[] | undefined {
  for (const [name, any] of Object.entries(cluster.typedExtensionProtocolOptions)) {
    if (typeNameOf(any) !== HttpProtocolOptionsSchema.typeName) continue
    const path = at('', 'typed_extension_protocol_options', name)
    const matcher = reading.unpack(path, any, HttpProtocolOptionsSchema)?.outlierDetection?.errorMatcher
    if (matcher !== undefined) return codesOf(reading, at(path, 'outlier_detection.error_matcher'), matcher)
  }
  return undefined
}

function codesOf(reading: Reading, path: string, { rule }: MatchPredicate): number[] {
  if (rule.case === 'orMatch') return rule.value.rules.flatMap((one, index) => codesOf(reading, at(path, 'or_match.rules', index), one))
  const [header, ...more] = rule.case === 'httpResponseHeadersMatch' ? rule.value.headers : []
  const by = header?.headerMatchSpecifier
  const code = header?.name === ':status' && more.length === 0 && !header.invertMatch && by?.case === 'stringMatch' && by.value.matchPattern.case === 'exact' ? Number(by.value.matchPattern.value) : Number.NaN
  if (Number.isInteger(code)) return [code]
  reading.unsupported(path, 'only exact values of :status are supported')
  return []
}

function readOlder(reading: Reading, cluster: Cluster): ProtocolPlan {
  checkHttp1(reading, 'http_protocol_options', cluster.httpProtocolOptions)
  const http2 = readHttp2(reading, 'http2_protocol_options', cluster.http2ProtocolOptions)
  const downstream = cluster.protocolSelection === Selection.USE_DOWNSTREAM_PROTOCOL
  const protocol = downstream ? 'as-downstream' : cluster.http2ProtocolOptions === undefined ? 'http1' : 'http2'
  return { ...http2, protocol, ...readCommonOptions(reading, 'common_http_protocol_options', cluster.commonHttpProtocolOptions) }
}

function readCommonOptions(reading: Reading, path: string, common: CommonOptions | undefined): Pick<ProtocolPlan, 'idleTimeoutMs' | 'longestMs' | 'requestsPerConnectionMax'> {
  if (common !== undefined) reading.only(path, CommonOptionsSchema, common, ['idle_timeout', 'max_headers_count', 'max_requests_per_connection', 'max_connection_duration'])
  const longestMs = milliseconds(common?.maxConnectionDuration, 0)
  return { ...(longestMs === 0 ? {} : { longestMs }), idleTimeoutMs: milliseconds(common?.idleTimeout, IDLE_MS), requestsPerConnectionMax: common?.maxRequestsPerConnection ?? 0 }
}
