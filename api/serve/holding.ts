import type { Clock } from '#core/time/clock.ts'
import { ForgottenUnused } from './forgotten-unused.ts'
import type { Settled } from './levels.ts'
import type { Protocol } from './request.ts'

/** Steps that are remembered from one holding: a herd takes one or two, but all meshes begin at the same. */
const stepsMax = 256
const foldsMax = 64
const keptMs = 10_000

/** What one client wants of a type, was sent, and is due: never written to, so any number of streams may stand on it. */
export interface HoldingContent {
  readonly wildcard: boolean
  readonly named: boolean
  readonly names: Settled<true>
  /** name → version; empty for one that the client was told is not there. */
  readonly sent: Settled<string>
  /** name → whether it goes out even when unchanged. */
  readonly pending: Settled<boolean>
}

/** How many names and versions differ from a holding, and a digest of the versions. */
export interface Differences {
  readonly names: number
  readonly sent: number
  readonly digest: number
}

/** What leads on from a holding: an object, the same for all streams of which the same can be said. */
export interface Step {
  /** What happens: what the client asks for, or that it is sent its next response. */
  readonly what: object
  /** What its view shows of the type, see `ResourceView.sharing`. */
  readonly shown: object
}

interface Taken {
  readonly shown: object
  readonly next: Holding
  readonly result: unknown
}

const NOTHING: HoldingContent = { wildcard: false, named: false, names: new Map(), sent: new Map(), pending: new Map() }

/**
 * A point on the way of streams that begin alike: where a thousand proxies of one scope ask for the same, what each step does is worked out for the first and remembered for the others.
 * A stream leaves the way when something of its own happens, and finds back when it has folded that.
 */
export class Holding {
  readonly content: HoldingContent
  readonly #steps = new Map<object, Taken[]>()
  #stepCount = 0
  /** Holdings that differ from this one in little, by a digest of that: weak, for they live as long as a stream stands on them. */
  readonly #folds: { readonly differences: Differences; readonly holding: WeakRef<Holding> }[] = []
  readonly #used: () => void
  #begun: Holding | undefined

  constructor(content: HoldingContent = NOTHING, used: () => void = () => {}) {
    this.content = content
    this.#used = used
  }

  /** Where a step leads, and what it answered, when another stream has taken it before. */
  after(step: Step): { readonly next: Holding; readonly result: unknown } | undefined {
    const known = this.#steps.get(step.what)?.find((one) => one.shown === step.shown)
    if (known) this.#used()
    return known
  }

  /** Remembers a step for the streams that follow. */
  leads(step: Step, content: HoldingContent, result: unknown): Holding {
    if (this.#stepCount >= stepsMax) {
      this.#steps.clear()
      this.#stepCount = 0
    }
    this.#stepCount += 1
    const next = new Holding(content, this.#used)
    const taken = { shown: step.shown, next, result }
    const alike = this.#steps.get(step.what)
    if (alike) alike.push(taken)
    else this.#steps.set(step.what, [taken])
    this.#used()
    return next
  }

  /** The holding that others made of this one by as many differences with the same digest, if `isSame`; else the one that `make` makes. */
  fold(differences: Differences, isSame: (content: HoldingContent) => boolean, make: () => HoldingContent): Holding {
    const { names, sent, digest } = differences
    for (const one of this.#folds) {
      if (one.differences.digest !== digest || one.differences.names !== names || one.differences.sent !== sent) continue
      const known = one.holding.deref()
      if (known && isSame(known.content)) return known
    }
    if (this.#folds.length >= foldsMax) this.#folds.shift()
    const made = new Holding(make(), this.#used)
    this.#folds.push({ differences, holding: new WeakRef(made) })
    return made
  }

  /** Where those stand who began in a way of their own. */
  get begun(): Holding {
    return (this.#begun ??= new Holding({ ...this.content }, this.#used))
  }

  /** Nothing was asked yet. */
  get isStart(): boolean {
    return this.content === NOTHING
  }
}

export interface HoldingLimits {
  /** Requests with fewer bytes of names are read by each stream for itself. */
  readonly askBytesMin: number
  /** Fewer names that are due are looked at by each stream for itself. */
  readonly dueMin: number
  /** Differences of its own that a stream keeps before they are folded. */
  readonly differencesMax: number
}

export const usualLimits: HoldingLimits = { askBytesMin: 1024, dueMin: 64, differencesMax: 64 }

/** Where the ways of all streams of a process begin. What nobody has walked for a while is forgotten. */
export class Holdings {
  readonly limits: HoldingLimits
  readonly #starts = new Map<string, Holding>()
  readonly #unused: ForgottenUnused

  constructor(clock: Clock, limits: HoldingLimits = usualLimits) {
    this.limits = limits
    this.#unused = new ForgottenUnused(clock, keptMs, () => this.#starts.clear())
  }

  /** @param kind what else decides how requests are read */
  start(type: string, protocol: Protocol, kind: string): Holding {
    const key = `${type} ${protocol} ${kind}`
    const known = this.#starts.get(key)
    if (known) return known
    const made = new Holding(NOTHING, () => this.#unused.used())
    this.#starts.set(key, made)
    return made
  }
}
