import type { Connection } from './connection.ts'
import { DATA, END_STREAM, FRAME_BYTES, RST_STREAM, WINDOW_UPDATE } from './frames.ts'
import type { HeadBlock } from './head-block.ts'
import type { FieldTable } from '../head-scan.ts'

/** Who is told what arrives on a stream. */
export interface StreamReceiver {
  /** Where the lines of an answer's head go; for the side that asked. */
  readonly headFields: FieldTable
  /** An answer's head, interim ones too; for the side that asked. `ends`: nothing follows. False: it makes no sense. */
  onHead(block: HeadBlock, ends: boolean): boolean
  /** Valid until this returns. */
  onData(bytes: Buffer, start: number, end: number): void
  /** The peer's side is complete. `trailers`: lines with their CRLFs. Not called after `onHead` with `ends`. */
  onEnd(trailers: string): void
  /** The stream is gone before both sides were complete: reset by the peer, by us because the peer broke the rules, or with its connection. */
  onReset(code: number, by: 'peer' | 'violation' | 'connection'): void
  /** After `congested`: more may be sent. */
  onWritable(): void
}

/** Above this many bytes that wait for a window, the source is told to wait. */
const PENDING_BYTES_MAX = 32 * 1024

/** One request and its answer on a multiplexed connection (RFC 9113 §5). */
export class Stream {
  readonly connection: Connection
  readonly id: number
  receiver: StreamReceiver | undefined = undefined
  sendWindow: number
  receiveWindow: number
  localEnded = false
  remoteEnded = false
  closed = false
  /** A final head was received. */
  headSeen = false
  /** What the peer announced as the body's length; -1: nothing. */
  expectedBytes = -1
  receivedBytes = 0
  pendingBytes = 0
  #pending: Buffer[] = NONE
  /** Ends with these trailers once what waits has left; undefined: not yet. */
  #pendingEnd: string | undefined = undefined
  /** RST_STREAM follows what waits; -1: none. */
  #resetLater = -1
  /** When a window last let something through, or bytes began to wait. */
  blockedSinceMs = 0
  #paused = false
  /** Received, and not taken because the receiver waits. */
  #heldBytes = 0
  #uncreditedBytes = 0
  /** Where the last frame was put, to set END_STREAM when it turns out to be the last one indeed. */
  #frameGeneration = -1
  #frameAt = 0

  constructor(connection: Connection, id: number, sendWindow: number, receiveWindow: number) {
    this.connection = connection
    this.id = id
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }

  // ---- sending

  /** `lines`: fields as HTTP/1.1 lines with their CRLFs. */
  sendResponse(status: number, lines: string, ends: boolean): void {
    if (this.localEnded || this.closed) return
    const { connection } = this
    const encoder = connection.heads.begin(lines.length + 16)
    encoder.status(status)
    encoder.lines(lines)
    this.#headSent(ends)
  }

  sendRequest(method: string, scheme: string, authority: string, path: string, protocol: string, lines: string, ends: boolean): void {
    if (this.localEnded || this.closed) return
    const encoder = this.connection.heads.begin(method.length + authority.length + path.length + protocol.length + lines.length + 64)
    encoder.method(method)
    if (path !== '') {
      encoder.scheme(scheme)
      encoder.path(path)
    }
    encoder.authority(authority)
    if (protocol !== '') encoder.protocol(protocol)
    encoder.lines(lines)
    this.#headSent(ends)
  }

  #headSent(ends: boolean): void {
    const { connection } = this
    this.#frameAt = connection.heads.end(this.id, ends)
    this.#frameGeneration = connection.out.generation
    if (ends) this.#localEnd()
  }

  /** Copies what it keeps. */
  sendData(bytes: Buffer, start: number, end: number): void {
    if (this.localEnded || this.closed) return
    let from = start
    if (this.pendingBytes === 0) from = this.#sendWithinWindow(bytes, start, end)
    if (from >= end) return
    if (this.#pending === NONE) this.#pending = []
    this.#pending.push(Buffer.from(bytes.subarray(from, end)))
    if (this.pendingBytes === 0) this.blockedSinceMs = this.connection.nowMs
    this.pendingBytes += end - from
    this.connection.windows.blocked.add(this)
  }

  #sendWithinWindow(bytes: Buffer, start: number, end: number): number {
    const { connection } = this
    let from = start
    while (from < end) {
      const length = Math.min(end - from, this.sendWindow, connection.windows.send, FRAME_BYTES)
      if (length <= 0) break
      connection.out.frame(DATA, 0, this.id, bytes, from, from + length)
      this.#frameGeneration = connection.out.generation
      this.#frameAt = connection.out.used - length - 9
      this.sendWindow -= length
      connection.windows.send -= length
      connection.calm.work()
      from += length
    }
    return from
  }

  /** No more will be sent. */
  sendEnd(trailers: string): void {
    if (this.localEnded || this.closed) return
    if (this.pendingBytes > 0) this.#pendingEnd = trailers
    else this.#end(trailers)
  }

  #end(trailers: string): void {
    const { connection } = this
    if (trailers !== '') {
      connection.heads.begin(trailers.length).lines(trailers)
      connection.heads.end(this.id, true)
    } else if (!connection.out.amend(this.#frameGeneration, this.#frameAt, END_STREAM)) connection.out.frame(DATA, END_STREAM, this.id, nothing, 0, 0)
    this.#localEnd()
  }

  /** A window opened: sends one frame of what waits. True when something was sent. */
  drainOne(): boolean {
    const first = this.#pending[0]
    if (first === undefined) return false
    const sent = this.#sendWithinWindow(first, 0, Math.min(first.length, FRAME_BYTES))
    if (sent === 0) return false
    if (sent === first.length) this.#pending.shift()
    else this.#pending[0] = first.subarray(sent)
    this.pendingBytes -= sent
    this.blockedSinceMs = this.connection.nowMs
    if (this.pendingBytes === 0) {
      this.connection.windows.blocked.delete(this)
      if (this.#pendingEnd !== undefined) this.#end(this.#pendingEnd)
    }
    if (this.pendingBytes <= PENDING_BYTES_MAX / 2 && !this.closed) this.receiver?.onWritable()
    return true
  }

  get congested(): boolean {
    return this.pendingBytes > PENDING_BYTES_MAX || this.connection.congested
  }

  #localEnd(): void {
    this.localEnded = true
    if (this.remoteEnded) this.close()
    else if (this.#resetLater >= 0) this.reset(this.#resetLater)
  }

  /** Ends the peer's side too once ours is sent. */
  resetWhenSent(code: number): void {
    if (this.localEnded) this.reset(code)
    else this.#resetLater = code
  }

  /** Ends both sides. The receiver is not told: it is who asks. */
  reset(code: number): void {
    if (this.closed) return
    this.connection.out.words(RST_STREAM, 0, this.id, code)
    this.connection.resets.add(this.id)
    this.close()
  }

  // ---- receiving

  /** No more is credited to the peer than it was already: what it still sends is passed on. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    const held = this.#heldBytes
    this.#heldBytes = 0
    if (held > 0) this.credit(held)
  }

  /** Bytes that were passed to the receiver. */
  taken(bytes: number): void {
    if (this.#paused && !this.closed) this.#heldBytes += bytes
    else this.credit(bytes)
  }

  /** Lets the peer send so much more, here and on the connection. */
  credit(bytes: number): void {
    this.connection.credit(bytes)
    if (this.closed || this.remoteEnded) return
    this.#uncreditedBytes += bytes
    if (this.#uncreditedBytes * 2 < this.connection.own.streamWindow) return
    this.receiveWindow += this.#uncreditedBytes
    this.connection.out.words(WINDOW_UPDATE, 0, this.id, this.#uncreditedBytes)
    this.#uncreditedBytes = 0
  }

  remoteEnd(): void {
    this.remoteEnded = true
    if (this.localEnded) this.close()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#pending = NONE
    this.pendingBytes = 0
    if (this.#heldBytes > 0) this.connection.credit(this.#heldBytes)
    this.#heldBytes = 0
    this.connection.forget(this)
  }

  /** The stream is gone, and its receiver must know. */
  fail(code: number, by: 'peer' | 'connection'): void {
    const { receiver } = this
    this.receiver = undefined
    this.close()
    receiver?.onReset(code, by)
  }
}

const NONE: Buffer[] = []
const nothing = Buffer.alloc(0)
