import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { toBinary } from '@bufbuild/protobuf'
import { fieldHead } from '#api/serve/protobuf.ts'
import { ads } from '#core/wire/grpc.ts'
import { NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { writeNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { HeldNames } from './held-names.ts'
import { type KnownAnswer, KnownAnswers, namesOf, Recognition, versions } from './known-answers.ts'
import { FRAME_HEAD, framed, subscription } from './requests.ts'

const WINDOW_BYTES = 16 << 20
const WILDCARDS: readonly string[] = [CLUSTER, LISTENER, SCOPED_ROUTE_CONFIGURATION]
const BY_NAME: readonly string[] = [CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION]

/** What one stream saw since the last mark. */
export interface Tally {
  bytesDown: number
  bytesUp: number
  messages: number
  resources: number
  firstByteNs: bigint
  lastAckNs: bigint
}

const emptyTally = (): Tally => ({ bytesDown: 0, bytesUp: 0, messages: 0, resources: 0, firstByteNs: 0n, lastAckNs: 0n })

/** What a proxy keeps over a reconnect, by type. */
export type Held = ReadonlyMap<string, HeldNames>

export interface ClientOptions {
  readonly url: string
  readonly tls: { readonly ca: string; readonly cert?: string; readonly key?: string } | undefined
  readonly bearer?: string
  readonly node: ProxyNode
  /** From the stream before. */
  readonly held: Held
}

/** Of all streams of the process: what was written and read before for one that stood where another stands. */
const answers = new KnownAnswers()
const returns = new Map<string, { readonly held: HeldNames; readonly parts: readonly Uint8Array[] }>()

/** The first request of a type by whoever comes back: what it holds, and what of it it asks for by name. */
function returning(type: string, held: HeldNames): readonly Uint8Array[] {
  const known = returns.get(type)
  if (known?.held.equals(held)) return known.parts
  const names = namesOf(type).texts
  const entries = [...held].map(([name, version]) => [names[name] ?? '', versions.texts[version] ?? ''] as const)
  const parts = subscription(type, BY_NAME.includes(type) ? entries.map(([name]) => name) : [], entries)
  returns.set(type, { held: held.afterwards(), parts: [Buffer.concat(parts)] })
  return parts
}

/**
 * One delta ADS stream over a connection of its own, which asks as a sidecar does (CDS, LDS and SRDS by wildcard, then EDS and RDS by the names learned) and acknowledges all.
 * It reads names and versions only, and those of a message that others were sent as well once for all, so that many of them cost little beside the server they measure.
 */
export class DeltaClient {
  tally = emptyTally()
  /** Why it ended, when it did. */
  broken: string | undefined
  lastMessageNs = 0n
  readonly #held = new Map<string, HeldNames>()
  readonly #session: ClientHttp2Session
  readonly #stream: ClientHttp2Stream
  readonly #node: Buffer
  readonly #asked = new Set<string>()
  readonly #pendingTypes = new Set(WILDCARDS)
  #head: Buffer | undefined
  #message: Recognition | undefined
  /** When its first requests were made, and it went to connect. */
  readonly connectsAtNs: bigint
  /** Resolves when it has a connection, or has lost it. */
  readonly connected: Promise<void>

  constructor(options: ClientOptions) {
    for (const [type, held] of options.held) this.#held.set(type, held.afterwards())
    this.#node = Buffer.from(toBinary(NodeSchema, writeNode(options.node)))
    const requests = [...this.#firstRequests()]
    this.connectsAtNs = process.hrtime.bigint()
    this.#session = connect(options.url, {
      ...(options.tls ? { ...options.tls, servername: 'localhost' } : {}),
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    })
    this.#session.once('connect', () => this.#session.setLocalWindowSize(WINDOW_BYTES))
    this.connected = new Promise((resolve) => {
      this.#session.once('connect', () => resolve())
      this.#session.once('close', () => resolve())
    })
    this.#session.on('error', (error) => this.#break(String(error)))
    this.#stream = this.#session.request({ ':method': 'POST', ':path': ads.deltaAggregatedResources.path, 'content-type': 'application/grpc', te: 'trailers', ...(options.bearer === undefined ? {} : { authorization: `Bearer ${options.bearer}` }) })
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.#stream.on('trailers', (trailers) => this.#break(`${String(trailers['grpc-status'])} ${String(trailers['grpc-message'])}`))
    this.#stream.on('response', (headers) => {
      if (headers['grpc-status'] !== undefined) this.#break(`${String(headers['grpc-status'])} ${String(headers['grpc-message'])}`)
    })
    this.#stream.on('error', (error) => this.#break(String(error)))
    this.#stream.on('close', () => this.#break('closed'))
    for (const request of requests) this.#write(request)
  }

  *#firstRequests(): Iterable<Buffer> {
    for (const type of WILDCARDS) yield this.#first(type)
    // A proxy that comes back asks at once for what it uses.
    for (const type of BY_NAME) if (this.#held.has(type)) yield this.#first(type)
  }

  /** Every wildcard was answered, and whatever was asked by name has come or is held from before. */
  get isConfigured(): boolean {
    if (this.#pendingTypes.size > 0) return false
    for (const type of BY_NAME) if ((this.#held.get(type)?.missing ?? 0) > 0) return false
    return true
  }

  get held(): Held {
    return this.#held
  }

  mark(): void {
    this.tally = emptyTally()
  }

  close(): void {
    this.broken = 'closed by the bench'
    this.#stream.close(constants.NGHTTP2_CANCEL)
    this.#session.destroy()
  }

  #break(reason: string): void {
    this.broken ??= reason
  }

  #onData(chunk: Buffer): void {
    if (this.tally.firstByteNs === 0n) this.tally.firstByteNs = process.hrtime.bigint()
    let rest = this.#head === undefined ? chunk : Buffer.concat([this.#head, chunk])
    this.#head = undefined
    while (rest.length > 0) {
      if (this.#message === undefined) {
        if (rest.length < FRAME_HEAD) {
          this.#head = Buffer.from(rest)
          return
        }
        this.#message = new Recognition(answers, rest.readUInt32BE(1))
        rest = rest.subarray(FRAME_HEAD)
      }
      const piece = rest.subarray(0, this.#message.missing)
      rest = rest.subarray(piece.length)
      const answer = this.#message.push(piece)
      if (answer === undefined) continue
      this.#message = undefined
      this.#onAnswer(answer)
    }
  }

  #onAnswer(answer: KnownAnswer): void {
    const { type, follows } = answer
    this.tally.bytesDown += answer.bytes.length
    this.tally.messages += 1
    this.tally.resources += answer.names.length
    this.#pendingTypes.delete(type)
    const held = this.#heldOf(type)
    for (let at = 0; at < answer.names.length; at += 1) held.set(answer.names[at] ?? 0, answer.versions[at] ?? 0)
    for (const name of answer.removed) held.delete(name)
    this.#write(answer.ack)
    this.lastMessageNs = process.hrtime.bigint()
    this.tally.lastAckNs = this.lastMessageNs
    if (follows !== undefined) this.#askForNext(answer, follows)
  }

  #askForNext({ next, asksForNext }: KnownAnswer, type: string): void {
    const held = this.#heldOf(type)
    const learned: number[] = []
    let all = 0
    for (const name of next) {
      if (name === 0) continue
      all += 1
      if (held.has(name)) continue
      held.ask(name)
      learned.push(name)
    }
    if (learned.length === 0) return
    // Nobody who holds anything of the type is here for the first time.
    this.#asked.add(type)
    this.#write(learned.length === all ? asksForNext : framed(subscription(type, learned.map((name) => namesOf(type).texts[name] ?? ''))))
  }

  #first(type: string): Buffer {
    const node = this.#asked.size === 0 ? [fieldHead(1, this.#node.length), this.#node] : []
    this.#asked.add(type)
    const held = this.#held.get(type)
    // The node is said once a stream.
    return framed([...node, ...(held === undefined ? subscription(type, []) : returning(type, held))])
  }

  #write(frame: Buffer): void {
    this.tally.bytesUp += frame.length - FRAME_HEAD
    this.#stream.write(frame)
  }

  #heldOf(type: string): HeldNames {
    let known = this.#held.get(type)
    if (known === undefined) this.#held.set(type, (known = new HeldNames()))
    return known
  }
}
