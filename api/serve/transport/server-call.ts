import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { constants } from 'node:http2'
import { status } from '@grpc/grpc-js'
import type { Clock, Timer } from '#core/time/clock.ts'
import type { CallerSide } from '../credentials.ts'
import type { HeldBytes } from './held-bytes.ts'
import { BadFrame, HEAD_BYTES, MessageReader } from './message-reader.ts'

/** What a call's side of a connection is known by. */
export interface Caller {
  /** `ADDRESS:PORT`; IPv6 without brackets. */
  readonly peer: string
  /** DER of the certificate that TLS verified, if one was shown. */
  readonly certificate: Buffer | undefined
}

export interface CallLimits {
  readonly requestBytesMax: number
}

/** Messages up to this are copied behind their head, which is cheaper than to write in two pieces. */
const copiedBytesMax = 8 << 10
/** How long a caller that was given its status may leave its side open. */
const lingerMs = 5000
/** In how many milliseconds a caller may come again. */
const PUSHBACK = 'grpc-retry-pushback-ms'
const responseHeaders = { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity' } as const

/** One gRPC call on a stream of node:http2, as bytes (gRPC over HTTP/2). Ends with exactly one status, unless the caller is gone before. */
export class ServerCall implements CallerSide {
  /** The caller is gone, or has lost interest. */
  cancelled = false
  readonly #stream: ServerHttp2Stream
  readonly #headers: IncomingHttpHeaders
  readonly #caller: Caller
  readonly #clock: Clock
  readonly #reader: MessageReader
  readonly #budgets: readonly HeldBytes[]
  /** Bytes that are counted in the budgets. */
  #held = 0
  /** Messages that came while paused. */
  #waiting: Buffer[] = []
  #paused = true
  #halfClosed = false
  #over = false
  #deadline: Timer | undefined
  #onWelcome: (() => void) | undefined
  #onMessage: (message: Buffer) => void = () => {}
  #onEnd: () => void = () => {}
  #onDrain: () => void = () => {}
  #onCancelled: () => void = () => {}

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, of: { caller: Caller; clock: Clock; limits: CallLimits; budgets: readonly HeldBytes[]; onWelcome: () => void }) {
    this.#stream = stream
    this.#headers = headers
    this.#caller = of.caller
    this.#clock = of.clock
    this.#reader = new MessageReader(of.limits.requestBytesMax)
    this.#budgets = of.budgets
    this.#onWelcome = of.onWelcome
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.on('end', () => this.#ended())
    stream.on('drain', () => this.#onDrain())
    stream.on('aborted', () => this.#cancel())
    stream.on('close', () => this.#cancel())
    // Told by 'close' as well.
    stream.on('error', () => this.#cancel())
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers))
    stream.pause()
    const timeout = headers['grpc-timeout']
    const timeoutMs = typeof timeout === 'string' ? timeoutMsOf(timeout) : undefined
    if (timeoutMs !== undefined) this.#deadline = of.clock.after(timeoutMs, () => this.fail(status.DEADLINE_EXCEEDED, 'the deadline is over'))
  }

  #trailers: Readonly<Record<string, string>> = {}

  readonly metadata = {
    get: (name: string): string[] => {
      const value = this.#headers[name]
      return typeof value === 'string' ? [value] : (value ?? [])
    },
  }

  getPeer(): string {
    return this.#caller.peer
  }

  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } } {
    const raw = this.#caller.certificate
    return raw ? { sslPeerCertificate: { raw } } : {}
  }

  /** The caller is known: from here on the connection has a reason to be. */
  welcome(): void {
    const told = this.#onWelcome
    this.#onWelcome = undefined
    if (!this.#stream.destroyed) told?.()
  }

  onMessage(listener: (message: Buffer) => void): void {
    this.#onMessage = listener
    this.resume()
  }

  /** The caller has said all that it has to say. A call that breaks ends too, a moment before it is cancelled. */
  onEnd(listener: () => void): void {
    this.#onEnd = listener
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }

  onCancelled(listener: () => void): void {
    this.#onCancelled = listener
  }

  pause(): void {
    this.#paused = true
    this.#stream.pause()
  }

  resume(): void {
    this.#paused = false
    this.#deliver()
    this.#count()
    if (!this.#paused && !this.#over) this.#stream.resume()
  }

  /** Writes one message, without a copy where it is large: it must not be written to any more. False when it waits, until `onDrain`. */
  write(message: Buffer): boolean {
    const stream = this.#stream
    if (this.#over || stream.destroyed) return true
    // Nothing is said to those whom nobody knows.
    this.welcome()
    if (!stream.headersSent) stream.respond(responseHeaders, { waitForTrailers: true })
    if (message.length <= copiedBytesMax) return stream.write(framed(message))
    const head = Buffer.allocUnsafe(HEAD_BYTES)
    writeHead(head, message.length)
    stream.cork()
    stream.write(head)
    const written = stream.write(message)
    stream.uncork()
    return written
  }

  cork(): void {
    this.#stream.cork()
  }

  uncork(): void {
    this.#stream.uncork()
  }

  /** Ends the call well, after what was written. */
  end(): void {
    this.#finish(status.OK, '')
  }

  /**
   * Ends the call with a status, after what was written.
   * @param retryAfterMs when the caller may come again (gRFC A6, server pushback)
   */
  fail(code: status, details: string, retryAfterMs?: number): void {
    this.#finish(code, details, retryAfterMs)
  }

  #take(chunk: Buffer): void {
    if (this.#over) return
    try {
      this.#waiting.push(...this.#reader.push(chunk))
    } catch (raised) {
      if (!(raised instanceof BadFrame)) throw raised
      this.fail(this.#statusOf(raised), raised.message)
      return
    }
    this.#deliver()
    this.#count()
    if (this.#over || !this.#budgets.some((one) => one.isTooMuch)) return
    this.fail(status.RESOURCE_EXHAUSTED, 'more is sent at once than is held for whoever sends it')
  }

  #statusOf({ what }: BadFrame): status {
    if (what === 'too-large') return status.RESOURCE_EXHAUSTED
    // What is said to be compressed and not how cannot be read by anyone (gRPC, "Compression", "Compression Method Asymmetry").
    const { 'grpc-encoding': encoding = 'identity' } = this.#headers
    return what === 'compressed' && encoding !== 'identity' ? status.UNIMPLEMENTED : status.INTERNAL
  }

  #count(): void {
    const held = this.#reader.held + this.#waiting.reduce((sum, { length }) => sum + length, 0)
    if (held === this.#held) return
    for (const one of this.#budgets) one.add(held - this.#held)
    this.#held = held
  }

  /** What has come of messages is of no interest any more. */
  #forget(): void {
    this.#waiting = []
    this.#reader.drop()
    this.#count()
  }

  #deliver(): void {
    while (!this.#paused && !this.#over) {
      const message = this.#waiting.shift()
      if (message === undefined) break
      this.#onMessage(message)
    }
    if (this.#halfClosed && !this.#paused && !this.#over && this.#waiting.length === 0) {
      this.#halfClosed = false
      if (this.#reader.isWithin && !this.cancelled) this.fail(status.INTERNAL, 'the call ended within a message')
      else this.#onEnd()
    }
  }

  #ended(): void {
    this.#halfClosed = true
    this.#deliver()
  }

  #cancel(): void {
    if (this.cancelled) return
    this.cancelled = true
    this.#deadline?.cancel()
    if (this.#over) return
    this.#over = true
    this.#forget()
    this.#onCancelled()
  }

  #finish(code: status, details: string, retryAfterMs?: number): void {
    if (this.#over) return
    this.#over = true
    this.#forget()
    this.#deadline?.cancel()
    const stream = this.#stream
    if (stream.destroyed) return
    const trailers = { 'grpc-status': String(code), ...(details === '' ? {} : { 'grpc-message': percentEncoded(details) }), ...(retryAfterMs === undefined ? {} : { [PUSHBACK]: String(retryAfterMs) }) }
    if (stream.headersSent) {
      this.#trailers = trailers
      stream.end()
    } else stream.respond({ ...responseHeaders, ...trailers }, { endStream: true })
    // What still comes is of no interest, and must not fill the window for others.
    stream.resume()
    if (!stream.closed) {
      const linger = this.#clock.after(lingerMs, () => stream.close(constants.NGHTTP2_NO_ERROR))
      stream.once('close', () => linger.cancel())
    }
  }
}

/** Messages with their head in front: one that goes to many calls is put behind it once. */
const frames = new WeakMap<Buffer, Buffer>()

function framed(message: Buffer): Buffer {
  const known = frames.get(message)
  if (known !== undefined) return known
  const frame = Buffer.allocUnsafe(HEAD_BYTES + message.length)
  writeHead(frame, message.length)
  message.copy(frame, HEAD_BYTES)
  frames.set(message, frame)
  return frame
}

function writeHead(frame: Buffer, length: number): void {
  frame[0] = 0
  frame.writeUInt32BE(length, 1)
}

/** Printable ASCII but `%` as it is, all else as %XX of UTF-8 (gRPC over HTTP/2, "Responses"). */
const percentEncoded = (text: string): string => encodeURI(text.toWellFormed())

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }
const timerMsMax = 2 ** 31 - 1

/** `grpc-timeout`: at most eight digits and a unit. Undefined for what is none. */
function timeoutMsOf(text: string): number | undefined {
  const [, digits = '', unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? []
  const scale = unitMs[unit]
  return scale === undefined ? undefined : Math.min(Number(digits) * scale, timerMsMax)
}
