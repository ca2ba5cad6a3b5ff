import { FRAME_HEADER_BYTES, GOAWAY } from './frames.ts'

/** Where a connection's bytes go. */
export interface FrameSink {
  /** Takes bytes that stay as they are until `done`. */
  writeBytes(bytes: Buffer, done: () => void): void
}

/** Room for eight DATA frames as large as they may be, and their heads: the fewer writes, the less TLS and the kernel cost for each frame. */
const CHUNK_BYTES = 136 * 1024
const FREE_MAX = 32

class Chunk {
  readonly bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  readonly release: () => void

  constructor() {
    this.release = () => {
      if (free.length < FREE_MAX) free.push(this)
    }
  }
}
const free: Chunk[] = []

/** Connections with frames to send at the end of this turn of the event loop. */
const waiting: FrameOut[] = []
const flushAll = (): void => {
  for (const out of waiting.splice(0)) out.flush()
}

/**
 * Frames on their way out. Those of one turn of the event loop leave in one write, so that they share system calls and TLS records:
 * that is what a multiplexed hop lives by.
 */
export class FrameOut {
  /** Undefined: nothing was dialled yet, or it is closed. */
  sink: FrameSink | undefined = undefined
  /** Counts chunks, so that a place in one can be told from the same place in another. */
  generation = 0
  #chunk: Chunk | undefined = undefined
  used = 0
  #scheduled = false

  /** The buffer to write into, at `used`, with `bytes` of room; at most a chunk's. */
  room(bytes: number): Buffer {
    if (this.#chunk !== undefined && this.used + bytes <= CHUNK_BYTES) return this.#chunk.bytes
    this.#write()
    this.#chunk = free.pop() ?? new Chunk()
    if (!this.#scheduled) {
      this.#scheduled = true
      if (waiting.push(this) === 1) setImmediate(flushAll)
    }
    return this.#chunk.bytes
  }

  /** A frame's header at `at` (RFC 9113 §4.1). */
  static header(bytes: Buffer, at: number, length: number, type: number, flags: number, stream: number): void {
    bytes[at] = length >>> 16
    bytes[at + 1] = length >>> 8
    bytes[at + 2] = length
    bytes[at + 3] = type
    bytes[at + 4] = flags
    bytes[at + 5] = stream >>> 24
    bytes[at + 6] = stream >>> 16
    bytes[at + 7] = stream >>> 8
    bytes[at + 8] = stream
  }

  /** A frame with a payload of a few numbers, 32 bits each. */
  words(type: number, flags: number, stream: number, first: number, second = -1): void {
    const length = second < 0 ? 4 : 8
    const bytes = this.room(FRAME_HEADER_BYTES + length)
    FrameOut.header(bytes, this.used, length, type, flags, stream)
    bytes.writeUInt32BE(first, this.used + FRAME_HEADER_BYTES)
    if (second >= 0) bytes.writeUInt32BE(second, this.used + FRAME_HEADER_BYTES + 4)
    this.used += FRAME_HEADER_BYTES + length
  }

  /** A frame with its payload copied. */
  frame(type: number, flags: number, stream: number, payload: Buffer, start: number, end: number): void {
    const length = end - start
    const bytes = this.room(FRAME_HEADER_BYTES + length)
    FrameOut.header(bytes, this.used, length, type, flags, stream)
    payload.copy(bytes, this.used + FRAME_HEADER_BYTES, start, end)
    this.used += FRAME_HEADER_BYTES + length
  }

  /** GOAWAY with a word on why, of latin1 (RFC 9113 §6.8). */
  goaway(lastStream: number, code: number, why: string): void {
    const length = 8 + why.length
    const bytes = this.room(FRAME_HEADER_BYTES + length)
    const at = this.used + FRAME_HEADER_BYTES
    FrameOut.header(bytes, this.used, length, GOAWAY, 0, 0)
    bytes.writeUInt32BE(lastStream, at)
    bytes.writeUInt32BE(code, at + 4)
    bytes.write(why, at + 8, 'latin1')
    this.used += FRAME_HEADER_BYTES + length
  }

  /** Sets flags of a frame that has not left. False: it has, or (`at` below zero) it is not to be touched. */
  amend(generation: number, at: number, flags: number): boolean {
    if (at < 0 || generation !== this.generation || this.#chunk === undefined) return false
    this.#chunk.bytes[at + 4]! |= flags
    return true
  }

  #write(): void {
    const chunk = this.#chunk
    if (chunk === undefined) return
    this.#chunk = undefined
    const { used } = this
    this.used = 0
    this.generation += 1
    if (used > 0 && this.sink !== undefined) this.sink.writeBytes(chunk.bytes.subarray(0, used), chunk.release)
    else chunk.release()
  }

  flush(): void {
    this.#scheduled = false
    this.#write()
  }
}
