import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import { expressionLimit } from '../telemetry/attributes.ts'
import { metricNames, type MetricRulePlan } from '../telemetry/metric-rules.ts'
import { TypedStructSchema } from '../wire/gen/xds/type/v3/typed_struct_pb.ts'
import { at, type Reading, typeNameOf } from './read.ts'

/** Istio's own filter of metrics, which has no descriptor here: its settings come as a struct. */
const PLUGIN_CONFIG = 'stats.PluginConfig'

/** Changes to metrics, by metric, from the settings of Istio's filter `istio.stats`; undefined: it is another filter. */
export function readMetricRules(reading: Reading, path: string, any: Any): readonly MetricRulePlan[] | undefined {
  if (typeNameOf(any) !== TypedStructSchema.typeName) return undefined
  const typed = reading.unpack(path, any, TypedStructSchema)
  if (typed === undefined || !typed.typeUrl.endsWith(`/${PLUGIN_CONFIG}`)) return undefined
  return listOf(typed.value?.['metrics']).flatMap((one, index) => readRule(reading, at(at(path, 'value'), 'metrics', index), one) ?? [])
}

function readRule(reading: Reading, path: string, rule: JsonValue): MetricRulePlan | undefined {
  if (!isObject(rule)) return undefined
  const name = metricNames.find((one) => one === rule['name'])
  // Metrics that are not kept need no change.
  if (name === undefined) return undefined
  const tags = Object.entries(isObject(rule['dimensions']) ? rule['dimensions'] : {}).map(([tag, expression]) => {
    const text = typeof expression === 'string' ? expression : ''
    const limit = expressionLimit(text)
    if (limit !== undefined) reading.unsupported(at(path, `dimensions.${tag}`), `is not supported: ${limit}`, text)
    return { tag, expression: text }
  })
  return { name, dropped: rule['drop'] === true, removed: listOf(rule['tags_to_remove']).filter((one) => typeof one === 'string'), tags }
}

const isObject = (value: JsonValue | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : [])
