import type { Clock } from '#core/time/clock.ts'

/** Streams served in one turn of the event loop, and the time after which a turn ends early. */
const streamsPerTurn = 64
const turnMs = 8
/** First answers are large; so many a turn, that a herd of new proxies does not delay the connected ones (xds-rules 26). */
const firstAnswersPerTurn = 4

/** Whoever has something to send: it sends a bounded amount. */
export interface Turn {
  pump(): void
}

type Urgency = 'endpoints' | 'change' | 'first'

/**
 * Gives streams their turns: at once, without a quiet time, and round robin, a bounded amount of work a turn of the event loop.
 * Endpoints jump the queue; what is new waits behind what is connected.
 */
export class Publisher {
  readonly #clock: Clock
  readonly #queues: Readonly<Record<Urgency, Set<Turn>>> = { endpoints: new Set(), change: new Set(), first: new Set() }
  readonly #schedule: (run: () => void) => void
  #scheduled = false

  /** @param schedule runs something in the event loop's next turn: `setImmediate` */
  constructor(clock: Clock, schedule: (run: () => void) => void) {
    this.#clock = clock
    this.#schedule = schedule
  }

  wake(stream: Turn, urgency: Urgency): void {
    const { endpoints, change, first } = this.#queues
    if (endpoints.has(stream)) return
    if (urgency === 'endpoints') {
      change.delete(stream)
      first.delete(stream)
      endpoints.add(stream)
    } else if (!change.has(stream)) {
      if (urgency === 'change' && !first.has(stream)) change.add(stream)
      else first.add(stream)
    }
    this.#arrange()
  }

  forget(stream: Turn): void {
    for (const queue of Object.values(this.#queues)) queue.delete(stream)
  }

  #arrange(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(() => {
      this.#scheduled = false
      this.#turn()
    })
  }

  #turn(): void {
    const { endpoints, change, first } = this.#queues
    // New streams keep a share of their own: without it a mesh that changes all the time would never let anyone in. It is no part of the others' time, however much that one costs.
    this.#serve(first, 1, Infinity)
    const endsAtMs = this.#clock.monotonicMs() + turnMs
    this.#serve(endpoints, streamsPerTurn, endsAtMs)
    this.#serve(change, streamsPerTurn, endsAtMs)
    this.#serve(first, firstAnswersPerTurn - 1, endsAtMs)
    if (endpoints.size + change.size + first.size > 0) this.#arrange()
  }

  #serve(queue: Set<Turn>, count: number, endsAtMs: number): void {
    let served = 0
    for (const stream of queue) {
      if (served >= count || this.#clock.monotonicMs() > endsAtMs) return
      served += 1
      // Taken out before its turn: whoever wakes during it stands at the end again.
      queue.delete(stream)
      stream.pump()
    }
  }
}
