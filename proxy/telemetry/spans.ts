import type { HrTime } from '@opentelemetry/api'
import type { BatchSpanProcessor, ReadableSpan } from '@opentelemetry/sdk-trace'
import type { Clock } from '#core/time/clock.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { describeError, type Log } from '../admin/log.ts'
import type { FinishedSpan } from './span.ts'

interface Exporter {
  readonly processor: BatchSpanProcessor
  readonly read: (span: FinishedSpan) => ReadableSpan
}

/** Spans that may wait while the exporter loads; then, and beyond the processor's own queue, they are dropped and counted. */
const WAITING_MAX = 1000
const QUEUE_MAX = 4096
const BATCH_MAX = 512
const BATCH_DELAY_MS = 1000
/** A receiver that is away must not hold up a proxy that ends. */
const GOODBYE_MS = 1000

/**
 * Exports spans over OTLP/HTTP, in batches. The exporter's packages are loaded at the first sampled span: a proxy that samples nothing never pays for them.
 */
export class Spans {
  readonly #clock: Clock
  readonly #endpoint: string
  readonly #node: ProxyNode
  readonly #log: Log
  #waiting: FinishedSpan[] = []
  #loading: Promise<void> | undefined
  #exporter: Exporter | undefined
  /** Spans that were dropped because too many waited. */
  dropped = 0

  /** `endpoint`: `http://HOST:PORT/v1/traces`. */
  constructor(clock: Clock, endpoint: string, node: ProxyNode, log: Log) {
    this.#clock = clock
    this.#endpoint = endpoint
    this.#node = node
    this.#log = log
  }

  /** A SpanSink for the data path. */
  readonly onSpan = (span: FinishedSpan): void => {
    if (this.#exporter) {
      this.#exporter.processor.onEnd(this.#exporter.read(span))
      return
    }
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push(span)
    else this.dropped += 1
    this.#loading ??= this.#load()
  }

  /** Sends what is left, within a second. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(GOODBYE_MS, resolve)
      void this.#flush().finally(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  async #flush(): Promise<void> {
    await this.#loading
    try {
      await this.#exporter?.processor.shutdown()
    } catch (error) {
      this.#log.warn('spans.lost', { endpoint: this.#endpoint, error: describeError(error) })
    }
  }

  async #load(): Promise<void> {
    try {
      this.#exporter = await loadExporter(this.#endpoint, this.#node)
      for (const span of this.#waiting) this.#exporter.processor.onEnd(this.#exporter.read(span))
    } catch (error) {
      this.#log.error('spans.exporter-missing', { error: describeError(error) })
    }
    this.#waiting = []
  }
}

async function loadExporter(url: string, node: ProxyNode): Promise<Exporter> {
  const [{ SpanKind, SpanStatusCode, TraceFlags, createTraceState }, { OTLPTraceExporter }, { resourceFromAttributes }, sdk] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-trace'),
  ])
  const processor = new sdk.BatchSpanProcessor({
    exporter: new OTLPTraceExporter({ url }),
    maxQueueSize: QUEUE_MAX,
    maxExportBatchSize: BATCH_MAX,
    scheduledDelayMillis: BATCH_DELAY_MS,
  })
  const resource = resourceFromAttributes({
    'service.name': `${node.labels['app'] ?? node.name}.${node.namespace}`,
    'service.namespace': node.namespace,
    'service.instance.id': node.id,
    'k8s.pod.name': node.name,
    'telemetry.sdk.name': 'weft',
  })
  const read = (span: FinishedSpan): ReadableSpan => ({
    name: span.name,
    kind: span.kind === 'server' ? SpanKind.SERVER : SpanKind.CLIENT,
    spanContext: () => ({
      traceId: span.traceId,
      spanId: span.spanId,
      traceFlags: TraceFlags.SAMPLED,
      ...(span.traceState !== '' && { traceState: createTraceState(span.traceState) }),
    }),
    ...(span.parentId !== '' && { parentSpanContext: { traceId: span.traceId, spanId: span.parentId, traceFlags: TraceFlags.SAMPLED, isRemote: true } }),
    startTime: highResolution(span.startWallMs),
    endTime: highResolution(span.endWallMs),
    duration: highResolution(span.endWallMs - span.startWallMs),
    status: { code: span.failed ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: { ...span.attributes },
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: { name: 'weft', version: node.version },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  })
  return { processor, read }
}

/** Milliseconds → seconds and nanoseconds. */
function highResolution(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.round((ms - seconds * 1000) * 1_000_000)]
}
