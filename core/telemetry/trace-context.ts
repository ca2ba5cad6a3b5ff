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

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const ZERO_TRACE = '0'.repeat(32)
const ZERO_SPAN = '0'.repeat(16)

/** W3C Trace Context §3.2. Versions after 00 may have more behind the flags; ff is none. Undefined when it must be ignored. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const parts = TRACEPARENT.exec(text.trim())
  if (parts === null) return undefined
  const [, version, traceId = '', parentId = '', flags = '', more] = parts
  if (version === 'ff' || (version === '00' && more !== undefined) || traceId === ZERO_TRACE || parentId === ZERO_SPAN) return undefined
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
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
