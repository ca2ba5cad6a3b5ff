import type { MessageInitShape } from '@bufbuild/protobuf'
import { OpenTelemetryConfigSchema } from '#core/wire/gen/envoy/config/trace/v3/opentelemetry_pb.ts'
import { ZipkinConfig_CollectorEndpointVersion as ZipkinVersion, ZipkinConfigSchema } from '#core/wire/gen/envoy/config/trace/v3/zipkin_pb.ts'
import type { HttpConnectionManager_TracingSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import type { CustomTagSchema } from '#core/wire/gen/envoy/type/tracing/v3/custom_tag_pb.ts'
import type { Collector } from './collector.ts'
import { anyOf, duration } from './message.ts'
import type { SpanSettings, SpanTag } from './reporting.ts'
import type { TracingScope } from './telemetry.ts'
import { OTLP_CLUSTER } from './telemetry.ts'

type Tracing = MessageInitShape<typeof HttpConnectionManager_TracingSchema>

/** Sampled for a provider of the mesh where nothing says how much (Istio's PILOT_TRACE_SAMPLING). */
const USUAL_PERCENT = 1

/** The share of requests that is asked for; else one in a hundred for a provider of the mesh, and all of them where a proxy was told by itself where its spans go. W3C trace context goes on from caller to callee whatever the share. Undefined: there is no collector. */
export function tracingOf(scope: TracingScope, settings: SpanSettings | undefined): Tracing | undefined {
  const provider = settings?.collector === undefined ? ofProxy(scope) : ofCollector(settings.collector, scope.serviceName)
  if (provider === undefined) return undefined
  const tags = Object.entries(settings?.tags ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    clientSampling: { value: 100 },
    randomSampling: { value: settings?.samplingPercent ?? (settings?.collector === undefined ? 100 : USUAL_PERCENT) },
    // Nothing is sampled in the end, but context is passed on.
    overallSampling: { value: settings?.silent === true ? 0 : 100 },
    ...(settings?.keepsContext === true ? { noContextPropagation: true } : {}),
    ...(tags.length === 0 ? {} : { customTags: tags.map(([tag, from]) => customTag(tag, from)) }),
    ...(settings?.pathTagLength === undefined ? {} : { maxPathTagLength: settings.pathTagLength }),
    provider,
  }
}

/** Where the proxy itself was told to send its spans. */
function ofProxy({ endpoint, serviceName }: TracingScope): Tracing['provider'] {
  return endpoint === '' ? undefined : otlp(serviceName, endpoint, OTLP_CLUSTER, 10_000)
}

const otlp = (serviceName: string, uri: string, cluster: string, timeoutMs: number) => ({
  name: 'envoy.tracers.opentelemetry',
  configType: { case: 'typedConfig' as const, value: anyOf(OpenTelemetryConfigSchema, { serviceName, httpService: { httpUri: { uri, httpUpstreamType: { case: 'cluster', value: cluster }, timeout: duration(timeoutMs) } } }) },
})

function ofCollector({ kind, authority, cluster, path, timeoutMs }: Collector, serviceName: string): Tracing['provider'] {
  switch (kind) {
    case 'otlp-http':
      return otlp(serviceName, `http://${authority}${path}`, cluster, timeoutMs)
    case 'otlp-grpc':
      return {
        name: 'envoy.tracers.opentelemetry',
        configType: {
          case: 'typedConfig',
          value: anyOf(OpenTelemetryConfigSchema, {
            serviceName,
            // A cluster's name has a character that a gRPC authority may not have.
            grpcService: { targetSpecifier: { case: 'envoyGrpc', value: { clusterName: cluster, authority } }, ...(timeoutMs === 0 ? {} : { timeout: duration(timeoutMs) }) },
          }),
        },
      }
    case 'zipkin':
      return {
        name: 'envoy.tracers.zipkin',
        configType: { case: 'typedConfig', value: anyOf(ZipkinConfigSchema, { collectorCluster: cluster, collectorEndpoint: path, collectorHostname: authority, traceId128bit: true, sharedSpanContext: false, collectorEndpointVersion: ZipkinVersion.HTTP_JSON }) },
      }
  }
}

/** istio.io/latest/docs/reference/config/telemetry/#Tracing-CustomTag */
function customTag(tag: string, from: SpanTag): MessageInitShape<typeof CustomTagSchema> {
  if (from.literal !== undefined) return { tag, type: { case: 'literal', value: { value: from.literal.value } } }
  if (from.environment !== undefined) return { tag, type: { case: 'environment', value: { name: from.environment.name, defaultValue: from.environment.defaultValue ?? '' } } }
  if (from.header !== undefined) return { tag, type: { case: 'requestHeader', value: { name: from.header.name, defaultValue: from.header.defaultValue ?? '' } } }
  return { tag, type: { case: 'value', value: from.formatter?.value ?? '' } }
}
