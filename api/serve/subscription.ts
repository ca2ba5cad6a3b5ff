import { AskedMeanwhile } from './asked-meanwhile.ts'
import type { Ask } from './asks.ts'
import { Flight, type Progress } from './flight.ts'
import { Holding, type HoldingLimits, usualLimits } from './holding.ts'
import type { LayeredSet } from './layered.ts'
import type { Rejection } from './ledger-entry.ts'
import { fullSetTypes, lastToGo } from './pass.ts'
import type { Rulings } from './quarantine.ts'
import { Refusals } from './refusals.ts'
import type { Protocol } from './request.ts'
import type { Resource, ResourceView } from './resource.ts'
import { ABSENT, Standing } from './standing.ts'
import { type Taken, Taking, type TakingOrder } from './taking.ts'
import { UnknownNames } from './unknown-names.ts'
import { type Answered, Verdict } from './verdict.ts'

/** What brings more of names that nobody has is not remembered for others: no herd asks for that. */
const unknownBytesShared = 16 << 10

/**
 * What one stream wants of one type, what it was sent, and what it is still to be sent: delta and SotW alike. It knows no socket and no clock.
 * `delta.ts` and `sotw.ts` read requests into it. What it asked for and was sent is in its `Standing`, what goes out next is for `Taking` to say, and `Flight` has what is not answered.
 */
export class Subscription {
  readonly type: string
  readonly protocol: Protocol
  asked = false
  /** The newest nonce of this type, answered or not. */
  nonce = ''
  sentRevision = 0
  ackedRevision = 0
  sinceMs = 0
  /** Names that are gone from the view, whose removal waits (xds-rules 21). */
  readonly #leaving = new Set<string>()
  /** What this client refused or was spared; never sent to it (xds-rules 9). */
  readonly #refused = new Refusals()
  readonly #verdict = new Verdict(this.#refused)
  #heartbeat = false
  #owed = false
  #since: number | undefined
  readonly #flight = new Flight()
  readonly #askedMeanwhile = new AskedMeanwhile()
  readonly #unknown = new UnknownNames()
  readonly #standing: Standing
  readonly #taking: Taking

  /** @param start where the way of all streams of the type, protocol and kind of client begins */
  constructor(type: string, protocol: Protocol, start = new Holding(), limits: HoldingLimits = usualLimits) {
    this.type = type
    this.protocol = protocol
    this.#standing = new Standing(type, start, limits)
    this.#taking = new Taking(type, protocol, { standing: this.#standing, leaving: this.#leaving, refusals: this.#refused })
  }

  get wildcard(): boolean {
    return this.#standing.wildcard
  }

  get names(): LayeredSet {
    return this.#standing.names
  }

  /** A name was given once on this stream, so an empty list no longer means everything. */
  get named(): boolean {
    return this.#standing.named
  }

  /** @param rulings what was refused by others like this client */
  heed(rulings: Rulings | undefined): void {
    this.#taking.rulings = rulings
  }

  /** The client has given a name. */
  hasNamed(): void {
    this.#standing.named = true
  }

  /**
   * Takes in what a client asks for: `read` does it, for all resources but those `apart`, unless another stream has come the same way.
   * @param ask undefined where it is this stream's alone
   */
  ask(ask: Ask | undefined, first: boolean, view: ResourceView, since: number, read: (apart: readonly string[]) => void): void {
    // Beginnings are read in another way than what comes later, so no later request takes a beginning's steps.
    const isPlain = ask !== undefined && first === this.#standing.isStart && !this.#owed && ask.dropped.length === 0 && (first || !ask.names.includes('*'))
    const common = isPlain && this.#taking.isPlain ? this.#standing.common(ask, ask.names, view) : undefined
    if (ask === undefined || common === undefined) {
      read([])
      this.#standing.leaveStart()
      return
    }
    const { isOwed, unknown } = this.#standing.go(
      common.step,
      () => {
        read(common.own)
        return { isOwed: this.#owed, unknown: this.#unknown.among(ask) }
      },
      () => this.#unknown.bytes <= unknownBytesShared,
    )
    for (const name of unknown) this.#unknown.add(name)
    if (isOwed) this.owe(since)
    if (this.wildcard) for (const name of common.own) if (this.#standing.sent.get(name) !== view.get(this.type, name)?.version) this.#standing.lookAt(name, false)
    if (this.hasWork) this.#mark(since)
    else this.#settleWhenIdle()
  }

  wants(name: string): boolean {
    return this.#standing.wants(name)
  }

  get inFlight(): { readonly sentAtMs: number } | undefined {
    return this.#flight.now
  }

  /** For how long what is in flight has been unanswered, and the client has not come nearer to it; undefined when nothing is. */
  lateMs(nowMs: number, progress: Progress): number | undefined {
    return this.#flight.lateMs(nowMs, progress)
  }

  /** What changed waits while an answer is owed, and what is asked for does not: the server must provide it (xDS protocol, "Subscribing to Resources"). Delta alone: there each answer has its own nonce. */
  get mayGo(): boolean {
    return this.#flight.now === undefined || (this.#askedMeanwhile.isAny && !this.#flight.isFull)
  }

  /** The client has asked for these by a request that was not its first. */
  asksFor(names: readonly string[]): void {
    if (this.#flight.now === undefined || !this.hasWork) return
    if (this.wildcard && names.includes('*')) this.#askedMeanwhile.all()
    else this.#askedMeanwhile.add(names, (name) => this.#standing.pending.has(name))
  }

  /** Something may be there to send: `take` decides. */
  get hasWork(): boolean {
    return this.#owed || this.#heartbeat || this.#standing.pending.size > 0
  }

  /** About how many resources the next response tells of, and those that follow it at once. */
  get due(): number {
    const { pending, sent } = this.#standing
    return pending.size + (this.protocol === 'sotw' && fullSetTypes.has(this.type) ? sent.size : 0)
  }

  /** What has a time to live must be heard of: a response does that, and when none is due, a heartbeat. */
  beat(): void {
    if (this.#standing.sent.size > 0) this.#heartbeat = true
  }

  get isQuiet(): boolean {
    return !this.hasWork && this.#flight.now === undefined
  }

  get isLeaving(): boolean {
    return this.#leaving.size > 0
  }

  /** The client has something of this type already, from this stream or from before. */
  get hasSent(): boolean {
    return this.#standing.sent.size > 0
  }

  /** Things that this client does not have yet are on their way or waiting: what points at them should wait too. */
  get isAdding(): boolean {
    if (this.#flight.now?.adds) return true
    for (const name of this.#standing.pending.keys()) if (!this.#standing.has(name)) return true
    return false
  }

  /** How many resources the client holds or waits for. */
  get subscribed(): number {
    return this.wildcard ? this.#standing.sent.size : this.names.size
  }

  /** The oldest mesh revision that is not acknowledged; undefined when all is. */
  get unackedSince(): number | undefined {
    const flying = this.#flight.now?.since
    if (flying === undefined) return this.#since
    return this.#since === undefined ? flying : Math.min(flying, this.#since)
  }

  /** What the client was sent and not told to drop; whether it refused that, or has not answered it yet, or is due another. */
  *held(): Iterable<{ readonly name: string; readonly version: string; readonly refused: boolean; readonly stale: boolean }> {
    const flying = new Set(this.#flight.now?.resources.map((resource) => resource.name))
    for (const [name, version] of this.#standing.sent) {
      if (version !== ABSENT) yield { name, version, refused: this.#refused.get(name) === version, stale: flying.has(name) || this.#standing.pending.has(name) || this.#leaving.has(name) }
    }
  }

  /** Names that the client asked for and that it was told are not there, or was told nothing of. */
  *absent(): Iterable<string> {
    for (const name of this.names) if (!this.#standing.has(name)) yield name
  }

  /** It was sent exactly this, has answered, and did not refuse it. */
  accepts({ name, version }: Resource): boolean {
    return this.#standing.sent.get(name) === version && this.#refused.get(name) !== version && !this.#flight.now?.resources.some((one) => one.name === name)
  }

  /** The last answer, where it was a NACK. */
  get rejection(): Rejection | undefined {
    return this.#verdict.rejection
  }

  get answered(): Answered {
    return this.#verdict.answered
  }

  /** What is refused, or kept back, of what the mesh has. */
  get refusals(): readonly Rejection[] {
    return this.#refused.standing
  }

  /** Refusals of what `revision` brought: by this client, or by others before it was sent. */
  rejectionsOf(revision: number): readonly Rejection[] {
    return this.#verdict.rejectionsOf(revision)
  }

  /** What was kept back may be sent. Answers whether it was kept back. */
  reconsider(name: string, revision: number): boolean {
    if (!this.#refused.lift(name)) return false
    this.enqueue(name, revision, false)
    return true
  }

  /** What the client said it holds, before the first request is judged (delta, initial_resource_versions). */
  remember(name: string, version: string, view: ResourceView): void {
    const now = view.get(this.type, name)
    if (now === undefined) this.#unknown.add(name)
    // Strings that the view has are not kept once more for each stream.
    this.#standing.sent.set(now?.name ?? name, now?.version === version ? now.version : version)
  }

  want(name: string, view: ResourceView, since: number, force: boolean): void {
    const now = view.get(this.type, name)
    if (now === undefined) this.#unknown.add(name)
    const kept = now?.name ?? name
    this.names.add(kept)
    this.#standing.named = true
    this.enqueue(kept, since, force)
  }

  /** About how much memory those names take that the client gave and the view did not have: of those there may be as many as it likes. */
  get unknownBytes(): number {
    return this.#unknown.bytes
  }

  /** xds-rules 15: silence, unless the wildcard still covers the name: then the client must learn whether it does. */
  unwant(name: string, since: number): void {
    if (!this.names.delete(name)) return
    if (this.wildcard) this.enqueue(name, since, true)
    else this.#forget(name)
  }

  /** @param apart names of resources that the caller sees to */
  wantAll(view: ResourceView, since: number, apart: readonly string[] = []): void {
    this.#standing.wildcard = true
    this.owe(since)
    this.#standing.lookAtAll(this.#notSentOf(view, apart))
    // Held from before, gone meanwhile.
    for (const name of this.#standing.sent.keys()) if (!view.get(this.type, name)) this.#standing.lookAt(name, false)
  }

  *#notSentOf(view: ResourceView, apart: readonly string[]): Iterable<string> {
    const { sent } = this.#standing
    for (const { name, version } of view.list(this.type)) if ((apart.length === 0 || !apart.includes(name)) && (sent.size === 0 || sent.get(name) !== version)) yield name
  }

  unwantAll(): void {
    this.#standing.wildcard = false
    for (const name of [...this.#standing.sent.keys(), ...this.#standing.pending.keys()]) if (!this.names.has(name)) this.#forget(name)
  }

  /** An answer is due even if it says nothing. */
  owe(since: number): void {
    this.#owed = true
    this.#mark(since)
  }

  enqueue(name: string, since: number, force: boolean): void {
    this.#standing.lookAt(name, force)
    this.#mark(since)
  }

  /** A resource came to be, or is another. Answers whether that concerns this subscription. */
  changed(resource: Resource, revision: number): boolean {
    // What has aliases goes to whoever asked for it: under a wildcard alone it is not even listed.
    if (!this.wants(resource.name) || (resource.aliases && !this.#standing.has(resource.name) && !this.names.has(resource.name))) {
      const alias = resource.aliases?.find((name) => this.names.has(name))
      if (alias !== undefined) {
        this.#unknown.delete(alias)
        this.enqueue(alias, revision, true)
      }
      return alias !== undefined
    }
    this.#leaving.delete(resource.name)
    this.#unknown.delete(resource.name)
    this.#refused.moved(resource.name, resource.version)
    if (this.#standing.sent.get(resource.name) === resource.version && !this.#standing.pending.has(resource.name)) {
      this.#settleWhenIdle()
      return false
    }
    this.enqueue(resource.name, revision, false)
    return true
  }

  /** A resource went. Answers whether that concerns this subscription. */
  gone(name: string, revision: number): boolean {
    if (!this.wants(name)) return false
    this.#refused.moved(name, undefined)
    if (this.#standing.has(name) && lastToGo.has(this.type)) {
      this.#standing.pending.delete(name)
      this.#leaving.add(name)
      this.#mark(revision)
    } else this.enqueue(name, revision, false)
    return true
  }

  /** What a client holds from before and went meanwhile leaves as if it went now: what else it holds may still point at it. For each stream by itself, whatever it shares with others. */
  holdBackGone(view: ResourceView): void {
    if (!lastToGo.has(this.type)) return
    for (const name of [...this.#standing.pending.keys()]) {
      if (!this.#standing.has(name) || view.get(this.type, name)) continue
      this.#standing.pending.delete(name)
      this.#leaving.add(name)
    }
  }

  /** Lets what has gone leave: its turn has come. */
  releaseLeaving(): void {
    for (const name of this.#leaving) this.#standing.lookAt(name, false)
    this.#leaving.clear()
  }

  /**
   * Makes the next response, notes it as in flight, and takes its names off the pending set; what is over `bytesMax` stays there. `carry` says under which nonce it goes.
   * Undefined when nothing needs to be said.
   */
  take(view: ResourceView, nowMs: number, bytesMax: number): Taken | undefined {
    const since = this.#since ?? view.revision
    const order = { isOwed: this.#owed, isHeartbeatDue: this.#heartbeat, since, atMs: nowMs, bytesMax }
    const isMeanwhile = this.#flight.now !== undefined && !this.#askedMeanwhile.isAll
    if (!isMeanwhile) this.#askedMeanwhile.clear()
    const taken = isMeanwhile ? this.#takeAsked(view, order) : this.#taking.next(view, order)
    if (!isMeanwhile) {
      if (taken === undefined || taken.heartbeat) this.#heartbeat = false
      else this.#owed = false
    }
    const settled = this.#standing.pending.size === 0 && !this.isLeaving && !this.#owed
    if (settled) this.#since = undefined
    if (!taken) {
      if (settled && this.inFlight === undefined && !this.rejection) this.ackedRevision = view.revision
      this.#fold()
      return undefined
    }
    // What it held from before and was told is gone it forgets; what it asked for it goes on wanting.
    if (this.#unknown.bytes > 0) for (const name of taken.removed) if (!this.names.has(name)) this.#unknown.delete(name)
    this.sentRevision = view.revision
    this.sinceMs = nowMs
    this.#flight.start({ revision: view.revision, since, resources: taken.resources, adds: taken.adds, sentAtMs: nowMs })
    return taken
  }

  /** When the response was sent that a nonce stands for; undefined when it is none that waits for an answer. */
  sentAtMs(nonce: string): number | undefined {
    return this.#flight.sentAtMs(nonce)
  }

  /** The client answered a response. False when the nonce is none that waits for an answer. */
  settle(nonce: string, refusal: string | undefined, nowMs: number): boolean {
    const flight = this.#flight.answered(nonce)
    if (flight === undefined) return false
    if (this.#flight.now === undefined) this.#askedMeanwhile.clear()
    this.sinceMs = nowMs
    if (refusal === undefined) {
      this.ackedRevision = Math.max(this.ackedRevision, flight.revision)
      this.#verdict.accepts(flight)
      this.#fold()
      return true
    }
    this.#verdict.refuses(flight, refusal, nowMs)
    return true
  }

  /** Queues what is in flight for longer than `afterMs` and the time that a slow reader takes for it, doubled with each time before, to be sent once more. Answers for how long it has been unanswered, ms; undefined when it is not late. */
  resyncIfLate(nowMs: number, afterMs: number, revision: number, progress?: Progress): number | undefined {
    const late = this.#flight.giveUpIfLate(nowMs, afterMs, progress)
    if (late === undefined) return undefined
    this.#askedMeanwhile.clear()
    const { resources, since } = late.flight
    for (const { name } of resources) this.enqueue(name, since, true)
    if (resources.length === 0) this.owe(since)
    this.#mark(Math.min(since, revision))
    return late.unansweredMs
  }

  /** The nonce of the response that was taken: it is known once that is encoded. */
  carry(nonce: string): void {
    this.nonce = nonce
    this.#flight.carry(nonce)
  }

  #takeAsked(view: ResourceView, order: TakingOrder): Taken | undefined {
    const taken = this.#taking.some(this.#askedMeanwhile.names, view, order)
    this.#askedMeanwhile.keep((name) => this.#standing.pending.has(name))
    return taken
  }

  #fold(): void {
    if (!this.hasWork && !this.isLeaving) this.#standing.fold()
  }

  #mark(since: number): void {
    if (this.#since === undefined || since < this.#since) this.#since = since
  }

  #forget(name: string): void {
    this.#standing.forget(name)
    this.#askedMeanwhile.forget(name)
    this.#leaving.delete(name)
    this.#unknown.delete(name)
    this.#taking.forget(name)
    this.#refused.moved(name, undefined)
    this.#settleWhenIdle()
  }

  /** What waited was about names that are of no interest any more, or are again as they were: nothing is owed, and nothing unacknowledged. */
  #settleWhenIdle(): void {
    if (!this.hasWork && !this.isLeaving) this.#since = undefined
  }
}
