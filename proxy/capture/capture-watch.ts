import type { Clock, Timer } from '#core/time/clock.ts'
import type { Log } from '../admin/log.ts'

/** Until it is proven: rules are often put in force beside the start of the proxy. */
const AGAIN_MS = 500
/** How often it is proven again: by the bundled proxy, and beside an Envoy, which counts and logs each proof as any connection. */
export const PERIOD_MS = 5000
export const ENVOY_PERIOD_MS = 30_000
/** What was proven is doubted once so many proofs in a row have failed, so far apart: a flood of connections may fill the proxy's queue for a moment. */
const FAILURES = 3
const DOUBT_MS = 2000
const NOT_YET = 'not proven yet'

/** Whether the traffic of a proxy's application is captured, over time. Only changes are told, and each reason once. */
export class CaptureWatch {
  readonly #clock: Clock
  readonly #prove: () => Promise<string>
  readonly #told: () => void
  readonly #log: Log
  #next: Timer | undefined
  #begun = false
  #stopped = false
  #failures = 0
  readonly #isProven: boolean
  readonly #periodMs: number
  #why = ''

  /** `prove`: answers with the reason why it is not proven, empty when it is, and never rejects. `isProven`: by the process that this one replaces. */
  constructor(clock: Clock, prove: () => Promise<string>, told: () => void, log: Log, isProven: boolean, periodMs: number) {
    this.#clock = clock
    this.#prove = prove
    this.#told = told
    this.#log = log
    this.#isProven = isProven
    this.#periodMs = periodMs
  }

  /** Why capture is not proven; empty: it is, or nobody has begun to ask. */
  get why(): string {
    return this.#why
  }

  /** Begins to prove. Safe to call again. */
  start(): void {
    if (this.#begun || this.#stopped) return
    this.#begun = true
    if (!this.#isProven) this.#why = NOT_YET
    void this.#look()
  }

  stop(): void {
    this.#stopped = true
    this.#next?.cancel()
  }

  async #look(): Promise<void> {
    const why = await this.#prove()
    if (this.#stopped) return
    this.#failures = why === '' ? 0 : this.#failures + 1
    if (why === '' || this.#why !== '' || this.#failures >= FAILURES) this.#tell(why)
    this.#next = this.#clock.after(why === '' ? this.#periodMs : this.#why === '' ? DOUBT_MS : AGAIN_MS, () => void this.#look())
  }

  #tell(why: string): void {
    if (why === this.#why) return
    this.#why = why
    if (why === '') this.#log.info('capture.proven', {})
    else this.#log.warn('capture.not-proven', { error: why })
    this.#told()
  }
}
