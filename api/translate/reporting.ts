import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { appliesTo } from '#api/model/targets.ts'
import type { ExtensionProvider } from '#core/resource/extension-provider.ts'
import { expressionComplaint } from '#core/match/expression-syntax.ts'
import type { TelemetrySpec } from '#core/resource/telemetry.ts'
import { expressionLimit } from '#core/telemetry/attributes.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { collectorOf } from './collector.ts'
import type { Collector } from './collector.ts'
import { engineOf, isOlder } from './engine.ts'
import { type LogService, logServiceOf } from './log-service.ts'
import { metricChanges } from './metrics.ts'
import type { MetricChanges } from './metrics.ts'
import { TEXT_FORMAT } from './telemetry.ts'

/** A tag of every span, as configuration has it. */
export type SpanTag = NonNullable<NonNullable<TelemetrySpec['tracing']>[number]['customTags']>[string]

/** What is said of the spans of one direction; what is absent is default. */
export interface SpanSettings {
  /** Share of requests that are traced where the caller has not decided, 0..100. */
  readonly samplingPercent?: number
  /** No spans, but their context goes on. */
  readonly silent?: true
  /** Spans, but their context goes no further. */
  readonly keepsContext?: true
  /** All are traced where the caller has not decided, and their ids decide nothing. */
  readonly passesIds?: true
  readonly tags?: Readonly<Record<string, SpanTag>>
  readonly pathTagLength?: number
  readonly collector?: Collector
}

/** A log and its form: text in Envoy's format, or JSON by field; undefined: the default. */
export interface LogSink {
  readonly path: string
  readonly format?: string | Readonly<Record<string, unknown>>
  readonly omitEmpty?: true
}

/** What is said of the access log of one direction. */
export interface LogSettings {
  /** Empty: nothing is logged. */
  readonly sinks: readonly (LogSink | LogService)[]
  /** A CEL expression, which requests must meet. */
  readonly filter?: string
}

export interface Reporting {
  readonly spans?: SpanSettings
  readonly log?: LogSettings
  /** Of Weft’s own proxies: stock Envoys have none of Istio’s metrics. */
  readonly metrics?: MetricChanges
}

/** The oldest Envoy on which tags by format, and context that is kept, were proven. */
const NEWER_TRACING = '1.40.0'

type Mode = 'CLIENT' | 'SERVER'

/** The Telemetry objects that apply to a workload, the widest first: of the mesh, its namespace, itself. Of two at one level the oldest counts. */
function telemetryFor(reader: MeshReader, namespace: string, labels: Readonly<Record<string, string>>): Typed<TelemetrySpec>[] {
  const selective = (one: Typed<TelemetrySpec>): boolean => Object.keys(one.spec.selector?.matchLabels ?? {}).length > 0 || one.spec.targetRef !== undefined || (one.spec.targetRefs ?? []).length > 0
  const own = reader.telemetries(namespace)
  const wide = namespace === reader.rootNamespace ? [] : reader.telemetries(reader.rootNamespace)
  const levels = [wide.find((one) => !selective(one)), own.find((one) => !selective(one)), own.find((one) => selective(one) && appliesTo(one.spec, labels, true))]
  return levels.filter((one) => one !== undefined)
}

/**
 * What a proxy reports of its clients' and servers' side, by the mesh's settings and Telemetry: field by field, the narrower over the wider. `tracedAnyway`: it was told by itself
 * where its spans go.
 * istio.io/latest/docs/reference/config/telemetry
 */
export function reportingOf(reader: MeshReader, node: ProxyNode, tracedAnyway: boolean): { readonly clients?: Reporting; readonly servers?: Reporting } {
  const levels = telemetryFor(reader, node.namespace, node.labels).map((one) => one.spec)
  const of = (mode: Mode): Reporting => ({ ...spansOf(reader, node, levels, mode, tracedAnyway), ...logOf(reader, node, levels, mode), ...metricsIn(reader, node, levels, mode) })
  const clients = of('CLIENT')
  const servers = of('SERVER')
  return { ...(isEmpty(clients) ? {} : { clients }), ...(isEmpty(servers) ? {} : { servers }) }
}

const isEmpty = (of: object): boolean => Object.keys(of).length === 0

const inMode = (entry: { readonly match?: { readonly mode?: string | undefined } | undefined }, mode: Mode): boolean => [undefined, 'CLIENT_AND_SERVER', mode].includes(entry.match?.mode)

function metricsIn(reader: MeshReader, node: ProxyNode, levels: readonly TelemetrySpec[], mode: Mode): { metrics?: MetricChanges } {
  const metrics = engineOf(node) === 'weft' ? metricChanges(reader, levels, mode) : {}
  return isEmpty(metrics) ? {} : { metrics }
}

function spansOf(reader: MeshReader, node: ProxyNode, levels: readonly TelemetrySpec[], mode: Mode, tracedAnyway: boolean): { spans?: SpanSettings } {
  const mesh = reader.meshConfig()
  const standard = mesh.defaultConfig?.tracing
  let spans: SpanSettings = {
    ...(standard?.sampling === undefined ? {} : { samplingPercent: standard.sampling }),
    ...(standard?.maxPathTagLength === undefined ? {} : { pathTagLength: standard.maxPathTagLength }),
    ...(standard?.customTags === undefined ? {} : { tags: meshTags(standard.customTags) }),
    ...(mesh.enableTracing === false ? { silent: true as const } : {}),
  }
  let provider = mesh.defaultProviders?.tracing?.[0]
  let own = standard?.enableIstioTags ?? true
  for (const level of levels) {
    const entry = level.tracing?.find((one) => inMode(one, mode))
    if (entry === undefined) continue
    const { silent, passesIds, keepsContext, ...rest } = spans
    spans = {
      ...rest,
      ...(silent === undefined || entry.disableSpanReporting !== undefined ? {} : { silent }),
      ...(passesIds === undefined || entry.useRequestIdForTraceSampling !== undefined ? {} : { passesIds }),
      ...(keepsContext === undefined || entry.disableContextPropagation !== undefined ? {} : { keepsContext }),
      ...(entry.disableContextPropagation === true && hasNewerTracing(node) ? { keepsContext: true as const } : {}),
      ...(entry.randomSamplingPercentage === undefined ? {} : { samplingPercent: entry.randomSamplingPercentage }),
      ...(entry.disableSpanReporting === true ? { silent: true as const } : {}),
      ...(entry.useRequestIdForTraceSampling === false ? { passesIds: true as const } : {}),
      ...(entry.customTags === undefined ? {} : { tags: knownTags(entry.customTags, node) }),
    }
    provider = entry.providers?.[0]?.name ?? provider
    own = entry.enableIstioTags ?? own
  }
  const collector = provider === undefined ? undefined : collectorOf(reader, provider)
  if (collector !== undefined) spans = { ...spans, collector }
  // Who a workload is must not keep listeners apart that make no spans.
  if (own && (collector !== undefined || tracedAnyway)) spans = { ...spans, tags: { ...ownTags(node), ...spans.tags } }
  return isEmpty(spans) ? {} : { spans }
}

type MeshTags = NonNullable<NonNullable<NonNullable<ReturnType<MeshReader['meshConfig']>['defaultConfig']>['tracing']>['customTags']>

/** The mesh's own tags, as Telemetry would write them; what has neither name nor value is none. */
function meshTags(tags: MeshTags): Readonly<Record<string, SpanTag>> {
  const words = ({ literal, environment, header }: MeshTags[string]): SpanTag | undefined => {
    if (literal?.value) return { literal: { value: literal.value } }
    if (environment?.name) return { environment: { ...environment, name: environment.name } }
    return header?.name ? { header: { ...header, name: header.name } } : undefined
  }
  return Object.fromEntries(Object.entries(tags).flatMap(([tag, one]) => {
    const of = words(one)
    return of === undefined ? [] : [[tag, of]]
  }))
}

/** Who made a span, in Istio's words. istio.io/latest/docs/reference/config/telemetry/#Tracing, enableIstioTags */
function ownTags({ labels, namespace, cluster, metadata }: ProxyNode): Readonly<Record<string, SpanTag>> {
  const { app = '', version = '', 'service.istio.io/canonical-name': service = app, 'service.istio.io/canonical-revision': revision = version } = labels
  const words = { canonical_service: service, canonical_revision: revision === '' ? 'latest' : revision, namespace, cluster_id: cluster, mesh_id: typeof metadata?.['MESH_ID'] === 'string' ? metadata['MESH_ID'] : '' }
  return Object.fromEntries(Object.entries(words).map(([name, value]) => [`istio.${name}`, { literal: { value: value === '' ? 'unknown' : value } }]))
}

/** What is new: an Envoy that does not know it would refuse the listener. */
const hasNewerTracing = (node: ProxyNode): boolean => engineOf(node) === 'weft' || !isOlder(node.version, NEWER_TRACING)

const knownTags = (tags: Readonly<Record<string, SpanTag>>, node: ProxyNode): Readonly<Record<string, SpanTag>> => (hasNewerTracing(node) ? tags : Object.fromEntries(Object.entries(tags).filter(([, one]) => one.formatter === undefined)))

function logOf(reader: MeshReader, node: ProxyNode, levels: readonly TelemetrySpec[], mode: Mode): { log?: LogSettings } {
  const mesh = reader.meshConfig()
  const { accessLogFile: path, accessLogFormat: format, accessLogEncoding: encoding } = mesh
  const ofMesh = path === undefined && format === undefined && encoding === undefined ? undefined : path === '' ? [] : [{ path: path ?? '/dev/stdout', ...meshFormat(format, encoding) }]
  const named = (names: readonly string[]): LogSettings['sinks'] => names.flatMap((name): LogSettings['sinks'] => (name === 'envoy' ? (ofMesh ?? STANDARD) : sinkOf(reader, node, mesh.extensionProviders?.find((one) => one.name === name))))
  let sinks: LogSettings['sinks'] | undefined = mesh.defaultProviders?.accessLogging === undefined ? ofMesh : named(mesh.defaultProviders.accessLogging)
  let filter: string | undefined
  let disabled = false
  for (const level of levels) {
    for (const entry of level.accessLogging ?? []) {
      if (!inMode(entry, mode)) continue
      if (entry.providers !== undefined && entry.disabled !== true) sinks = named(entry.providers.map((one) => one.name))
      disabled = entry.disabled ?? false
      filter = entry.filter?.expression ?? filter
    }
  }
  // What a proxy cannot work out makes it log more, not less.
  const limit = engineOf(node) === 'weft' ? expressionLimit : expressionComplaint
  const judged = filter === undefined || limit(filter) !== undefined ? {} : { filter }
  if (disabled) return { log: { sinks: [] } }
  if (sinks === undefined && isEmpty(judged)) return {}
  return { log: { sinks: sinks ?? STANDARD, ...judged } }
}

const STANDARD: LogSink[] = [{ path: '/dev/stdout' }]

function meshFormat(format: string | undefined, encoding: 'TEXT' | 'JSON' | undefined): Pick<LogSink, 'format'> {
  if (encoding === 'JSON') return jsonFormat(format)
  if (format) return { format: format.endsWith('\n') ? format : `${format}\n` }
  return encoding === undefined ? {} : { format: TEXT_FORMAT }
}

function jsonFormat(format: string | undefined): Pick<LogSink, 'format'> {
  try {
    const parsed: unknown = JSON.parse(format ?? '')
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { format: Object.fromEntries(Object.entries(parsed)) } : {}
  } catch {
    // None, or no JSON: the default fields are JSON as well.
    return {}
  }
}

function sinkOf(reader: MeshReader, node: ProxyNode, provider: ExtensionProvider | undefined): LogSettings['sinks'] {
  const file = provider?.envoyFileAccessLog
  if (file === undefined) return provider === undefined ? [] : logServiceOf(reader, provider, engineOf(node))
  const format = file.logFormat?.labels ?? file.logFormat?.text
  return [{ path: file.path ?? '/dev/stdout', ...(format === undefined ? {} : { format }), ...(file.omitEmptyValues === true ? { omitEmpty: true as const } : {}) }]
}
