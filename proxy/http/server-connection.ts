import type { PeerInfo } from '#core/route/request.ts'
import type { HttpStack } from '../filter/stack.ts'
import { Tunnel } from '../tcp/tunnel.ts'
import type { Source } from '../telemetry/metrics.ts'
import { answers, reasonOf } from './answer.ts'
import { CHUNKED, UNTIL_CLOSE } from './body.ts'
import { putBody, putEnd } from './body-out.ts'
import { Caller } from './caller.ts'
import type { ClientConnection, Engine } from './engine.ts'
import { Exchange } from './exchange.ts'
import { dropInternalFields } from './internal-fields.ts'
import { problems } from './request-head.ts'
import type { HeadProblem, HttpRequestHead } from './request-head.ts'
import type { HttpResponseHead } from './response-reader.ts'
import { RequestReader } from './request-reader.ts'
import type { RequestSink } from './request-reader.ts'
import type { Downstream, TunnelledUpstream } from './sides.ts'
import type { Wire, WireHandler } from './socket.ts'

/** Pipelined bytes kept while an exchange runs; beyond, the client waits. */
const KEPT_BYTES_MAX = 64 * 1024
/** How long a closing connection is read from, so that the last answer is not lost to a reset (RFC 9112 §9.6). */
const LINGER_MS = 1000
/** A connection that has nothing to do stays so long while its listener drains: its client may have sent a request already that is not here yet, the first one above all. */
const DRAIN_IDLE_MS = 1000

const PREFACE_START = 'PRI'
const nothing = Buffer.alloc(0)

/** What TLS told of the client. */
export interface ClientIdentity {
  readonly tlsVersion: string
  /** XFCC element, `By=…;Hash=…;Subject="";URI=…`; empty without a client certificate. */
  readonly xfcc: string
}

export const noIdentity: ClientIdentity = { tlsVersion: '', xfcc: '' }

/** One client connection that speaks HTTP/1.1: one exchange at a time, in the order of requests. */
export class ServerConnection implements WireHandler, RequestSink, Downstream, ClientConnection {
  readonly engine: Engine
  readonly stack: HttpStack
  readonly peer: PeerInfo
  readonly tlsVersion: string
  readonly clientCertificate: string
  wire!: Wire
  /** More of what one read brought may follow at once: what goes upstream is flushed at its end. */
  reading = false
  /** The listener goes away: close when idle. */
  draining = false
  readonly #reader: RequestReader
  #exchange: Exchange | undefined
  readonly #caller: Caller
  #closing = false
  #paused = false
  #closeByMs = 0
  #answerChunked = false
  /** Since when nothing, or only a part of a head, was received. */
  #idleSinceMs: number
  #tunnel: Tunnel | undefined

  /** Bytes that may yet turn out to be HTTP/2's preface; undefined once it is known that they are not. */
  #undecided: Buffer | undefined
  readonly #isHttp2: ((bytes: Buffer) => void) | undefined

  /** `isHttp2` takes the wire over when the client begins with HTTP/2's preface (RFC 9113 §3.3, prior knowledge); undefined: HTTP/1.1 alone is spoken. */
  constructor(engine: Engine, stack: HttpStack, peer: PeerInfo, identity: ClientIdentity, isHttp2: ((bytes: Buffer) => void) | undefined) {
    this.#isHttp2 = isHttp2
    this.#undecided = isHttp2 === undefined ? undefined : nothing
    this.engine = engine
    this.stack = stack
    this.peer = peer
    this.#caller = new Caller(engine.metrics, peer)
    this.tlsVersion = identity.tlsVersion
    this.clientCertificate = identity.xfcc
    this.#reader = new RequestReader(this, stack.plan.headerBytesMax)
    this.#idleSinceMs = engine.sweptMs
    engine.connections.add(this)
  }

  /** Takes over the wire; `early` was read from it before. */
  begin(wire: Wire, early: Buffer | undefined): void {
    this.wire = wire
    wire.handler = this
    if (early !== undefined) wire.received(early, early.length)
  }

  /** Who calls, for metrics. */
  sourceOf(request: HttpRequestHead): Source {
    return this.#caller.source(request)
  }

  // ---- what the exchange asks

  get protocol(): string {
    return 'HTTP/1.1'
  }

  get congested(): boolean {
    return this.wire.congested
  }

  get readsRecords(): boolean {
    return this.wire.readsRecords
  }

  /** Whether the connection ends with this exchange. */
  get #closesSoon(): boolean {
    return this.#reader.head.closes || this.draining || this.engine.draining || this.engine.overload.full
  }

  sendContinue(): void {
    this.wire.put('HTTP/1.1 100 Continue\r\n\r\n')
    this.wire.flush()
  }

  sendHead(_status: number, statusText: string, lines: string, framing: number): void {
    this.#answerChunked = framing === CHUNKED || framing === UNTIL_CLOSE
    this.wire.put(`HTTP/1.1${statusText}${lines}${this.#answerChunked ? 'transfer-encoding: chunked\r\n' : ''}${this.#closesSoon ? 'connection: close\r\n' : ''}\r\n`)
  }

  sendAnswer(status: number, lines: string, body: string, closes: boolean): void {
    this.wire.put(`HTTP/1.1 ${status} ${reasonOf(status)}\r\n${lines}${closes || this.#closesSoon ? 'connection: close\r\n' : ''}\r\n${body}`)
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    putBody(this.wire, this.#answerChunked, bytes, start, end)
  }

  sendEnd(trailers: string): void {
    putEnd(this.wire, this.#answerChunked, trailers)
  }

  flush(): void {
    this.wire.flushSoon()
  }

  flushLate(): void {
    this.wire.flushLate()
  }

  pause(): void {
    this.wire.pause()
  }

  resume(): void {
    this.wire.resume()
  }

  // ---- what the wire tells

  onRead(bytes: Buffer, length: number): void {
    if (this.#closing) return
    if (this.#undecided !== undefined) return this.#decide(bytes, length)
    if (this.#reader.idle) this.#idleSinceMs = this.engine.sweptMs
    this.reading = true
    this.#reader.push(bytes, 0, length)
    this.reading = false
    this.#exchange?.onDownstreamReadDone()
    const { kept } = this.#reader
    if (kept !== undefined && kept.length > KEPT_BYTES_MAX && !this.#reader.awaitsHead && !this.#paused) {
      this.#paused = true
      this.wire.pause()
    }
  }

  /** The first three bytes tell: no method of HTTP/1.1 is `PRI`. */
  #decide(bytes: Buffer, length: number): void {
    const seen = Buffer.concat([this.#undecided ?? nothing, bytes.subarray(0, length)])
    if (seen.length < 3 && PREFACE_START.startsWith(seen.toString('latin1'))) {
      this.#undecided = seen
      return
    }
    this.#undecided = undefined
    if (seen.toString('latin1', 0, 3) === PREFACE_START) {
      this.engine.connections.delete(this)
      this.#isHttp2?.(seen)
    } else this.onRead(seen, seen.length)
  }

  onReadEnd(): void {
    if (this.#exchange !== undefined) {
      this.#exchange.onDownstreamClosed()
      this.#exchange = undefined
      this.wire.destroy()
    } else if (this.#closing) this.wire.destroy()
    else {
      this.#closing = true
      this.#closeByMs = this.engine.sweptMs + LINGER_MS
      this.wire.end()
    }
  }

  onWritable(): void {
    this.#exchange?.onDownstreamWritable()
  }

  onClosed(): void {
    this.engine.connections.delete(this)
    this.#closing = true
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.onDownstreamClosed()
  }

  onRequest(head: HttpRequestHead): void {
    head.scheme = this.peer.tls ? 'https' : 'http'
    dropInternalFields(head, this.stack.plan.useRemoteAddress)
    const exchange = new Exchange(this.engine, this.stack, this, head)
    this.#exchange = exchange
    exchange.start()
  }

  onBody(bytes: Uint8Array, start: number, end: number): void {
    this.#exchange?.onRequestBody(bytes as Buffer, start, end)
  }

  onRequestEnd(trailers: string): void {
    if (this.#exchange !== undefined) this.#exchange.onRequestEnd(trailers)
    else this.#next()
  }

  onBadRequest(problem: HeadProblem): void {
    const running = this.#exchange
    if (running !== undefined) {
      // A body that is not one: the request cannot be completed.
      running.answerWith(answers.badHead(problem.status, problem.details))
      if (this.#exchange === undefined) return this.#close()
      running.onDownstreamClosed()
      return this.fail()
    }
    if (this.#closing) return
    const exchange = new Exchange(this.engine, this.stack, this, this.#reader.head)
    exchange.refuse(answers.badHead(problem.status, problem.details))
  }

  /** The exchange's answer is complete, in the wire's hands. */
  exchangeOver(requestComplete: boolean, closes: boolean): void {
    this.#exchange = undefined
    this.wire.flushSoon()
    if (this.#closing) return
    if (closes || this.#closesSoon) return this.#close()
    this.#idleSinceMs = this.engine.sweptMs
    if (requestComplete) this.#next()
    // Else the rest of the refused request is read and left; the next one begins after it.
  }

  #next(): void {
    this.#idleSinceMs = this.engine.sweptMs
    if (this.#paused) {
      this.#paused = false
      this.wire.resume()
    }
    this.#reader.next()
  }

  #close(): void {
    this.#closing = true
    this.#reader.stop()
    this.#closeByMs = this.engine.sweptMs + LINGER_MS
    this.wire.end()
    this.wire.resume()
  }

  /** Cuts the connection: an answer that began cannot be finished. */
  fail(): void {
    this.#exchange = undefined
    this.#closing = true
    this.wire.flush()
    this.wire.destroy()
  }

  becomeTunnel(head: HttpResponseHead | undefined, lines: string, upstream: TunnelledUpstream, over: (sentBytes: number, receivedBytes: number) => void): void {
    this.#exchange = undefined
    this.engine.connections.delete(this)
    const connected = head?.status !== 101
    if (connected) this.wire.put(`HTTP/1.1${head?.statusText ?? ' 200 OK\r\n'}${lines}\r\n`)
    else this.wire.put(`HTTP/1.1 101 Switching Protocols\r\n${lines}connection: upgrade\r\nupgrade: ${head.upgrade === '' ? this.#reader.head.upgrade : head.upgrade}\r\n\r\n`)
    this.wire.flush()
    const fromClient = this.#reader.takeRest()
    const fromServer = upstream.takeRest()
    this.#tunnel = new Tunnel(this.engine, this.wire, upstream.wire, this.stack.plan.streamIdleTimeoutMs, connected, over)
    this.#tunnel.begin(fromClient, fromServer)
  }

  sweep(nowMs: number): void {
    const { stallMs } = this.engine.overload.limits
    if (this.#closing) {
      // A client that does not take its last answer is waited for, and not for ever.
      if (this.#closeByMs > 0 && nowMs >= this.#closeByMs && (this.wire.unsentBytes === 0 || (stallMs > 0 && nowMs >= this.#closeByMs + stallMs))) this.wire.destroy()
      return
    }
    if (this.#exchange !== undefined) return
    const { plan } = this.stack
    const idleMs = nowMs - this.#idleSinceMs
    if (!this.#reader.awaitsHead) {
      // The rest of a request that was refused.
      if (stallMs > 0 && idleMs >= stallMs) this.wire.destroy()
      return
    }
    const headMs = plan.headersTimeoutMs > 0 ? plan.headersTimeoutMs : stallMs
    if (this.#reader.idle) {
      const allowedMs = this.draining || this.engine.closesIdle ? DRAIN_IDLE_MS : plan.idleTimeoutMs
      if (stallMs > 0 && idleMs >= stallMs && this.wire.unsentBytes > 0) this.wire.destroy()
      else if (allowedMs > 0 && idleMs >= allowedMs) this.#close()
    } else if (headMs > 0 && idleMs >= headMs) {
      this.#reader.stop()
      this.onBadRequest(problems.timeout)
    }
  }

  get busy(): boolean {
    return this.#exchange !== undefined
  }

  /** Ends it now. */
  destroy(): void {
    this.wire.destroy()
  }
}
