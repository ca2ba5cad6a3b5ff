import { create } from '@bufbuild/protobuf'
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf'
import { AccessLogSchema } from '#core/wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import type { AccessLog } from '#core/wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import type { SubstitutionFormatStringSchema } from '#core/wire/gen/envoy/config/core/v3/substitution_format_string_pb.ts'
import { ExpressionFilterSchema } from '#core/wire/gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts'
import { FileAccessLogSchema } from '#core/wire/gen/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import { StderrAccessLogSchema, StdoutAccessLogSchema } from '#core/wire/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import { formatComplaint } from './log-format.ts'
import { type LogService, serviceLogger } from './log-service.ts'
import { anyOf } from './message.ts'
import type { LogSettings, LogSink } from './reporting.ts'
import { accessLog, HTTP_FIELDS } from './telemetry.ts'

/** The access logs of what carries requests, or connections: what the settings say, or the default. Services that take entries of the other kind are left out. */
export const accessLogs = (settings: LogSettings | undefined, of: 'http' | 'tcp'): AccessLog[] =>
  settings === undefined ? [accessLog()] : settings.sinks.flatMap((one) => ('path' in one || one.kind === 'otlp' || one.kind === of ? sinkLog(one, settings.filter) : []))

function sinkLog(sink: LogSink | LogService, expression: string | undefined): AccessLog {
  const [name, value] = 'path' in sink ? sinkType(sink.path, formatOf(sink)) : serviceLogger(sink)
  return create(AccessLogSchema, {
    name,
    configType: { case: 'typedConfig', value },
    ...(expression === undefined
      ? {}
      : { filter: { filterSpecifier: { case: 'extensionFilter', value: { name: 'envoy.access_loggers.extension_filters.cel', configType: { case: 'typedConfig', value: anyOf(ExpressionFilterSchema, { expression }) } } } } }),
  })
}

type LogFormat = MessageInitShape<typeof SubstitutionFormatStringSchema>

/** Standard output and error as streams: the files /dev/stdout and /dev/stderr cannot be opened where they are sockets. */
function sinkType(path: string, logFormat: LogFormat) {
  const accessLogFormat = { case: 'logFormat' as const, value: logFormat }
  if (path === '/dev/stdout') return ['envoy.access_loggers.stdout', anyOf(StdoutAccessLogSchema, { accessLogFormat })] as const
  if (path === '/dev/stderr') return ['envoy.access_loggers.stderr', anyOf(StderrAccessLogSchema, { accessLogFormat })] as const
  return ['envoy.access_loggers.file', anyOf(FileAccessLogSchema, { path, accessLogFormat })] as const
}

/** A format that Envoy would refuse, and the listener with it, gives way to the default. */
function formatOf({ format, omitEmpty }: LogSink): LogFormat {
  const omitEmptyValues = omitEmpty ?? false
  if (typeof format === 'string' && formatComplaint(format) === undefined) return { format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: format } } }, omitEmptyValues }
  const fields = typeof format === 'object' && textsIn(format).every((one) => formatComplaint(one) === undefined) ? jsonObject(format) : HTTP_FIELDS
  return { format: { case: 'jsonFormat', value: fields }, omitEmptyValues }
}

const jsonObject = (value: object): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}
