import { OpenTelemetryConfigSchema } from '../wire/gen/envoy/config/trace/v3/opentelemetry_pb.ts'
import type { HttpConnectionManager_Tracing } from '../wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { HttpServiceSchema } from '../wire/gen/envoy/config/core/v3/http_service_pb.ts'
import type { TracingPlan } from './http.ts'
import { at, type Reading, typeNameOf } from './read.ts'

/** OpenTelemetry over HTTP. Custom tags and names of spans decorate spans and touch no request; they are left out. */
export function readTracing(reading: Reading, path: string, tracing: HttpConnectionManager_Tracing | undefined): TracingPlan | undefined {
  if (tracing === undefined) return undefined
  const provider = tracing.provider
  // Without a provider here Envoy takes the bootstrap's, and Weft's proxies have none there.
  if (provider === undefined) return undefined
  const where = at(path, 'provider.typed_config')
  if (provider.configType.case !== 'typedConfig' || typeNameOf(provider.configType.value) !== OpenTelemetryConfigSchema.typeName) {
    reading.unsupported(where, 'only OpenTelemetry is supported', provider.name)
    return undefined
  }
  const config = reading.unpack(where, provider.configType.value, OpenTelemetryConfigSchema)
  if (config === undefined) return undefined
  reading.only(where, OpenTelemetryConfigSchema, config, ['http_service', 'service_name', 'max_cache_size'])
  const service = config.httpService
  if (service !== undefined) reading.only(at(where, 'http_service'), HttpServiceSchema, service, ['http_uri'])
  const endpoint = service?.httpUri?.uri ?? ''
  if (!endpoint.startsWith('http://')) reading.unsupported(at(where, 'http_service.http_uri.uri'), 'only http:// is supported', endpoint)
  const client = tracing.clientSampling?.value ?? 100
  if (client !== 100) reading.unsupported(at(path, 'client_sampling'), 'only 100 is supported', client)
  const samplingPercent = Math.min(tracing.randomSampling?.value ?? 100, tracing.overallSampling?.value ?? 100)
  return { endpoint, serviceName: config.serviceName, samplingPercent }
}
