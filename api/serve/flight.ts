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

/** The response of a type that is in flight, of which there is one at most (xds-rules 25), and for how long it has been. */
export class Flight {
  #now: InFlight | undefined
  /** Resyncs without an answer between them. */
  #resyncs = 0
  /** When what is unanswered was first sent, before any resync. */
  #lateSinceMs: number | undefined

  get now(): InFlight | undefined {
    return this.#now
  }

  start(response: Omit<InFlight, 'nonce'>): void {
    this.#now = { ...response, nonce: '', sentAtMs: this.#lateSinceMs ?? response.sentAtMs }
  }

  /** Its nonce is known once it is encoded. */
  carry(nonce: string): void {
    if (this.#now) this.#now = { ...this.#now, nonce }
  }

  /** The response that an answer is to; undefined when the nonce is none that waits for one. */
  answered(nonce: string): InFlight | undefined {
    const flight = this.#now
    if (flight?.nonce !== nonce) return undefined
    this.#now = undefined
    this.#resyncs = 0
    this.#lateSinceMs = undefined
    return flight
  }

  /** Gives up the response that has been unanswered for longer than `afterMs` and the time that a slow reader takes for it, doubled with each time before. */
  giveUpIfLate(nowMs: number, afterMs: number): { readonly flight: InFlight; readonly unansweredMs: number } | undefined {
    const flight = this.#now
    if (!flight) return undefined
    const unansweredMs = nowMs - flight.sentAtMs
    const patience = 2 ** this.#resyncs
    // Asked all the time: what is not late by the least that is due is not added up.
    if (unansweredMs < afterMs * patience) return undefined
    const bytes = flight.resources.reduce((sum, resource) => sum + resource.bytes.length, 0)
    if (unansweredMs < (afterMs + Math.max(0, bytes - smallBytes) / slowBytesAMs) * patience) return undefined
    this.#resyncs += 1
    this.#lateSinceMs = flight.sentAtMs
    this.#now = undefined
    return { flight, unansweredMs }
  }
}
