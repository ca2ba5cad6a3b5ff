import type { Clock, Timer } from '#core/time/clock.ts'
import { nonceText } from '#core/wire/nonce.ts'
import { SECRET } from '#core/wire/type-url.ts'
import type { Protocol } from './request.ts'
import type { Resource } from './resource.ts'
import { type Answer, encodeAnswer } from './response.ts'

/** Answers are kept for other streams for as long as these take them: those that none took in one such time, or while so many bytes came, are forgotten after the next. A mesh of 10,000 services is 66 MB. */
const keptBytesMost = 128 << 20
/** With less than this a large answer is hardly ever shared. */
const keptBytesLeast = 8 << 20
/** So much of the memory that the process may take, for each of the two times: together an eighth. */
const keptShare = 1 / 16
const keptMs = 3000
/** Answers beginning with the same resource that are looked through. */
const alikeMax = 4

/** What is kept of answers in one such time by a process that may take so much memory. */
export const keptBytesWithin = (memoryBytes: number): number => Math.min(keptBytesMost, Math.max(keptBytesLeast, Math.floor(memoryBytes * keptShare)))

interface Kept extends Encoded {
  readonly protocol: Protocol
  readonly revision: number | string
  readonly resources: readonly Resource[]
  readonly removed: readonly string[]
  readonly more: boolean
}

export interface Encoded {
  readonly nonce: number
  /** As it stands in the message. */
  readonly text: string
  /** Shared by streams: never written to. */
  readonly message: Buffer
}

/**
 * Encodes answers, once for all streams that are due the same at about the same time: a change that reaches a thousand proxies, or a herd of them that starts.
 * Nonces come from one count, so that an answer can be the same to the last byte: they must be unique within a stream (xDS protocol, "ACK/NACK and resource type instance version"),
 * and a stream is only ever given one that is higher than what it has of the type. An answer is of one type, so no two types of a stream share one either.
 */
export class Answers {
  readonly #clock: Clock
  readonly #bytesMax: number
  /** By the first resource; in each list the newest last. */
  #recent = new Map<Resource, Kept[]>()
  #before = new Map<Resource, Kept[]>()
  /** Of the recent ones. */
  #bytes = 0
  #nonces = 0
  #ageing: Timer | undefined

  /** @param bytesMax see `keptBytesWithin` */
  constructor(clock: Clock, bytesMax = keptBytesMost) {
    this.#clock = clock
    this.#bytesMax = bytesMax
  }

  /**
   * @param above the highest nonce that the stream was given with this type; 0 for none
   * @param more parts of the same answer follow: its nonce says it (`core/wire/nonce.ts`)
   */
  encode(protocol: Protocol, answer: Omit<Answer, 'nonce'>, above: number, more = false): Encoded {
    const [first] = answer.resources
    // Secrets go to their owner only, and are kept nowhere (xds-rules 28). Times to live are few.
    if (first === undefined || answer.type === SECRET || answer.ttl !== undefined) return this.#make(protocol, answer, more)
    const isIt = (one: Kept): boolean => one.nonce > above && one.protocol === protocol && one.revision === answer.revision && one.more === more && sameItems(one.resources, answer.resources) && sameItems(one.removed, answer.removed)
    const known = this.#recent.get(first)?.findLast(isIt)
    if (known) return known
    const old = this.#before.get(first)?.findLast(isIt)
    if (old) {
      this.#keep(first, old)
      return old
    }
    const made = { ...this.#make(protocol, answer, more), protocol, revision: answer.revision, resources: answer.resources, removed: answer.removed, more }
    this.#keep(first, made)
    return made
  }

  #make(protocol: Protocol, answer: Omit<Answer, 'nonce'>, more: boolean): Encoded {
    this.#nonces += 1
    const text = nonceText(this.#nonces, more)
    return { nonce: this.#nonces, text, message: encodeAnswer(protocol, { ...answer, nonce: text }) }
  }

  #keep(first: Resource, made: Kept): void {
    if (this.#bytes + made.message.length > this.#bytesMax) this.#age()
    this.#bytes += made.message.length
    const alike = this.#recent.get(first)
    if (alike === undefined) this.#recent.set(first, [made])
    else {
      alike.push(made)
      if (alike.length > alikeMax) this.#bytes -= alike.shift()?.message.length ?? 0
    }
    this.#ageing ??= this.#clock.every(keptMs, () => this.#age())
  }

  #age(): void {
    this.#before = this.#recent
    this.#recent = new Map()
    this.#bytes = 0
    if (this.#before.size > 0) return
    this.#ageing?.cancel()
    this.#ageing = undefined
  }
}

/** The same things in the same order. */
function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false
  return true
}
