import type { Clock } from '#core/time/clock.ts'
import { ForgottenUnused } from './forgotten-unused.ts'
import type { Settled } from './levels.ts'
import type { Protocol } from './request.ts'

/** Steps that are remembered from one holding: a herd takes one or two, but all meshes begin at the same. */
const stepsMax = 256
const foldsMax = 64
const keptMs = 10_000
/** Entries that all steps together keep in memory: a mesh of 10,000 services takes 220,000 for each scope. */
const entriesMost = 1 << 20
const entriesLeast = 1 << 17
/** About what an entry takes, with the words in which it was asked for. */
const entryBytes = 256
/** So much of the memory that the process may take. */
const entriesShare = 1 / 16

/** What steps keep in a process that may take so much memory. */
export const entriesWithin = (memoryBytes: number): number => Math.min(entriesMost, Math.max(entriesLeast, Math.floor((memoryBytes * entriesShare) / entryBytes)))

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
  /** Names that come with what happens. */
  readonly entries: number
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
  readonly #memory: StepMemory
  #begun: Holding | undefined

  constructor(content: HoldingContent = NOTHING, memory: StepMemory = NO_MEMORY) {
    this.content = content
    this.#memory = memory
  }

  /** Where a step leads, and what it answered, when another stream has taken it before. */
  after(step: Step): { readonly next: Holding; readonly result: unknown } | undefined {
    const known = this.#steps.get(step.what)?.find((one) => one.shown === step.shown)
    if (known) this.#memory.used()
    return known
  }

  /**
   * Remembers a step for the streams that follow.
   * @param entries what that keeps in memory
   */
  leads(step: Step, content: HoldingContent, result: unknown, entries: number): Holding {
    this.#memory.remembers(this, entries)
    if (this.#stepCount >= stepsMax) this.forgetSteps()
    this.#stepCount += 1
    const next = new Holding(content, this.#memory)
    const taken = { shown: step.shown, next, result }
    const alike = this.#steps.get(step.what)
    if (alike) alike.push(taken)
    else this.#steps.set(step.what, [taken])
    return next
  }

  /** Streams that stand here go on by themselves. */
  forgetSteps(): void {
    this.#steps.clear()
    this.#stepCount = 0
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
    const made = new Holding(make(), this.#memory)
    this.#folds.push({ differences, holding: new WeakRef(made) })
    return made
  }

  /** Where those stand who began in a way of their own. */
  get begun(): Holding {
    return (this.#begun ??= new Holding({ ...this.content }, this.#memory))
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

/** What all steps of a process are remembered in. */
interface StepMemory {
  used(): void
  /** One more step from a holding, before it is put there. */
  remembers(holding: Holding, entries: number): void
}

const NO_MEMORY: StepMemory = { used() {}, remembers() {} }

/** Where the ways of all streams of a process begin. What nobody has walked for a while is forgotten, and so is all when it has become much: steps that each lead one stream only, and streams that come and go, would pile up. */
export class Holdings implements StepMemory {
  readonly limits: HoldingLimits
  readonly #entriesMax: number
  readonly #starts = new Map<string, Holding>()
  readonly #unused: ForgottenUnused
  /** Those from which steps are remembered. */
  readonly #remembering = new Set<Holding>()
  #entries = 0

  /** @param entriesMax see `entriesWithin` */
  constructor(clock: Clock, limits: HoldingLimits = usualLimits, entriesMax = entriesMost) {
    this.limits = limits
    this.#entriesMax = entriesMax
    this.#unused = new ForgottenUnused(clock, keptMs, () => this.#forget())
  }

  /** @param kind what else decides how requests are read */
  start(type: string, protocol: Protocol, kind: string): Holding {
    const key = `${type} ${protocol} ${kind}`
    const known = this.#starts.get(key)
    if (known) return known
    const made = new Holding(NOTHING, this)
    this.#starts.set(key, made)
    return made
  }

  used(): void {
    this.#unused.used()
  }

  remembers(holding: Holding, entries: number): void {
    if (this.#entries + entries > this.#entriesMax) this.#forget()
    this.#entries += entries
    this.#remembering.add(holding)
    this.#unused.used()
  }

  #forget(): void {
    for (const holding of this.#remembering) holding.forgetSteps()
    this.#remembering.clear()
    this.#entries = 0
    this.#starts.clear()
  }
}
