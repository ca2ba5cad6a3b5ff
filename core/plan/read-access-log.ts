import type { JsonObject } from '@bufbuild/protobuf'
import { type AccessLog, type AccessLogFilter, AccessLogFilterSchema, AccessLogSchema } from '../wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import { type SubstitutionFormatString, SubstitutionFormatStringSchema } from '../wire/gen/envoy/config/core/v3/substitution_format_string_pb.ts'
import { ExpressionFilterSchema } from '../wire/gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts'
import { FileAccessLogSchema } from '../wire/gen/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import { StderrAccessLogSchema, StdoutAccessLogSchema } from '../wire/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import { defaultTextFormat } from '../telemetry/access-log.ts'
import { expressionLimit } from '../telemetry/attributes.ts'
import { parseFormat } from '../telemetry/format.ts'
import type { AccessLogPlan } from './http.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { readLogService } from './read-log-service.ts'

type Format = Pick<AccessLogPlan, 'json' | 'fields' | 'omitsEmpty'>

/** Logs to files, to standard output and to services, with expressions of CEL as filters; other filters and sinks are refused. */
export function readAccessLogs(reading: Reading, path: string, logs: readonly AccessLog[]): AccessLogPlan[] {
  return logs.flatMap((log, index) => {
    const where = at(path, 'access_log', index)
    const read = readOne(reading, where, log)
    const filter = log.filter === undefined ? undefined : readFilter(reading, at(where, 'filter'), log.filter)
    return read === undefined ? [] : filter === undefined ? read : { ...read, filter }
  })
}

function readOne(reading: Reading, path: string, log: AccessLog): AccessLogPlan | undefined {
  reading.only(path, AccessLogSchema, log, ['name', 'typed_config', 'filter'])
  if (log.configType.case !== 'typedConfig') return undefined
  const any = log.configType.value
  const where = at(path, 'typed_config')
  switch (typeNameOf(any)) {
    case FileAccessLogSchema.typeName: {
      const file = reading.unpack(where, any, FileAccessLogSchema)
      if (file === undefined) return undefined
      const by = file.accessLogFormat
      switch (by.case) {
        case 'format':
          return { path: file.path, ...textFormat(reading, at(where, 'format'), by.value) }
        case 'jsonFormat':
        case 'typedJsonFormat':
          return { path: file.path, ...jsonFormat(reading, at(where, by.case === 'jsonFormat' ? 'json_format' : 'typed_json_format'), by.value) }
        default:
          return { path: file.path, ...readFormat(reading, at(where, 'log_format'), by.value) }
      }
    }
    case StdoutAccessLogSchema.typeName: {
      const stream = reading.unpack(where, any, StdoutAccessLogSchema)
      return { path: '/dev/stdout', ...readFormat(reading, at(where, 'log_format'), stream?.accessLogFormat.value) }
    }
    case StderrAccessLogSchema.typeName: {
      const stream = reading.unpack(where, any, StderrAccessLogSchema)
      return { path: '/dev/stderr', ...readFormat(reading, at(where, 'log_format'), stream?.accessLogFormat.value) }
    }
    default:
      return readLogService(reading, where, any)
  }
}

function readFilter(reading: Reading, path: string, filter: AccessLogFilter): string | undefined {
  reading.only(path, AccessLogFilterSchema, filter, ['extension_filter'])
  if (filter.filterSpecifier.case !== 'extensionFilter' || filter.filterSpecifier.value.configType.case !== 'typedConfig') return undefined
  const any = filter.filterSpecifier.value.configType.value
  const where = at(path, 'extension_filter.typed_config')
  if (typeNameOf(any) !== ExpressionFilterSchema.typeName) {
    reading.unsupported(where, 'only expressions of CEL are supported', typeNameOf(any))
    return undefined
  }
  const expression = reading.unpack(where, any, ExpressionFilterSchema)?.expression
  const limit = expression === undefined ? undefined : expressionLimit(expression)
  if (limit !== undefined) reading.unsupported(at(where, 'expression'), `is not supported: ${limit}`, expression)
  return expression
}

function readFormat(reading: Reading, path: string, format: SubstitutionFormatString | undefined): Format {
  if (format === undefined) return textFormat(reading, path, defaultTextFormat)
  // Formatters add operators; those that a format uses are checked one by one, by the operator.
  reading.only(path, SubstitutionFormatStringSchema, format, ['text_format', 'json_format', 'text_format_source', 'omit_empty_values', 'json_format_options', 'formatters'])
  const by = format.format
  const omits = format.omitEmptyValues ? { omitsEmpty: true as const } : {}
  if (by.case === 'jsonFormat') return { ...jsonFormat(reading, at(path, 'json_format'), by.value), ...omits }
  if (by.case === 'textFormatSource' && by.value.specifier.case === 'inlineString') return { ...textFormat(reading, at(path, 'text_format_source'), by.value.specifier.value), ...omits }
  if (by.case === 'textFormat') return { ...textFormat(reading, at(path, 'text_format'), by.value), ...omits }
  reading.unsupported(path, 'only inline text and JSON are supported')
  return { json: false, fields: [] }
}

function textFormat(reading: Reading, path: string, text: string): Format {
  checkFormat(reading, path, text)
  return { json: false, fields: [{ name: '', format: text }] }
}

function jsonFormat(reading: Reading, path: string, struct: JsonObject): Format {
  const fields = Object.entries(struct).map(([name, value]) => {
    if (typeof value === 'string') checkFormat(reading, at(path, name), value)
    else reading.unsupported(at(path, name), 'only text is supported', value)
    return { name, format: typeof value === 'string' ? value : '' }
  })
  return { json: true, fields }
}

function checkFormat(reading: Reading, path: string, text: string): void {
  if (parseFormat(text) === undefined) reading.invalid(path, 'has a malformed command operator', text)
}
