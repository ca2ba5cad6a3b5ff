import { create } from '@bufbuild/protobuf'
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf'
import { parseFormat } from '#core/telemetry/format.ts'
import { AccessLogSchema } from '#core/wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import type { AccessLog } from '#core/wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import type { SubstitutionFormatStringSchema } from '#core/wire/gen/envoy/config/core/v3/substitution_format_string_pb.ts'
import { ExpressionFilterSchema } from '#core/wire/gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts'
import { FileAccessLogSchema } from '#core/wire/gen/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import { StderrAccessLogSchema, StdoutAccessLogSchema } from '#core/wire/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import { anyOf } from './message.ts'
import type { LogSettings, LogSink } from './reporting.ts'
import { accessLog, HTTP_FIELDS } from './telemetry.ts'

/** The access logs of a connection manager: what its settings say, or the default. */
export const accessLogs = (settings: LogSettings | undefined): AccessLog[] => (settings === undefined ? [accessLog()] : settings.sinks.map((one) => sinkLog(one, settings.filter)))

function sinkLog(sink: LogSink, expression: string | undefined): AccessLog {
  const logFormat = formatOf(sink)
  const [name, value] = sinkType(sink.path, logFormat)
  return create(AccessLogSchema, {
    name,
    configType: { case: 'typedConfig', value },
    ...(expression === undefined
      ? {}
      : { filter: { filterSpecifier: { case: 'extensionFilter', value: { name: 'envoy.access_loggers.extension_filters.cel', configType: { case: 'typedConfig', value: anyOf(ExpressionFilterSchema, { expression }) } } } } }),
  })
}

type LogFormat = MessageInitShape<typeof SubstitutionFormatStringSchema>

/** Standard output and error as streams: the files /dev/stdout and /dev/stderr cannot be opened where they are sockets. */
function sinkType(path: string, logFormat: LogFormat) {
  const accessLogFormat = { case: 'logFormat' as const, value: logFormat }
  if (path === '/dev/stdout') return ['envoy.access_loggers.stdout', anyOf(StdoutAccessLogSchema, { accessLogFormat })] as const
  if (path === '/dev/stderr') return ['envoy.access_loggers.stderr', anyOf(StderrAccessLogSchema, { accessLogFormat })] as const
  return ['envoy.access_loggers.file', anyOf(FileAccessLogSchema, { path, accessLogFormat })] as const
}

/** A format that Envoy would refuse, and the listener with it, gives way to the default. */
function formatOf({ format, omitEmpty }: LogSink): LogFormat {
  const omitEmptyValues = omitEmpty ?? false
  if (typeof format === 'string' && formatComplaint(format) === undefined) return { format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: format } } }, omitEmptyValues }
  const fields = typeof format === 'object' && textsIn(format).every((one) => formatComplaint(one) === undefined) ? jsonObject(format) : HTTP_FIELDS
  return { format: { case: 'jsonFormat', value: fields }, omitEmptyValues }
}

const jsonObject = (value: object): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}

/** Envoy's command operators (envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators). */
const OPERATORS: ReadonlySet<string> = new Set(
  (
    'REQ RESP TRAILER REQ_WITHOUT_QUERY START_TIME START_TIME_LOCAL EMIT_TIME REQUEST_HEADERS_BYTES BYTES_RECEIVED BYTES_RETRANSMITTED PACKETS_RETRANSMITTED PROTOCOL UPSTREAM_PROTOCOL RESPONSE_CODE ' +
    'RESPONSE_CODE_DETAILS CONNECTION_TERMINATION_DETAILS RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES BYTES_SENT UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_WIRE_BYTES_SENT UPSTREAM_WIRE_BYTES_RECEIVED ' +
    'UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_HEADER_BYTES_RECEIVED DURATION ' +
    'COMMON_DURATION REQUEST_DURATION REQUEST_TX_DURATION RESPONSE_DURATION RESPONSE_TX_DURATION DOWNSTREAM_HANDSHAKE_DURATION ROUNDTRIP_DURATION UPSTREAM_CONNECTION_POOL_READY_DURATION RESPONSE_FLAGS ' +
    'RESPONSE_FLAGS_LONG ROUTE_NAME VIRTUAL_HOST_NAME VIRTUAL_CLUSTER_NAME UPSTREAM_HOST UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID ' +
    'UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_PORT UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT UPSTREAM_TRANSPORT_FAILURE_REASON ' +
    'DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS ' +
    'DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_URI_SAN ' +
    'DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_SERIAL ' +
    'DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_CIPHER ' +
    'DOWNSTREAM_TLS_VERSION UPSTREAM_PEER_URI_SAN UPSTREAM_PEER_DNS_SAN UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_ISSUER UPSTREAM_PEER_CERT UPSTREAM_LOCAL_URI_SAN UPSTREAM_LOCAL_SUBJECT UPSTREAM_TLS_SESSION_ID ' +
    'UPSTREAM_TLS_CIPHER UPSTREAM_TLS_VERSION CONNECTION_ID STREAM_ID TRACE_ID REQUESTED_SERVER_NAME HOSTNAME FILTER_CHAIN_NAME GRPC_STATUS GRPC_STATUS_NUMBER ACCESS_LOG_TYPE ENVIRONMENT ' +
    'DYNAMIC_METADATA CLUSTER_METADATA UPSTREAM_METADATA METADATA FILTER_STATE UPSTREAM_FILTER_STATE LOCAL_REPLY_BODY TLS_JA3_FINGERPRINT UNIQUE_ID QUERY_PARAM PATH'
  ).split(' '),
)

/** Why Envoy would refuse a log format; undefined: it would not. */
export function formatComplaint(format: string): string | undefined {
  const tokens = parseFormat(format)
  if (tokens === undefined) return 'command operators in the form %NAME(ARGUMENT):LENGTH%'
  for (const token of tokens) if (token.kind === 'operator' && !OPERATORS.has(token.name)) return `an operator that Envoy has, which ${token.name} is not`
  return undefined
}
