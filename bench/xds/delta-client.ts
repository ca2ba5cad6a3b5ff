import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { toBinary } from '@bufbuild/protobuf'
import { fieldHead, scanFields, stringField, textOf } from '#api/serve/protobuf.ts'
import { ads } from '#core/wire/grpc.ts'
import { NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { writeNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'

const FRAME_HEAD = 5
const WINDOW_BYTES = 16 << 20
const WILDCARDS: readonly string[] = [CLUSTER, LISTENER, SCOPED_ROUTE_CONFIGURATION]

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

/** Strings that all streams know are kept once. */
const interned = new Map<string, string>()
function intern(text: string): string {
  const known = interned.get(text)
  if (known !== undefined) return known
  interned.set(text, text)
  return text
}

/** What a proxy keeps over a reconnect: names and versions by type. */
export type Held = Map<string, Map<string, string>>

export interface ClientOptions {
  readonly url: string
  readonly tls: { readonly ca: string; readonly cert?: string; readonly key?: string } | undefined
  readonly bearer?: string
  readonly node: ProxyNode
  /** From the stream before. */
  readonly held: Held
}

/**
 * One delta ADS stream over a connection of its own, which asks as a sidecar does (CDS, LDS and SRDS by wildcard, then EDS and RDS by the names learned) and acknowledges all.
 * It reads names and versions only, so that many of them cost little beside the server they measure.
 */
export class DeltaClient {
  tally = emptyTally()
  readonly held: Held
  /** Why it ended, when it did. */
  broken: string | undefined
  lastMessageNs = 0n
  readonly #session: ClientHttp2Session
  readonly #stream: ClientHttp2Stream
  readonly #node: Buffer
  readonly #asked = new Set<string>()
  /** Names asked for that have not come, by type. */
  readonly #missing = new Map<string, Set<string>>([
    [CLUSTER_LOAD_ASSIGNMENT, new Set()],
    [ROUTE_CONFIGURATION, new Set()],
  ])
  readonly #pendingTypes = new Set(WILDCARDS)
  #chunks: Buffer[] = []
  #buffered = 0
  #needed = FRAME_HEAD
  /** When its first requests were made, and it went to connect. */
  readonly connectsAtNs: bigint

  constructor(options: ClientOptions) {
    this.held = options.held
    this.#node = Buffer.from(toBinary(NodeSchema, writeNode(options.node)))
    const requests = [...this.#firstRequests()]
    this.connectsAtNs = process.hrtime.bigint()
    this.#session = connect(options.url, {
      ...(options.tls ? { ...options.tls, servername: 'localhost' } : {}),
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    })
    this.#session.once('connect', () => this.#session.setLocalWindowSize(WINDOW_BYTES))
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
    for (const type of WILDCARDS) yield this.#subscription(type, [])
    // A proxy that comes back asks at once for what it uses.
    for (const type of [CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION]) {
      const names = [...(this.held.get(type)?.keys() ?? [])]
      if (names.length > 0) yield this.#subscription(type, names)
    }
  }

  /** Every wildcard was answered, and whatever was asked by name has come or is held from before. */
  get isConfigured(): boolean {
    if (this.#pendingTypes.size > 0) return false
    for (const names of this.#missing.values()) if (names.size > 0) return false
    return true
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
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    if (this.#buffered < this.#needed) return
    let whole = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#buffered)
    this.#needed = FRAME_HEAD
    while (whole.length >= FRAME_HEAD) {
      const end = FRAME_HEAD + whole.readUInt32BE(1)
      this.#needed = end
      if (whole.length < end) break
      this.#onMessage(whole.subarray(FRAME_HEAD, end))
      whole = whole.subarray(end)
      this.#needed = FRAME_HEAD
    }
    this.#chunks = whole.length > 0 ? [whole] : []
    this.#buffered = whole.length
  }

  #onMessage(bytes: Buffer): void {
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
    this.tally.bytesDown += bytes.length
    this.tally.messages += 1
    this.tally.resources += resources.length
    this.#pendingTypes.delete(type)
    const learned: string[] = []
    const follows = type === CLUSTER ? CLUSTER_LOAD_ASSIGNMENT : type === SCOPED_ROUTE_CONFIGURATION ? ROUTE_CONFIGURATION : undefined
    const held = this.#heldOf(type)
    for (const { start, end } of resources) {
      const { name, version, refers } = readResource(bytes.subarray(start, end), type === SCOPED_ROUTE_CONFIGURATION)
      held.set(name, version)
      this.#missing.get(type)?.delete(name)
      if (follows === undefined) continue
      const next = type === CLUSTER ? name : refers
      if (next !== '' && !this.#heldOf(follows).has(next) && !this.#missing.get(follows)?.has(next)) {
        this.#missing.get(follows)?.add(next)
        learned.push(next)
      }
    }
    for (const name of removed) {
      held.delete(name)
      this.#missing.get(type)?.delete(name)
    }
    this.#write(Buffer.concat([stringField(2, type), stringField(6, nonce)]))
    this.lastMessageNs = process.hrtime.bigint()
    this.tally.lastAckNs = this.lastMessageNs
    if (follows !== undefined && learned.length > 0) this.#write(this.#subscription(follows, learned))
  }

  #subscription(type: string, names: readonly string[]): Buffer {
    const parts: Uint8Array[] = []
    // The node is said once a stream.
    if (this.#asked.size === 0) parts.push(fieldHead(1, this.#node.length), this.#node)
    parts.push(stringField(2, type), ...names.map((name) => stringField(3, name)))
    if (!this.#asked.has(type)) {
      this.#asked.add(type)
      for (const [name, version] of this.#heldOf(type)) {
        const entry = Buffer.concat([stringField(1, name), stringField(2, version)])
        parts.push(fieldHead(5, entry.length), entry)
      }
    }
    return Buffer.concat(parts)
  }

  #write(message: Buffer): void {
    const head = Buffer.alloc(FRAME_HEAD)
    head.writeUInt32BE(message.length, 1)
    this.tally.bytesUp += message.length
    this.#stream.write(Buffer.concat([head, message]))
  }

  #heldOf(type: string): Map<string, string> {
    const known = this.held.get(type)
    if (known) return known
    const made = new Map<string, string>()
    this.held.set(type, made)
    return made
  }
}

/** Name and version of a Resource of DeltaDiscoveryResponse; of a scope also the route configuration that it names (ScopedRouteConfiguration, field 2). */
function readResource(bytes: Buffer, isScope: boolean): { name: string; version: string; refers: string } {
  let name = ''
  let version = ''
  let refers = ''
  scanFields(bytes, (field) => {
    if (field.field === 3) name = intern(bytes.toString('latin1', field.start, field.end))
    else if (field.field === 1) version = intern(bytes.toString('latin1', field.start, field.end))
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
      if (inner.field === 2) routes = intern(scope.toString('latin1', inner.start, inner.end))
      return true
    })
    return false
  })
  return routes
}
