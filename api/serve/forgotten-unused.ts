import type { Clock } from '#core/time/clock.ts'

/** Forgets what nobody has used for `ms` to twice that: one timer, however much is kept and however often it is used; none while nothing is. */
export class ForgottenUnused {
  readonly #clock: Clock
  readonly #ms: number
  readonly #forget: () => void
  #used = false
  #isTimed = false

  constructor(clock: Clock, ms: number, forget: () => void) {
    this.#clock = clock
    this.#ms = ms
    this.#forget = forget
  }

  used(): void {
    this.#used = true
    if (!this.#isTimed) this.#time()
  }

  #time(): void {
    this.#isTimed = true
    this.#clock.after(this.#ms, () => this.#look())
  }

  #look(): void {
    this.#isTimed = false
    if (this.#used) {
      this.#used = false
      this.#time()
    } else this.#forget()
  }
}
