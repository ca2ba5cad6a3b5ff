import type { Clock, Timer } from '#core/time/clock.ts'

/** A look that comes later than by this share of the time between two is none. */
const lateShare = 0.5

export interface Silence {
  /** Between two looks. */
  readonly everyMs: number
  /** So many looks in a row at a silent peer, and it is gone. Asked at each look. */
  looksMax(): number
  /** Whether the peer gave a sign of life since this was asked last. */
  hasStirred(): boolean
  over(): void
}

/**
 * Watches for a peer's silence by looks, and not by one timer. A timer that comes late says that this process did not run: what the peer said meanwhile waits in its socket,
 * and is read before the next look, a whole interval later. However long a turn of the event loop takes, it takes nothing from the time that a peer has.
 */
export function watchSilence(clock: Clock, silence: Silence): Timer {
  const { everyMs } = silence
  let silent = 0
  let dueMs = clock.monotonicMs() + everyMs
  const look = (): void => {
    const nowMs = clock.monotonicMs()
    if (nowMs - dueMs <= everyMs * lateShare) silent = silence.hasStirred() ? 0 : silent + 1
    if (silent >= silence.looksMax()) {
      silence.over()
      return
    }
    dueMs = nowMs + everyMs
    timer = clock.after(everyMs, look)
  }
  let timer = clock.after(everyMs, look)
  return { cancel: () => timer.cancel() }
}
