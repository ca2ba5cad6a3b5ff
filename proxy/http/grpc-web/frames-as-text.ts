/** Bytes before a message: whether it is compressed, and its length (PROTOCOL-HTTP2.md, Length-Prefixed-Message). */
const PREFIX_BYTES = 5

/**
 * A stream of gRPC messages as base64, each padded at its own end, so that whoever reads it has all of a message when its last byte has come. A long one goes out as it comes:
 * two bytes are kept at most.
 */
export class FramesAsText {
  #prefixLeft = PREFIX_BYTES
  #length = 0
  #left = 0
  #kept: Buffer = Buffer.alloc(0)

  push(bytes: Buffer, start: number, end: number): Buffer {
    const out: string[] = []
    for (let at = start; at < end; ) {
      const from = at
      while (this.#prefixLeft > 0 && at < end) {
        // The first byte is a flag.
        if (this.#prefixLeft < PREFIX_BYTES) this.#length = this.#length * 256 + (bytes[at] ?? 0)
        at += 1
        if (--this.#prefixLeft === 0) this.#left = this.#length
      }
      if (this.#prefixLeft === 0) {
        const stop = Math.min(end, at + this.#left)
        this.#left -= stop - at
        at = stop
      }
      out.push(this.#encode(bytes.subarray(from, at), this.#prefixLeft === 0 && this.#left === 0))
    }
    return Buffer.from(out.join(''), 'latin1')
  }

  /** What is left of a message that was cut short. */
  end(): Buffer {
    return Buffer.from(this.#encode(Buffer.alloc(0), true), 'latin1')
  }

  #encode(bytes: Buffer, ends: boolean): string {
    const all = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes])
    const whole = ends ? all.length : all.length - (all.length % 3)
    this.#kept = Buffer.from(all.subarray(whole))
    if (ends) {
      this.#prefixLeft = PREFIX_BYTES
      this.#length = 0
      this.#left = 0
    }
    return all.toString('base64', 0, whole)
  }
}
