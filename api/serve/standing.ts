import { VIRTUAL_HOST } from '#core/wire/type-url.ts'
import { Holding, type HoldingContent, type HoldingLimits, type Step } from './holding.ts'
import { LayeredMap, LayeredSet } from './layered.ts'
import type { ResourceView } from './resource.ts'

/** Stands in `sent` for "we said that there is none": a version is a hash and never empty. */
export const ABSENT = ''
/** A stream with more that is its own goes its own way. */
const ownMax = 64

/** A step that others may have taken as well, and the names that each sees to by itself. */
export interface CommonStep {
  readonly step: Step
  readonly own: readonly string[]
}

/**
 * What one stream asked for, was sent and is due of one type: a holding that it shares with streams to which the same happened, and what differs from that.
 * So memory grows with distinct scopes, and what a herd asks is worked out once.
 */
export class Standing {
  /** `*`, by name or by legacy. A flag of its own: an empty set of names may also mean "nothing" (xds-rules 12). */
  wildcard = false
  /** A name was given once on this stream, so an empty list no longer means everything. */
  named = false
  readonly names = new LayeredSet()
  /** name → version, or ABSENT. */
  readonly sent = new LayeredMap<string>()
  /** Names to look at when the next response is made, and whether they go out even when unchanged (xds-rules 13, 20). Bounded by what the view and the subscription hold, however many changes come. */
  readonly pending = new LayeredMap<boolean>()
  readonly #type: string
  readonly #limits: HoldingLimits
  #holding: Holding

  constructor(type: string, start: Holding, limits: HoldingLimits) {
    this.#type = type
    this.#holding = start
    this.#limits = limits
  }

  wants(name: string): boolean {
    return this.wildcard || this.names.has(name)
  }

  /** The client was sent a resource of that name, and no removal since. */
  has(name: string): boolean {
    const sent = this.sent.get(name)
    return sent !== undefined && sent !== ABSENT
  }

  lookAt(name: string, force: boolean): void {
    if (force || !this.pending.has(name)) this.pending.set(name, force)
  }

  /** The same for all of a wildcard. */
  lookAtAll(names: Iterable<string>): void {
    if (this.pending.size === 0) this.pending.begin(names, false)
    else for (const name of names) this.lookAt(name, false)
  }

  forget(name: string): void {
    this.sent.delete(name)
    this.pending.delete(name)
  }

  /** Nothing was asked yet. */
  get isStart(): boolean {
    return this.#holding.isStart
  }

  /** The stream has begun in a way of its own. */
  leaveStart(): void {
    if (this.#holding.isStart) this.#holding = this.#holding.begun
  }

  /** So much is due to others as well that it is worth finding out what became of it there. */
  get isMuchDue(): boolean {
    return this.#holding.content.pending.size >= this.#limits.dueMin
  }

  /** What is due to this stream and not to those that stand where it does. */
  *ownDue(): Iterable<[string, boolean]> {
    for (const [name, forced] of this.pending.changes()) if (forced !== undefined) yield [name, forced]
  }

  /**
   * What the step is for others as well, if it is: where this stream's own things stay apart from it, and from what other views show otherwise.
   * @param touches names that the step looks at beside those that the holding has due
   */
  common(what: object, touches: readonly string[], view: ResourceView): CommonStep | undefined {
    const { wildcard, pending } = this.#holding.content
    // A virtual host goes by several names.
    if (this.#type === VIRTUAL_HOST || this.wildcard !== wildcard || this.#differences > ownMax) return undefined
    const shown = view.sharing?.(this.#type)
    if (shown === undefined) return undefined
    const isApart = (name: string): boolean => !pending.has(name) && !touches.includes(name)
    for (const name of shown.own) if (!isApart(name)) return undefined
    for (const layer of [this.names, this.sent, this.pending]) for (const [name] of layer.changes()) if (!isApart(name)) return undefined
    return { step: { what, shown: shown.as, entries: touches.length }, own: shown.own }
  }

  /**
   * Does a step that is others' as well, or goes where it led another stream that stood where this one stands. What is this stream's own it keeps.
   * @param isForOthers asked when it is done: whether it is to be remembered
   */
  go<T>(step: Step, act: () => T, isForOthers: () => boolean = () => true): T {
    const own = { names: this.names.own, sent: this.sent.own, pending: this.pending.own }
    const known = this.#holding.after(step)
    let next = known?.next
    let result = known?.result as T
    if (next === undefined) {
      this.#standOn(this.#holding)
      result = act()
      const entries = step.entries + this.#differences
      next = isForOthers() ? this.#holding.leads(step, this.#frozen(), result, entries) : new Holding(this.#frozen())
    }
    this.#standOn(next)
    if (own.names) this.names.rest(next.content.names, own.names)
    if (own.sent) this.sent.rest(next.content.sent, own.sent)
    if (own.pending) this.pending.rest(next.content.pending, own.pending)
    return result
  }

  get #differences(): number {
    return this.names.differences + this.sent.differences + this.pending.differences
  }

  #frozen(): HoldingContent {
    return { wildcard: this.wildcard, named: this.named, names: this.names.frozen(), sent: this.sent.frozen(), pending: this.pending.frozen() }
  }

  #standOn(holding: Holding): void {
    const { wildcard, named, names, sent, pending } = holding.content
    this.#holding = holding
    this.wildcard = wildcard
    this.named ||= named
    this.names.rest(names)
    this.sent.rest(sent)
    this.pending.rest(pending)
  }

  /** When nothing is due and much has come together: streams to which the same happened stand on one holding again. */
  fold(): void {
    if (this.#differences < this.#limits.differencesMax) return
    const differences = { names: this.names.differences, sent: this.sent.differences, digest: this.#digest() }
    this.#standOn(this.#holding.fold(differences, (content) => this.#isSame(content), () => this.#frozen()))
  }

  /** Of what differs from the holding: enough to find one that may be the same. Versions are hashes already. */
  #digest(): number {
    let digest = this.names.size * 31 + this.sent.size
    for (const [name, version] of this.sent.changes()) digest = (digest + Math.imul(name.length + 1, Number.parseInt(version?.slice(0, 7) || '1', 16) | 0)) | 0
    return digest
  }

  /** Whether a holding that was made of this one's by as many differences is what this has become: it is when it has all of them. */
  #isSame({ wildcard, named, names, sent }: HoldingContent): boolean {
    if (wildcard !== this.wildcard || named !== this.named || names.size !== this.names.size || sent.size !== this.sent.size) return false
    for (const [name, wanted] of this.names.changes()) if (names.get(name) !== wanted) return false
    for (const [name, version] of this.sent.changes()) if (sent.get(name) !== version) return false
    return true
  }
}
