/** Length-prefixed message: one byte of flags, four of length (gRPC over HTTP/2, "Requests"). */
export const HEAD_BYTES = 5

const COMPRESSED = 1
/** Of a request that takes its memory at once. */
const SMALL_BYTES = 1 << 16
const NOTHING = Buffer.alloc(0)

/** What a peer sent is no gRPC message that can be taken. */
export class BadFrame extends Error {
  /** `too-large`, `compressed`, or `flags` that mean nothing. */
  readonly what: 'too-large' | 'compressed' | 'flags'

  constructor(what: BadFrame['what'], message: string) {
    super(message)
    this.what = what
  }
}

/** Cuts the bytes of a stream into messages. Holds what has come of one message, and refuses it by its head when it will be too large. */
export class MessageReader {
  readonly #bytesMax: number
  /** Begins with what has come of a message, in memory of its own: a chunk may be a byte within much that was read for others. */
  #buffer: Buffer = NOTHING
  #buffered = 0
  /** Bytes that must be there before anything can be done. */
  #needed = HEAD_BYTES

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Something of a message is here that is not whole. */
  get isWithin(): boolean {
    return this.#buffered > 0
  }

  /** Bytes of memory that this takes. */
  get held(): number {
    return this.#buffer.length
  }

  /** Nothing more will be read. */
  drop(): void {
    this.#buffer = NOTHING
    this.#buffered = 0
  }

  /**
   * The messages that are whole with this chunk, in order. They may share memory with it.
   * @throws BadFrame
   */
  push(chunk: Buffer): Buffer[] {
    let rest = chunk
    if (this.#buffered > 0) {
      this.#append(chunk)
      if (this.#buffered < this.#needed) return []
      rest = this.#buffer.subarray(0, this.#buffered)
    }
    const messages: Buffer[] = []
    this.#needed = HEAD_BYTES
    while (rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.#lengthOf(rest)
      this.#needed = end
      if (rest.length < end) break
      messages.push(rest.subarray(HEAD_BYTES, end))
      rest = rest.subarray(end)
      this.#needed = HEAD_BYTES
    }
    // Without a message it holds all of it already, unless it held nothing.
    if (messages.length > 0 || this.#buffered === 0) {
      this.drop()
      if (rest.length > 0) this.#append(rest)
    }
    return messages
  }

  /**
   * Twice the room each time, so that neither many small chunks nor a head that promises much takes more than has come. What is small takes four times what has come: a request with a node of 48 KB, of
   * which a third comes first, takes memory once then, and each is as much for the garbage collector.
   */
  #append(chunk: Buffer): void {
    const size = this.#buffered + chunk.length
    if (size > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(size, Math.min(Math.max(2 * this.#buffer.length, Math.min(4 * size, SMALL_BYTES)), this.#needed)))
      this.#buffer.copy(grown, 0, 0, this.#buffered)
      this.#buffer = grown
    }
    chunk.copy(this.#buffer, this.#buffered)
    this.#buffered = size
  }

  #lengthOf(head: Buffer): number {
    const flags = head[0]
    if (flags === COMPRESSED) throw new BadFrame('compressed', 'messages are taken uncompressed only')
    if (flags !== 0) throw new BadFrame('flags', `a message begins with the flags ${flags}`)
    const length = head.readUInt32BE(1)
    if (length > this.#bytesMax) throw new BadFrame('too-large', `a message of ${length} bytes is larger than ${this.#bytesMax}`)
    return length
  }
}
