const INVALID = 255
const PADDING = 61
const values = new Uint8Array(256).fill(INVALID)
for (const [value, letter] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries()) values[letter.charCodeAt(0)] = value

/**
 * Base64 (RFC 4648 §4) as it arrives, in pieces of any size. Four letters at a time are kept at most. Padding may stand within the stream, wherever its writer flushed
 * (grpc/grpc doc/PROTOCOL-WEB.md, "Text-encoded (response) streams").
 */
export class Base64In {
  /** Something else than base64 came. */
  bad = false
  #bits = 0
  /** Letters of the present four. */
  #letters = 0
  /** A `=` that another one must follow. */
  #halfPadded = false

  /** The bytes that these letters complete. */
  push(text: Uint8Array, start: number, end: number): Buffer {
    const out = Buffer.allocUnsafe(Math.ceil((this.#letters + end - start) / 4) * 3)
    let length = 0
    for (let at = start; at < end && !this.bad; at++) {
      const byte = text[at] ?? 0
      if (byte === PADDING) {
        length = this.#pad(out, length)
        continue
      }
      const value = values[byte] ?? INVALID
      if (value === INVALID || this.#halfPadded) this.bad = true
      this.#bits = (this.#bits << 6) | value
      if (++this.#letters < 4) continue
      out[length++] = this.#bits >>> 16
      out[length++] = this.#bits >>> 8
      out[length++] = this.#bits
      this.#begin()
    }
    return out.subarray(0, length)
  }

  /** Whether it may end here. Padding must not be left out. */
  get whole(): boolean {
    return !this.bad && this.#letters === 0
  }

  /** The end of four letters of which not all are there; the bits that no byte has must be zero. */
  #pad(out: Buffer, length: number): number {
    if (this.#letters === 2 && !this.#halfPadded) {
      this.#halfPadded = true
      return length
    }
    const spare = this.#letters === 2 ? 0b1111 : 0b11
    if (this.#letters < 2 || (this.#bits & spare) !== 0) {
      this.bad = true
      return length
    }
    const two = this.#letters === 3
    out[length] = two ? this.#bits >>> 10 : this.#bits >>> 4
    if (two) out[length + 1] = this.#bits >>> 2
    this.#begin()
    return length + (two ? 2 : 1)
  }

  #begin(): void {
    this.#bits = 0
    this.#letters = 0
    this.#halfPadded = false
  }
}
