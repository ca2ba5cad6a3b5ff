import type { Connection, ConnectionOwner } from './connection.ts'
import { ACK, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, NO_ERROR, PING, PROTOCOL_ERROR, REFUSED_STREAM, SETTINGS, STREAM_ID_MAX, WINDOW_MAX } from './frames.ts'

const PING_BYTES = 8
/** What our own PINGs carry; their meaning is ours. */
const KEEPALIVE = Buffer.from('weft-up?', 'latin1')
const DRAINING = Buffer.from('weft-bye', 'latin1')

/** What the two ends of a connection say about it as a whole: SETTINGS, PING and GOAWAY (RFC 9113 §6.5, §6.7, §6.8). */
export class Control {
  /** The peer's streams above this are ignored, after our GOAWAY. */
  lastAccepted = STREAM_ID_MAX
  readonly #connection: Connection
  readonly #owner: ConnectionOwner
  #drains = false

  constructor(connection: Connection, owner: ConnectionOwner) {
    this.#connection = connection
    this.#owner = owner
  }

  ping(): void {
    this.#connection.out.frame(PING, 0, 0, KEEPALIVE, 0, PING_BYTES)
  }

  /** No new streams from the peer; what runs is finished. It is told twice, a round trip apart, so that no request is lost (§6.8). */
  drain(): void {
    const { out, failed } = this.#connection
    if (this.#drains || failed) return
    this.#drains = true
    out.words(GOAWAY, 0, 0, STREAM_ID_MAX, NO_ERROR)
    out.frame(PING, 0, 0, DRAINING, 0, PING_BYTES)
  }

  #finishDrain(): void {
    if (!this.#drains || this.lastAccepted !== STREAM_ID_MAX) return
    const { out, lastPeerStream } = this.#connection
    this.lastAccepted = lastPeerStream
    out.words(GOAWAY, 0, 0, lastPeerStream, NO_ERROR)
  }

  /** The client knows that it is to go, and nothing of it is under way. */
  get drained(): boolean {
    return this.#drains && this.lastAccepted !== STREAM_ID_MAX && this.#connection.streams.size === 0
  }

  onSettings(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    const connection = this.#connection
    if (id !== 0) return connection.fail(PROTOCOL_ERROR, 'SETTINGS on a stream')
    if (flags & ACK) {
      if (end !== start) connection.fail(FRAME_SIZE_ERROR, 'SETTINGS')
      return
    }
    if ((end - start) % 6 !== 0) return connection.fail(FRAME_SIZE_ERROR, 'SETTINGS')
    const { peer, out, streams, windows } = connection
    const windowBefore = peer.initialWindow
    for (let p = start; p < end; p += 6) {
      const code = peer.apply(bytes.readUInt16BE(p), bytes.readUInt32BE(p + 2), !connection.isServer)
      if (code !== NO_ERROR) return connection.fail(code, 'bad setting')
    }
    connection.heads.allowTable(peer.headerTableBytes)
    const grown = peer.initialWindow - windowBefore
    if (grown !== 0) {
      for (const stream of streams.all()) {
        stream.sendWindow += grown
        if (stream.sendWindow > WINDOW_MAX) return connection.fail(FLOW_CONTROL_ERROR, 'window overflow')
      }
    }
    connection.ready = true
    out.frame(SETTINGS, ACK, 0, KEEPALIVE, 0, 0)
    connection.spend()
    if (grown > 0) windows.drain()
    this.#owner.onSettings()
  }

  onPing(bytes: Buffer, start: number, end: number, flags: number, id: number): void {
    const connection = this.#connection
    if (id !== 0) return connection.fail(PROTOCOL_ERROR, 'PING on a stream')
    if (end - start !== PING_BYTES) return connection.fail(FRAME_SIZE_ERROR, 'PING')
    if ((flags & ACK) === 0) {
      connection.out.frame(PING, ACK, 0, bytes, start, end)
      return connection.spend()
    }
    if (bytes.compare(DRAINING, 0, PING_BYTES, start, end) === 0) this.#finishDrain()
    else this.#owner.onPong()
  }

  onGoaway(bytes: Buffer, start: number, end: number, id: number): void {
    const connection = this.#connection
    if (id !== 0) return connection.fail(PROTOCOL_ERROR, 'GOAWAY on a stream')
    if (end - start < 8) return connection.fail(FRAME_SIZE_ERROR, 'GOAWAY')
    connection.spend()
    const last = bytes.readUInt32BE(start) & STREAM_ID_MAX
    const code = bytes.readUInt32BE(start + 4)
    connection.goneAway = true
    if (!connection.isServer) for (const stream of connection.streams.all()) if (stream.id > last) stream.fail(REFUSED_STREAM, 'peer')
    this.#owner.onGoaway(last, code)
  }
}
