import type { Clock, Timer } from '#core/time/clock.ts'
import { CLUSTER, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { ownEngine } from './own-engine.ts'
import { pointers } from './pass.ts'
import type { Subscription } from './subscription.ts'

/** How long removals wait for the routes' ACKs, and routes for those of the clusters they need (xds-rules 21). */
const patienceMs = 1000
/** A slow link takes this long for the parts of a large first answer. */
const firstPatienceMs = 15_000
/** How long an Envoy that has come back takes to ask for what points at its clusters; one that does not by then has nothing that does. */
const askPatienceMs = 5000

/** The order among the types of one stream: what points at others comes after them, and goes before them. It waits for the client, but not for ever. */
export class MakeBeforeBreak {
  readonly #clock: Clock
  readonly #engine: string
  readonly #subscriptions: ReadonlyMap<string, Subscription>
  readonly #wake: () => void
  #removalTimer: Timer | undefined
  #holdTimer: { readonly timer: Timer; readonly atMs: number } | undefined
  #isLeaving = false
  #removalPatienceMs = patienceMs
  #heldSinceMs: number | undefined

  /** @param of `wake`: something that waited may go */
  constructor(of: { clock: Clock; engine: string; subscriptions: ReadonlyMap<string, Subscription>; wake: () => void }) {
    this.#clock = of.clock
    this.#engine = of.engine
    this.#subscriptions = of.subscriptions
    this.#wake = of.wake
  }

  /** Something may be leaving. */
  get isLeaving(): boolean {
    return this.#isLeaving
  }

  /** Something of this type may be leaving now. */
  leaves(subscription: Subscription): void {
    this.#isLeaving ||= subscription.isLeaving
  }

  /** The same by the first request, of what went while the client was away. */
  leavesFromBefore(subscription: Subscription): void {
    if (!subscription.isLeaving) return
    this.#isLeaving = true
    this.#removalPatienceMs = firstPatienceMs
  }

  /**
   * Make before break: a change of what points at clusters waits while clusters that the client does not have yet are unacknowledged, but not for ever (xds-rules 21, 25).
   * A first answer breaks nothing, and waits only until all that it points at has gone out: Envoy calls itself ready after the first response of each type and what that names, and a large first answer goes in parts.
   * Our own sidecar waits by itself for the last part, and acknowledges a part when what that points at has come.
   */
  mustHold(subscription: Subscription): boolean {
    if (!pointers.includes(subscription.type)) return false
    const first = !subscription.hasSent
    if (first ? this.#engine === ownEngine || !this.#isBegun(subscription.type) : !this.#subscriptions.get(CLUSTER)?.isAdding) {
      this.#heldSinceMs = undefined
      return false
    }
    const nowMs = this.#clock.monotonicMs()
    this.#heldSinceMs ??= nowMs
    const leftMs = this.#heldSinceMs + (first ? firstPatienceMs : patienceMs) - nowMs
    if (leftMs <= 0) return false
    this.#wakeWithin(leftMs)
    return true
  }

  /** Clusters, endpoints and routes that are gone leave once nothing that may still point at them is unacknowledged, or after a second (xds-rules 21). */
  releaseWhenQuiet(): void {
    if (!this.#isLeaving) return
    const leaving = [...this.#subscriptions.values()].filter((subscription) => subscription.isLeaving)
    this.#isLeaving = leaving.length > 0
    if (!this.#isLeaving) return
    if (this.#arePointersQuiet(leaving)) this.#releaseLeaving(leaving)
    else this.#removalTimer ??= this.#clock.after(Math.min(this.#removalPatienceMs, askPatienceMs), () => this.#releaseOverdue())
  }

  close(): void {
    this.#removalTimer?.cancel()
    this.#holdTimer?.timer.cancel()
  }

  /** Most of what waits is let go by an answer, long before: a timer that is set already is good enough, if it is no later. */
  #wakeWithin(afterMs: number): void {
    const atMs = this.#clock.monotonicMs() + afterMs
    if (this.#holdTimer !== undefined && this.#holdTimer.atMs <= atMs) return
    this.#holdTimer?.timer.cancel()
    const timer = this.#clock.after(afterMs, () => {
      this.#holdTimer = undefined
      this.#wake()
    })
    this.#holdTimer = { timer, atMs }
  }

  /** A part of what a first answer of this type would point at, or come after, is out and a part is not. */
  #isBegun(type: string): boolean {
    const waiting = (before: string): boolean => this.#subscriptions.get(before)?.hasWork === true
    if (type === LISTENER) return waiting(CLUSTER)
    return waiting(LISTENER) || (type === ROUTE_CONFIGURATION && waiting(SCOPED_ROUTE_CONFIGURATION))
  }

  /** What points at what is leaving has had its time; more of it, where it has been asked for and is large. */
  #releaseOverdue(): void {
    const all = [...this.#subscriptions.values()]
    const leftMs = this.#removalPatienceMs - askPatienceMs
    if (leftMs > 0 && pointers.some((type) => this.#subscriptions.has(type))) this.#removalTimer = this.#clock.after(leftMs, () => this.#releaseLeaving(all))
    else this.#releaseLeaving(all)
  }

  /** An Envoy that comes back asks for clusters first, and for what points at them in messages of their own. Nothing that is in routes points at routes. */
  #arePointersQuiet(leaving: readonly Subscription[]): boolean {
    const areRoutes = leaving.every(({ type }) => type === ROUTE_CONFIGURATION)
    const asked = pointers.flatMap((type) => (areRoutes && type === ROUTE_CONFIGURATION ? [] : (this.#subscriptions.get(type) ?? [])))
    return asked.length === 0 ? this.#engine !== 'envoy' : asked.every((one) => one.isQuiet)
  }

  #releaseLeaving(subscriptions: readonly Subscription[]): void {
    this.#removalPatienceMs = patienceMs
    this.#removalTimer?.cancel()
    this.#removalTimer = undefined
    for (const subscription of subscriptions) subscription.releaseLeaving()
    this.#wake()
  }
}
