import type { Any } from '@bufbuild/protobuf/wkt'
import type { GrpcService } from '../wire/gen/envoy/config/core/v3/grpc_service_pb.ts'
import { type HttpService, HttpServiceSchema } from '../wire/gen/envoy/config/core/v3/http_service_pb.ts'
import { OpenTelemetryConfigSchema } from '../wire/gen/envoy/config/trace/v3/opentelemetry_pb.ts'
import { ZipkinConfig_CollectorEndpointVersion as ZipkinVersion, ZipkinConfigSchema } from '../wire/gen/envoy/config/trace/v3/zipkin_pb.ts'
import type { HttpConnectionManager, HttpConnectionManager_Tracing } from '../wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { UuidRequestIdConfigSchema } from '../wire/gen/envoy/extensions/request_id/uuid/v3/uuid_pb.ts'
import { type CustomTag, CustomTagSchema } from '../wire/gen/envoy/type/tracing/v3/custom_tag_pb.ts'
import { parseFormat } from '../telemetry/format.ts'
import type { CollectorPlan, SpanTagPlan, TracingPlan } from './http.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { milliseconds } from './read-value.ts'

/** Envoy's own bound of a path in a span. */
const PATH_LENGTH = 256
const CALL_MS = 10_000

/** OpenTelemetry over HTTP and gRPC, and Zipkin's JSON; with custom tags. */
export function readTracing(reading: Reading, manager: string, { tracing, requestIdExtension }: HttpConnectionManager): TracingPlan | undefined {
  const passesIds = readRequestIds(reading, at(manager, 'request_id_extension.typed_config'), requestIdExtension?.typedConfig)
  const path = at(manager, 'tracing')
  if (tracing === undefined) return undefined
  // Without a provider here Envoy takes the bootstrap's, and Weft's proxies have none there.
  if (tracing.provider === undefined) return undefined
  const client = tracing.clientSampling?.value ?? 100
  if (client !== 100) reading.unsupported(at(path, 'client_sampling'), 'only 100 is supported', client)
  const provider = readProvider(reading, at(path, 'provider.typed_config'), tracing.provider)
  if (provider === undefined) return undefined
  const overall = tracing.overallSampling?.value ?? 100
  return {
    ...provider,
    samplingPercent: Math.min(tracing.randomSampling?.value ?? 100, overall),
    ...(passesIds ? { passesIds } : {}),
    ...(tracing.noContextPropagation ? { keepsContext: true as const } : {}),
    // Whatever the caller has decided, none of it is reported.
    ...(overall === 0 ? { silent: true as const } : {}),
    pathLengthMax: tracing.maxPathTagLength ?? PATH_LENGTH,
    tags: tracing.customTags.flatMap((tag, index) => readTag(reading, at(path, 'custom_tags', index), tag) ?? []),
  }
}

/** Whether ids of requests say nothing of what is sampled. */
function readRequestIds(reading: Reading, path: string, config: Any | undefined): boolean {
  if (config === undefined) return false
  const uuid = reading.unpack(path, config, UuidRequestIdConfigSchema)
  // Weft's proxies write no reasons into ids.
  if (uuid !== undefined) reading.only(path, UuidRequestIdConfigSchema, uuid, ['use_request_id_for_trace_sampling'])
  return uuid?.useRequestIdForTraceSampling === false
}

type Provider = Pick<TracingPlan, 'serviceName' | 'collector'>

function readProvider(reading: Reading, path: string, { name, configType }: NonNullable<HttpConnectionManager_Tracing['provider']>): Provider | undefined {
  const type = configType.case === 'typedConfig' ? typeNameOf(configType.value) : ''
  if (configType.case === 'typedConfig' && type === ZipkinConfigSchema.typeName) {
    const config = reading.unpack(path, configType.value, ZipkinConfigSchema)
    if (config === undefined) return undefined
    reading.only(path, ZipkinConfigSchema, config, ['collector_cluster', 'collector_endpoint', 'collector_hostname', 'trace_id_128bit', 'shared_span_context', 'collector_endpoint_version'])
    if (config.collectorEndpointVersion !== ZipkinVersion.HTTP_JSON) reading.unsupported(at(path, 'collector_endpoint_version'), 'only HTTP_JSON is supported', config.collectorEndpointVersion)
    return { serviceName: '', collector: { kind: 'zipkin', cluster: config.collectorCluster, authority: config.collectorHostname || config.collectorCluster, path: config.collectorEndpoint, timeoutMs: CALL_MS } }
  }
  if (configType.case !== 'typedConfig' || type !== OpenTelemetryConfigSchema.typeName) {
    reading.unsupported(path, 'only OpenTelemetry and Zipkin are supported', name)
    return undefined
  }
  const config = reading.unpack(path, configType.value, OpenTelemetryConfigSchema)
  if (config === undefined) return undefined
  reading.only(path, OpenTelemetryConfigSchema, config, ['http_service', 'grpc_service', 'service_name', 'max_cache_size'])
  const collector = config.httpService === undefined ? ofGrpc(reading, at(path, 'grpc_service'), config.grpcService) : ofHttp(reading, at(path, 'http_service'), config.httpService)
  return { serviceName: config.serviceName, ...(collector === undefined ? {} : { collector }) }
}

function ofHttp(reading: Reading, path: string, service: HttpService): CollectorPlan | undefined {
  reading.only(path, HttpServiceSchema, service, ['http_uri'])
  const uri = service.httpUri?.uri ?? ''
  const [, authority, target = '/'] = /^http:\/\/([^/]+)(\/.*)?$/.exec(uri) ?? []
  if (authority === undefined || service.httpUri?.httpUpstreamType.case !== 'cluster') {
    reading.unsupported(at(path, 'http_uri.uri'), 'only http:// is supported', uri)
    return undefined
  }
  return { kind: 'otlp-http', cluster: service.httpUri.httpUpstreamType.value, authority, path: target, timeoutMs: milliseconds(service.httpUri.timeout, CALL_MS) }
}

function ofGrpc(reading: Reading, path: string, service: GrpcService | undefined): CollectorPlan | undefined {
  if (service?.targetSpecifier.case !== 'envoyGrpc') {
    if (service !== undefined) reading.unsupported(path, 'only envoy_grpc is supported', service.targetSpecifier.case)
    return undefined
  }
  const { clusterName, authority } = service.targetSpecifier.value
  return { kind: 'otlp-grpc', cluster: clusterName, authority: authority || clusterName, path: '', timeoutMs: milliseconds(service.timeout, CALL_MS) || CALL_MS }
}

function readTag(reading: Reading, path: string, { tag, type }: CustomTag): SpanTagPlan | undefined {
  switch (type.case) {
    case 'literal':
      return { tag, kind: 'literal', value: type.value.value }
    case 'environment':
    case 'requestHeader':
      return { tag, kind: type.case === 'environment' ? 'environment' : 'header', name: type.case === 'environment' ? type.value.name : type.value.name.toLowerCase(), otherwise: type.value.defaultValue }
    case 'value':
      if (parseFormat(type.value) === undefined) reading.invalid(at(path, 'value'), 'has a malformed command operator', type.value)
      return { tag, kind: 'format', value: type.value }
    default:
      reading.unsupported(path, `${CustomTagSchema.name}: only literal, environment, request_header and value are supported`, tag)
      return undefined
  }
}
