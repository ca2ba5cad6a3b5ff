import type { PeerInfo } from '#core/route/request.ts'
import type { HttpStack } from '../../filter/stack.ts'
import type { Source } from '../../telemetry/metrics.ts'
import { answers } from '../answer.ts'
import { Caller } from '../caller.ts'
import type { ClientConnection, Engine } from '../engine.ts'
import type { FieldTable } from '../head-scan.ts'
import { dropInternalFields } from '../internal-fields.ts'
import { HttpRequestHead } from '../request-head.ts'
import type { ClientIdentity } from '../server-connection.ts'
import type { Wire, WireHandler } from '../socket.ts'
import { Connection } from './connection.ts'
import type { ConnectionOwner } from './connection.ts'
import { CANCEL, NO_ERROR, PROTOCOL_ERROR } from './frames.ts'
import type { HeadBlock } from './head-block.ts'
import { MALFORMED, readRequest } from './read-request.ts'
import { ServerStream } from './server-stream.ts'
import type { OwnSettings } from './settings.ts'
import type { Stream } from './stream.ts'

/** How long a closing connection is read from, so that GOAWAY is not lost to a reset. */
const LINGER_MS = 1000
/** A client that does not say hello by then, where the plan sets no time of its own. */
const HELLO_TIMEOUT_MS = 10_000
/** A client that takes nothing, not even answers to its PINGs, is cut off here. */
const UNSENT_BYTES_MAX = 16 * 1024 * 1024
const FREE_HEADS_MAX = 128
/** What a client still sends when it was told to go is thrown away, up to here. */
const IGNORED_BYTES_MAX = 1024 * 1024

/** Edges meet strangers, sidecars meet each other: Envoy's advice for the edge (configuration/best_practices/edge), and room for a busy peer. */
const edge = { streamWindow: 64 * 1024, connectionWindow: 1024 * 1024, concurrentStreamsMax: 100 }
const mesh = { streamWindow: 256 * 1024, connectionWindow: 16 * 1024 * 1024, concurrentStreamsMax: 1000 }

/** One client connection that speaks HTTP/2: an exchange for each stream. */
export class Http2ServerConnection implements WireHandler, ConnectionOwner, ClientConnection {
  readonly engine: Engine
  readonly stack: HttpStack
  readonly peer: PeerInfo
  readonly tlsVersion: string
  readonly clientCertificate: string
  wire!: Wire
  reading = false
  draining = false
  readonly #connection: Connection
  readonly #touched: ServerStream[] = []
  /** The head that the next request is read into. */
  #nextHead = new HttpRequestHead()
  readonly #freeHeads: HttpRequestHead[] = []
  readonly #caller: Caller
  #closing = false
  #asked = false
  #closeByMs = 0
  #ignoredBytes = 0
  #drainsSinceMs = 0
  #idleSinceMs: number
  readonly #beganMs: number

  constructor(engine: Engine, stack: HttpStack, peer: PeerInfo, identity: ClientIdentity) {
    this.engine = engine
    this.stack = stack
    this.peer = peer
    this.#caller = new Caller(engine.metrics, peer)
    this.tlsVersion = identity.tlsVersion
    this.clientCertificate = identity.xfcc
    this.#beganMs = engine.sweptMs
    this.#idleSinceMs = engine.sweptMs
    const own: OwnSettings = { ...(stack.direction === 'gateway' || stack.plan.useRemoteAddress ? edge : mesh), ...stack.plan.http2, headerBytesMax: stack.plan.headerBytesMax }
    this.#connection = new Connection(this, true, own, engine.sweptMs)
    engine.connections.add(this)
  }

  /** Takes over the wire; `early` was read from it before. */
  begin(wire: Wire, early: Buffer | undefined): void {
    this.wire = wire
    wire.handler = this
    this.#connection.begin(wire)
    if (early !== undefined) wire.received(early, early.length)
  }

  sourceOf(request: HttpRequestHead): Source {
    return this.#caller.source(request)
  }

  /** This read brought something for the stream's exchange, which goes on at its end. */
  touch(stream: ServerStream): void {
    if (stream.touched || !this.reading) return
    stream.touched = true
    this.#touched.push(stream)
  }

  // ---- the wire

  onRead(bytes: Buffer, length: number): void {
    if (this.#closing) {
      this.#ignoredBytes += length
      if (this.#ignoredBytes > IGNORED_BYTES_MAX) this.wire.destroy()
      return
    }
    this.#connection.nowMs = this.engine.sweptMs
    this.reading = true
    this.#connection.read(bytes, 0, length)
    this.reading = false
    const touched = this.#touched
    for (let i = 0; i < touched.length; i++) {
      const stream = touched[i]!
      stream.touched = false
      stream.exchange.onDownstreamReadDone()
    }
    touched.length = 0
    if (this.wire.unsentBytes > UNSENT_BYTES_MAX) this.wire.destroy()
  }

  /** The client sends no more, so that no stream of it can be finished in order. */
  onReadEnd(): void {
    this.#connection.failStreams(CANCEL)
    this.#close()
  }

  onWritable(): void {
    this.#connection.onWritable()
  }

  onClosed(): void {
    this.engine.connections.delete(this)
    this.#closing = true
    this.#connection.out.sink = undefined
    this.#connection.failStreams(CANCEL)
  }

  // ---- the connection

  get headFields(): FieldTable {
    return this.#nextHead.fields
  }

  onRequest(stream: Stream, block: HeadBlock, ends: boolean): void {
    const head = this.#nextHead
    this.#nextHead = this.#freeHeads.pop() ?? new HttpRequestHead()
    head.scheme = this.peer.tls ? 'https' : 'http'
    const problem = readRequest(head, block, ends)
    if (problem === MALFORMED) {
      stream.reset(PROTOCOL_ERROR)
      return
    }
    if (problem === undefined) dropInternalFields(head, this.stack.plan.useRemoteAddress)
    this.#asked = true
    const served = new ServerStream(this, stream, head)
    if (problem !== undefined) {
      served.exchange.refuse(answers.badHead(problem.status, problem.details))
      return
    }
    served.exchange.start()
    if (!served.exchange.over) this.touch(served)
  }

  onGoaway(): void {
    this.draining = true
  }

  onSettings(): void {}
  onPong(): void {}

  onStreamClosed(stream: Stream): void {
    this.#idleSinceMs = this.engine.sweptMs
    if (stream.receiver instanceof ServerStream) this.recycle(stream.receiver)
  }

  /** Called at the end of the stream and of its exchange, whichever comes first: the later one gives the head back. */
  recycle(stream: ServerStream): void {
    if (stream.finished && !stream.recycled && this.#freeHeads.length < FREE_HEADS_MAX) {
      stream.recycled = true
      this.#freeHeads.push(stream.head)
    }
  }

  onFailed(): void {
    this.#close()
  }

  // ---- the end

  #close(): void {
    if (this.#closing) return
    this.#closing = true
    this.#closeByMs = this.engine.sweptMs + LINGER_MS
    // GOAWAY, and what streams still had to say, leave first.
    setImmediate(() => {
      this.#connection.out.flush()
      if (!this.wire.closed) this.wire.end()
    })
  }

  sweep(nowMs: number): void {
    const connection = this.#connection
    if (this.#closing) {
      if (this.#closeByMs > 0 && nowMs >= this.#closeByMs) this.wire.destroy()
      return
    }
    const { plan } = this.stack
    // Who has asked nothing yet came because no balancer has told it otherwise, and gets its answer first.
    if (this.draining || (this.engine.draining && (this.engine.closesIdle || this.#asked))) {
      connection.control.drain()
      this.#drainsSinceMs ||= nowMs
      // A client that does not even answer a PING is not waited for.
      if (connection.streams.size === 0 && (connection.control.drained || nowMs - this.#drainsSinceMs >= LINGER_MS)) return this.#close()
    }
    connection.sweep(nowMs, plan.streamIdleTimeoutMs > 0 ? plan.streamIdleTimeoutMs : this.engine.overload.limits.stallMs)
    const helloMs = plan.headersTimeoutMs > 0 ? plan.headersTimeoutMs : HELLO_TIMEOUT_MS
    if (!connection.ready && nowMs - this.#beganMs >= helloMs) return connection.fail(PROTOCOL_ERROR, 'no SETTINGS in time')
    const partialSinceMs = connection.incompleteSinceMs
    if (partialSinceMs > 0 && nowMs - partialSinceMs >= helloMs) return connection.fail(PROTOCOL_ERROR, 'a frame was not completed in time')
    if (connection.streams.size > 0) return
    const idleMs = nowMs - this.#idleSinceMs
    if (plan.idleTimeoutMs > 0 && idleMs >= plan.idleTimeoutMs) connection.fail(NO_ERROR, 'idle')
    else if (connection.goneAway) connection.fail(NO_ERROR, '')
  }

  get busy(): boolean {
    return this.#connection.streams.size > 0
  }

  destroy(): void {
    this.wire.destroy()
  }
}
