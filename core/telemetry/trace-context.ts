import type { RequestHead } from '../route/request.ts'

/** A place in a trace, as a request carries it from one process to the next. */
export interface TraceContext {
  /** 32 hex digits, not all zero. */
  readonly traceId: string
  /** 16 hex digits: the caller's span. */
  readonly parentId: string
  /** Undefined: the caller left the decision open. */
  readonly sampled: boolean | undefined
}

const TRACEPARENT_LENGTH = 55
const DASH = 45
const LETTER_A = 97
/** By character code, lower case alone. */
const isHexDigit = new Uint8Array(256)
for (const digit of '0123456789abcdef') isHexDigit[digit.charCodeAt(0)] = 1
const ZERO_TRACE = '0'.repeat(32)
const ZERO_SPAN = '0'.repeat(16)

/** W3C Trace Context §3.2. Versions after 00 may have more behind the flags; ff is none. Undefined when it must be ignored. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const said = text.trim()
  // `vv-<trace>-<parent>-ff`, by offsets: this is read for every request.
  if (said.length < TRACEPARENT_LENGTH || (said.length > TRACEPARENT_LENGTH && said.charCodeAt(TRACEPARENT_LENGTH) !== DASH)) return undefined
  if (said.charCodeAt(2) !== DASH || said.charCodeAt(35) !== DASH || said.charCodeAt(52) !== DASH) return undefined
  if (!isHex(said, 0, 2) || !isHex(said, 3, 35) || !isHex(said, 36, 52) || !isHex(said, 53, 55)) return undefined
  if (said.startsWith('ff') || (said.length > TRACEPARENT_LENGTH && said.startsWith('00'))) return undefined
  const traceId = said.slice(3, 35)
  const parentId = said.slice(36, 52)
  if (traceId === ZERO_TRACE || parentId === ZERO_SPAN) return undefined
  const last = said.charCodeAt(54)
  // The low bit of a hex digit: digits are even where their code is, letters where it is odd.
  return { traceId, parentId, sampled: (last < LETTER_A ? last & 1 : (last & 1) ^ 1) === 1 }
}

/** Lower-case hex digits alone in `[start, end)`. */
function isHex(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (!isHexDigit[text.charCodeAt(at)]) return false
  }
  return true
}

export function formatTraceparent(traceId: string, spanId: string, sampled: boolean): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}

/** A caller's context: `traceparent`, else B3 (github.com/openzipkin/b3-propagation), in one header or in several. */
export function readTraceContext(request: RequestHead): TraceContext | undefined {
  const parent = request.header('traceparent')
  const found = parent === undefined ? undefined : parseTraceparent(parent)
  if (found !== undefined) return found
  const single = request.header('b3')
  if (single !== undefined) {
    const [traceId = '', parentId = '', sampled] = single.split('-')
    return b3Context(traceId, parentId, sampled)
  }
  const flags = request.header('x-b3-flags')
  return b3Context(request.header('x-b3-traceid') ?? '', request.header('x-b3-spanid') ?? '', flags === '1' ? 'd' : request.header('x-b3-sampled'))
}

/** A short trace ID stands for one with zeros in front; `d` (debug) is sampled too. */
function b3Context(traceId: string, parentId: string, sampled: string | undefined): TraceContext | undefined {
  const long = traceId.toLowerCase().padStart(32, '0')
  const parent = parentId.toLowerCase()
  if (!/^(?:[0-9a-f]{16}){1,2}$/i.test(traceId) || !/^[0-9a-f]{16}$/.test(parent) || long === ZERO_TRACE || parent === ZERO_SPAN) return undefined
  return { traceId: long, parentId: parent, sampled: sampled === undefined ? undefined : sampled === '1' || sampled === 'd' || sampled === 'true' }
}
