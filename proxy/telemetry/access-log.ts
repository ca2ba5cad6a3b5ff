import { createWriteStream } from 'node:fs'
import type { WriteStream } from 'node:fs'
import { defaultJsonFields, defaultTextFormat } from '#core/telemetry/access-log.ts'
import type { AccessLogPlan } from '#core/plan/http.ts'
import type { Facts } from './facts.ts'
import { compileOverFacts } from './attributes.ts'
import { compileFormat, renderFormat } from './format.ts'
import type { Part } from './format.ts'

/** Takes finished lines, newline included, many at a time. */
export interface LogSink {
  write(path: string, lines: string): void
}

/** Lines that nobody takes are dropped past this size, and counted. */
const UNWRITTEN_BYTES_MAX = 4 * 1024 * 1024
const JOINED_BYTES = 64 * 1024

/** Writes to `/dev/stdout`, `/dev/stderr` and files. */
export class FileSink implements LogSink {
  readonly #streams = new Map<string, NodeJS.WritableStream & { writableLength: number }>()
  droppedBytes = 0

  write(path: string, lines: string): void {
    const stream = this.#streams.get(path) ?? this.#open(path)
    if (stream.writableLength > UNWRITTEN_BYTES_MAX) this.droppedBytes += lines.length
    else stream.write(lines)
  }

  #open(path: string): NodeJS.WritableStream & { writableLength: number } {
    const stream = path === '/dev/stdout' ? process.stdout : path === '/dev/stderr' ? process.stderr : openFile(path)
    this.#streams.set(path, stream)
    return stream
  }
}

function openFile(path: string): WriteStream {
  const stream = createWriteStream(path, { flags: 'a' })
  // A log that cannot be written must not end the proxy; what it would hold is lost.
  stream.on('error', () => undefined)
  return stream
}

/** The access log of one listener or filter chain: lines are joined, and written once a second. */
export class AccessLog {
  readonly #render: (facts: Facts) => string
  readonly #path: string
  readonly #sink: LogSink
  readonly #filter: ((facts: Facts) => unknown) | undefined
  #lines = ''

  constructor(plan: AccessLogPlan, sink: LogSink) {
    this.#path = plan.path
    this.#sink = sink
    this.#filter = plan.filter === undefined ? undefined : compileOverFacts(plan.filter)
    const clock = cachedIso()
    this.#render = plan.json ? jsonLine(plan, clock) : textLine(plan, clock)
  }

  add(facts: Facts): void {
    if (this.#filter !== undefined && this.#filter(facts) !== true) return
    this.#lines += this.#render(facts)
    if (this.#lines.length > JOINED_BYTES) this.flush()
  }

  flush(): void {
    const lines = this.#lines
    if (lines.length === 0) return
    this.#lines = ''
    this.#sink.write(this.#path, lines)
  }
}

/** Instants as ISO text, each made once: requests that start in the same millisecond share it. */
function cachedIso(): (wallMs: number) => string {
  const keys = new Float64Array(32)
  const texts: string[] = Array.from({ length: 32 }, () => '')
  return (wallMs) => {
    const ms = Math.floor(wallMs)
    const slot = ms & 31
    if (keys[slot] !== ms) {
      keys[slot] = ms
      texts[slot] = new Date(ms).toISOString()
    }
    return texts[slot] ?? ''
  }
}

function textLine(plan: AccessLogPlan, clock: (wallMs: number) => string): (facts: Facts) => string {
  const parts = fieldsOf(plan).flatMap((field) => compileFormat(field.format, clock))
  const last = parts.at(-1)
  // Known beforehand: to look at the end of a line that was just joined means to copy it.
  if (typeof last === 'string' && last.endsWith('\n')) return (facts) => renderFormat(parts, facts)
  return (facts) => {
    const line = renderFormat(parts, facts)
    return line.endsWith('\n') ? line : `${line}\n`
  }
}

const fieldsOf = (plan: AccessLogPlan): AccessLogPlan['fields'] => (plan.fields.length > 0 ? plan.fields : plan.json ? defaultJsonFields : [{ name: '', format: defaultTextFormat }])

const NEEDS_ESCAPE = /["\\\p{Cc}]/u
/** Numbers stay numbers, as Envoy's JSON format has them. */
const NUMERIC = new Set(['%RESPONSE_CODE%', '%BYTES_RECEIVED%', '%BYTES_SENT%', '%DURATION%', '%UPSTREAM_REQUEST_ATTEMPT_COUNT%'])

/** A value as JSON: text, or null for an operator without one (Envoy's JSON format). */
function jsonValue(parts: readonly Part[]): (facts: Facts) => string {
  const [only] = parts
  if (parts.length === 1 && typeof only === 'function') {
    return (facts) => {
      const value = only(facts)
      if (value === undefined) return 'null'
      return NEEDS_ESCAPE.test(value) ? JSON.stringify(value) : `"${value}"`
    }
  }
  return (facts) => JSON.stringify(renderFormat(parts, facts))
}

function jsonLine(plan: AccessLogPlan, clock: (wallMs: number) => string): (facts: Facts) => string {
  const members: { key: string; value: (facts: Facts) => string }[] = []
  for (const [index, field] of fieldsOf(plan).entries()) {
    const key = `${index === 0 ? '{' : ','}${JSON.stringify(field.name)}:`
    const parts = compileFormat(field.format, clock)
    const [only] = parts
    if (NUMERIC.has(field.format) && typeof only === 'function') members.push({ key, value: (facts) => only(facts) ?? 'null' })
    else members.push({ key, value: jsonValue(parts) })
  }
  const open = members.length === 0 ? '{' : ','
  return (facts) => {
    let line = ''
    for (const { key, value } of members) line += key + value(facts)
    const { origin } = facts
    // Which object decided, and which revision of the mesh it came from: what a stock proxy cannot say.
    line += `${open}"weft_revision":${origin?.revision ?? facts.planRevision}`
    if (origin !== undefined) line += `,"weft_origin":${JSON.stringify(`${origin.resource} ${origin.field}`)}`
    if (facts.policy !== '') line += `,"weft_policy":${JSON.stringify(facts.policy)}`
    return `${line}}\n`
  }
}
