/** What calls hold of messages that are not whole yet or not taken, together. */
export class HeldBytes {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Negative: given back. */
  add(bytes: number): void {
    this.#bytes += bytes
  }

  get isTooMuch(): boolean {
    return this.#bytes > this.#bytesMax
  }
}
