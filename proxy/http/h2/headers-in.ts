import type { Connection, ConnectionOwner } from './connection.ts'
import { END_STREAM, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED } from './frames.ts'
import { SectionIn } from './section-in.ts'
import type { SectionHandler } from './section-in.ts'
import { Stream } from './stream.ts'
import { trailerLines } from './trailers.ts'

const DIGIT_ONE = 49

/** HEADERS frames as they arrive (RFC 9113 §6.2, §8.1): whether their field section is a request, an answer or trailers goes by what came on their stream before. */
export class HeadersIn implements SectionHandler {
  readonly section: SectionIn
  readonly #connection: Connection
  readonly #owner: ConnectionOwner

  constructor(connection: Connection, owner: ConnectionOwner) {
    this.#connection = connection
    this.#owner = owner
    this.section = new SectionIn(this, connection.own.headerBytesMax)
  }

  onHeaders(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    this.section.onHeaders(bytes, start, end, flags, id, this.#connection.nowMs)
  }

  onContinuation(bytes: Buffer, start: number, end: number, flags: number): void {
    const connection = this.#connection
    if (this.section.stream === 0) return connection.fail(PROTOCOL_ERROR, 'CONTINUATION of nothing')
    connection.spend()
    if (!connection.failed) this.section.onContinuation(bytes, start, end, flags)
  }

  fail(code: number, why: string): void {
    this.#connection.fail(code, why)
  }

  onSection(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    const connection = this.#connection
    const stream = connection.streams.get(id)
    const ends = (flags & END_STREAM) !== 0
    if (stream !== undefined) {
      if (stream.remoteEnded) {
        if (this.#readAway(bytes, start, end)) connection.streamError(stream, STREAM_CLOSED)
      } else if (stream.headSeen) this.#onTrailers(stream, bytes, start, end, ends)
      else this.#onAnswer(stream, bytes, start, end, ends)
      return
    }
    if (connection.isServer && (id & 1) === 1 && id > connection.lastPeerStream) return this.#onRequest(bytes, start, end, ends, id)
    if (connection.isIdle(id)) return connection.fail(PROTOCOL_ERROR, 'HEADERS on a stream that is not theirs')
    if (connection.resets.has(id)) {
      if (this.#readAway(bytes, start, end)) connection.spend()
      return
    }
    connection.fail(STREAM_CLOSED, 'HEADERS on a closed stream')
  }

  /** A section that nobody wants is decoded all the same: HPACK's table would be out of step for those that follow. False: the connection has failed. */
  #readAway(bytes: Buffer, start: number, end: number): boolean {
    return this.section.decode(bytes, start, end, this.section.trailerFields)
  }

  #onRequest(bytes: Buffer, start: number, end: number, ends: boolean, id: number): void {
    const connection = this.#connection
    connection.lastPeerStream = id
    connection.calm.opened()
    // We said goodbye before it; the client asks elsewhere (§6.8).
    if (id > connection.control.lastAccepted) {
      this.#readAway(bytes, start, end)
      return
    }
    if (connection.streams.size >= connection.own.concurrentStreamsMax) {
      if (this.#readAway(bytes, start, end)) connection.resetUnknown(id, REFUSED_STREAM)
      return
    }
    if (!this.section.decode(bytes, start, end, this.#owner.headFields)) return
    const stream = new Stream(connection, id, connection.peer.initialWindow, connection.own.streamWindow)
    connection.streams.add(stream)
    stream.headSeen = true
    const { block } = this.section
    if (!block.tooLarge && (block.malformed || block.status !== '' || (ends && block.contentLength > 0))) return connection.streamError(stream, PROTOCOL_ERROR)
    stream.expectedBytes = block.contentLength
    if (ends) stream.remoteEnded = true
    connection.calm.work()
    this.#owner.onRequest(stream, block, ends)
  }

  /** Interim ones (1xx) are left out, and paid for. */
  #onAnswer(stream: Stream, bytes: Buffer, start: number, end: number, ends: boolean): void {
    const connection = this.#connection
    const { receiver } = stream
    if (!this.section.decode(bytes, start, end, receiver?.headFields ?? this.section.trailerFields)) return
    const { block } = this.section
    const { status } = block
    const interim = status.charCodeAt(0) === DIGIT_ONE
    if (block.malformed || block.tooLarge || !/^[1-9][0-9][0-9]$/.test(status) || block.method !== '' || block.path !== '' || (interim && ends)) return connection.streamError(stream, PROTOCOL_ERROR)
    if (interim) return connection.spend()
    stream.headSeen = true
    connection.calm.work()
    if (ends) stream.remoteEnd()
    if (receiver !== undefined && !receiver.onHead(block, ends)) connection.streamError(stream, PROTOCOL_ERROR)
  }

  #onTrailers(stream: Stream, bytes: Buffer, start: number, end: number, ends: boolean): void {
    const { section } = this
    if (!section.decode(bytes, start, end, section.trailerFields)) return
    const { block } = section
    if (!ends || block.malformed || block.tooLarge || block.hasPseudo) return this.#connection.streamError(stream, PROTOCOL_ERROR)
    this.#connection.remoteEnd(stream, trailerLines(section.trailerFields))
  }
}
