import type { JsonObject } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { TelemetrySpec } from '#core/resource/telemetry.ts'
import { expressionLimit } from '#core/telemetry/attributes.ts'
import { metricNames, type MetricName } from '#core/telemetry/metric-rules.ts'
import { FilterConfigSchema as GrpcStatsSchema } from '#core/wire/gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.ts'
import { TypedStructSchema } from '#core/wire/gen/xds/type/v3/typed_struct_pb.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { anyOf } from './message.ts'

type Override = NonNullable<NonNullable<TelemetrySpec['metrics']>[number]['overrides']>[number]
type MetricWord = NonNullable<NonNullable<Override['match']>['metric']>

/** What is changed of one metric: whether it is there, and its labels; null: it has none of that name. */
interface MetricChange {
  readonly dropped: boolean
  readonly tags: Readonly<Record<string, string | null>>
}
export type MetricChanges = Readonly<Partial<Record<MetricName, MetricChange>>>

/** Istio's words for those metrics that proxies here can change. */
export const METRICS: Readonly<Partial<Record<MetricWord, MetricName>>> = { REQUEST_COUNT: 'requests_total', REQUEST_DURATION: 'request_duration_milliseconds', REQUEST_SIZE: 'request_bytes', RESPONSE_SIZE: 'response_bytes', GRPC_REQUEST_MESSAGES: 'request_messages_total', GRPC_RESPONSE_MESSAGES: 'response_messages_total' }

/** Those that an override is of. */
export function metricsOf({ match }: Override): readonly MetricName[] {
  const custom = match?.customMetric?.replace(/^istio_/, '')
  if (custom !== undefined) return metricNames.filter((one) => one === custom)
  const word = match?.metric ?? 'ALL_METRICS'
  if (word === 'ALL_METRICS') return metricNames
  const name = METRICS[word]
  return name === undefined ? [] : [name]
}

/** Whether a provider's name stands for what proxies show to Prometheus. */
export const isPrometheus = (reader: MeshReader, name: string): boolean => {
  const found = reader.meshConfig().extensionProviders?.find((one) => one.name === name)
  return found === undefined ? name === 'prometheus' : found.prometheus !== undefined
}

/** What Telemetry changes of metrics in one direction, the wider first; empty: nothing. */
export function metricChanges(reader: MeshReader, levels: readonly TelemetrySpec[], mode: 'CLIENT' | 'SERVER'): MetricChanges {
  const changes: Partial<Record<MetricName, MetricChange>> = {}
  for (const entry of levels.flatMap((one) => one.metrics ?? [])) {
    if (entry.providers !== undefined && !entry.providers.some(({ name }) => isPrometheus(reader, name))) continue
    for (const override of entry.overrides ?? []) {
      if (![undefined, 'CLIENT_AND_SERVER', mode].includes(override.match?.mode)) continue
      for (const name of metricsOf(override)) changes[name] = changed(changes[name] ?? { dropped: false, tags: {} }, override)
    }
  }
  return changes
}

function changed(before: MetricChange, { disabled, tagOverrides }: Override): MetricChange {
  const tags: Record<string, string | null> = { ...before.tags }
  for (const [tag, { operation, value }] of Object.entries(tagOverrides ?? {})) {
    if (operation === 'REMOVE') tags[tag] = null
    else if (value !== undefined && expressionLimit(value) === undefined) tags[tag] = value
  }
  return { dropped: disabled ?? before.dropped, tags }
}

/** Istio's filter of metrics, with its settings as Istio writes them. */
export function metricsFilter(changes: MetricChanges): HttpFilterInit {
  const metrics = metricNames.flatMap((name): JsonObject[] => {
    const change = changes[name]
    if (change === undefined) return []
    const tags = Object.entries(change.tags).sort(([a], [b]) => (a < b ? -1 : 1))
    const removed = tags.flatMap(([tag, value]) => (value === null ? [tag] : []))
    const dimensions = Object.fromEntries(tags.flatMap(([tag, value]) => (value === null ? [] : [[tag, value]])))
    return [{ name, ...(change.dropped ? { drop: true } : {}), ...(removed.length === 0 ? {} : { tags_to_remove: removed }), ...(Object.keys(dimensions).length === 0 ? {} : { dimensions }) }]
  })
  return { name: 'istio.stats', isOptional: true, configType: { case: 'typedConfig', value: anyOf(TypedStructSchema, { typeUrl: 'type.googleapis.com/stats.PluginConfig', value: { metrics } }) } }
}

/** Envoy's own filter that counts messages of gRPC by cluster (`grpc_request_message_count`), and not by method, of which clients could make up any number; as Istio has it. */
export const messagesFilter = (): HttpFilterInit => ({
  name: 'envoy.filters.http.grpc_stats',
  configType: { case: 'typedConfig', value: anyOf(GrpcStatsSchema, { emitFilterState: true, perMethodStatSpecifier: { case: 'statsForAllMethods', value: { value: false } } }) },
})
