/* oxlint-disable typescript/no-non-null-assertion -- the index stays within the frame: it was compared with its end */
import { FieldTable } from '../head-scan.ts'
import { COMPRESSION_ERROR, END_HEADERS, ENHANCE_YOUR_CALM, FRAME_BYTES, FRAME_SIZE_ERROR, PADDED, PROTOCOL_ERROR, STREAM_ID_MAX, WITH_PRIORITY } from './frames.ts'
import { HeadBlock } from './head-block.ts'
import { HpackDecoder } from './hpack-decoder.ts'

/** Who is told of field sections. */
export interface SectionHandler {
  /** A whole section, still encoded, with the flags of its HEADERS frame; to be decoded by all means, or the table is out of step. */
  onSection(bytes: Buffer, start: number, end: number, flags: number, id: number): void
  /** The peer breaks the connection's rules. */
  fail(code: number, why: string): void
}

const TABLE_BYTES = 4096
/** Field sections may come in at most this many bytes, compressed, beyond what they may hold in all. */
const SLACK_BYTES = FRAME_BYTES

/** Field sections on their way in: HEADERS with their CONTINUATIONs put together, and decoded (RFC 9113 §4.3, §6.2, §6.10). */
export class SectionIn {
  /** What the last decoded section says, but for the lines of its fields. */
  readonly block = new HeadBlock()
  /** For the lines of trailers, and of sections that nobody wants. */
  readonly trailerFields = new FieldTable()
  /** The stream whose section came in part, so that nothing but its CONTINUATION may follow; 0: none. */
  stream = 0
  /** Bytes kept of it. */
  bytes = 0
  sinceMs = 0
  readonly #handler: SectionHandler
  readonly #headerBytesMax: number
  readonly #decoder = new HpackDecoder(TABLE_BYTES)
  #flags = 0
  #parts: Buffer[] = []

  constructor(handler: SectionHandler, headerBytesMax: number) {
    this.#handler = handler
    this.#headerBytesMax = headerBytesMax
  }

  onHeaders(bytes: Buffer, start: number, end: number, flags: number, id: number, nowMs: number): void {
    const handler = this.#handler
    if (id === 0) return handler.fail(PROTOCOL_ERROR, 'HEADERS on stream 0')
    let from = start
    let to = end
    if (flags & PADDED) {
      const pad = from < to ? bytes[from++]! : 256
      if (pad > to - from) return handler.fail(PROTOCOL_ERROR, 'padding exceeds its frame')
      to -= pad
    }
    if (flags & WITH_PRIORITY) {
      if (to - from < 5) return handler.fail(FRAME_SIZE_ERROR, 'no priority')
      if ((bytes.readUInt32BE(from) & STREAM_ID_MAX) === id) return handler.fail(PROTOCOL_ERROR, 'a stream depends on itself')
      from += 5
    }
    if (flags & END_HEADERS) return handler.onSection(bytes, from, to, flags, id)
    this.stream = id
    this.sinceMs = nowMs
    this.#flags = flags
    this.#parts = [Buffer.from(bytes.subarray(from, to))]
    this.bytes = to - from
  }

  /** `stream` is not 0, and the frame is of it. */
  onContinuation(bytes: Buffer, start: number, end: number, flags: number): void {
    this.bytes += end - start
    if (this.bytes > this.#headerBytesMax + SLACK_BYTES) return this.#handler.fail(ENHANCE_YOUR_CALM, 'field section too large')
    if (end > start) this.#parts.push(Buffer.from(bytes.subarray(start, end)))
    if ((flags & END_HEADERS) === 0) return
    const section = Buffer.concat(this.#parts)
    const id = this.stream
    this.#parts = []
    this.stream = 0
    this.bytes = 0
    this.#handler.onSection(section, 0, section.length, this.#flags, id)
  }

  /** Lines go to `fields`, all else to `block`. False: the connection has failed. */
  decode(bytes: Buffer, start: number, end: number, fields: FieldTable): boolean {
    this.block.begin(fields, this.#headerBytesMax)
    if (!this.#decoder.decode(bytes, start, end, this.block)) {
      this.#handler.fail(COMPRESSION_ERROR, 'field section cannot be decoded')
      return false
    }
    this.block.end()
    return true
  }

  /** Nothing more will come. */
  drop(): void {
    this.#parts = []
  }
}
