import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { ExtensionProvider } from '#core/resource/extension-provider.ts'
import { ApiVersion } from '#core/wire/gen/envoy/config/core/v3/config_source_pb.ts'
import { type CommonGrpcAccessLogConfigSchema, HttpGrpcAccessLogConfigSchema, TcpGrpcAccessLogConfigSchema } from '#core/wire/gen/envoy/extensions/access_loggers/grpc/v3/als_pb.ts'
import { OpenTelemetryAccessLogConfigSchema } from '#core/wire/gen/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.ts'
import { providerPlace, type ProviderPlace } from './collector.ts'
import type { Engine } from './engine.ts'
import { formatComplaint } from './log-format.ts'
import { anyOf } from './message.ts'
import { TEXT_FORMAT } from './telemetry.ts'

/** A service of the mesh that takes access logs by gRPC: OTLP, or entries of Envoy's access log service, of requests or of connections. */
export interface LogService extends ProviderPlace {
  readonly kind: 'otlp' | 'http' | 'tcp'
  readonly logName: string
  /** Of ALS: filter state that is told, too; Weft's own proxies have none. */
  readonly states?: readonly string[]
  /** Of OTLP, in Envoy's format. */
  readonly body?: string
  readonly attributes?: Readonly<Record<string, string>>
  /** Of HTTP. */
  readonly requestHeaders?: readonly string[]
  readonly responseHeaders?: readonly string[]
  readonly responseTrailers?: readonly string[]
}

/** The service of a logging provider; none where the provider is of another kind, or its service has no such port. istio.io/latest/docs/reference/config/istio.mesh.v1alpha1, ExtensionProvider. */
export function logServiceOf(reader: MeshReader, { envoyOtelAls: otlp, envoyHttpAls: http, envoyTcpAls: tcp }: ExtensionProvider, engine: Engine): LogService[] {
  const spec = otlp ?? http ?? tcp
  const place = spec === undefined ? undefined : providerPlace(reader, spec)
  if (spec === undefined || place === undefined) return []
  // Envoy's logger of OTLP takes no filter state where Istio writes it.
  if (otlp !== undefined) return [{ kind: 'otlp', ...place, logName: otlp.logName || 'otel_envoy_accesslog', body: bodyOf(otlp.logFormat?.text), ...attributesOf(otlp.logFormat?.labels) }]
  const states = (http ?? tcp)?.filterStateObjectsToLog ?? []
  const common = (standard: string) => ({ ...place, logName: spec.logName || standard, ...(engine === 'weft' || states.length === 0 ? {} : { states }) })
  if (http === undefined) return [{ kind: 'tcp', ...common('tcp_envoy_accesslog') }]
  const { additionalRequestHeadersToLog: requestHeaders = [], additionalResponseHeadersToLog: responseHeaders = [], additionalResponseTrailersToLog: responseTrailers = [] } = http
  return [{ kind: 'http', ...common('http_envoy_accesslog'), requestHeaders, responseHeaders, ...(engine === 'weft' ? {} : { responseTrailers }) }]
}

/** A format that Envoy would refuse, and the listener with it, gives way to the default. */
const bodyOf = (text: string | undefined): string => (text && formatComplaint(text) === undefined ? text : TEXT_FORMAT)

/** What is no text is told as JSON. */
function attributesOf(labels: Readonly<Record<string, unknown>> | undefined): Pick<LogService, 'attributes'> {
  if (labels === undefined) return {}
  const texts = Object.entries(labels).map(([name, value]): [string, string] => [name, typeof value === 'string' ? value : JSON.stringify(value).replaceAll('%', '%%')])
  return { attributes: Object.fromEntries(texts.filter(([, text]) => formatComplaint(text) === undefined)) }
}

/** The access logger that sends there: its name, and its configuration. */
export function serviceLogger(service: LogService): readonly [name: string, config: Any] {
  const commonConfig: MessageInitShape<typeof CommonGrpcAccessLogConfigSchema> = {
    logName: service.logName,
    // A cluster's name has a character that a gRPC authority may not have.
    grpcService: { targetSpecifier: { case: 'envoyGrpc', value: { clusterName: service.cluster, authority: service.authority } } },
    transportApiVersion: ApiVersion.V3,
    filterStateObjectsToLog: [...(service.states ?? [])],
  }
  const text = (value: string) => ({ value: { case: 'stringValue' as const, value } })
  switch (service.kind) {
    case 'otlp': {
      const attributes = Object.entries(service.attributes ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
      return [
        'envoy.access_loggers.open_telemetry',
        anyOf(OpenTelemetryAccessLogConfigSchema, { commonConfig, body: text(service.body ?? TEXT_FORMAT), ...(attributes.length === 0 ? {} : { attributes: { values: attributes.map(([key, value]) => ({ key, value: text(value) })) } }) }),
      ]
    }
    case 'http':
      return [
        'envoy.access_loggers.http_grpc',
        anyOf(HttpGrpcAccessLogConfigSchema, {
          commonConfig,
          additionalRequestHeadersToLog: [...(service.requestHeaders ?? [])],
          additionalResponseHeadersToLog: [...(service.responseHeaders ?? [])],
          additionalResponseTrailersToLog: [...(service.responseTrailers ?? [])],
        }),
      ]
    case 'tcp':
      return ['envoy.access_loggers.tcp_grpc', anyOf(TcpGrpcAccessLogConfigSchema, { commonConfig })]
  }
}
