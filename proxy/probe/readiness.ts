import type { Clock, Timer } from '#core/time/clock.ts'
import type { ReadinessProbe } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'

const PERIOD_SECONDS = 10
const SUCCESSES = 1
/** As Istio's reference has it; its agents take the first failure where nothing is said. */
const FAILURES = 3

/**
 * A workload's readiness over time, by its probe: it changes after so many answers of one kind in a row, and only changes are told. Until the first success nobody is told anything.
 * istio.io/latest/docs/reference/config/networking/workload-group/#ReadinessProbe
 */
export class Readiness {
  readonly #clock: Clock
  readonly #probe: ReadinessProbe
  readonly #ask: () => Promise<string>
  readonly #told: (why: string) => void
  #isReady: boolean
  #inARow = 0
  #next: Timer | undefined
  #stopped = false

  /** `ask`: answers with the reason why it is not ready, empty when it is. `told` hears the same at each change. `isReady`: what the mesh holds it for. */
  constructor(clock: Clock, probe: ReadinessProbe, doors: { ask: () => Promise<string>; told: (why: string) => void; isReady: boolean }) {
    this.#clock = clock
    this.#probe = probe
    this.#ask = doors.ask
    this.#told = doors.told
    this.#isReady = doors.isReady
  }

  start(): void {
    this.#next ??= this.#clock.after(this.#probe.initialDelaySeconds * 1000, () => void this.#look())
  }

  stop(): void {
    this.#stopped = true
    this.#next?.cancel()
  }

  async #look(): Promise<void> {
    const startedMs = this.#clock.monotonicMs()
    const why = await this.#ask()
    if (this.#stopped) return
    this.#count(why)
    const periodMs = (this.#probe.periodSeconds || PERIOD_SECONDS) * 1000
    this.#next = this.#clock.after(Math.max(0, startedMs + periodMs - this.#clock.monotonicMs()), () => void this.#look())
  }

  #count(why: string): void {
    const ready = why === ''
    if (ready === this.#isReady) {
      this.#inARow = 0
      return
    }
    this.#inARow += 1
    if (this.#inARow < (ready ? this.#probe.successThreshold || SUCCESSES : this.#probe.failureThreshold || FAILURES)) return
    this.#isReady = ready
    this.#inARow = 0
    this.#told(why)
  }
}
