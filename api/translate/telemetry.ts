import { create } from '@bufbuild/protobuf'
import { AccessLogSchema } from '#core/wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import type { AccessLog } from '#core/wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import { Cluster_DiscoveryType, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { StdoutAccessLogSchema } from '#core/wire/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import type { Resource } from '#api/serve/resource.ts'
import { anyOf, duration, socketAddress } from './message.ts'
import type { HttpSettings } from './http-settings.ts'
import type { Reporting } from './reporting.ts'
import { resourceOf } from './resource.ts'

export const OTLP_CLUSTER = 'otlp'

/** Istio's default JSON fields (istio.io/latest/docs/tasks/observability/logs/access-log), and ours: which object and field routed, and what RBAC decided. */
export const HTTP_FIELDS = {
  authority: '%REQ(:AUTHORITY)%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_peer: '%DOWNSTREAM_PEER_URI_SAN%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  duration: '%DURATION%',
  method: '%REQ(:METHOD)%',
  origin: '%METADATA(ROUTE:weft:resource)%',
  origin_field: '%METADATA(ROUTE:weft:field)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  rbac: '%DYNAMIC_METADATA(envoy.filters.http.rbac)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  response_code: '%RESPONSE_CODE%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  response_flags: '%RESPONSE_FLAGS%',
  route_name: '%ROUTE_NAME%',
  start_time: '%START_TIME%',
  trace_id: '%TRACE_ID%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  user_agent: '%REQ(USER-AGENT)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
}

/** Istio's default text (istio.io/latest/docs/tasks/observability/logs/access-log/#default-access-log-format). */
export const TEXT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ' +
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n'

const STANDARD_LOG = anyOf(StdoutAccessLogSchema, { accessLogFormat: { case: 'logFormat', value: { format: { case: 'jsonFormat', value: HTTP_FIELDS }, omitEmptyValues: false } } })

/** One JSON line a request on standard output: as a stream, for the file /dev/stdout cannot be opened where it is a socket. */
export const accessLog = (): AccessLog => create(AccessLogSchema, { name: 'envoy.access_loggers.stdout', configType: { case: 'typedConfig', value: STANDARD_LOG } })

/** What proxies report, and where spans go. */
export interface TracingScope {
  /** `http://HOST:PORT/v1/traces`; empty: nowhere. */
  readonly endpoint: string
  readonly serviceName: string
  /** What Telemetry and the mesh's settings say of the proxy as its clients' and servers' side; absent: nothing. */
  readonly clients?: Reporting
  readonly servers?: Reporting
  /** How it reads requests and whom it believes, where the mesh's settings say it. */
  readonly http?: HttpSettings
}

/** The cluster of the collector, as the endpoint's URL names it. */
export function otlpCluster(endpoint: string): Resource {
  const url = new URL(endpoint)
  const port = url.port === '' ? 80 : Number(url.port)
  const isAddress = /^[\d.]+$/.test(url.hostname)
  const message = create(ClusterSchema, {
    name: OTLP_CLUSTER,
    clusterDiscoveryType: { case: 'type', value: isAddress ? Cluster_DiscoveryType.STATIC : Cluster_DiscoveryType.STRICT_DNS },
    connectTimeout: duration(5_000),
    loadAssignment: { clusterName: OTLP_CLUSTER, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: socketAddress(url.hostname, port) } } }] }] },
  })
  return resourceOf(ClusterSchema, OTLP_CLUSTER, message, [])
}
