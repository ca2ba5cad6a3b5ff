import { LRUCache } from 'lru-cache'
import type { Clock } from '#core/time/clock.ts'
import { networkOf } from './network.ts'
import { rateLimited, Rates } from './rate.ts'
import type { RateRule } from './rate.ts'

/** Guesses at one name from one network. */
const GUESS_RATE: RateRule = { requestsPerSecond: 0.2, burst: 10 }
/** Guesses at whatever names from one network: an office behind one address signs in, too. */
const NETWORK_RATE: RateRule = { requestsPerSecond: 2, burst: 60 }
/** Guesses at one name from everywhere. Beyond, they are slowed and not refused: else whoever knows a name could lock its owner out. */
const NAME_RATE: RateRule = { requestsPerSecond: 1, burst: 60 }
const SLOW_MS = 3000
/** Slowed guesses at one name that wait at once. */
const SLOWED_MAX = 10
/** Places from which somebody has signed in, the latest: nobody else's guesses slow these. */
const KNOWN_MAX = 50_000

export interface LoginPlace {
  readonly organization: string
  readonly name: string
  /** Address of the peer. */
  readonly source: string
}

/** How often passwords may be guessed. By this replica: with several, there are as many guesses more. */
export class LoginRates {
  readonly #clock: Clock
  readonly #guesses: Rates
  readonly #networks: Rates
  readonly #names: Rates
  readonly #known = new LRUCache<string, true>({ max: KNOWN_MAX })
  readonly #slowed = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    const wallMs = (): number => clock.wallMs()
    this.#guesses = new Rates(GUESS_RATE, wallMs)
    this.#networks = new Rates(NETWORK_RATE, wallMs)
    this.#names = new Rates(NAME_RATE, wallMs)
  }

  /** Something that has no name to guess at: an invitation, the code of a sign-in. @throws Faults 'access.rate-limited' */
  takeNameless(source: string): void {
    this.#networks.take(networkOf(source))
  }

  /** Resolves when the guess may be judged. @throws Faults 'access.rate-limited' */
  async take(place: LoginPlace): Promise<void> {
    this.takeNameless(place.source)
    this.#guesses.take(placeKey(place))
    if (this.#known.has(placeKey(place))) return
    const name = nameKey(place)
    if (this.#names.spend(name)) return
    const waiting = this.#slowed.get(name) ?? 0
    if (waiting >= SLOWED_MAX) throw rateLimited('fewer attempts at this name')
    this.#slowed.set(name, waiting + 1)
    await new Promise<void>((resolve) => void this.#clock.after(SLOW_MS, resolve))
    const left = (this.#slowed.get(name) ?? 1) - 1
    if (left === 0) this.#slowed.delete(name)
    else this.#slowed.set(name, left)
  }

  succeeded(place: LoginPlace): void {
    this.#known.set(placeKey(place), true)
  }
}

const nameKey = ({ organization, name }: LoginPlace): string => JSON.stringify([organization, name])
const placeKey = ({ organization, name, source }: LoginPlace): string => JSON.stringify([organization, name, networkOf(source)])
