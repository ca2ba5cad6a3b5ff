import type { TracingPlan } from '#core/plan/http.ts'
import { formatTraceparent, readTraceContext } from '#core/telemetry/trace-context.ts'
import type { RequestHead } from '#core/route/request.ts'
import type { Engine } from '../http/engine.ts'
import type { Exchange } from '../http/exchange.ts'
import type { FinishedSpan } from './span.ts'

/** What ids are divided by, in Envoy. */
const SHARES = 10_000
const UUID_LENGTH = 36

/** Where in 0..1 a UUID puts a request: the same at every proxy that it passes, Envoys included. Undefined: it is no UUID. */
function shareOf(requestId: string): number | undefined {
  if (requestId.length !== UUID_LENGTH) return undefined
  const first = Number.parseInt(requestId.slice(0, 8), 16)
  return Number.isNaN(first) ? undefined : (first % SHARES) / SHARES
}

/** The cluster of the collector that the proxy was started with. */
const OWN_COLLECTOR = 'otlp'

/** One exchange's part of a trace (W3C Trace Context): continues the client's trace, or begins one. */
export class Trace {
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string
  readonly sampled: boolean
  readonly traceState: string

  constructor(traceId: string, spanId: string, parentId: string, sampled: boolean, traceState: string) {
    this.traceId = traceId
    this.spanId = spanId
    this.parentId = parentId
    this.sampled = sampled
    this.traceState = traceState
  }

  /** An incoming decision is kept; without one the plan's percentage decides, by the request's id. */
  static begin(engine: Engine, plan: TracingPlan, request: RequestHead, requestId: string): Trace {
    const { identifiers, doors } = engine
    const incoming = readTraceContext(request)
    const sampled = incoming?.sampled ?? (plan.passesIds === true || (shareOf(requestId) ?? doors.random.draw()) * 100 < plan.samplingPercent)
    if (incoming === undefined) return new Trace(identifiers.hex(16), identifiers.hex(8), '', sampled, '')
    return new Trace(incoming.traceId, identifiers.hex(8), incoming.parentId, sampled, request.header('tracestate') ?? '')
  }

  /** The `traceparent` that goes upstream: this span is the parent there. */
  get parentHeader(): string {
    return formatTraceparent(this.traceId, this.spanId, this.sampled)
  }

  /** Hands the finished span on, when it is sampled and somebody takes spans. */
  finish(exchange: Exchange): void {
    const { engine, stack } = exchange
    const { tracing } = stack.plan
    if (!this.sampled || tracing?.silent === true) return
    // What the proxy was started with has a cluster of its own, which it goes without.
    if (tracing?.collector !== undefined && tracing.collector.cluster !== OWN_COLLECTOR) engine.collectors.add(tracing.collector, tracing.serviceName || this.#ownName(exchange), this.#spanOf(exchange))
    else engine.onSpan?.(this.#spanOf(exchange))
  }

  #ownName({ engine: { node } }: Exchange): string {
    return `${node.labels['app'] ?? node.name}.${node.namespace}`
  }

  #spanOf(exchange: Exchange): FinishedSpan {
    const { request, peer, stack } = exchange
    const { path } = request
    const pathLengthMax = stack.plan.tracing?.pathLengthMax ?? path.length
    const tags: Record<string, string> = {}
    for (const { tag, value } of stack.spanTags) {
      const one = value(exchange)
      if (one !== undefined) tags[tag] = one
    }
    return {
      traceId: this.traceId,
      spanId: this.spanId,
      parentId: this.parentId,
      traceState: this.traceState,
      name: exchange.route?.operation || request.authority,
      kind: exchange.stack.direction === 'inbound' ? 'server' : 'client',
      startWallMs: exchange.startWallMs,
      endWallMs: exchange.startWallMs + exchange.durationMs,
      failed: exchange.status >= 500 || exchange.status === 0,
      attributes: {
        'http.method': request.method,
        'http.url': `${request.scheme}://${request.authority}${path.slice(0, pathLengthMax)}`,
        'http.protocol': 'HTTP/1.1',
        'http.status_code': exchange.status,
        'guid:x-request-id': exchange.requestId,
        'peer.address': peer.address,
        upstream_cluster: exchange.clusterName,
        'upstream_address': exchange.upstreamAddress,
        response_flags: exchange.flags === '' ? '-' : exchange.flags,
        request_size: exchange.requestBytes,
        response_size: exchange.responseBytes,
        user_agent: request.header('user-agent') ?? '',
        ...tags,
      },
    }
  }
}
