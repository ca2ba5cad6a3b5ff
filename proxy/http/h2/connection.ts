import type { FieldTable } from '../head-scan.ts'
import { Calm } from './calm.ts'
import { Control } from './control.ts'
import { DataIn } from './data-in.ts'
import { FrameOut } from './frame-out.ts'
import type { FrameSink } from './frame-out.ts'
import { FrameReader } from './frame-reader.ts'
import type { FrameHandler } from './frame-reader.ts'
import {
  ACK, CONTINUATION, DEFAULT_WINDOW, ENHANCE_YOUR_CALM, FRAME_BYTES, FRAME_SIZE_ERROR, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PROTOCOL_ERROR,
  PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_ID_MAX, WINDOW_UPDATE,
} from './frames.ts'
import type { HeadBlock } from './head-block.ts'
import { HeadersIn } from './headers-in.ts'
import { RecentResets } from './recent-resets.ts'
import { SectionOut } from './section-out.ts'
import { PeerSettings, settingsPayload } from './settings.ts'
import type { OwnSettings } from './settings.ts'
import { StreamTable } from './stream-table.ts'
import { Stream } from './stream.ts'
import { Windows } from './windows.ts'

/** What a connection tells its owner. */
export interface ConnectionOwner {
  /** Where the lines of a request's head go; asked before each, for a server. */
  readonly headFields: FieldTable
  /** A request, for a server; `block` may be `tooLarge`, which is the owner's to answer. */
  onRequest(stream: Stream, block: HeadBlock, ends: boolean): void
  /** The peer says that it takes no new streams; those above `lastStream` were reset, untouched. */
  onGoaway(lastStream: number, code: number): void
  /** The peer's settings came, or came anew. */
  onSettings(): void
  /** An answered PING. */
  onPong(): void
  /** A stream of it is over. */
  onStreamClosed(stream: Stream): void
  /** The peer broke the rules: GOAWAY is written; the owner flushes and closes. */
  onFailed(code: number, why: string): void
}

/** Unsent bytes above which everybody on the connection waits. */
export interface CongestibleSink extends FrameSink {
  readonly congested: boolean
}

/**
 * One HTTP/2 connection, either side of it (RFC 9113), over bytes that somebody else reads and writes. What comes goes from `read` through FrameReader to `onFrame`, and by the kind of its frame to
 * HeadersIn, DataIn, Windows or Control, which open, feed and end streams; what leaves is written by streams and by these into `out`.
 * Whatever the cuts between reads, the same calls in the same order.
 */
export class Connection implements FrameHandler {
  readonly out = new FrameOut()
  readonly peer = new PeerSettings()
  readonly own: OwnSettings
  readonly isServer: boolean
  readonly streams = new StreamTable()
  readonly windows: Windows
  readonly control: Control
  readonly calm: Calm
  /** Where streams write their heads and trailers. */
  readonly heads: SectionOut
  /** Streams that we reset, not long ago. */
  readonly resets = new RecentResets()
  /** No frame is read any more. */
  failed = false
  /** The peer's first SETTINGS came. */
  ready = false
  /** The peer takes no new streams. */
  goneAway = false
  /** The highest stream that the peer opened. */
  lastPeerStream = 0
  nowMs: number
  readonly #owner: ConnectionOwner
  #sink: CongestibleSink | undefined
  #nextStream: number
  readonly #reader: FrameReader
  readonly #headers: HeadersIn
  readonly #data: DataIn

  constructor(owner: ConnectionOwner, isServer: boolean, own: OwnSettings, nowMs: number) {
    this.#owner = owner
    this.isServer = isServer
    this.own = own
    this.nowMs = nowMs
    this.calm = new Calm(nowMs)
    this.windows = new Windows(this, own.connectionWindow)
    this.heads = new SectionOut(this.out, this.calm)
    this.control = new Control(this, owner)
    this.#headers = new HeadersIn(this, owner)
    this.#data = new DataIn(this)
    this.#nextStream = isServer ? 2 : 1
    this.#reader = new FrameReader(this, isServer)
  }

  /** Says hello, as soon as there is somebody to say it to. */
  begin(sink: CongestibleSink): void {
    this.#sink = sink
    this.out.sink = sink
    const { own, out } = this
    if (!this.isServer) {
      const bytes = out.room(PREFACE.length)
      PREFACE.copy(bytes, out.used)
      out.used += PREFACE.length
    }
    const payload = settingsPayload(own, this.isServer)
    out.frame(SETTINGS, 0, 0, payload, 0, payload.length)
    if (own.connectionWindow > DEFAULT_WINDOW) out.words(WINDOW_UPDATE, 0, 0, own.connectionWindow - DEFAULT_WINDOW)
  }

  get congested(): boolean {
    return this.#sink?.congested ?? true
  }

  /** Bytes kept of frames that are incomplete. */
  get keptBytes(): number {
    return this.#reader.keptBytes + this.#headers.section.bytes
  }

  /** Since when a frame, or a field section, is incomplete; 0: none is. */
  get incompleteSinceMs(): number {
    return this.#headers.section.stream !== 0 ? this.#headers.section.sinceMs : this.#reader.incompleteSinceMs
  }

  // ---- streams

  /** Whether a request may be sent now, as a client. */
  get mayOpen(): boolean {
    return !this.failed && !this.goneAway && this.streams.size < this.peer.concurrentStreamsMax && this.#nextStream < STREAM_ID_MAX
  }

  /** Opens a stream, as a client; the caller asked `mayOpen`. */
  open(): Stream {
    const stream = new Stream(this, this.#nextStream, this.peer.initialWindow, this.own.streamWindow)
    this.#nextStream += 2
    this.streams.add(stream)
    return stream
  }

  /** Called by the stream. */
  forget(stream: Stream): void {
    this.streams.delete(stream.id)
    if (this.windows.blocked.size > 0) this.windows.blocked.delete(stream)
    this.#owner.onStreamClosed(stream)
  }

  /** The peer breaks a stream's rules. */
  streamError(stream: Stream, code: number): void {
    const { receiver } = stream
    stream.receiver = undefined
    stream.reset(code)
    receiver?.onReset(code, 'violation')
    if (!this.calm.reset()) this.fail(ENHANCE_YOUR_CALM, 'too many resets')
  }

  /** Resets a stream that there is nothing of. */
  resetUnknown(id: number, code: number): void {
    this.out.words(RST_STREAM, 0, id, code)
    this.resets.add(id)
    this.spend()
  }

  // ---- ending

  /** A connection error (§5.4.1): all its streams end. */
  fail(code: number, why: string): void {
    if (this.failed) return
    this.failed = true
    this.out.goaway(this.lastPeerStream, code, why)
    this.#headers.section.drop()
    this.#owner.onFailed(code, why)
    this.failStreams(code)
  }

  /** The bytes have ended, or end now. */
  failStreams(code: number): void {
    this.failed = true
    for (const stream of this.streams.all()) stream.fail(code, 'connection')
  }

  /** What waits may go on: the socket took what it had. */
  onWritable(): void {
    for (const stream of this.streams.all()) if (!stream.congested) stream.receiver?.onWritable()
  }

  // ---- windows

  /** Lets the peer send so much more on the connection. */
  credit(bytes: number): void {
    if (!this.failed) this.windows.credit(bytes)
  }

  /** Time passed. `blockedMs`: how long a stream may wait for a window of its peer's; 0: for ever. */
  sweep(nowMs: number, blockedMs: number): void {
    this.nowMs = nowMs
    this.windows.sweep(nowMs, blockedMs)
  }

  // ---- bytes in

  /** `bytes[start, length)` are valid until this returns. */
  read(bytes: Buffer, start: number, length: number): void {
    this.#reader.read(bytes, start, length, this.nowMs)
  }

  mayCome(type: number, flags: number, id: number, frameBytes: number): boolean {
    if (frameBytes > FRAME_BYTES) this.fail(FRAME_SIZE_ERROR, 'frame too large')
    else if (!this.ready && (type !== SETTINGS || (flags & ACK) !== 0)) this.fail(PROTOCOL_ERROR, 'SETTINGS must come first')
    else if (this.#headers.section.stream !== 0 && (type !== CONTINUATION || id !== this.#headers.section.stream)) this.fail(PROTOCOL_ERROR, 'CONTINUATION must follow')
    return !this.failed
  }

  onUnreadable(why: string): void {
    this.fail(PROTOCOL_ERROR, why)
  }

  /** Pays for a frame that gets nothing done. */
  spend(): void {
    if (!this.calm.spend(this.nowMs)) this.fail(ENHANCE_YOUR_CALM, 'too many frames without use')
  }

  // ---- DATA

  onDataBegin(frameBytes: number, flags: number, id: number): void {
    this.#data.begin(frameBytes, flags, id)
  }

  onDataPadding(bytes: number): void {
    this.#data.padding(bytes)
  }

  onDataBytes(bytes: Buffer, start: number, end: number): void {
    this.#data.bytes(bytes, start, end)
  }

  onDataEnd(): void {
    this.#data.end()
  }

  /** The peer has sent its message, trailers included. */
  remoteEnd(stream: Stream, trailers: string): void {
    if (stream.expectedBytes >= 0 && stream.receivedBytes !== stream.expectedBytes) return this.streamError(stream, PROTOCOL_ERROR)
    const { receiver } = stream
    stream.remoteEnd()
    receiver?.onEnd(trailers)
  }

  /** Nobody opened that stream yet. */
  isIdle(id: number): boolean {
    return (id & 1) === (this.isServer ? 1 : 0) ? id > this.lastPeerStream : id >= this.#nextStream
  }

  // ---- other frames

  onFrame(bytes: Buffer, start: number, end: number, type: number, flags: number, id: number): void {
    switch (type) {
      case HEADERS:
        return this.#headers.onHeaders(bytes, start, end, flags, id)
      case CONTINUATION:
        return this.#headers.onContinuation(bytes, start, end, flags)
      case WINDOW_UPDATE:
        return this.windows.onUpdate(bytes, start, end, id)
      case RST_STREAM:
        return this.#onReset(bytes, start, end, id)
      case SETTINGS:
        return this.control.onSettings(bytes, start, end, flags, id)
      case PING:
        return this.control.onPing(bytes, start, end, flags, id)
      case GOAWAY:
        return this.control.onGoaway(bytes, start, end, id)
      case PRIORITY:
        if (id === 0) return this.fail(PROTOCOL_ERROR, 'PRIORITY on stream 0')
        if (end - start !== 5) return this.#streamViolation(id, FRAME_SIZE_ERROR, 'PRIORITY')
        if ((bytes.readUInt32BE(start) & STREAM_ID_MAX) === id) return this.#streamViolation(id, PROTOCOL_ERROR, 'a stream depends on itself')
        return this.spend()
      case PUSH_PROMISE:
        return this.fail(PROTOCOL_ERROR, 'PUSH_PROMISE was not allowed')
      default:
        // Unknown types are ignored (§4.1).
        return this.spend()
    }
  }

  /** A violation that concerns one stream only; on one that does not exist yet there is nothing to reset. */
  #streamViolation(id: number, code: number, why: string): void {
    const stream = this.streams.get(id)
    if (stream !== undefined) this.streamError(stream, code)
    else this.fail(code, why)
  }

  #onReset(bytes: Buffer, start: number, end: number, id: number): void {
    if (end - start !== 4) return this.fail(FRAME_SIZE_ERROR, 'RST_STREAM')
    if (id === 0 || this.isIdle(id)) return this.fail(PROTOCOL_ERROR, 'RST_STREAM on an idle stream')
    const stream = this.streams.get(id)
    if (stream === undefined) return this.spend()
    stream.fail(bytes.readUInt32BE(start), 'peer')
    this.spend()
    if (this.isServer && !this.calm.reset()) this.fail(ENHANCE_YOUR_CALM, 'too many resets')
  }
}
