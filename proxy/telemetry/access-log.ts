import { createWriteStream } from 'node:fs'
import type { WriteStream } from 'node:fs'
import { defaultJsonFields, defaultTextFormat } from '#core/telemetry/access-log.ts'
import type { AccessLogPlan } from '#core/plan/http.ts'
import type { Facts } from './facts.ts'
import { compileOverFacts } from './attributes.ts'
import { cachedIso, compileFormat, renderFormat } from './format.ts'
import type { Part } from './format.ts'
import { compileLine } from './line.ts'

/** Takes finished lines, newlines included, many at a time. */
export interface LogSink {
  write(path: string, lines: string): void
  /** The same in UTF-8; the bytes stay as they are until `done`. Absent: lines are taken as text. */
  writeBytes?(path: string, lines: Buffer, done: () => void): void
}

/** Lines that nobody takes are dropped past this size, and counted. */
const UNWRITTEN_BYTES_MAX = 4 * 1024 * 1024
const JOINED_BYTES = 64 * 1024

type Output = NodeJS.WritableStream & { writableLength: number }

/** Writes to `/dev/stdout`, `/dev/stderr` and files. */
export class FileSink implements LogSink {
  readonly #streams = new Map<string, Output>()
  droppedBytes = 0

  write(path: string, lines: string): void {
    this.#streamFor(path, lines.length)?.write(lines)
  }

  writeBytes(path: string, lines: Buffer, done: () => void): void {
    const stream = this.#streamFor(path, lines.length)
    if (stream === undefined) done()
    else stream.write(lines, done)
  }

  /** Undefined: its file takes no more. */
  #streamFor(path: string, bytes: number): Output | undefined {
    const stream = this.#streams.get(path) ?? this.#open(path)
    if (stream.writableLength <= UNWRITTEN_BYTES_MAX) return stream
    this.droppedBytes += bytes
    return undefined
  }

  #open(path: string): Output {
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

/** A character of a string takes at most so many bytes in UTF-8. */
const CHARACTER_BYTES = 3
const freeBuffers: Buffer[] = []
const FREE_MAX = 4

/** The access log of one listener or filter chain: lines are joined, and written once a second. */
export class AccessLog {
  readonly #render: (facts: Facts) => string
  readonly #path: string
  readonly #sink: LogSink
  readonly #filter: ((facts: Facts) => unknown) | undefined
  /** Lines that wait. As bytes: joined as text they would be kept by the garbage collector in all their parts. */
  #bytes: Buffer | undefined = undefined
  #used = 0

  constructor(plan: AccessLogPlan, sink: LogSink) {
    this.#path = plan.path
    this.#sink = sink
    this.#filter = plan.filter === undefined ? undefined : compileOverFacts(plan.filter)
    this.#render = plan.json ? jsonLine(plan) : textLine(plan)
  }

  add(facts: Facts): void {
    if (this.#filter !== undefined && this.#filter(facts) !== true) return
    const line = this.#render(facts)
    const bytesMax = CHARACTER_BYTES * line.length
    if (this.#used + bytesMax > JOINED_BYTES) {
      this.flush()
      if (bytesMax > JOINED_BYTES) return this.#send(Buffer.from(line), () => undefined)
    }
    const bytes = (this.#bytes ??= freeBuffers.pop() ?? Buffer.allocUnsafeSlow(JOINED_BYTES))
    this.#used += bytes.write(line, this.#used)
  }

  flush(): void {
    const bytes = this.#bytes
    if (bytes === undefined) return
    const lines = bytes.subarray(0, this.#used)
    this.#bytes = undefined
    this.#used = 0
    this.#send(lines, () => {
      if (freeBuffers.length < FREE_MAX) freeBuffers.push(bytes)
    })
  }

  #send(lines: Buffer, done: () => void): void {
    if (this.#sink.writeBytes !== undefined) return this.#sink.writeBytes(this.#path, lines, done)
    this.#sink.write(this.#path, lines.toString())
    done()
  }
}

function textLine(plan: AccessLogPlan): (facts: Facts) => string {
  const format = fieldsOf(plan).map((field) => field.format).join('')
  const render = plan.omitsEmpty === true ? shortLine(format) : compileLine(format)
  // Known beforehand: to look at the end of a line that was just joined means to copy it.
  if (format.endsWith('\n')) return render
  return (facts) => {
    const line = render(facts)
    return line.endsWith('\n') ? line : `${line}\n`
  }
}

/** Without a dash for what is not there. */
function shortLine(format: string): (facts: Facts) => string {
  const parts = compileFormat(format, cachedIso())
  return (facts) => renderFormat(parts, facts, '')
}

const fieldsOf = (plan: AccessLogPlan): AccessLogPlan['fields'] => (plan.fields.length > 0 ? plan.fields : plan.json ? defaultJsonFields : [{ name: '', format: defaultTextFormat }])

const NEEDS_ESCAPE = /["\\\p{Cc}]/u
/** Numbers stay numbers, as Envoy's JSON format has them. */
const NUMERIC = new Set(['%RESPONSE_CODE%', '%BYTES_RECEIVED%', '%BYTES_SENT%', '%DURATION%', '%UPSTREAM_REQUEST_ATTEMPT_COUNT%'])

/** A value as JSON: text, or null for an operator without one (Envoy's JSON format), with `none` for one among others. */
function jsonValue(parts: readonly Part[], none: string): (facts: Facts) => string {
  const [only] = parts
  if (parts.length === 1 && typeof only === 'function') {
    return (facts) => {
      const value = only(facts)
      if (value === undefined) return 'null'
      return NEEDS_ESCAPE.test(value) ? JSON.stringify(value) : `"${value}"`
    }
  }
  return (facts) => JSON.stringify(renderFormat(parts, facts, none))
}

interface Member {
  /** With what stands before it: `{` or a comma. */
  readonly key: string
  readonly value: (facts: Facts) => string
}

/** Only members that have a value. */
function present(members: readonly Member[], facts: Facts): string {
  let line = ''
  for (const { key, value } of members) {
    const said = value(facts)
    if (said !== 'null') line += `${line === '' ? '{' : ','}${key.slice(1)}${said}`
  }
  return line
}

function jsonLine(plan: AccessLogPlan): (facts: Facts) => string {
  const clock = cachedIso()
  const members: Member[] = []
  for (const [index, field] of fieldsOf(plan).entries()) {
    const key = `${index === 0 ? '{' : ','}${JSON.stringify(field.name)}:`
    const parts = compileFormat(field.format, clock)
    const [only] = parts
    if (NUMERIC.has(field.format) && typeof only === 'function') members.push({ key, value: (facts) => only(facts) ?? 'null' })
    else members.push({ key, value: jsonValue(parts, plan.omitsEmpty === true ? '' : '-') })
  }
  const omits = plan.omitsEmpty === true
  return (facts) => {
    let line = ''
    if (omits) line = present(members, facts)
    else for (const { key, value } of members) line += key + value(facts)
    const { origin } = facts
    // Which object decided, and which revision of the mesh it came from: what a stock proxy cannot say.
    line += `${line === '' ? '{' : ','}"weft_revision":${origin?.revision ?? facts.planRevision}`
    if (origin !== undefined) line += `,"weft_origin":${JSON.stringify(`${origin.resource} ${origin.field}`)}`
    if (facts.policy !== '') line += `,"weft_policy":${JSON.stringify(facts.policy)}`
    return `${line}}\n`
  }
}
