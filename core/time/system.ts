import type { Clock, Doors, Timer } from './clock.ts'

const cancelWith = (cancel: () => void): Timer => ({ cancel })

// Held here: the global is a getter that is looked up at every call, several times a request.
const { performance } = globalThis

const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, fire) {
    const handle = setTimeout(fire, delayMs)
    if (typeof handle === 'object') handle.unref()
    return cancelWith(() => clearTimeout(handle))
  },
  every(periodMs, fire) {
    const handle = setInterval(fire, periodMs)
    if (typeof handle === 'object') handle.unref()
    return cancelWith(() => clearInterval(handle))
  },
}

/** The real clock and the real dice, for `main.ts` files and commands. */
export const systemDoors: Doors = { clock: systemClock, random: { draw: Math.random } }
