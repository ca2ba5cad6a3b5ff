/** Length-prefixed message: one byte of flags, four of length (gRPC over HTTP/2, "Requests"). */
export const HEAD_BYTES = 5

const COMPRESSED = 1

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
  #chunks: Buffer[] = []
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

  /**
   * The messages that are whole with this chunk, in order. They may share memory with it.
   * @throws BadFrame
   */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    if (this.#buffered < this.#needed) return []
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#buffered)
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
    this.#chunks = rest.length > 0 ? [rest] : []
    this.#buffered = rest.length
    return messages
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
