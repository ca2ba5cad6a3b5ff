import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { durationFromMs, type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt'
import type { LogServicePlan } from '#core/plan/http.ts'
import { writeNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { type Address, AddressSchema } from '#core/wire/gen/envoy/config/core/v3/address_pb.ts'
import { RequestMethod } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import {
  type AccessLogCommonSchema,
  AccessLogType,
  HTTPAccessLogEntry_HTTPVersion as HttpVersion,
  type HTTPAccessLogEntrySchema,
  ResponseFlags_Unauthorized_Reason as Reason,
  type ResponseFlags,
  ResponseFlags_UnauthorizedSchema,
  ResponseFlagsSchema,
  type TCPAccessLogEntrySchema,
  type TLSPropertiesSchema,
  TLSProperties_TLSVersion as TlsVersion,
} from '#core/wire/gen/envoy/data/accesslog/v3/accesslog_pb.ts'
import { StreamAccessLogsMessageSchema } from '#core/wire/gen/envoy/service/accesslog/v3/als_pb.ts'
import { ExportLogsServiceRequestSchema } from '#core/wire/gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts'
import type { CallEntry, LogEntry } from './log-entry.ts'

export const logsMethod = (kind: LogServicePlan['kind']): string =>
  kind === 'otlp' ? '/opentelemetry.proto.collector.logs.v1.LogsService/Export' : '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'

/** One call's message: an ExportLogsServiceRequest (opentelemetry.io/docs/specs/otlp), or a StreamAccessLogsMessage, which is a whole stream (envoy/service/accesslog/v3/als.proto). */
export function logsMessage({ kind, logName }: LogServicePlan, node: ProxyNode, entries: readonly LogEntry[]): Uint8Array {
  if (kind === 'otlp') return otlpMessage(logName, node, entries)
  const calls = entries.flatMap(({ startWallMs, call }) => (call === undefined ? [] : [{ startWallMs, call }]))
  return toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, {
      identifier: { node: writeNode(node), logName },
      logEntries:
        kind === 'http'
          ? { case: 'httpLogs', value: { logEntry: calls.map(({ startWallMs, call }) => httpEntry(startWallMs, call)) } }
          : { case: 'tcpLogs', value: { logEntry: calls.map(({ startWallMs, call }) => tcpEntry(startWallMs, call)) } },
    }),
  )
}

const text = (value: string) => ({ value: { case: 'stringValue' as const, value } })
const attribute = (key: string, value: string) => ({ key, value: text(value) })

/** The resource bears the names that Envoy gives it. */
function otlpMessage(logName: string, node: ProxyNode, entries: readonly LogEntry[]): Uint8Array {
  const [, zone = ''] = node.locality.split('/')
  const message = create(ExportLogsServiceRequestSchema, {
    resourceLogs: [
      {
        resource: { attributes: [attribute('log_name', logName), attribute('zone_name', zone), attribute('cluster_name', node.cluster), attribute('node_name', node.id)] },
        // Today's `scope_logs` by an older name: the same field and the same message on the wire.
        instrumentationLibraryLogs: [
          { logs: entries.map(({ startWallMs, body, attributes }) => ({ timeUnixNano: BigInt(Math.round(startWallMs * 1000)) * 1000n, body: text(body), attributes: attributes.map(([name, value]) => attribute(name, value)) })) },
        ],
      },
    ],
  })
  return toBinary(ExportLogsServiceRequestSchema, message)
}

function httpEntry(startWallMs: number, call: CallEntry): MessageInitShape<typeof HTTPAccessLogEntrySchema> {
  const { requestHeaders, responseHeaders } = call
  return {
    commonProperties: commonOf(startWallMs, call, AccessLogType.DownstreamEnd),
    protocolVersion: VERSIONS[call.protocol] ?? HttpVersion.PROTOCOL_UNSPECIFIED,
    request: {
      requestMethod: RequestMethod[call.method as keyof typeof RequestMethod] ?? RequestMethod.METHOD_UNSPECIFIED,
      scheme: call.scheme,
      authority: call.authority,
      path: call.path,
      userAgent: call.userAgent,
      referer: call.referer,
      forwardedFor: call.forwardedFor,
      requestId: call.requestId,
      originalPath: call.originalPath,
      requestBodyBytes: BigInt(call.requestBytes),
      requestHeaders: { ...requestHeaders },
    },
    response: { ...(call.status === 0 ? {} : { responseCode: call.status }), responseBodyBytes: BigInt(call.responseBytes), responseHeaders: { ...responseHeaders }, responseCodeDetails: call.details },
  }
}

const tcpEntry = (startWallMs: number, call: CallEntry): MessageInitShape<typeof TCPAccessLogEntrySchema> => ({
  commonProperties: commonOf(startWallMs, call, AccessLogType.TcpConnectionEnd),
  connectionProperties: { receivedBytes: BigInt(call.requestBytes), sentBytes: BigInt(call.responseBytes) },
})

const VERSIONS: Readonly<Record<string, HttpVersion>> = { 'HTTP/1.0': HttpVersion.HTTP10, 'HTTP/1.1': HttpVersion.HTTP11, 'HTTP/2': HttpVersion.HTTP2 }

function commonOf(startWallMs: number, call: CallEntry, accessLogType: AccessLogType): MessageInitShape<typeof AccessLogCommonSchema> {
  const { peer } = call
  const remote = addressOf(peer.address, peer.port)
  const upstream = readAddress(call.upstreamAddress)
  const tls = tlsOf(call)
  return {
    downstreamRemoteAddress: remote,
    downstreamDirectRemoteAddress: peer.direct === undefined ? remote : addressOf(peer.direct.address, peer.direct.port),
    downstreamLocalAddress: addressOf(peer.localAddress, peer.localPort),
    startTime: timestampOf(startWallMs),
    duration: durationFromMs(Math.round(call.durationMs)),
    upstreamCluster: call.clusterName,
    upstreamTransportFailureReason: call.upstreamFailure,
    routeName: call.routeName,
    upstreamRequestAttemptCount: call.attempts,
    connectionTerminationDetails: call.terminationDetails,
    accessLogType,
    ...(upstream === undefined ? {} : { upstreamRemoteAddress: upstream }),
    ...(call.flags === '' ? {} : { responseFlags: flagsOf(call.flags) }),
    ...(tls === undefined ? {} : { tlsProperties: tls }),
  }
}

function timestampOf(wallMs: number): Timestamp {
  const microseconds = Math.round(wallMs * 1000)
  return create(TimestampSchema, { seconds: BigInt(Math.floor(microseconds / 1_000_000)), nanos: (microseconds % 1_000_000) * 1000 })
}

const addressOf = (address: string, portValue: number): Address | undefined => (address === '' ? undefined : create(AddressSchema, { address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: portValue } } } }))

/** `10.0.0.1:80`, `[fd00::1]:80`. */
function readAddress(text: string): Address | undefined {
  const [, address, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(text) ?? []
  return address === undefined ? undefined : addressOf(address, Number(port))
}

const TLS_VERSIONS: Readonly<Record<string, TlsVersion>> = { TLSv1: TlsVersion.TLSv1, 'TLSv1.1': TlsVersion.TLSv1_1, 'TLSv1.2': TlsVersion.TLSv1_2, 'TLSv1.3': TlsVersion.TLSv1_3 }

function tlsOf({ peer, tlsVersion }: CallEntry): MessageInitShape<typeof TLSPropertiesSchema> | undefined {
  if (!peer.tls) return undefined
  const names = [...peer.uriSans.map((value) => ({ san: { case: 'uri' as const, value } })), ...peer.dnsSans.map((value) => ({ san: { case: 'dns' as const, value } }))]
  return { tlsVersion: TLS_VERSIONS[tlsVersion] ?? TlsVersion.VERSION_UNSPECIFIED, tlsSniHostname: peer.sni, ...(names.length === 0 ? {} : { peerCertificateProperties: { subjectAltName: names } }) }
}

type Flag = Exclude<keyof ResponseFlags, '$typeName' | '$unknown' | 'unauthorizedDetails'>

/** By Envoy's short names. */
const FLAGS: Readonly<Record<string, Flag>> = {
  LH: 'failedLocalHealthcheck',
  UH: 'noHealthyUpstream',
  UT: 'upstreamRequestTimeout',
  LR: 'localReset',
  UR: 'upstreamRemoteReset',
  UF: 'upstreamConnectionFailure',
  UC: 'upstreamConnectionTermination',
  UO: 'upstreamOverflow',
  NR: 'noRouteFound',
  DI: 'delayInjected',
  FI: 'faultInjected',
  RL: 'rateLimited',
  RLSE: 'rateLimitServiceError',
  DC: 'downstreamConnectionTermination',
  URX: 'upstreamRetryLimitExceeded',
  SI: 'streamIdleTimeout',
  IH: 'invalidEnvoyRequestHeaders',
  DPE: 'downstreamProtocolError',
  UMSDR: 'upstreamMaxStreamDurationReached',
  DT: 'durationTimeout',
  UPE: 'upstreamProtocolError',
  NC: 'noClusterFound',
  OM: 'overloadManager',
  DF: 'dnsResolutionFailure',
  DR: 'downstreamRemoteReset',
}

function flagsOf(flags: string): ResponseFlags {
  const message = create(ResponseFlagsSchema)
  for (const flag of flags.split(',')) {
    const name = FLAGS[flag]
    if (name !== undefined) message[name] = true
    else if (flag === 'UAEX') message.unauthorizedDetails = create(ResponseFlags_UnauthorizedSchema, { reason: Reason.EXTERNAL_SERVICE })
  }
  return message
}
