import type { HeaderValue } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import { GrpcService_EnvoyGrpcSchema, type GrpcService, GrpcServiceSchema } from '../wire/gen/envoy/config/core/v3/grpc_service_pb.ts'
import {
  AuthorizationRequestSchema, AuthorizationResponseSchema, BufferSettingsSchema, CheckSettingsSchema, type ExtAuthz, type ExtAuthzPerRoute, ExtAuthzSchema, type HttpService, HttpServiceSchema,
} from '../wire/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import type { ListStringMatcher } from '../wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { type MetadataMatcher, MetadataMatcherSchema } from '../wire/gen/envoy/type/matcher/v3/metadata_pb.ts'
import type { ExtAuthzPlan, RouteExtAuthz } from './ext-authz.ts'
import type { StringMatchPlan } from './listener.ts'
import { at, type Reading } from './read.ts'
import { readStringMatch } from './read-string.ts'
import { milliseconds, runtimePercentOf } from './read-value.ts'

/** What a proxy holds of a request that waits for its answer. */
const BODY_BYTES_MAX = 64 * 1024
const TIMEOUT_MS = 200

/** ExtAuthz → ExtAuthzPlan; undefined: switched off. */
export function readExtAuthz(reading: Reading, path: string, wire: ExtAuthz): ExtAuthzPlan | undefined {
  reading.only(path, ExtAuthzSchema, wire, [
    'grpc_service', 'http_service', 'transport_api_version', 'failure_mode_allow', 'failure_mode_allow_header_add', 'with_request_body', 'clear_route_cache', 'status_on_error',
    'metadata_context_namespaces', 'filter_enabled', 'filter_enabled_metadata', 'include_peer_certificate', 'stat_prefix', 'allowed_headers', 'disallowed_headers', 'charge_cluster_response_stats',
  ])
  if (wire.metadataContextNamespaces.length > 0) reading.unsupported(at(path, 'metadata_context_namespaces'), 'is not supported', wire.metadataContextNamespaces.join())
  const percent = runtimePercentOf(wire.filterEnabled, 100)
  if (percent !== 0 && percent !== 100) reading.unsupported(at(path, 'filter_enabled'), 'only 0 and 100 % are supported', percent)
  const service = readService(reading, path, wire)
  if (service === undefined || percent === 0) return undefined
  const body = wire.withRequestBody
  if (body !== undefined) {
    reading.only(at(path, 'with_request_body'), BufferSettingsSchema, body, ['max_request_bytes', 'allow_partial_message', 'pack_as_bytes'])
    if (body.maxRequestBytes < 1 || body.maxRequestBytes > BODY_BYTES_MAX) reading.unsupported(at(path, 'with_request_body.max_request_bytes'), `1..${BODY_BYTES_MAX}`, body.maxRequestBytes)
  }
  return {
    ...service,
    failsOpen: wire.failureModeAllow,
    failureModeHeader: wire.failureModeAllowHeaderAdd,
    statusOnError: wire.statusOnError?.code || 403,
    allowedHeaders: wire.allowedHeaders === undefined ? service.allowedHeaders : readList(reading, at(path, 'allowed_headers'), wire.allowedHeaders),
    disallowedHeaders: readList(reading, at(path, 'disallowed_headers'), wire.disallowedHeaders),
    body: body && { bytesMax: body.maxRequestBytes, partial: body.allowPartialMessage, packAsBytes: body.packAsBytes },
    reroutes: wire.clearRouteCache,
    includePeerCertificate: wire.includePeerCertificate,
    enabledBy: wire.filterEnabledMetadata && readEnabledBy(reading, at(path, 'filter_enabled_metadata'), wire.filterEnabledMetadata),
  }
}

type Service = Pick<ExtAuthzPlan, 'service' | 'timeoutMs' | 'allowedHeaders'>

function readService(reading: Reading, path: string, wire: ExtAuthz): Service | undefined {
  const by = wire.services
  switch (by.case) {
    case 'grpcService':
      return readGrpc(reading, at(path, 'grpc_service'), by.value)
    case 'httpService':
      return readHttpService(reading, at(path, 'http_service'), by.value)
    case undefined:
      reading.invalid(path, 'names no service')
      return undefined
  }
}

function readGrpc(reading: Reading, path: string, wire: GrpcService): Service | undefined {
  reading.only(path, GrpcServiceSchema, wire, ['envoy_grpc', 'timeout', 'initial_metadata'])
  if (wire.targetSpecifier.case !== 'envoyGrpc') return undefined
  const target = wire.targetSpecifier.value
  reading.only(at(path, 'envoy_grpc'), GrpcService_EnvoyGrpcSchema, target, ['cluster_name', 'authority', 'skip_envoy_headers'])
  if (target.clusterName === '') reading.invalid(at(path, 'envoy_grpc.cluster_name'), 'is missing')
  return {
    service: { kind: 'grpc', cluster: target.clusterName, authority: target.authority || target.clusterName, metadata: wire.initialMetadata.map(nameAndValue) },
    timeoutMs: milliseconds(wire.timeout, TIMEOUT_MS),
    allowedHeaders: undefined,
  }
}

function readHttpService(reading: Reading, path: string, wire: HttpService): Service {
  reading.only(path, HttpServiceSchema, wire, ['server_uri', 'path_prefix', 'authorization_request', 'authorization_response'])
  const request = wire.authorizationRequest
  const response = wire.authorizationResponse
  if (request !== undefined) reading.only(at(path, 'authorization_request'), AuthorizationRequestSchema, request, ['allowed_headers', 'headers_to_add'])
  if (response !== undefined) {
    reading.only(at(path, 'authorization_response'), AuthorizationResponseSchema, response, [
      'allowed_upstream_headers', 'allowed_upstream_headers_to_append', 'allowed_client_headers', 'allowed_client_headers_on_success',
    ])
  }
  const list = (name: string, matchers: ListStringMatcher | undefined) => readList(reading, at(at(path, 'authorization_response'), name), matchers)
  const cluster = wire.serverUri?.httpUpstreamType.value ?? ''
  if (cluster === '') reading.invalid(at(path, 'server_uri.cluster'), 'is missing')
  return {
    service: {
      kind: 'http',
      cluster,
      pathPrefix: wire.pathPrefix,
      headersToAdd: (request?.headersToAdd ?? []).map(nameAndValue),
      upstreamHeaders: list('allowed_upstream_headers', response?.allowedUpstreamHeaders),
      upstreamHeadersToAppend: list('allowed_upstream_headers_to_append', response?.allowedUpstreamHeadersToAppend),
      clientHeaders: list('allowed_client_headers', response?.allowedClientHeaders),
      clientHeadersOnSuccess: list('allowed_client_headers_on_success', response?.allowedClientHeadersOnSuccess),
    },
    timeoutMs: milliseconds(wire.serverUri?.timeout, TIMEOUT_MS),
    allowedHeaders: request?.allowedHeaders && readList(reading, at(path, 'authorization_request.allowed_headers'), request.allowedHeaders),
  }
}

const nameAndValue = (header: HeaderValue) => ({ name: header.key.toLowerCase(), value: header.value })

/** Header names are lower case on the wire that matchers see. */
function readList(reading: Reading, path: string, list: ListStringMatcher | undefined): StringMatchPlan[] {
  return (list?.patterns ?? []).map((one, index) => readStringMatch(reading, at(path, 'patterns', index), one))
}

/** Istio's CUSTOM policies: a shadow RBAC filter notes which policy matched, and only requests with such a note are asked about. */
function readEnabledBy(reading: Reading, path: string, matcher: MetadataMatcher): ExtAuthzPlan['enabledBy'] {
  reading.only(path, MetadataMatcherSchema, matcher, ['filter', 'path', 'value'])
  const [key, ...more] = matcher.path.map((segment) => segment.segment.value ?? '')
  const value = matcher.value?.matchPattern
  if (matcher.filter !== 'envoy.filters.http.rbac' || key === undefined || more.length > 0 || value?.case !== 'stringMatch') {
    reading.unsupported(path, "only a text that envoy.filters.http.rbac noted is supported", matcher.filter)
    return undefined
  }
  return { key, policy: readStringMatch(reading, at(path, 'value.string_match'), value.value) }
}

/** What a route says of the filter; another service for one route is refused. */
export function readRouteExtAuthz(reading: Reading, path: string, wire: ExtAuthzPerRoute): RouteExtAuthz {
  const by = wire.override
  if (by.case === 'disabled') return { disabled: by.value, contextExtensions: {} }
  if (by.case === undefined) return { disabled: false, contextExtensions: {} }
  reading.only(at(path, 'check_settings'), CheckSettingsSchema, by.value, ['context_extensions'])
  return { disabled: false, contextExtensions: by.value.contextExtensions }
}
