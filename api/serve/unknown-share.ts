/** What a stream may hold of names that its view does not have without taking of its identity's share: about as much as a stream takes anyway. */
const bytesFree = 64 << 10

/** What one stream holds of names that its view does not have, as a part of what its identity may. */
export class UnknownShare {
  readonly #take: (bytes: number) => boolean
  #taken = 0

  /** @param take takes of the identity's share, or gives back what is less than nothing; answers whether that is within bounds */
  constructor(take: (bytes: number) => boolean = () => true) {
    this.#take = take
  }

  /** It holds so much now. False when that is more than before, and more than there is: whoever gives back is not sent away for what others hold. */
  holds(bytes: number): boolean {
    const more = Math.max(0, bytes - bytesFree) - this.#taken
    if (more === 0) return true
    this.#taken += more
    return this.#take(more) || more < 0
  }
}
