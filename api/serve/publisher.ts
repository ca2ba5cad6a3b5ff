import type { Clock } from '#core/time/clock.ts'
import { FairQueue, type Sharer } from './fair-queue.ts'

/** Streams served in one turn of the event loop, and the time after which a turn ends early. */
const streamsPerTurn = 64
const turnMs = 4
/** The first turn after a rest: what it wrote leaves the process when it is over, so the first byte does not wait for many streams. */
const openingTurnMs = 1
/** First answers are large; so many a turn, that a herd of new proxies does not delay the connected ones (xds-rules 26). */
const firstAnswersPerTurn = 4
/** Changes of other things than endpoints that a turn has time for, however many endpoints there are. */
const changesOfTurnMin = 2

/** Whoever has something to send: it sends a bounded amount. */
export interface Turn extends Sharer {
  pump(): void
}

type Urgency = 'endpoints' | 'change' | 'first'

/**
 * Gives streams their turns: at once, without a quiet time, and round robin, first among meshes and then among the streams of one, a bounded amount of work a turn of the event loop.
 * Endpoints jump the queue; what is new waits behind what is connected.
 */
export class Publisher {
  readonly #clock: Clock
  readonly #queues: Readonly<Record<Urgency, FairQueue<Turn>>> = { endpoints: new FairQueue(), change: new FairQueue(), first: new FairQueue() }
  readonly #schedule: (run: () => void) => void
  #scheduled = false
  /** Nobody waited when the last turn was over. */
  #rested = true

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
    const endsAtMs = this.#clock.monotonicMs() + (this.#rested ? openingTurnMs : turnMs)
    this.#serve(endpoints, streamsPerTurn, endsAtMs)
    this.#serve(change, streamsPerTurn, endsAtMs, changesOfTurnMin)
    this.#serve(first, firstAnswersPerTurn - 1, endsAtMs)
    this.#rested = endpoints.size + change.size + first.size === 0
    if (!this.#rested) this.#arrange()
  }

  /** @param least so many have their turn, however late it is */
  #serve(queue: FairQueue<Turn>, count: number, endsAtMs: number, least = 0): void {
    for (let served = 0; served < count; served += 1) {
      if (served >= least && this.#clock.monotonicMs() > endsAtMs) return
      // Taken out before its turn: whoever wakes during it stands at the end again.
      const stream = queue.take()
      if (stream === undefined) return
      stream.pump()
    }
  }
}
