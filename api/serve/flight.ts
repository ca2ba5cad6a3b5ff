import type { Resource } from './resource.ts'

/** A starved proxy reads 16 KB a second: to send it a megabyte again because it is late makes it later. */
const slowBytesAMs = 16
const smallBytes = 64 << 10

/** One response that the client owes an answer to. */
export interface InFlight {
  readonly nonce: string
  readonly revision: number
  /** The oldest revision whose changes it carries. */
  readonly since: number
  readonly resources: readonly Resource[]
  /** It brings something that the client did not have. */
  readonly adds: boolean
  readonly sentAtMs: number
}

/** How far a client has come of all that its stream was sent, in order. Epoch ms. */
export interface Progress {
  /** When it answered last, and when that was sent to it. */
  readonly answeredAtMs: number
  readonly answeredSentAtMs: number
  /** When what waited to be written had left. */
  readonly drainedAtMs: number
}

export const NO_PROGRESS: Progress = { answeredAtMs: 0, answeredSentAtMs: 0, drainedAtMs: 0 }

const none: readonly InFlight[] = []
/** Responses of a type that are unanswered at once: one, and those that bring names for which the client asked meanwhile. */
const flightsMax = 8

/** The responses of a type that are in flight, and for how long they have been: one, into which what changes meanwhile merges (xds-rules 25), and what was asked for since. */
export class Flight {
  #all: readonly InFlight[] = none
  #now: InFlight | undefined
  /** Resyncs without an answer between them. */
  #resyncs = 0
  /** When what is unanswered was first sent, before any resync. */
  #lateSinceMs: number | undefined

  /** All of them as one, as old as the oldest and as new as the newest. */
  get now(): InFlight | undefined {
    return this.#now
  }

  /** One more would be too many. */
  get isFull(): boolean {
    return this.#all.length >= flightsMax
  }

  start(response: Omit<InFlight, 'nonce'>): void {
    this.#set([...this.#all, { ...response, nonce: '', sentAtMs: this.#lateSinceMs ?? response.sentAtMs }])
  }

  /** Its nonce is known once it is encoded. */
  carry(nonce: string): void {
    const last = this.#all.at(-1)
    if (last) this.#set([...this.#all.slice(0, -1), { ...last, nonce }])
  }

  /** The response that an answer is to; undefined when the nonce is none that waits for one. */
  answered(nonce: string): InFlight | undefined {
    const flight = this.#all.find((one) => one.nonce === nonce)
    if (flight === undefined) return undefined
    this.#set(this.#all.filter((one) => one !== flight))
    this.#resyncs = 0
    this.#lateSinceMs = undefined
    return flight
  }

  /** When the response that a nonce stands for was sent. */
  sentAtMs(nonce: string): number | undefined {
    return this.#all.find((one) => one.nonce === nonce)?.sentAtMs
  }

  /**
   * How long a client has owed an answer. Messages of a stream come in order, so one that has just answered something sent before is on its way to this, and its time begins anew;
   * one that answers what was sent later has passed this over.
   */
  lateMs(nowMs: number, { answeredAtMs, answeredSentAtMs, drainedAtMs }: Progress): number | undefined {
    const flight = this.#now
    if (flight === undefined) return undefined
    return nowMs - Math.max(flight.sentAtMs, drainedAtMs, answeredSentAtMs <= flight.sentAtMs ? answeredAtMs : 0)
  }

  /** Gives up what has been unanswered for longer than `afterMs` and the time that a slow reader takes for it, doubled with each time before. */
  giveUpIfLate(nowMs: number, afterMs: number, progress = NO_PROGRESS): { readonly flight: InFlight; readonly unansweredMs: number } | undefined {
    const flight = this.#now
    const lateMs = this.lateMs(nowMs, progress)
    if (!flight || lateMs === undefined) return undefined
    const unansweredMs = nowMs - flight.sentAtMs
    const patience = 2 ** this.#resyncs
    // Asked all the time: what is not late by the least that is due is not added up.
    if (lateMs < afterMs * patience) return undefined
    const bytes = flight.resources.reduce((sum, resource) => sum + resource.bytes.length, 0)
    if (lateMs < (afterMs + Math.max(0, bytes - smallBytes) / slowBytesAMs) * patience) return undefined
    this.#resyncs += 1
    this.#lateSinceMs = flight.sentAtMs
    this.#set(none)
    return { flight, unansweredMs }
  }

  #set(all: readonly InFlight[]): void {
    this.#all = all
    this.#now = all.length > 1 ? all.reduce(together) : all[0]
  }
}

const together = (older: InFlight, newer: InFlight): InFlight => ({
  ...newer,
  since: Math.min(older.since, newer.since),
  resources: [...older.resources, ...newer.resources],
  adds: older.adds || newer.adds,
  sentAtMs: older.sentAtMs,
})
