import type { ServerHttp2Session } from 'node:http2'
import type { Clock, Timer } from '#core/time/clock.ts'
import { watchSilence } from './silence.ts'
import { bytesRead } from './unread.ts'

/** A connection may be there for so many looks, half a minute, without a call whose caller is known, and for as many more at which bytes still come. */
const lookMs = 5000
const looks = 6
/** How long calls of strangers have to end once their connection is told to go. */
const lingerMs = 5000

/**
 * Connections without an open call of anyone known: nobody has come yet, or whoever came was refused, or all have left. They answer PINGs for as long as they like, so their time is bounded,
 * and their number: where there are too many, the one that has been a stranger longest goes.
 */
export class Strangers {
  readonly #clock: Clock
  readonly #max: number
  readonly #waiting = new Set<ServerHttp2Session>()

  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#max = max
  }

  /** Takes a new connection in. What it answers is called when a call's caller is known, and what that answers when that call is over. */
  enter(session: ServerHttp2Session): () => () => void {
    let known = 0
    let timers: Timer[] = []
    const leave = (): void => {
      for (const timer of timers) timer.cancel()
      timers = []
      this.#waiting.delete(session)
    }
    const over = (): void => {
      session.close()
      if (!session.destroyed) timers.push(this.#clock.after(lingerMs, () => session.destroy()))
    }
    const wait = (): void => {
      timers = [this.#patience(session, over)]
      this.#waiting.add(session)
      if (this.#waiting.size > this.#max) for (const oldest of this.#waiting) {
        this.#waiting.delete(oldest)
        oldest.destroy()
        break
      }
    }
    session.once('close', leave)
    wait()
    return () => {
      known += 1
      if (known === 1) leave()
      return () => {
        known -= 1
        if (known === 0 && !session.destroyed && !session.closed) wait()
      }
    }
  }

  #patience(session: ServerHttp2Session, over: () => void): Timer {
    let before = bytesRead(session)
    let left = looks
    return watchSilence(this.#clock, {
      everyMs: lookMs,
      looksMax: () => looks,
      hasStirred: () => {
        const now = bytesRead(session)
        const stirred = now !== before && left > 0
        before = now
        if (stirred) left -= 1
        return stirred
      },
      over,
    })
  }
}
