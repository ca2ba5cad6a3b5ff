import { scanFields, stringField, textOf } from '#api/serve/protobuf.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { framed, subscription } from './requests.ts'

/** Messages that are kept to be recognized, together. */
const KEPT_BYTES = 192 << 20

/** Numbers for strings that all streams know. Zero is none. */
export class Numbered {
  readonly texts: string[] = ['']
  readonly #numbers = new Map<string, number>()

  of(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    const number = this.texts.length
    this.texts.push(text)
    this.#numbers.set(text, number)
    return number
  }
}

export const versions = new Numbered()
const names = new Map<string, Numbered>()

/** The names of a type. */
export function namesOf(type: string): Numbered {
  let known = names.get(type)
  if (known === undefined) names.set(type, (known = new Numbered()))
  return known
}

/** The type that is asked for by the names that a type brings. */
const followers: Readonly<Record<string, string>> = { [CLUSTER]: CLUSTER_LOAD_ASSIGNMENT, [SCOPED_ROUTE_CONFIGURATION]: ROUTE_CONFIGURATION }

/** A response of delta discovery, read once for all streams that are sent the same bytes. All names and versions are numbers. */
export interface KnownAnswer {
  readonly bytes: Buffer
  readonly type: string
  readonly names: Uint32Array
  readonly versions: Uint32Array
  readonly removed: Uint32Array
  readonly follows: string | undefined
  /** What each resource makes the client ask for, of `follows`; 0 for nothing. */
  readonly next: Uint32Array
  /** The acknowledgement, and the request for all of `next`, as gRPC messages. */
  readonly ack: Buffer
  readonly asksForNext: Buffer
}

/**
 * Answers that others had before. A server writes the same bytes to all who are due the same, and a client that stands for thousands of proxies has no time to read them again for each: that they are the same
 * is seen byte by byte, as they come, and nothing is copied.
 */
export class KnownAnswers {
  /** By length, the newest last; and all of them in the order of coming. */
  readonly #byLength = new Map<number, KnownAnswer[]>()
  readonly #all = new Set<KnownAnswer>()
  #bytes = 0

  /** One of `length` bytes that begins with the first `sure` of `like`, and goes on with `chunk`. */
  find(length: number, like: KnownAnswer | undefined, sure: number, chunk: Buffer): KnownAnswer | undefined {
    return this.#byLength
      .get(length)
      ?.findLast((one) => chunk.equals(one.bytes.subarray(sure, sure + chunk.length)) && (like === undefined || one === like || like.bytes.compare(one.bytes, 0, sure, 0, sure) === 0))
  }

  /** @param bytes in memory of their own */
  learn(bytes: Buffer): KnownAnswer {
    const made = readAnswer(bytes)
    this.#bytes += bytes.length
    this.#all.add(made)
    const alike = this.#byLength.get(bytes.length)
    if (alike) alike.push(made)
    else this.#byLength.set(bytes.length, [made])
    for (const oldest of this.#all) {
      if (this.#bytes <= KEPT_BYTES) break
      this.#forget(oldest)
    }
    return made
  }

  #forget(one: KnownAnswer): void {
    this.#all.delete(one)
    this.#bytes -= one.bytes.length
    const left = this.#byLength.get(one.bytes.length)?.filter((each) => each !== one) ?? []
    if (left.length > 0) this.#byLength.set(one.bytes.length, left)
    else this.#byLength.delete(one.bytes.length)
  }
}

function readAnswer(bytes: Buffer): KnownAnswer {
  let type = ''
  let nonce = ''
  const resources: { start: number; end: number }[] = []
  const removed: string[] = []
  scanFields(bytes, (field) => {
    if (field.field === 2) resources.push(field)
    else if (field.field === 4) type = textOf(bytes, field)
    else if (field.field === 5) nonce = textOf(bytes, field)
    else if (field.field === 6) removed.push(textOf(bytes, field))
    return true
  })
  const own = namesOf(type)
  const follows = followers[type]
  const read = resources.map(({ start, end }) => readResource(bytes.subarray(start, end), type === SCOPED_ROUTE_CONFIGURATION))
  const next = follows === undefined ? [] : read.map(({ name, refers }) => (type === CLUSTER ? name : refers)).map((name) => (name === '' ? 0 : namesOf(follows).of(name)))
  return {
    bytes,
    type,
    names: Uint32Array.from(read, ({ name }) => own.of(name)),
    versions: Uint32Array.from(read, ({ version }) => versions.of(version)),
    removed: Uint32Array.from(removed, (name) => own.of(name)),
    follows,
    next: Uint32Array.from(next),
    ack: framed([stringField(2, type), stringField(6, nonce)]),
    asksForNext: follows === undefined ? Buffer.alloc(0) : framed(subscription(follows, next.filter((name) => name > 0).map((name) => namesOf(follows).texts[name] ?? ''))),
  }
}

/** Name and version of a Resource of DeltaDiscoveryResponse; of a scope also the route configuration that it names (ScopedRouteConfiguration, field 2). */
function readResource(bytes: Buffer, isScope: boolean): { name: string; version: string; refers: string } {
  let name = ''
  let version = ''
  let refers = ''
  scanFields(bytes, (field) => {
    if (field.field === 3) name = bytes.toString('latin1', field.start, field.end)
    else if (field.field === 1) version = bytes.toString('latin1', field.start, field.end)
    else if (field.field === 2 && isScope) refers = routesOf(bytes.subarray(field.start, field.end))
    return true
  })
  return { name, version, refers }
}

function routesOf(any: Buffer): string {
  let routes = ''
  scanFields(any, (field) => {
    if (field.field !== 2) return true
    const scope = any.subarray(field.start, field.end)
    scanFields(scope, (inner) => {
      if (inner.field === 2) routes = scope.toString('latin1', inner.start, inner.end)
      return true
    })
    return false
  })
  return routes
}

/** Waits for the whole of a message, and is given it in pieces. */
export class Recognition {
  readonly #known: KnownAnswers
  readonly #length: number
  #at = 0
  /** Undefined from the start, or when the bytes are none that were seen before. */
  #like: KnownAnswer | undefined
  #own: Buffer | undefined

  constructor(known: KnownAnswers, length: number) {
    this.#known = known
    this.#length = length
  }

  /** The answer when it is whole. @param chunk not longer than what is missing */
  push(chunk: Buffer): KnownAnswer | undefined {
    if (this.#own === undefined) {
      const like = this.#like
      if (like === undefined || !chunk.equals(like.bytes.subarray(this.#at, this.#at + chunk.length))) {
        this.#like = this.#known.find(this.#length, like, this.#at, chunk)
        if (this.#like === undefined) {
          this.#own = Buffer.allocUnsafeSlow(this.#length)
          if (like) like.bytes.copy(this.#own, 0, 0, this.#at)
        }
      }
    }
    if (this.#own) chunk.copy(this.#own, this.#at)
    this.#at += chunk.length
    if (this.#at < this.#length) return undefined
    return this.#like ?? this.#known.learn(this.#own ?? Buffer.alloc(0))
  }

  get missing(): number {
    return this.#length - this.#at
  }
}
