import { resolveHost } from '#api/model/host.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { durationMs } from '#core/resource/duration.ts'
import { outboundCluster } from './naming.ts'

/** A service of the mesh that takes spans. */
export interface Collector {
  readonly kind: 'otlp-http' | 'otlp-grpc' | 'zipkin'
  /** `HOST:PORT` */
  readonly authority: string
  readonly cluster: string
  readonly path: string
  readonly timeoutMs: number
}

/** The collector of a tracing provider; undefined where there is none such. */
export function collectorOf(reader: MeshReader, name: string): Collector | undefined {
  const provider = reader.meshConfig().extensionProviders?.find((one) => one.name === name)
  const spec = provider?.opentelemetry ?? provider?.zipkin
  if (spec === undefined) return undefined
  const at = providerPlace(reader, spec)
  if (at === undefined) return undefined
  const http = provider?.opentelemetry?.http
  if (http !== undefined) return { kind: 'otlp-http', ...at, path: http.path || '/v1/traces', timeoutMs: durationMs(http.timeout ?? '3s') }
  return provider?.opentelemetry === undefined ? { kind: 'zipkin', ...at, path: provider?.zipkin?.path || '/api/v2/spans', timeoutMs: 0 } : { kind: 'otlp-grpc', ...at, path: '', timeoutMs: durationMs(provider.opentelemetry.grpc?.timeout ?? '0s') }
}

/** Where a provider's service takes calls: its cluster, and `HOST:PORT`. */
export interface ProviderPlace {
  readonly authority: string
  readonly cluster: string
}

/** `service`: `[NAMESPACE/]HOST`, in the root namespace where none is named; undefined where there is none such, or it has no such port. */
export function providerPlace(reader: MeshReader, { service: named, port = 0 }: { readonly service?: string | undefined; readonly port?: number | undefined }): ProviderPlace | undefined {
  const [namespace, word] = named?.includes('/') ? named.split('/', 2) : [reader.rootNamespace, named]
  const host = resolveHost(word ?? '', namespace ?? '')
  const service = reader.declared(host, namespace ?? '')
  if (service === undefined || !service.ports.some((one) => one.port === port)) return undefined
  return { authority: `${host}:${port}`, cluster: outboundCluster(port, '', host) }
}
