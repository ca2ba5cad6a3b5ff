import { FieldTable } from '../head-scan.ts'
import { Calm } from './calm.ts'
import { FrameOut } from './frame-out.ts'
import type { FrameSink } from './frame-out.ts'
import { FrameReader } from './frame-reader.ts'
import type { FrameHandler } from './frame-reader.ts'
import {
  ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DEFAULT_WINDOW, ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_BYTES,
  FRAME_HEADER_BYTES, FRAME_SIZE_ERROR, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE, NO_ERROR, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR,
  PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, STREAM_ID_MAX, WINDOW_MAX, WINDOW_UPDATE, WITH_PRIORITY,
} from './frames.ts'
import { HeadBlock } from './head-block.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { PeerSettings } from './settings.ts'
import type { OwnSettings } from './settings.ts'
import { StreamTable } from './stream-table.ts'
import { Stream } from './stream.ts'
import { trailerLines } from './trailers.ts'

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

const TABLE_BYTES = 4096
/** Field sections may come in at most this many bytes, compressed, beyond what they may hold in all. */
const BLOCK_SLACK_BYTES = FRAME_BYTES
const RESETS_REMEMBERED = 256
const PING_BYTES = 8
/** What our own PINGs carry; their meaning is ours. */
const KEEPALIVE = Buffer.from('weft-up?', 'latin1')
const DRAINING = Buffer.from('weft-bye', 'latin1')

/**
 * One HTTP/2 connection, either side of it (RFC 9113), over bytes that somebody else reads and writes: frames in their order, streams, windows, settings, errors.
 * Whatever the cuts between reads, the same calls in the same order.
 */
export class Connection implements FrameHandler {
  readonly out = new FrameOut()
  readonly peer = new PeerSettings()
  readonly own: OwnSettings
  readonly isServer: boolean
  readonly streams = new StreamTable()
  /** Streams with bytes that wait for a window. */
  readonly blocked = new Set<Stream>()
  readonly calm: Calm
  sendWindow = DEFAULT_WINDOW
  /** No frame is read any more. */
  failed = false
  /** The peer's first SETTINGS came. */
  ready = false
  /** The peer takes no new streams. */
  goneAway = false
  nowMs: number
  readonly #owner: ConnectionOwner
  readonly #decoder = new HpackDecoder(TABLE_BYTES)
  readonly #encoder = new HpackEncoder()
  readonly #block = new HeadBlock()
  readonly #trailerFields = new FieldTable()
  #sink: CongestibleSink | undefined
  #receiveWindow: number
  #uncreditedBytes = 0
  /** The highest stream that the peer opened. */
  #lastPeerStream = 0
  #nextStream: number
  /** Streams above this are ignored, after our GOAWAY. */
  #lastAccepted = STREAM_ID_MAX
  #drains = false
  readonly #resets = new Int32Array(RESETS_REMEMBERED)
  #resetAt = 0
  readonly #reader: FrameReader
  // The DATA frame under way.
  #dataStream: Stream | undefined = undefined
  #dataEnds = false
  // A field section that came in part.
  #sectionStream = 0
  #sectionFlags = 0
  #section: Buffer[] = []
  #sectionBytes = 0
  #sectionSinceMs = 0
  // Writing a field section.
  #headBytes!: Buffer
  #headAt = 0
  #headScratch = false

  constructor(owner: ConnectionOwner, isServer: boolean, own: OwnSettings, nowMs: number) {
    this.#owner = owner
    this.isServer = isServer
    this.own = own
    this.nowMs = nowMs
    this.calm = new Calm(nowMs)
    this.#receiveWindow = Math.max(own.connectionWindow, DEFAULT_WINDOW)
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
    const pairs: [number, number][] = [
      [INITIAL_WINDOW_SIZE, own.streamWindow],
      [MAX_HEADER_LIST_SIZE, own.headerBytesMax],
      ...(this.isServer ? ([[MAX_CONCURRENT_STREAMS, own.concurrentStreamsMax], [ENABLE_CONNECT_PROTOCOL, 1]] as [number, number][]) : ([[ENABLE_PUSH, 0]] as [number, number][])),
    ]
    const payload = Buffer.alloc(6 * pairs.length)
    for (const [at, [id, value]] of pairs.entries()) {
      payload.writeUInt16BE(id, 6 * at)
      payload.writeUInt32BE(value, 6 * at + 2)
    }
    out.frame(SETTINGS, 0, 0, payload, 0, payload.length)
    if (own.connectionWindow > DEFAULT_WINDOW) out.words(WINDOW_UPDATE, 0, 0, own.connectionWindow - DEFAULT_WINDOW)
  }

  get congested(): boolean {
    return this.#sink?.congested ?? true
  }

  /** Bytes kept of frames that are incomplete. */
  get keptBytes(): number {
    return this.#reader.keptBytes + this.#sectionBytes
  }

  /** Since when a frame, or a field section, is incomplete; 0: none is. */
  get incompleteSinceMs(): number {
    return this.#sectionStream !== 0 ? this.#sectionSinceMs : this.#reader.incompleteSinceMs
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
    if (this.blocked.size > 0) this.blocked.delete(stream)
    this.#owner.onStreamClosed(stream)
  }

  rememberReset(id: number): void {
    this.#resets[this.#resetAt] = id
    this.#resetAt = (this.#resetAt + 1) % RESETS_REMEMBERED
  }

  /** The peer breaks a stream's rules. */
  #streamError(stream: Stream, code: number): void {
    const { receiver } = stream
    stream.receiver = undefined
    stream.reset(code)
    receiver?.onReset(code, 'violation')
    if (!this.calm.reset()) this.fail(ENHANCE_YOUR_CALM, 'too many resets')
  }

  #resetUnknown(id: number, code: number): void {
    this.out.words(RST_STREAM, 0, id, code)
    this.rememberReset(id)
    this.#spend()
  }

  // ---- ending

  /** No new streams from the peer; what runs is finished. It is told twice, a round trip apart, so that no request is lost (§6.8). */
  drain(): void {
    if (this.#drains || this.failed) return
    this.#drains = true
    this.out.words(GOAWAY, 0, 0, STREAM_ID_MAX, NO_ERROR)
    this.out.frame(PING, 0, 0, DRAINING, 0, PING_BYTES)
  }

  #finishDrain(): void {
    if (!this.#drains || this.#lastAccepted !== STREAM_ID_MAX) return
    this.#lastAccepted = this.#lastPeerStream
    this.out.words(GOAWAY, 0, 0, this.#lastAccepted, NO_ERROR)
  }

  /** The client knows that it is to go, and nothing of it is under way. */
  get drained(): boolean {
    return this.#drains && this.#lastAccepted !== STREAM_ID_MAX && this.streams.size === 0
  }

  /** A connection error (§5.4.1): all its streams end. */
  fail(code: number, why: string): void {
    if (this.failed) return
    this.failed = true
    const debug = Buffer.from(why, 'latin1')
    const bytes = this.out.room(FRAME_HEADER_BYTES + 8 + debug.length)
    const at = this.out.used
    FrameOut.header(bytes, at, 8 + debug.length, GOAWAY, 0, 0)
    bytes.writeUInt32BE(this.#lastPeerStream, at + FRAME_HEADER_BYTES)
    bytes.writeUInt32BE(code, at + FRAME_HEADER_BYTES + 4)
    debug.copy(bytes, at + FRAME_HEADER_BYTES + 8)
    this.out.used += FRAME_HEADER_BYTES + 8 + debug.length
    this.#section = []
    this.#owner.onFailed(code, why)
    this.failStreams(code)
  }

  /** The bytes have ended, or end now. */
  failStreams(code: number): void {
    this.failed = true
    for (const stream of this.streams.all()) stream.fail(code, 'connection')
  }

  ping(): void {
    this.out.frame(PING, 0, 0, KEEPALIVE, 0, PING_BYTES)
  }

  /** What waits may go on: the socket took what it had. */
  onWritable(): void {
    for (const stream of this.streams.all()) if (!stream.congested) stream.receiver?.onWritable()
  }

  // ---- windows

  /** Lets the peer send so much more on the connection. */
  credit(bytes: number): void {
    this.#uncreditedBytes += bytes
    if (this.#uncreditedBytes * 2 < this.own.connectionWindow || this.failed) return
    this.#receiveWindow += this.#uncreditedBytes
    this.out.words(WINDOW_UPDATE, 0, 0, this.#uncreditedBytes)
    this.#uncreditedBytes = 0
  }

  /** Sends what waits for windows: a frame for each stream in turn. */
  #drainBlocked(): void {
    let progress = true
    while (progress && this.sendWindow > 0 && this.blocked.size > 0) {
      progress = false
      for (const stream of [...this.blocked]) {
        if (!stream.drainOne()) continue
        progress = true
        if (this.blocked.delete(stream)) this.blocked.add(stream)
      }
    }
  }

  /** Gives up streams whose peer opens no window for so long; 0: never. */
  sweepBlocked(nowMs: number, timeoutMs: number): void {
    this.nowMs = nowMs
    if (timeoutMs <= 0) return
    for (const stream of [...this.blocked]) {
      if (nowMs - stream.blockedSinceMs < timeoutMs) continue
      const { receiver } = stream
      stream.receiver = undefined
      stream.reset(CANCEL)
      receiver?.onReset(CANCEL, 'violation')
    }
  }

  // ---- field sections out

  /** The encoder, ready for the fields of one section; `endHead` makes it a frame. Nothing else may be written between. */
  beginHead(textLength: number): HpackEncoder {
    const room = HpackEncoder.roomFor(textLength)
    this.#headScratch = room > FRAME_BYTES
    if (this.#headScratch) {
      this.#headBytes = Buffer.allocUnsafe(room)
      this.#headAt = 0
    } else {
      this.#headBytes = this.out.room(FRAME_HEADER_BYTES + room)
      this.#headAt = this.out.used + FRAME_HEADER_BYTES
    }
    this.#encoder.begin(this.#headBytes, this.#headAt)
    return this.#encoder
  }

  /** Answers where the HEADERS frame is in the present chunk; -1 for one that CONTINUATION follows. */
  endHead(id: number, ends: boolean): number {
    const { out } = this
    const end = this.#encoder.end()
    const flags = ends ? END_STREAM : 0
    this.calm.work()
    if (!this.#headScratch) {
      const at = out.used
      FrameOut.header(this.#headBytes, at, end - this.#headAt, HEADERS, flags | END_HEADERS, id)
      out.used = end
      return at
    }
    let from = 0
    do {
      const to = Math.min(end, from + FRAME_BYTES)
      out.frame(from === 0 ? HEADERS : CONTINUATION, (from === 0 ? flags : 0) | (to === end ? END_HEADERS : 0), id, this.#headBytes, from, to)
      from = to
    } while (from < end)
    // Not to be amended: an empty DATA frame ends such a stream.
    return -1
  }

  // ---- bytes in

  /** `bytes[start, length)` are valid until this returns. */
  read(bytes: Buffer, start: number, length: number): void {
    this.#reader.read(bytes, start, length, this.nowMs)
  }

  mayCome(type: number, flags: number, id: number, frameBytes: number): boolean {
    if (frameBytes > FRAME_BYTES) this.fail(FRAME_SIZE_ERROR, 'frame too large')
    else if (!this.ready && (type !== SETTINGS || (flags & ACK) !== 0)) this.fail(PROTOCOL_ERROR, 'SETTINGS must come first')
    else if (this.#sectionStream !== 0 && (type !== CONTINUATION || id !== this.#sectionStream)) this.fail(PROTOCOL_ERROR, 'CONTINUATION must follow')
    return !this.failed
  }

  onUnreadable(why: string): void {
    this.fail(PROTOCOL_ERROR, why)
  }

  /** Pays for a frame that gets nothing done. */
  #spend(): void {
    if (!this.calm.spend(this.nowMs)) this.fail(ENHANCE_YOUR_CALM, 'too many frames without use')
  }

  // ---- DATA

  onDataBegin(frameBytes: number, flags: number, id: number): void {
    if (id === 0) return this.fail(PROTOCOL_ERROR, 'DATA on stream 0')
    this.#receiveWindow -= frameBytes
    if (this.#receiveWindow < 0) return this.fail(FLOW_CONTROL_ERROR, 'connection window exceeded')
    const padded = (flags & PADDED) !== 0
    if (padded && frameBytes === 0) return this.fail(FRAME_SIZE_ERROR, 'no pad length')
    let stream = this.streams.get(id)
    if (stream === undefined) {
      if (this.#isIdle(id)) return this.fail(PROTOCOL_ERROR, 'DATA on an idle stream')
      if (!this.#resets.includes(id) && id <= this.#lastAccepted) this.#resetUnknown(id, STREAM_CLOSED)
    } else if (stream.remoteEnded) {
      this.#streamError(stream, STREAM_CLOSED)
      stream = undefined
    } else if (!stream.headSeen) {
      this.#streamError(stream, PROTOCOL_ERROR)
      stream = undefined
    } else {
      stream.receiveWindow -= frameBytes
      if (stream.receiveWindow < 0) {
        this.#streamError(stream, FLOW_CONTROL_ERROR)
        stream = undefined
      }
    }
    if (frameBytes - (padded ? 1 : 0) === 0 && (flags & END_STREAM) === 0) this.#spend()
    else this.calm.work()
    if (this.failed) return
    this.#dataStream = stream
    this.#dataEnds = (flags & END_STREAM) !== 0
  }

  /** Padding counts against windows and is nobody's to take. */
  onDataPadding(bytes: number): void {
    const stream = this.#dataStream
    if (stream === undefined || stream.closed) this.credit(bytes)
    else stream.credit(bytes)
  }

  onDataBytes(bytes: Buffer, start: number, end: number): void {
    const stream = this.#dataStream
    if (stream === undefined || stream.closed) return this.credit(end - start)
    stream.receivedBytes += end - start
    if (stream.expectedBytes >= 0 && stream.receivedBytes > stream.expectedBytes) {
      this.credit(end - start)
      return this.#streamError(stream, PROTOCOL_ERROR)
    }
    stream.receiver?.onData(bytes, start, end)
    stream.taken(end - start)
  }

  onDataEnd(): void {
    const stream = this.#dataStream
    this.#dataStream = undefined
    if (this.#dataEnds && stream !== undefined && !stream.closed) this.#remoteEnd(stream, '')
  }

  #remoteEnd(stream: Stream, trailers: string): void {
    if (stream.expectedBytes >= 0 && stream.receivedBytes !== stream.expectedBytes) return this.#streamError(stream, PROTOCOL_ERROR)
    const { receiver } = stream
    stream.remoteEnd()
    receiver?.onEnd(trailers)
  }

  #isIdle(id: number): boolean {
    return (id & 1) === (this.isServer ? 1 : 0) ? id > this.#lastPeerStream : id >= this.#nextStream
  }

  // ---- other frames

  onFrame(bytes: Buffer, start: number, end: number, type: number, flags: number, id: number): void {
    switch (type) {
      case HEADERS:
        return this.#onHeaders(bytes, start, end, flags, id)
      case CONTINUATION:
        return this.#onContinuation(bytes, start, end, flags)
      case WINDOW_UPDATE:
        return this.#onWindowUpdate(bytes, start, end, id)
      case RST_STREAM:
        return this.#onReset(bytes, start, end, id)
      case SETTINGS:
        return this.#onSettings(bytes, start, end, flags, id)
      case PING:
        return this.#onPing(bytes, start, end, flags, id)
      case GOAWAY:
        return this.#onGoaway(bytes, start, end, id)
      case PRIORITY:
        if (id === 0) return this.fail(PROTOCOL_ERROR, 'PRIORITY on stream 0')
        if (end - start !== 5) return this.#streamViolation(id, FRAME_SIZE_ERROR, 'PRIORITY')
        if ((bytes.readUInt32BE(start) & STREAM_ID_MAX) === id) return this.#streamViolation(id, PROTOCOL_ERROR, 'a stream depends on itself')
        return this.#spend()
      case PUSH_PROMISE:
        return this.fail(PROTOCOL_ERROR, 'PUSH_PROMISE was not allowed')
      default:
        // Unknown types are ignored (§4.1).
        return this.#spend()
    }
  }

  /** A violation that concerns one stream only; on one that does not exist yet there is nothing to reset. */
  #streamViolation(id: number, code: number, why: string): void {
    const stream = this.streams.get(id)
    if (stream !== undefined) this.#streamError(stream, code)
    else this.fail(code, why)
  }

  #onHeaders(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    if (id === 0) return this.fail(PROTOCOL_ERROR, 'HEADERS on stream 0')
    let from = start
    let to = end
    if (flags & PADDED) {
      const pad = from < to ? bytes[from++]! : 256
      if (pad > to - from) return this.fail(PROTOCOL_ERROR, 'padding exceeds its frame')
      to -= pad
    }
    let dependsOnItself = false
    if (flags & WITH_PRIORITY) {
      if (to - from < 5) return this.fail(FRAME_SIZE_ERROR, 'no priority')
      dependsOnItself = (bytes.readUInt32BE(from) & STREAM_ID_MAX) === id
      from += 5
    }
    if (dependsOnItself) return this.fail(PROTOCOL_ERROR, 'a stream depends on itself')
    if (flags & END_HEADERS) return this.#onSection(bytes, from, to, flags, id)
    this.#sectionStream = id
    this.#sectionSinceMs = this.nowMs
    this.#sectionFlags = flags
    this.#section = [Buffer.from(bytes.subarray(from, to))]
    this.#sectionBytes = to - from
  }

  #onContinuation(bytes: Buffer, start: number, end: number, flags: number): void {
    if (this.#sectionStream === 0) return this.fail(PROTOCOL_ERROR, 'CONTINUATION of nothing')
    this.#spend()
    this.#sectionBytes += end - start
    if (this.#sectionBytes > this.own.headerBytesMax + BLOCK_SLACK_BYTES) return this.fail(ENHANCE_YOUR_CALM, 'field section too large')
    if (this.failed) return
    if (end > start) this.#section.push(Buffer.from(bytes.subarray(start, end)))
    if ((flags & END_HEADERS) === 0) return
    const section = Buffer.concat(this.#section)
    const id = this.#sectionStream
    this.#section = []
    this.#sectionStream = 0
    this.#sectionBytes = 0
    this.#onSection(section, 0, section.length, this.#sectionFlags, id)
  }

  #onSection(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    const stream = this.streams.get(id)
    const ends = (flags & END_STREAM) !== 0
    if (stream !== undefined) {
      if (stream.remoteEnded) {
        if (this.#decode(bytes, start, end, this.#trailerFields)) this.#streamError(stream, STREAM_CLOSED)
      } else if (stream.headSeen) this.#onTrailers(stream, bytes, start, end, ends)
      else this.#onAnswer(stream, bytes, start, end, ends)
      return
    }
    if (this.isServer && (id & 1) === 1 && id > this.#lastPeerStream) return this.#onRequest(bytes, start, end, ends, id)
    if (this.#isIdle(id)) return this.fail(PROTOCOL_ERROR, 'HEADERS on a stream that is not theirs')
    if (this.#resets.includes(id)) {
      // It was on its way when we reset the stream.
      if (this.#decode(bytes, start, end, this.#trailerFields)) this.#spend()
      return
    }
    this.fail(STREAM_CLOSED, 'HEADERS on a closed stream')
  }

  /** False: the connection has failed. */
  #decode(bytes: Buffer, start: number, end: number, fields: FieldTable): boolean {
    this.#block.begin(fields, this.own.headerBytesMax)
    if (!this.#decoder.decode(bytes, start, end, this.#block)) {
      this.fail(COMPRESSION_ERROR, 'field section cannot be decoded')
      return false
    }
    this.#block.end()
    return true
  }

  #onRequest(bytes: Buffer, start: number, end: number, ends: boolean, id: number): void {
    this.#lastPeerStream = id
    this.calm.opened()
    const block = this.#block
    if (id > this.#lastAccepted) {
      this.#decode(bytes, start, end, this.#trailerFields)
      return
    }
    if (this.streams.size >= this.own.concurrentStreamsMax) {
      if (this.#decode(bytes, start, end, this.#trailerFields)) this.#resetUnknown(id, REFUSED_STREAM)
      return
    }
    if (!this.#decode(bytes, start, end, this.#owner.headFields)) return
    const stream = new Stream(this, id, this.peer.initialWindow, this.own.streamWindow)
    this.streams.add(stream)
    stream.headSeen = true
    if (!block.tooLarge && (block.malformed || block.status !== '' || (ends && block.contentLength > 0))) return this.#streamError(stream, PROTOCOL_ERROR)
    stream.expectedBytes = block.contentLength
    if (ends) stream.remoteEnded = true
    this.calm.work()
    this.#owner.onRequest(stream, block, ends)
  }

  #onAnswer(stream: Stream, bytes: Buffer, start: number, end: number, ends: boolean): void {
    const { receiver } = stream
    if (!this.#decode(bytes, start, end, receiver?.headFields ?? this.#trailerFields)) return
    const block = this.#block
    const status = block.status
    const interim = status.charCodeAt(0) === 49
    if (block.malformed || block.tooLarge || !/^[1-9][0-9][0-9]$/.test(status) || block.method !== '' || block.path !== '' || (interim && ends)) return this.#streamError(stream, PROTOCOL_ERROR)
    if (interim) {
      this.#spend()
      return
    }
    stream.headSeen = true
    this.calm.work()
    if (ends) stream.remoteEnd()
    if (receiver !== undefined && !receiver.onHead(block, ends)) this.#streamError(stream, PROTOCOL_ERROR)
  }

  #onTrailers(stream: Stream, bytes: Buffer, start: number, end: number, ends: boolean): void {
    if (!this.#decode(bytes, start, end, this.#trailerFields)) return
    const block = this.#block
    if (!ends || block.malformed || block.tooLarge || block.hasPseudo) return this.#streamError(stream, PROTOCOL_ERROR)
    this.#remoteEnd(stream, trailerLines(this.#trailerFields))
  }

  #onWindowUpdate(bytes: Buffer, start: number, end: number, id: number): void {
    if (end - start !== 4) return this.fail(FRAME_SIZE_ERROR, 'WINDOW_UPDATE')
    const increment = bytes.readUInt32BE(start) & WINDOW_MAX
    this.#spend()
    if (id === 0) {
      if (increment === 0) return this.fail(PROTOCOL_ERROR, 'increment of 0')
      this.sendWindow += increment
      if (this.sendWindow > WINDOW_MAX) return this.fail(FLOW_CONTROL_ERROR, 'window overflow')
      return this.#drainBlocked()
    }
    const stream = this.streams.get(id)
    if (stream === undefined) {
      if (this.#isIdle(id)) this.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream')
      return
    }
    if (increment === 0) return this.#streamError(stream, PROTOCOL_ERROR)
    stream.sendWindow += increment
    if (stream.sendWindow > WINDOW_MAX) return this.#streamError(stream, FLOW_CONTROL_ERROR)
    this.#drainBlocked()
  }

  #onReset(bytes: Buffer, start: number, end: number, id: number): void {
    if (end - start !== 4) return this.fail(FRAME_SIZE_ERROR, 'RST_STREAM')
    if (id === 0 || this.#isIdle(id)) return this.fail(PROTOCOL_ERROR, 'RST_STREAM on an idle stream')
    const stream = this.streams.get(id)
    if (stream === undefined) return this.#spend()
    stream.fail(bytes.readUInt32BE(start), 'peer')
    this.#spend()
    if (this.isServer && !this.calm.reset()) this.fail(ENHANCE_YOUR_CALM, 'too many resets')
  }

  #onSettings(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    if (id !== 0) return this.fail(PROTOCOL_ERROR, 'SETTINGS on a stream')
    if (flags & ACK) {
      if (end !== start) this.fail(FRAME_SIZE_ERROR, 'SETTINGS')
      return
    }
    if ((end - start) % 6 !== 0) return this.fail(FRAME_SIZE_ERROR, 'SETTINGS')
    const { peer } = this
    const windowBefore = peer.initialWindow
    for (let p = start; p < end; p += 6) {
      const code = peer.apply(bytes.readUInt16BE(p), bytes.readUInt32BE(p + 2), !this.isServer)
      if (code !== NO_ERROR) return this.fail(code, 'bad setting')
    }
    this.#encoder.allow(peer.headerTableBytes)
    const grown = peer.initialWindow - windowBefore
    if (grown !== 0) {
      for (const stream of this.streams.all()) {
        stream.sendWindow += grown
        if (stream.sendWindow > WINDOW_MAX) return this.fail(FLOW_CONTROL_ERROR, 'window overflow')
      }
    }
    this.ready = true
    this.out.frame(SETTINGS, ACK, 0, KEEPALIVE, 0, 0)
    this.#spend()
    if (grown > 0) this.#drainBlocked()
    this.#owner.onSettings()
  }

  #onPing(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    if (id !== 0) return this.fail(PROTOCOL_ERROR, 'PING on a stream')
    if (end - start !== PING_BYTES) return this.fail(FRAME_SIZE_ERROR, 'PING')
    if ((flags & ACK) === 0) {
      this.out.frame(PING, ACK, 0, bytes, start, end)
      return this.#spend()
    }
    if (bytes.compare(DRAINING, 0, PING_BYTES, start, end) === 0) this.#finishDrain()
    else this.#owner.onPong()
  }

  #onGoaway(bytes: Buffer, start: number, end: number, id: number): void {
    if (id !== 0) return this.fail(PROTOCOL_ERROR, 'GOAWAY on a stream')
    if (end - start < 8) return this.fail(FRAME_SIZE_ERROR, 'GOAWAY')
    this.#spend()
    const last = bytes.readUInt32BE(start) & STREAM_ID_MAX
    const code = bytes.readUInt32BE(start + 4)
    this.goneAway = true
    if (!this.isServer) for (const stream of this.streams.all()) if (stream.id > last) stream.fail(REFUSED_STREAM, 'peer')
    this.#owner.onGoaway(last, code)
  }
}
