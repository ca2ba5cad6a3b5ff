import type { CollectorPlan } from '#core/plan/http.ts'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { Callouts } from '../upstream/callout.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { FinishedSpan } from './span.ts'

interface Batch {
  readonly collector: CollectorPlan
  /** By the service that they are of. */
  readonly spans: Map<string, FinishedSpan[]>
  count: number
  timer: Timer | undefined
}

/** Spans that may wait for one collector; more are dropped and counted. */
const WAITING_MAX = 4096
const BATCH_MAX = 512
const BATCH_DELAY_MS = 500

/**
 * Sends spans to collectors that are services of the mesh, over their clusters, in batches. What writes the messages is loaded at the first span: a proxy that samples nothing never pays for it.
 */
export class Collectors {
  readonly #doors: Doors
  readonly #callouts: Callouts
  readonly #cluster: (name: string) => Cluster | undefined
  readonly #batches = new Map<string, Batch>()
  readonly #sending = new Set<Promise<void>>()
  /** Spans that were dropped because too many waited, or that a collector did not take. */
  dropped = 0

  constructor(doors: Doors, callouts: Callouts, cluster: (name: string) => Cluster | undefined) {
    this.#doors = doors
    this.#callouts = callouts
    this.#cluster = cluster
  }

  add(collector: CollectorPlan, serviceName: string, span: FinishedSpan): void {
    const key = `${collector.kind} ${collector.cluster} ${collector.path}`
    let batch = this.#batches.get(key)
    if (batch === undefined) {
      batch = { collector, spans: new Map(), count: 0, timer: undefined }
      this.#batches.set(key, batch)
    }
    if (batch.count >= WAITING_MAX) {
      this.dropped += 1
      return
    }
    const list = batch.spans.get(serviceName)
    if (list === undefined) batch.spans.set(serviceName, [span])
    else list.push(span)
    if (++batch.count >= BATCH_MAX) this.#send(key)
    else batch.timer ??= this.#doors.clock.after(BATCH_DELAY_MS, () => this.#send(key))
  }

  /** Sends what waits; resolves when collectors have answered, or cannot be reached. */
  async flush(): Promise<void> {
    for (const key of this.#batches.keys()) this.#send(key)
    await Promise.all(this.#sending)
  }

  #send(key: string): void {
    const batch = this.#batches.get(key)
    if (batch === undefined) return
    this.#batches.delete(key)
    batch.timer?.cancel()
    const sent = this.#post(batch)
      .catch(() => void (this.dropped += batch.count))
      .finally(() => this.#sending.delete(sent))
    this.#sending.add(sent)
  }

  async #post({ collector, spans }: Batch): Promise<void> {
    const { kind, authority, path, timeoutMs } = collector
    const cluster = this.#cluster(collector.cluster)
    const { otlpRequest, zipkinRequest } = await import('./span-messages.ts')
    if (kind === 'otlp-grpc') {
      await this.#callouts.call(cluster, '/opentelemetry.proto.collector.trace.v1.TraceService/Export', otlpRequest(spans), { authority, metadata: [], timeoutMs })
      return
    }
    const [type, body] = kind === 'zipkin' ? ['application/json', zipkinRequest(spans)] : ['application/x-protobuf', otlpRequest(spans)]
    const answer = await this.#callouts.ask(cluster, { method: 'POST', path, authority, headers: [['content-type', type]], body, timeoutMs })
    if (answer.status >= 300) throw new Error(`status ${answer.status}`)
  }
}
