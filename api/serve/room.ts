import type { Clock, Timer } from '#core/time/clock.ts'
import { FairQueue, type Sharer } from './fair-queue.ts'

export interface RoomLimits {
  /** Large answers that are out and unanswered together. */
  readonly bytesMax: number
  /** An answer that tells of so many resources is large. */
  readonly muchMin: number
}

/** The system's memory for sockets is not much more, and what is beyond it waits there, out of our hands and in no order. */
const usualRoom: RoomLimits = { bytesMax: 128 << 20, muchMin: 64 }
/** The most that an answer takes, for one whose turn it is and that has not sent it yet. */
const promisedBytes = 1 << 20
/** Whoever has not answered by then, where others have who were sent so many answers later, reads slowly or not at all, and what it was sent is put aside: nobody must wait for it. */
const slowMs = 2000
const overtakenBy = 64
/** So much is put aside at once: on a starved machine all are slow, and what they were sent is still on its way. */
const asideTimes = 2
/** Whoever has not answered by then does not read, and what it was sent counts no more. */
const heldMs = 60_000

interface Out<T> {
  readonly one: T
  readonly bytes: number
  readonly sinceMs: number
  /** How many were sent before it. */
  readonly number: number
  isAside: boolean
}

/**
 * Bounds what is on its way to a herd of clients that all have much to be sent: they are served one after the other and not all at once, so the first are done at once and none of them has its
 * answers behind everybody's. Small answers have nothing to do with it. Shares wait in turn, whoever has begun before whoever has not, and a share of which nothing is out never waits.
 */
export class Room<T extends Sharer> {
  readonly #clock: Clock
  readonly #wake: (one: T) => void
  readonly #limits: RoomLimits
  /** In the order of sending. */
  readonly #out = new Set<Out<T>>()
  readonly #promised = new Map<T, Out<T>>()
  readonly #begun = new WeakSet<T>()
  readonly #queues = { begun: new FairQueue<T>(), fresh: new FairQueue<T>() }
  /** How much of each share is out. */
  readonly #shares = new Map<string, number>()
  #bytes = 0
  #aside = 0
  #sent = 0
  /** The latest sent of all that were answered. */
  #answered = 0
  #ageing: Timer | undefined

  /** @param wake calls whoever waited, when it may send */
  constructor(clock: Clock, wake: (one: T) => void, limits = usualRoom) {
    this.#clock = clock
    this.#wake = wake
    this.#limits = limits
  }

  isMuch(resources: number): boolean {
    return resources >= this.#limits.muchMin
  }

  /** Whether one may send something large now. If not it waits, and is woken. */
  admits(one: T): boolean {
    if (this.#promised.has(one)) return true
    const isFree = this.#bytes < this.#limits.bytesMax && this.#queues.begun.size + this.#queues.fresh.size === 0
    if (isFree || !this.#shares.has(one.share)) return true
    if (this.#begun.has(one)) this.#queues.begun.add(one)
    else this.#queues.fresh.add(one)
    return false
  }

  /** It was sent so much. Answers the way to say that it has answered, which does nothing the second time. */
  takes(one: T, bytes: number): () => void {
    const promised = this.#promised.get(one)
    this.#promised.delete(one)
    this.#begun.add(one)
    const out = this.#add(one, bytes)
    if (promised) this.#free(promised)
    return () => {
      if (this.#out.has(out)) this.#answered = Math.max(this.#answered, out.number)
      this.#free(out)
    }
  }

  /** It needs no room after all, or is gone. What it was sent is given back apart. */
  forget(one: T): void {
    this.#queues.begun.delete(one)
    this.#queues.fresh.delete(one)
    const promised = this.#promised.get(one)
    this.#promised.delete(one)
    if (promised) this.#free(promised)
  }

  #add(one: T, bytes: number): Out<T> {
    const out = { one, bytes, sinceMs: this.#clock.monotonicMs(), number: (this.#sent += 1), isAside: false }
    this.#out.add(out)
    this.#bytes += bytes
    this.#shares.set(one.share, (this.#shares.get(one.share) ?? 0) + 1)
    this.#ageing ??= this.#clock.every(slowMs / 4, () => this.#age())
    return out
  }

  #free(out: Out<T>): void {
    if (!this.#out.delete(out)) return
    if (out.isAside) this.#aside -= out.bytes
    else this.#leave(out)
    if (this.#out.size > 0) return
    this.#ageing?.cancel()
    this.#ageing = undefined
  }

  /** Makes room. */
  #leave({ bytes, one: { share } }: Out<T>): void {
    this.#bytes -= bytes
    const left = (this.#shares.get(share) ?? 0) - 1
    if (left > 0) this.#shares.set(share, left)
    else {
      this.#shares.delete(share)
      this.#call(this.#queues.begun.takeOf(share) ?? this.#queues.fresh.takeOf(share))
    }
    this.#fill()
  }

  /** Calls those who may send now. */
  #fill(): void {
    const { begun, fresh } = this.#queues
    while (this.#bytes < this.#limits.bytesMax && begun.size + fresh.size > 0) this.#call(begun.take() ?? fresh.take())
  }

  #call(one: T | undefined): void {
    if (one === undefined) return
    this.#promised.set(one, this.#add(one, promisedBytes))
    this.#wake(one)
  }

  #age(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const out of [...this.#out]) {
      const heldForMs = nowMs - out.sinceMs
      if (heldForMs < slowMs) return
      if (this.#promised.get(out.one) === out || heldForMs >= heldMs) {
        if (this.#promised.get(out.one) === out) this.#promised.delete(out.one)
        this.#free(out)
      } else if (!out.isAside && this.#answered - out.number >= overtakenBy && this.#aside + out.bytes <= asideTimes * this.#limits.bytesMax) {
        out.isAside = true
        this.#aside += out.bytes
        this.#leave(out)
      }
    }
  }
}
