import type { Any } from '@bufbuild/protobuf/wkt'
import { type CommonGrpcAccessLogConfig, CommonGrpcAccessLogConfigSchema, HttpGrpcAccessLogConfigSchema, TcpGrpcAccessLogConfigSchema } from '../wire/gen/envoy/extensions/access_loggers/grpc/v3/als_pb.ts'
import { type OpenTelemetryAccessLogConfig, OpenTelemetryAccessLogConfigSchema } from '../wire/gen/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.ts'
import type { AnyValue } from '../wire/gen/opentelemetry/proto/common/v1/common_pb.ts'
import { parseFormat } from '../telemetry/format.ts'
import type { AccessLogPlan, LogServicePlan } from './http.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { milliseconds } from './read-value.ts'

const CALL_MS = 10_000

/** Access logs that go to a service by gRPC: OTLP, and Envoy's access log service; undefined where the type is another, or the message is none, with a fault. */
export function readLogService(reading: Reading, path: string, any: Any): AccessLogPlan | undefined {
  switch (typeNameOf(any)) {
    case OpenTelemetryAccessLogConfigSchema.typeName:
      return ofOtlp(reading, path, reading.unpack(path, any, OpenTelemetryAccessLogConfigSchema))
    case HttpGrpcAccessLogConfigSchema.typeName: {
      const log = reading.unpack(path, any, HttpGrpcAccessLogConfigSchema)
      if (log === undefined) return undefined
      reading.only(path, HttpGrpcAccessLogConfigSchema, log, ['common_config', 'additional_request_headers_to_log', 'additional_response_headers_to_log'])
      const lower = (names: readonly string[]): string[] => names.map((one) => one.toLowerCase())
      return planOf(reading, path, log.commonConfig, { kind: 'http', requestHeaders: lower(log.additionalRequestHeadersToLog), responseHeaders: lower(log.additionalResponseHeadersToLog) })
    }
    case TcpGrpcAccessLogConfigSchema.typeName: {
      const log = reading.unpack(path, any, TcpGrpcAccessLogConfigSchema)
      return log === undefined ? undefined : planOf(reading, path, log.commonConfig, { kind: 'tcp' })
    }
    default:
      reading.unsupported(path, 'is not supported', typeNameOf(any))
      return undefined
  }
}

function ofOtlp(reading: Reading, path: string, log: OpenTelemetryAccessLogConfig | undefined): AccessLogPlan | undefined {
  if (log === undefined) return undefined
  reading.only(path, OpenTelemetryAccessLogConfigSchema, log, ['common_config', 'body', 'attributes'])
  const attributes = (log.attributes?.values ?? []).map(({ key, value }) => ({ name: key, format: formatIn(reading, at(path, 'attributes', key), value) }))
  const plan = planOf(reading, path, log.commonConfig, { kind: 'otlp', attributes })
  return plan === undefined || log.body === undefined ? plan : { ...plan, fields: [{ name: '', format: formatIn(reading, at(path, 'body'), log.body) }] }
}

function formatIn(reading: Reading, path: string, value: AnyValue | undefined): string {
  if (value?.value.case !== 'stringValue') {
    reading.unsupported(path, 'only text is supported', value?.value.case)
    return ''
  }
  if (parseFormat(value.value.value) === undefined) reading.invalid(path, 'has a malformed command operator', value.value.value)
  return value.value.value
}

function planOf(reading: Reading, path: string, common: CommonGrpcAccessLogConfig | undefined, about: Partial<LogServicePlan> & Pick<LogServicePlan, 'kind'>): AccessLogPlan | undefined {
  const where = at(path, 'common_config')
  if (common === undefined) {
    reading.invalid(where, 'is missing')
    return undefined
  }
  // It is sent as it comes, within half a second.
  reading.only(where, CommonGrpcAccessLogConfigSchema, common, ['log_name', 'grpc_service', 'transport_api_version', 'buffer_flush_interval', 'buffer_size_bytes'])
  const target = common.grpcService?.targetSpecifier
  if (target?.case !== 'envoyGrpc') {
    reading.unsupported(at(where, 'grpc_service'), 'only envoy_grpc is supported', target?.case)
    return undefined
  }
  const { clusterName, authority } = target.value
  const timeoutMs = milliseconds(common.grpcService?.timeout, CALL_MS) || CALL_MS
  return { path: '', json: false, fields: [], service: { attributes: [], requestHeaders: [], responseHeaders: [], ...about, cluster: clusterName, authority: authority || clusterName, logName: common.logName, timeoutMs } }
}
