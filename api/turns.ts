import type { Clock } from '#core/time/clock.ts'
import type { Turns } from './translate/view.ts'

/** To fill the model of a large mesh and to make its first views takes seconds: so much of it at a time. */
const TURN_MS = 8

/** Long work in turns of the event loop, each of which lets all else run that waits. */
export function turnsOf(clock: Clock): Turns {
  let endsAtMs = clock.monotonicMs() + TURN_MS
  return {
    isOver: () => clock.monotonicMs() > endsAtMs,
    next: async () => {
      await new Promise<void>((resolve) => setImmediate(resolve))
      endsAtMs = clock.monotonicMs() + TURN_MS
    },
  }
}
