/** A finished span of one exchange, handed to whoever exports. Times are wall clock milliseconds; ids are lower-case hex (W3C Trace Context). */
export interface FinishedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty: this span is the trace's root. */
  readonly parentId: string
  readonly traceState: string
  readonly name: string
  /** The called side's view, or the caller's. */
  readonly kind: 'server' | 'client'
  readonly startWallMs: number
  readonly endWallMs: number
  readonly failed: boolean
  readonly attributes: Readonly<Record<string, string | number>>
}

export type SpanSink = (span: FinishedSpan) => void
