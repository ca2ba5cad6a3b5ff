import { randomFillSync } from 'node:crypto'

const VARIANTS = ['8', '9', 'a', 'b'] as const

/** Request, trace and span ids from a pool of random bytes, so that a request costs no call into the kernel. */
export class Identifiers {
  readonly #pool = Buffer.alloc(4096)
  /** The pool as hex digits: ids are slices of it. */
  #digits = ''
  #at = 0

  hex(bytes: number): string {
    if (this.#at + 2 * bytes > this.#digits.length) {
      this.#digits = randomFillSync(this.#pool).toString('hex')
      this.#at = 0
    }
    const at = this.#at
    this.#at += 2 * bytes
    return this.#digits.slice(at, this.#at)
  }

  /** A random UUID (RFC 9562 §5.4), as Envoy's x-request-id. */
  uuid(): string {
    const hex = this.hex(16)
    // Four bits are the version, and two the variant.
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${VARIANTS[hex.charCodeAt(16) & 3]}${hex.slice(17, 20)}-${hex.slice(20)}`
  }
}
