import type { Clock, Timer } from '#core/time/clock.ts'
import type { Store } from '#db/store.ts'
import { rateLimited } from './rate.ts'

/** What outlives the judgement of a request is judged again so often. */
const JUDGED_EVERY_MS = 2000
/** Credentials that one question names. */
const ASKED_MAX = 5000

/** Of what is open at once on this replica: by one credential, and by all of an organization. */
export interface StreamBounds {
  readonly perCredential: number
  readonly perOrganization: number
}
/** Watches, live events and waits of people and their tools. */
const PEOPLE_BOUNDS: StreamBounds = { perCredential: 2000, perOrganization: 10_000 }
/** Polls of proxies: Envoy asks for each cluster's endpoints by themselves, and one token may serve a fleet. */
export const POLL_BOUNDS: StreamBounds = { perCredential: 20_000, perOrganization: 50_000 }

interface Holder {
  readonly id: string
  readonly organizationId: string
}

/** One thing that is open. */
export interface Held {
  /** Aborted when its credential was deleted or has expired. */
  readonly signal: AbortSignal
  /** It is over. Calling it again does nothing. */
  release(): void
}

/**
 * Whatever stays open past the request that began it, with the credential that opened it: API keys and join tokens alike.
 * One statement every two seconds asks the database which are still alive, whichever replica ended them; nothing is asked where nothing is open.
 */
export class LiveStreams {
  readonly #store: Pick<Store, 'liveCredentials'>
  readonly #clock: Clock
  readonly #failed: (error: unknown) => void
  readonly #ends = new Map<string, Set<() => void>>()
  readonly #open = new Map<string, number>()
  #timer: Timer | undefined
  #judging: Promise<void> | undefined

  /** @param failed hears why the database could not be asked: nobody's stream ends for that */
  constructor(store: Pick<Store, 'liveCredentials'>, clock: Clock, failed: (error: unknown) => void) {
    this.#store = store
    this.#clock = clock
    this.#failed = failed
  }

  /** Counts it, until it is released. @throws Faults 'access.rate-limited' when as much is open as may be */
  hold(by: Holder, bounds: StreamBounds = PEOPLE_BOUNDS): Held {
    const places = [`credential ${by.id}`, `organization ${by.organizationId}`] as const
    if ((this.#open.get(places[0]) ?? 0) >= bounds.perCredential) throw rateLimited(`at most ${bounds.perCredential} streams of one credential`)
    if ((this.#open.get(places[1]) ?? 0) >= bounds.perOrganization) throw rateLimited(`at most ${bounds.perOrganization} streams of one organization`)
    for (const place of places) this.#open.set(place, (this.#open.get(place) ?? 0) + 1)
    const over = new AbortController()
    const unwatch = this.watch(by.id, () => over.abort())
    let isOpen = true
    const release = (): void => {
      if (!isOpen) return
      isOpen = false
      unwatch()
      for (const place of places) {
        const left = (this.#open.get(place) ?? 1) - 1
        if (left === 0) this.#open.delete(place)
        else this.#open.set(place, left)
      }
    }
    return { signal: over.signal, release }
  }

  /** Calls `end` once the credential is no longer alive. Returns the way to stop. */
  watch(id: string, end: () => void): () => void {
    const own = (): void => end()
    const ends = this.#ends.get(id) ?? new Set()
    this.#ends.set(id, ends.add(own))
    this.#timer ??= this.#clock.every(JUDGED_EVERY_MS, () => void this.judge())
    return () => {
      ends.delete(own)
      if (ends.size === 0 && this.#ends.get(id) === ends) this.#ends.delete(id)
      if (this.#ends.size > 0) return
      this.#timer?.cancel()
      this.#timer = undefined
    }
  }

  /** Asks now. One question at a time. */
  judge(): Promise<void> {
    return (this.#judging ??= this.#judge().finally(() => (this.#judging = undefined)))
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#ends.clear()
    await this.#judging
  }

  async #judge(): Promise<void> {
    const ids = [...this.#ends.keys()]
    try {
      for (let from = 0; from < ids.length; from += ASKED_MAX) {
        const asked = ids.slice(from, from + ASKED_MAX)
        const alive = await this.#store.liveCredentials(asked)
        for (const id of asked) if (!alive.has(id)) for (const end of this.#ends.get(id) ?? []) end()
      }
    } catch (error) {
      this.#failed(error)
    }
  }
}
