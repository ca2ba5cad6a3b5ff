import {
  type HealthCheck, type HealthCheck_HttpHealthCheck, HealthCheck_GrpcHealthCheckSchema, HealthCheck_HttpHealthCheckSchema, type HealthCheck_Payload, HealthCheck_TcpHealthCheckSchema, HealthCheckSchema,
} from '../wire/gen/envoy/config/core/v3/health_check_pb.ts'
import { RequestMethod } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import { CodecClientType } from '../wire/gen/envoy/type/v3/http_pb.ts'
import type { HealthCheckPlan } from './cluster.ts'
import { at, type Reading } from './read.ts'
import { readOption } from './read-headers.ts'
import { milliseconds } from './read-value.ts'

const FIELDS = [
  'timeout', 'interval', 'initial_jitter', 'interval_jitter', 'interval_jitter_percent', 'unhealthy_threshold', 'healthy_threshold', 'alt_port', 'reuse_connection', 'http_health_check', 'tcp_health_check',
  'grpc_health_check', 'no_traffic_interval', 'no_traffic_healthy_interval', 'unhealthy_interval', 'unhealthy_edge_interval', 'healthy_edge_interval', 'always_log_health_check_failures',
  'always_log_health_check_success',
]

const METHODS: Readonly<Record<number, string>> = {
  [RequestMethod.METHOD_UNSPECIFIED]: 'GET',
  [RequestMethod.GET]: 'GET',
  [RequestMethod.HEAD]: 'HEAD',
  [RequestMethod.POST]: 'POST',
  [RequestMethod.PUT]: 'PUT',
  [RequestMethod.DELETE]: 'DELETE',
  [RequestMethod.OPTIONS]: 'OPTIONS',
  [RequestMethod.PATCH]: 'PATCH',
}

/** Envoy's default while nobody uses the cluster. */
const NO_TRAFFIC_MS = 60_000

/** A cluster's active health checks, by HTTP, TCP and gRPC. */
export function readHealthChecks(reading: Reading, checks: readonly HealthCheck[]): HealthCheckPlan[] {
  return checks.flatMap((one, index) => readOne(reading, at('', 'health_checks', index), one) ?? [])
}

function readOne(reading: Reading, path: string, wire: HealthCheck): HealthCheckPlan | undefined {
  reading.only(path, HealthCheckSchema, wire, FIELDS)
  const intervalMs = milliseconds(wire.interval, 0)
  const timeoutMs = milliseconds(wire.timeout, 0)
  if (intervalMs <= 0) reading.invalid(at(path, 'interval'), 'is missing')
  if (timeoutMs <= 0) reading.invalid(at(path, 'timeout'), 'is missing')
  if (wire.unhealthyThreshold === undefined) reading.invalid(at(path, 'unhealthy_threshold'), 'is missing')
  if (wire.healthyThreshold === undefined) reading.invalid(at(path, 'healthy_threshold'), 'is missing')
  const how = readHow(reading, path, wire)
  if (how === undefined) return undefined
  return {
    how,
    timeoutMs,
    intervalMs,
    noTrafficIntervalMs: milliseconds(wire.noTrafficInterval, NO_TRAFFIC_MS),
    unhealthyIntervalMs: milliseconds(wire.unhealthyInterval, intervalMs),
    unhealthyThreshold: Math.max(1, wire.unhealthyThreshold ?? 1),
    healthyThreshold: Math.max(1, wire.healthyThreshold ?? 1),
    port: wire.altPort ?? 0,
  }
}

function readHow(reading: Reading, path: string, wire: HealthCheck): HealthCheckPlan['how'] | undefined {
  const by = wire.healthChecker
  switch (by.case) {
    case 'httpHealthCheck':
      return readHttp(reading, at(path, 'http_health_check'), by.value)
    case 'tcpHealthCheck':
      reading.only(at(path, 'tcp_health_check'), HealthCheck_TcpHealthCheckSchema, by.value, ['send', 'receive'])
      return {
        kind: 'tcp',
        send: readPayload(reading, at(path, 'tcp_health_check.send'), by.value.send),
        receive: by.value.receive.map((one, index) => readPayload(reading, at(at(path, 'tcp_health_check'), 'receive', index), one)),
      }
    case 'grpcHealthCheck':
      reading.only(at(path, 'grpc_health_check'), HealthCheck_GrpcHealthCheckSchema, by.value, ['service_name', 'authority'])
      return { kind: 'grpc', service: by.value.serviceName, authority: by.value.authority }
    case undefined:
      reading.invalid(path, 'says nothing to check')
      return undefined
    default:
      // Named by `only`.
      return undefined
  }
}

function readHttp(reading: Reading, path: string, wire: HealthCheck_HttpHealthCheck): HealthCheckPlan['how'] {
  reading.only(path, HealthCheck_HttpHealthCheckSchema, wire, ['host', 'path', 'request_headers_to_add', 'expected_statuses', 'codec_client_type', 'method'])
  if (wire.codecClientType === CodecClientType.HTTP3) reading.unsupported(at(path, 'codec_client_type'), 'HTTP/3 is not supported')
  const method = METHODS[wire.method]
  if (method === undefined) reading.unsupported(at(path, 'method'), 'is not supported', wire.method)
  if (!wire.path.startsWith('/')) reading.invalid(at(path, 'path'), 'begins with a slash', wire.path)
  const statuses = wire.expectedStatuses.map(({ start, end }) => ({ start: Number(start), end: Number(end) }))
  return {
    kind: 'http',
    host: wire.host,
    path: wire.path,
    method: method ?? 'GET',
    headers: wire.requestHeadersToAdd.flatMap((one, index) => readOption(reading, at(path, 'request_headers_to_add', index), one)?.header ?? []),
    statuses: statuses.length === 0 ? [{ start: 200, end: 201 }] : statuses,
  }
}

/** Text is hexadecimal (envoy.config.core.v3.HealthCheck.Payload). */
function readPayload(reading: Reading, path: string, payload: HealthCheck_Payload | undefined): Uint8Array {
  const by = payload?.payload
  if (by?.case === 'binary') return by.value
  const text = by?.value ?? ''
  if (!/^([0-9a-fA-F]{2})*$/.test(text)) reading.invalid(path, 'is not hexadecimal', text)
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
