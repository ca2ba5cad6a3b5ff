import { type HttpProtocolOptions, HttpProtocolOptionsSchema } from '../wire/gen/envoy/config/core/v3/protocol_pb.ts'
import {
  type HttpConnectionManager, HttpConnectionManager_CodecType as Codec, HttpConnectionManager_ForwardClientCertDetails as Forward, HttpConnectionManager_PathWithEscapedSlashesAction as Slashes,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader, HttpConnectionManager_SetCurrentClientCertDetailsSchema, HttpConnectionManager_UpgradeConfigSchema, HttpConnectionManagerSchema,
} from '../wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import type { HttpPlan, RouteSource } from './http.ts'
import { at, type Reading } from './read.ts'
import { readAccessLogs } from './read-access-log.ts'
import { readHttpFilters } from './read-filters.ts'
import { checkHttp1, checkHttp2, readHttp2Bounds } from './read-protocol.ts'
import { readTable } from './read-route.ts'
import { readScopedRoutes } from './read-scoped-routes.ts'
import { readTracing } from './read-tracing.ts'
import { milliseconds } from './read-value.ts'

const FIELDS = [
  'codec_type', 'stat_prefix', 'rds', 'route_config', 'scoped_routes', 'http_filters', 'tracing', 'common_http_protocol_options', 'http_protocol_options', 'http2_protocol_options', 'server_name',
  'server_header_transformation', 'max_request_headers_kb', 'stream_idle_timeout', 'request_timeout', 'request_headers_timeout', 'drain_timeout', 'delayed_close_timeout', 'access_log',
  'use_remote_address', 'xff_num_trusted_hops', 'early_header_mutation_extensions', 'internal_address_config', 'generate_request_id', 'forward_client_cert_details',
  'set_current_client_cert_details', 'upgrade_configs', 'normalize_path', 'merge_slashes', 'path_with_escaped_slashes_action', 'strip_any_host_port', 'request_id_extension',
]

const SLASHES: Readonly<Record<number, HttpPlan['escapedSlashes']>> = {
  [Slashes.IMPLEMENTATION_SPECIFIC_DEFAULT]: 'keep',
  [Slashes.KEEP_UNCHANGED]: 'keep',
  [Slashes.REJECT_REQUEST]: 'reject',
  [Slashes.UNESCAPE_AND_REDIRECT]: 'unescape-redirect',
  [Slashes.UNESCAPE_AND_FORWARD]: 'unescape-forward',
}

const CLIENT_CERTIFICATE: Readonly<Record<number, HttpPlan['clientCertificateHeader']>> = {
  [Forward.SANITIZE]: 'sanitize',
  [Forward.FORWARD_ONLY]: 'forward-only',
  [Forward.APPEND_FORWARD]: 'append',
  [Forward.SANITIZE_SET]: 'sanitize-set',
}

/** HttpConnectionManager → HttpPlan, with Envoy's defaults. */
export function readHttp(reading: Reading, path: string, manager: HttpConnectionManager, version: string): HttpPlan {
  reading.only(path, HttpConnectionManagerSchema, manager, FIELDS)
  const refuse = (field: string, rule: string, value: unknown) => reading.unsupported(at(path, field), rule, value)
  if (manager.codecType === Codec.HTTP3) refuse('codec_type', 'HTTP/3 is not supported', manager.codecType)
  if (manager.generateRequestId === false) refuse('generate_request_id', 'only true is supported', false)
  if (milliseconds(manager.requestTimeout, 0) !== 0) refuse('request_timeout', 'only 0s is supported', undefined)
  if (manager.serverHeaderTransformation !== ServerHeader.OVERWRITE && manager.serverHeaderTransformation !== ServerHeader.PASS_THROUGH) {
    refuse('server_header_transformation', 'only OVERWRITE and PASS_THROUGH are supported', manager.serverHeaderTransformation)
  }
  const escapedSlashes = SLASHES[manager.pathWithEscapedSlashesAction]
  if (escapedSlashes === undefined) refuse('path_with_escaped_slashes_action', 'is not supported', manager.pathWithEscapedSlashesAction)
  const clientCertificateHeader = CLIENT_CERTIFICATE[manager.forwardClientCertDetails]
  if (clientCertificateHeader === undefined) refuse('forward_client_cert_details', 'is not supported', manager.forwardClientCertDetails)
  checkProtocols(reading, path, manager)
  const { filters, scopeFallback, metricRules } = readHttpFilters(reading, path, manager.httpFilters)
  return {
    kind: 'http',
    statPrefix: manager.statPrefix,
    routes: readRoutes(reading, path, manager, version, scopeFallback),
    filters,
    clientCertificateHeader: clientCertificateHeader ?? 'sanitize',
    // Empty: the server header of the response passes as it is.
    serverName: manager.serverHeaderTransformation === ServerHeader.PASS_THROUGH ? '' : manager.serverName || 'weft',
    useRemoteAddress: manager.useRemoteAddress ?? false,
    trustedHops: manager.xffNumTrustedHops,
    normalizePath: manager.normalizePath ?? false,
    mergeSlashes: manager.mergeSlashes,
    escapedSlashes: escapedSlashes ?? 'keep',
    stripPort: manager.stripPortMode.case === 'stripAnyHostPort' && manager.stripPortMode.value,
    idleTimeoutMs: milliseconds(manager.commonHttpProtocolOptions?.idleTimeout, 3_600_000),
    streamIdleTimeoutMs: milliseconds(manager.streamIdleTimeout, 300_000),
    headersTimeoutMs: milliseconds(manager.requestHeadersTimeout, 0),
    drainTimeoutMs: milliseconds(manager.drainTimeout, 5_000),
    headerBytesMax: (manager.maxRequestHeadersKb ?? 60) * 1024,
    ...(manager.codecType === Codec.HTTP1 && { codec: 'http1' as const }),
    ...(manager.codecType === Codec.HTTP2 && { codec: 'http2' as const }),
    ...(manager.upgradeConfigs.some((one) => one.upgradeType.toUpperCase() === 'CONNECT' && one.enabled !== false) && { connects: true }),
    ...readHttp2Bounds(manager.http2ProtocolOptions),
    tracing: readTracing(reading, path, manager),
    accessLog: readAccessLogs(reading, path, manager.accessLog),
    ...(metricRules.length === 0 ? {} : { metricRules }),
  }
}

function readRoutes(reading: Reading, path: string, manager: HttpConnectionManager, version: string, fallback: boolean): RouteSource {
  const by = manager.routeSpecifier
  if (by.case === 'scopedRoutes') return readScopedRoutes(reading, path, manager, by.value, fallback)
  if (manager.earlyHeaderMutationExtensions.length > 0) reading.unsupported(at(path, 'early_header_mutation_extensions'), 'are supported with scoped_routes only')
  if (fallback) reading.invalid(at(path, 'http_filters'), 'the fallback filter needs scoped_routes')
  switch (by.case) {
    case 'rds':
      if (by.value.routeConfigName === '') reading.invalid(at(path, 'rds.route_config_name'), 'is missing')
      return { kind: 'named', name: by.value.routeConfigName }
    case 'routeConfig':
      return { kind: 'inline', table: readTable(reading, at(path, 'route_config'), by.value, version) }
    case undefined:
      reading.invalid(path, 'has no route_specifier')
      return { kind: 'named', name: '' }
  }
}

/** `websocket` and what CONNECT needs; other upgrades would pass bytes that nobody looks at. */
const UPGRADES: ReadonlySet<string> = new Set(['websocket', 'connect'])

function checkProtocols(reading: Reading, path: string, manager: HttpConnectionManager): void {
  checkCommon(reading, at(path, 'common_http_protocol_options'), manager.commonHttpProtocolOptions)
  checkHttp1(reading, at(path, 'http_protocol_options'), manager.httpProtocolOptions)
  checkHttp2(reading, at(path, 'http2_protocol_options'), manager.http2ProtocolOptions)
  const details = manager.setCurrentClientCertDetails
  if (details !== undefined) {
    reading.only(at(path, 'set_current_client_cert_details'), HttpConnectionManager_SetCurrentClientCertDetailsSchema, details, ['subject', 'cert', 'dns', 'uri'])
  }
  for (const [index, upgrade] of manager.upgradeConfigs.entries()) {
    const where = at(path, 'upgrade_configs', index)
    reading.only(where, HttpConnectionManager_UpgradeConfigSchema, upgrade, ['upgrade_type', 'enabled'])
    if (!UPGRADES.has(upgrade.upgradeType.toLowerCase())) reading.unsupported(at(where, 'upgrade_type'), 'only websocket and CONNECT are supported', upgrade.upgradeType)
  }
}

function checkCommon(reading: Reading, path: string, common: HttpProtocolOptions | undefined): void {
  if (common !== undefined) reading.only(path, HttpProtocolOptionsSchema, common, ['idle_timeout', 'max_headers_count'])
}
