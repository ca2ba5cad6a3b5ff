import type { LogServicePlan } from '#core/plan/http.ts'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Callouts } from '../upstream/callout.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { LogEntry } from './log-entry.ts'

/** What one service is sent under one name. */
export interface LogQueue {
  readonly service: LogServicePlan
  entries: LogEntry[]
  /** Entries that wait, and those whose call is under way. */
  held: number
  timer: Timer | undefined
}

/** Entries that are held for one log, those on their way included; more are dropped and counted. */
const HELD_MAX = 4096
const BATCH_MAX = 512
const BATCH_DELAY_MS = 500

/** Sends access logs to services of the mesh, over their clusters, in batches. What writes the messages is loaded at the first one. A service that is slow or away costs entries and never a request. */
export class LogServices {
  readonly #doors: Doors
  readonly #node: ProxyNode
  readonly #callouts: Callouts
  readonly #cluster: (name: string) => Cluster | undefined
  readonly #queues = new Map<string, LogQueue>()
  readonly #sending = new Set<Promise<void>>()
  /** Entries that were dropped because too many were held, or that a service did not take. */
  dropped = 0

  constructor(doors: Doors, node: ProxyNode, callouts: Callouts, cluster: (name: string) => Cluster | undefined) {
    this.#doors = doors
    this.#node = node
    this.#callouts = callouts
    this.#cluster = cluster
  }

  /** The queue of a service's entries: asked for once, by whoever adds to it. */
  queueOf(service: LogServicePlan): LogQueue {
    const key = `${service.kind} ${service.cluster} ${service.logName}`
    let queue = this.#queues.get(key)
    if (queue === undefined) {
      queue = { service, entries: [], held: 0, timer: undefined }
      this.#queues.set(key, queue)
    }
    return queue
  }

  /** Whether there is room for one more; where there is none it counts as dropped. */
  takes(queue: LogQueue): boolean {
    if (queue.held < HELD_MAX) return true
    this.dropped += 1
    return false
  }

  add(queue: LogQueue, entry: LogEntry): void {
    queue.held += 1
    if (queue.entries.push(entry) >= BATCH_MAX) this.#send(queue)
    else queue.timer ??= this.#doors.clock.after(BATCH_DELAY_MS, () => this.#send(queue))
  }

  /** Sends what waits; resolves when services have answered, or cannot be reached. */
  async flush(): Promise<void> {
    for (const queue of this.#queues.values()) this.#send(queue)
    await Promise.all(this.#sending)
  }

  #send(queue: LogQueue): void {
    queue.timer?.cancel()
    queue.timer = undefined
    const { entries } = queue
    if (entries.length === 0) return
    queue.entries = []
    const sent = this.#post(queue.service, entries)
      .catch(() => void (this.dropped += entries.length))
      .finally(() => {
        queue.held -= entries.length
        this.#sending.delete(sent)
      })
    this.#sending.add(sent)
  }

  async #post(service: LogServicePlan, entries: readonly LogEntry[]): Promise<void> {
    const { authority, timeoutMs } = service
    const { logsMethod, logsMessage } = await import('./log-messages.ts')
    await this.#callouts.call(this.#cluster(service.cluster), logsMethod(service.kind), logsMessage(service, this.#node, entries), { authority, metadata: [], timeoutMs, mayBeMute: true })
  }
}
