import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { warning } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { expressionComplaint } from '#core/match/expression-syntax.ts'
import type { MeshConfigSpec } from '#core/resource/mesh-config.ts'
import type { TelemetrySpec } from '#core/resource/telemetry.ts'
import { expressionLimit } from '#core/telemetry/attributes.ts'
import { isPrometheus, METRICS, metricsOf } from './metrics.ts'
import { formatComplaint } from './log-format.ts'
import { logServiceOf } from './log-service.ts'

/** What of a Telemetry object does nothing: providers that are not there, expressions that are none, and what no proxy here can do. */
export function* telemetryFindings(reader: MeshReader, { id: resource, spec }: Typed<TelemetrySpec>): Iterable<Fault> {
  const providers = new Map((reader.meshConfig().extensionProviders ?? []).map((one) => [one.name, one]))
  for (const [index, entry] of (spec.tracing ?? []).entries()) {
    for (const [at, { name }] of (entry.providers ?? []).entries()) {
      const found = providers.get(name)
      if (found?.opentelemetry === undefined && found?.zipkin === undefined) yield warning('object.field-inert', { resource, path: `spec.tracing[${index}].providers[${at}].name`, value: name, rule: 'an extensionProvider of the MeshConfig with opentelemetry or zipkin' })
    }
  }
  for (const [index, entry] of (spec.accessLogging ?? []).entries()) {
    for (const [at, { name }] of (entry.providers ?? []).entries()) {
      const found = providers.get(name)
      const known = name === 'envoy' || (found !== undefined && (found.envoyFileAccessLog !== undefined || logServiceOf(reader, found, 'envoy').length > 0))
      if (!known) yield warning('object.field-inert', { resource, path: `spec.accessLogging[${index}].providers[${at}].name`, value: name, rule: 'envoy, or an extensionProvider of the MeshConfig with envoyFileAccessLog, or with envoyOtelAls, envoyHttpAls or envoyTcpAls whose service has the port' })
    }
    const expression = entry.filter?.expression
    if (expression === undefined) continue
    const path = `spec.accessLogging[${index}].filter.expression`
    const complaint = expressionComplaint(expression)
    const limit = complaint ?? expressionLimit(expression)
    if (complaint !== undefined) yield warning('object.field-range', { resource, path, value: expression, rule: complaint, hint: 'all requests are logged' })
    else if (limit !== undefined) yield warning('object.field-inert', { resource, path, rule: `stock Envoys heed it; Weft’s own proxies do not know ${limit}, and log all requests` })
  }
  for (const [index, entry] of (spec.metrics ?? []).entries()) {
    const path = `spec.metrics[${index}]`
    for (const [at, { name }] of (entry.providers ?? []).entries()) {
      if (!isPrometheus(reader, name)) yield warning('object.field-inert', { resource, path: `${path}.providers[${at}].name`, value: name, rule: 'prometheus, or an extensionProvider of the MeshConfig with prometheus' })
    }
    for (const [at, override] of (entry.overrides ?? []).entries()) {
      if (metricsOf(override).length === 0) yield warning('object.field-inert', { resource, path: `${path}.overrides[${at}].match`, value: override.match?.customMetric ?? override.match?.metric, rule: `one of ${Object.keys(METRICS).join(', ')}: others stay as they are` })
      for (const [tag, { value }] of Object.entries(override.tagOverrides ?? {})) {
        const limit = value === undefined ? undefined : expressionLimit(value)
        if (limit !== undefined) yield warning('object.field-inert', { resource, path: `${path}.overrides[${at}].tagOverrides.${tag}.value`, value, rule: `an expression over what proxies know of a request: ${limit}` })
      }
    }
  }
}

/** Formats of access logs that Envoy would refuse. */
export function* logFormatFindings(resource: string, spec: MeshConfigSpec): Iterable<Fault> {
  const judge = function* (path: string, format: string | undefined): Iterable<Fault> {
    const complaint = format === undefined ? undefined : formatComplaint(format)
    if (complaint !== undefined) yield warning('object.field-range', { resource, path, value: format, rule: complaint, hint: 'the default format is used' })
  }
  yield* judge('spec.accessLogFormat', spec.accessLogFormat)
  for (const [index, one] of (spec.extensionProviders ?? []).entries()) {
    for (const kind of ['envoyFileAccessLog', 'envoyOtelAls'] as const) yield* judge(`spec.extensionProviders[${index}].${kind}.logFormat.text`, one[kind]?.logFormat?.text)
  }
}
