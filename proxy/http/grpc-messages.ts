/** Flag and length before each message (grpc/grpc doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message). */
const PREFIX_BYTES = 5

/** Counts the messages of one direction of a call as its bytes pass, whatever the pieces they come in; a message counts once its prefix is there. Of its content nothing is looked at. */
export class MessageCount {
  count = 0
  #told = 0
  /** Of the message that passes. */
  #bytesLeft = 0
  /** Of a prefix that came in pieces. */
  #prefixBytes = 0
  #length = 0

  /** How many came since this was asked before. */
  news(): number {
    const news = this.count - this.#told
    this.#told = this.count
    return news
  }

  read(bytes: Buffer, start: number, end: number): void {
    let at = start + Math.min(this.#bytesLeft, end - start)
    this.#bytesLeft -= at - start
    while (at < end) {
      if (this.#prefixBytes === 0 && end - at >= PREFIX_BYTES) {
        this.#length = bytes.readUInt32BE(at + 1)
        at += PREFIX_BYTES
      } else {
        // The flag is shifted out by the four bytes that follow it.
        this.#length = ((this.#length << 8) | (bytes[at++] ?? 0)) >>> 0
        if (++this.#prefixBytes < PREFIX_BYTES) continue
        this.#prefixBytes = 0
      }
      this.count += 1
      const here = Math.min(this.#length, end - at)
      at += here
      this.#bytesLeft = this.#length - here
    }
  }
}

/** Both directions of a call of gRPC. */
export class CallMessages {
  readonly request = new MessageCount()
  readonly response = new MessageCount()
}
