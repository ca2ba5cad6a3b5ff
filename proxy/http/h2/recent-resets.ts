const REMEMBERED = 256

/** The streams that we reset last, by number. What their peer still sends of them was on its way when it could not know yet (RFC 9113 §5.1), and is no error. */
export class RecentResets {
  readonly #ids = new Int32Array(REMEMBERED)
  #at = 0

  has(id: number): boolean {
    return this.#ids.includes(id)
  }

  /** The oldest makes room for it. */
  add(id: number): void {
    this.#ids[this.#at] = id
    this.#at = (this.#at + 1) % REMEMBERED
  }
}
