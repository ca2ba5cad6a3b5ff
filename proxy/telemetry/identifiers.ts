/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import { randomFillSync } from 'node:crypto'

/** Request, trace and span ids from a pool of random bytes, so that a request costs no call into the kernel. */
export class Identifiers {
  readonly #pool = Buffer.alloc(8192)
  #at = this.#pool.length

  #take(length: number): number {
    if (this.#at + length > this.#pool.length) {
      randomFillSync(this.#pool)
      this.#at = 0
    }
    const at = this.#at
    this.#at += length
    return at
  }

  hex(bytes: number): string {
    const at = this.#take(bytes)
    return this.#pool.toString('hex', at, at + bytes)
  }

  /** A random UUID (RFC 9562 §5.4), as Envoy's x-request-id. */
  uuid(): string {
    const at = this.#take(16)
    this.#pool[at + 6] = (this.#pool[at + 6]! & 0x0f) | 0x40
    this.#pool[at + 8] = (this.#pool[at + 8]! & 0x3f) | 0x80
    const hex = this.#pool.toString('hex', at, at + 16)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }
}
