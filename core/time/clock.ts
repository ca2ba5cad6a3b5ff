/** The doors through which time and chance enter. Nothing but `main.ts` files and `core/time/system.ts` opens them. */

/** A pending timer. `cancel` after it fired does nothing. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds since some fixed start, never going back: for deadlines and durations. */
  monotonicMs(): number
  /** Milliseconds since the Unix epoch: for certificates, log lines and people. */
  wallMs(): number
  /** Runs `fire` once, `delayMs` from now. A pending timer does not keep the process alive. */
  after(delayMs: number, fire: () => void): Timer
  /** Runs `fire` each `periodMs` until cancelled. */
  every(periodMs: number, fire: () => void): Timer
}

export interface Random {
  /** Uniform in [0, 1). */
  draw(): number
}

export interface Doors {
  readonly clock: Clock
  readonly random: Random
}
