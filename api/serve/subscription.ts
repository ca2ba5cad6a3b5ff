import { VIRTUAL_HOST } from '#core/wire/type-url.ts'
import type { Ask } from './asks.ts'
import { Holding, type HoldingContent, type HoldingLimits, type Step, usualLimits } from './holding.ts'
import { LayeredMap, LayeredSet } from './layered.ts'
import type { Rejection } from './ledger-entry.ts'
import { fullSetTypes, lastToGo } from './pass.ts'
import type { Protocol } from './request.ts'
import type { Resource, ResourceView } from './resource.ts'
import { namedIn } from './rejection.ts'
import type { Rulings } from './quarantine.ts'
import { Refusals } from './refusals.ts'
import { sizeWithin } from './response.ts'

/** Stands in `sent` for "we said that there is none": a version is a hash and never empty. */
const ABSENT = ''
/** What happens when a response is made, among steps that streams share. */
const TAKING = {}
/** A stream with more that is its own goes its own way. */
const ownMax = 64

/** A starved proxy reads 16 KB a second: to send it a megabyte again because it is late makes it later. */
const slowBytesAMs = 16
const smallBytes = 64 << 10

/** One response that the client owes an answer to. At most one per type and stream (xds-rules 25). */
interface InFlight {
  readonly nonce: string
  readonly revision: number
  /** The oldest revision whose changes it carries. */
  readonly since: number
  readonly resources: readonly Resource[]
  /** It brings something that the client did not have. */
  readonly adds: boolean
  readonly sentAtMs: number
}

export interface Taken {
  readonly resources: readonly Resource[]
  readonly removed: readonly string[]
  /** Some of it the client did not have. */
  readonly adds: boolean
  /** The client has all of it already and is only told that it lives on. */
  readonly heartbeat?: true
}

/**
 * What one stream wants of one type, what it was sent, and what it is still to be sent: delta and SotW alike. It knows no socket and no clock.
 * `delta.ts` and `sotw.ts` read requests into it. It stands on a holding that it shares with streams that asked for and were sent the same, and keeps what differs from that;
 * so memory grows with distinct scopes, and what a herd asks is worked out once.
 */
export class Subscription {
  readonly type: string
  readonly protocol: Protocol
  /** `*`, by name or by legacy. A flag of its own: an empty set of names may also mean "nothing" (xds-rules 12). */
  wildcard = false
  readonly names = new LayeredSet()
  /** A name was given once on this stream, so an empty list no longer means everything. */
  named = false
  asked = false
  /** The newest nonce of this type, answered or not. */
  nonce = ''
  sentRevision = 0
  ackedRevision = 0
  sinceMs = 0
  rejection: Rejection | undefined
  /** The oldest revision that the refused response carried. */
  rejectedSince = 0
  readonly #sent = new LayeredMap<string>()
  /** Names to look at when the next response is made, and whether they go out even when unchanged (xds-rules 13, 20). Bounded by what the view and the subscription hold, however many changes come. */
  readonly #pending = new LayeredMap<boolean>()
  /** Names that are gone from the view, whose removal waits (xds-rules 21). */
  readonly #leaving = new Set<string>()
  /** What this client refused or was spared; never sent to it (xds-rules 9). */
  readonly #refused = new Refusals()
  /** What was refused by others like this client. */
  rulings: Rulings | undefined
  /** What the last answer was about: the resources taken, and those refused where the words leave no doubt. */
  answered: { readonly accepted: readonly Resource[]; readonly refused: readonly Resource[]; readonly revision: number } = { accepted: [], refused: [], revision: 0 }
  #takingAtMs = 0
  /** SotW sets of what is last to go: the resources last sent, for a removal that waits must stay in the set until then. References, shared with the view. */
  readonly #held: Map<string, Resource> | undefined
  #heartbeat = false
  /** Resyncs without an answer between them. */
  #resyncs = 0
  /** When what is unanswered was first sent, before any resync. */
  #lateSinceMs: number | undefined
  #owed = false
  #since: number | undefined
  #inFlight: InFlight | undefined
  #holding: Holding
  readonly #limits: HoldingLimits

  /** @param start where the way of all streams of the type, protocol and kind of client begins */
  constructor(type: string, protocol: Protocol, start = new Holding(), limits = usualLimits) {
    this.type = type
    this.protocol = protocol
    this.#holding = start
    this.#limits = limits
    this.#held = protocol === 'sotw' && fullSetTypes.has(type) && lastToGo.has(type) ? new Map() : undefined
  }

  /**
   * Takes in what a client asks for: `read` does it, for all resources but those `apart`, unless another stream has come the same way.
   * @param ask undefined where it is this stream's alone
   */
  ask(ask: Ask | undefined, first: boolean, view: ResourceView, since: number, read: (apart: readonly string[]) => void): void {
    // Beginnings are read in another way than what comes later, so no later request takes a beginning's steps.
    const isPlain = ask !== undefined && first === this.#holding.isStart && !this.#owed && ask.dropped.length === 0 && (first || !ask.names.includes('*'))
    const common = isPlain ? this.#common(ask, ask.names, view) : undefined
    if (common === undefined) {
      read([])
      if (this.#holding.isStart) this.#holding = this.#holding.begun
      return
    }
    const isOwed = this.#go(common.step, () => {
      read(common.own)
      return this.#owed
    })
    if (isOwed) this.owe(since)
    if (this.wildcard) for (const name of common.own) if (this.#sent.get(name) !== view.get(this.type, name)?.version) this.#lookAt(name, false)
    if (this.hasWork) this.#mark(since)
    else this.#settleWhenIdle()
  }

  wants(name: string): boolean {
    return this.wildcard || this.names.has(name)
  }

  get inFlight(): { readonly sentAtMs: number } | undefined {
    return this.#inFlight
  }

  /** Something may be there to send: `take` decides. */
  get hasWork(): boolean {
    return this.#owed || this.#heartbeat || this.#pending.size > 0
  }

  /** What has a time to live must be heard of: a response does that, and when none is due, a heartbeat. */
  beat(): void {
    if (this.#sent.size > 0) this.#heartbeat = true
  }

  get isQuiet(): boolean {
    return !this.hasWork && this.#inFlight === undefined
  }

  get isLeaving(): boolean {
    return this.#leaving.size > 0
  }

  /** The client has something of this type already, from this stream or from before. */
  get hasSent(): boolean {
    return this.#sent.size > 0
  }

  /** Things that this client does not have yet are on their way or waiting: what points at them should wait too. */
  get isAdding(): boolean {
    if (this.#inFlight?.adds) return true
    for (const name of this.#pending.keys()) if (!this.#has(name)) return true
    return false
  }

  /** How many resources the client holds or waits for. */
  get subscribed(): number {
    return this.wildcard ? this.#sent.size : this.names.size
  }

  /** The oldest mesh revision that is not acknowledged; undefined when all is. */
  get unackedSince(): number | undefined {
    const flying = this.#inFlight?.since
    if (flying === undefined) return this.#since
    return this.#since === undefined ? flying : Math.min(flying, this.#since)
  }

  /** What the client was sent and not told to drop; whether it refused that, or has not answered it yet, or is due another. */
  *held(): Iterable<{ readonly name: string; readonly version: string; readonly refused: boolean; readonly stale: boolean }> {
    const flying = new Set(this.#inFlight?.resources.map((resource) => resource.name))
    for (const [name, version] of this.#sent) {
      if (version !== ABSENT) yield { name, version, refused: this.#refused.get(name) === version, stale: flying.has(name) || this.#pending.has(name) || this.#leaving.has(name) }
    }
  }

  /** Names that the client asked for and that it was told are not there, or was told nothing of. */
  *absent(): Iterable<string> {
    for (const name of this.names) if (!this.#has(name)) yield name
  }

  /** It was sent exactly this, has answered, and did not refuse it. */
  accepts({ name, version }: Resource): boolean {
    return this.#sent.get(name) === version && this.#refused.get(name) !== version && !this.#inFlight?.resources.some((one) => one.name === name)
  }

  /** What is refused, or kept back, of what the mesh has. */
  get refusals(): readonly Rejection[] {
    return this.#refused.standing
  }

  /** Refusals of what `revision` brought: by this client, or by others before it was sent. */
  rejectionsOf(revision: number): readonly Rejection[] {
    const { rejection } = this
    const own = rejection && this.rejectedSince <= revision && revision <= rejection.revision ? [rejection] : this.#refused.broughtBy(revision, false)
    return [...own, ...this.#refused.broughtBy(revision, true)]
  }

  /** What was kept back may be sent. Answers whether it was kept back. */
  reconsider(name: string, revision: number): boolean {
    if (!this.#refused.lift(name)) return false
    this.enqueue(name, revision, false)
    return true
  }

  /** What the client said it holds, before the first request is judged (delta, initial_resource_versions). */
  remember(name: string, version: string): void {
    this.#sent.set(name, version)
  }

  want(name: string, since: number, force: boolean): void {
    this.names.add(name)
    this.named = true
    this.enqueue(name, since, force)
  }

  /** xds-rules 15: silence, unless the wildcard still covers the name: then the client must learn whether it does. */
  unwant(name: string, since: number): void {
    if (!this.names.delete(name)) return
    if (this.wildcard) this.enqueue(name, since, true)
    else this.#forget(name)
  }

  /** @param apart names of resources that the caller sees to */
  wantAll(view: ResourceView, since: number, apart: readonly string[] = []): void {
    this.wildcard = true
    this.owe(since)
    for (const resource of view.list(this.type)) if (!apart.includes(resource.name) && this.#sent.get(resource.name) !== resource.version) this.#lookAt(resource.name, false)
    // Held from before, gone meanwhile.
    for (const name of this.#sent.keys()) if (!view.get(this.type, name)) this.#lookAt(name, false)
  }

  unwantAll(): void {
    this.wildcard = false
    for (const name of [...this.#sent.keys(), ...this.#pending.keys()]) if (!this.names.has(name)) this.#forget(name)
  }

  /** An answer is due even if it says nothing. */
  owe(since: number): void {
    this.#owed = true
    this.#mark(since)
  }

  enqueue(name: string, since: number, force: boolean): void {
    this.#lookAt(name, force)
    this.#mark(since)
  }

  /** A resource came to be, or is another. Answers whether that concerns this subscription. */
  changed(resource: Resource, revision: number): boolean {
    // What has aliases goes to whoever asked for it: under a wildcard alone it is not even listed.
    if (!this.wants(resource.name) || (resource.aliases && !this.#has(resource.name) && !this.names.has(resource.name))) {
      const alias = resource.aliases?.find((name) => this.names.has(name))
      if (alias !== undefined) this.enqueue(alias, revision, true)
      return alias !== undefined
    }
    this.#leaving.delete(resource.name)
    this.#refused.moved(resource.name, resource.version)
    if (this.#sent.get(resource.name) === resource.version && !this.#pending.has(resource.name)) {
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
    if (this.#has(name) && lastToGo.has(this.type)) {
      this.#pending.delete(name)
      this.#leaving.add(name)
      this.#mark(revision)
    } else this.enqueue(name, revision, false)
    return true
  }

  /** Lets what has gone leave: its turn has come. */
  releaseLeaving(): void {
    for (const name of this.#leaving) this.#lookAt(name, false)
    this.#leaving.clear()
  }

  /**
   * Makes the next response, notes it as in flight, and takes its names off the pending set; what is over `bytesMax` stays there. `carry` says under which nonce it goes.
   * Undefined when nothing needs to be said.
   */
  take(view: ResourceView, nowMs: number, bytesMax: number): Taken | undefined {
    const since = this.#since ?? view.revision
    this.#takingAtMs = nowMs
    const taken = this.#makeTaken(view, bytesMax)
    const settled = this.#pending.size === 0 && !this.isLeaving
    if (settled) this.#since = undefined
    if (!taken) {
      if (settled && this.#inFlight === undefined && !this.rejection) this.ackedRevision = view.revision
      this.#fold()
      return undefined
    }
    this.sentRevision = view.revision
    this.sinceMs = nowMs
    this.#inFlight = { nonce: '', revision: view.revision, since, resources: taken.resources, adds: taken.adds, sentAtMs: this.#lateSinceMs ?? nowMs }
    return taken
  }

  /** The client answered a response. False when the nonce is none that waits for an answer. */
  settle(nonce: string, refusal: string | undefined, nowMs: number): boolean {
    const flight = this.#inFlight
    if (!flight || flight.nonce !== nonce) return false
    this.#inFlight = undefined
    this.#resyncs = 0
    this.#lateSinceMs = undefined
    this.sinceMs = nowMs
    if (refusal === undefined) {
      this.ackedRevision = flight.revision
      this.rejection = undefined
      this.#refused.clearDoubts()
      this.answered = { accepted: flight.resources, refused: [], revision: flight.revision }
      this.#fold()
      return true
    }
    // Envoy may have applied the good ones (xds-rules 10): all of them count as sent. Those that it names, or all, are never sent again as they are.
    const blamed = namedIn(refusal, flight.resources)
    const certain = blamed.length < flight.resources.length || blamed.length === 1
    for (const resource of blamed) this.#refused.add(resource, { message: refusal, revision: flight.revision, since: flight.since, atMs: nowMs, kept: false, certain })
    this.answered = { accepted: [], refused: certain ? blamed : [], revision: flight.revision }
    this.rejectedSince = flight.since
    this.rejection = {
      message: refusal,
      revision: flight.revision,
      resources: blamed.map((resource) => resource.name),
      origins: [...new Set(blamed.flatMap((resource) => resource.origins))],
      atMs: nowMs,
    }
    return true
  }

  /** Queues what is in flight for longer than `afterMs` and the time that a slow reader takes for it, doubled with each time before, to be sent once more. Answers for how long it has been unanswered, ms; undefined when it is not late. */
  resyncIfLate(nowMs: number, afterMs: number, revision: number): number | undefined {
    const flight = this.#inFlight
    if (!flight) return undefined
    const unansweredMs = nowMs - flight.sentAtMs
    const patience = 2 ** this.#resyncs
    // Asked all the time: what is not late by the least that is due is not added up.
    if (unansweredMs < afterMs * patience) return undefined
    const bytes = flight.resources.reduce((sum, resource) => sum + resource.bytes.length, 0)
    if (unansweredMs < (afterMs + Math.max(0, bytes - smallBytes) / slowBytesAMs) * patience) return undefined
    this.#resyncs += 1
    this.#lateSinceMs = flight.sentAtMs
    this.#inFlight = undefined
    for (const { name } of flight.resources) this.enqueue(name, flight.since, true)
    if (flight.resources.length === 0) this.owe(flight.since)
    this.#mark(Math.min(flight.since, revision))
    return unansweredMs
  }

  /** The nonce of the response that was taken: it is known once that is encoded. */
  carry(nonce: string): void {
    this.nonce = nonce
    if (this.#inFlight) this.#inFlight = { ...this.#inFlight, nonce }
  }

  /**
   * What the step is for others as well, if it is: where this stream's own things stay apart from it, and from what other views show otherwise.
   * @param touches names that the step looks at beside those that the holding has due
   */
  #common(what: object, touches: readonly string[], view: ResourceView): { readonly step: Step; readonly own: readonly string[] } | undefined {
    const { wildcard, pending } = this.#holding.content
    // A virtual host goes by several names.
    if (this.protocol !== 'delta' || this.type === VIRTUAL_HOST || this.#leaving.size > 0 || this.#refused.size > 0 || (this.rulings !== undefined && !this.rulings.isEmpty) || this.wildcard !== wildcard || this.#differences > ownMax) return undefined
    const shown = view.sharing?.(this.type)
    if (shown === undefined) return undefined
    const isApart = (name: string): boolean => !pending.has(name) && !touches.includes(name)
    for (const name of shown.own) if (!isApart(name)) return undefined
    for (const layer of [this.names, this.#sent, this.#pending]) for (const [name] of layer.changes()) if (!isApart(name)) return undefined
    return { step: { what, shown: shown.as }, own: shown.own }
  }

  /** Does a step that is others' as well, or goes where it led another stream that stood where this one stands. What is this stream's own it keeps. */
  #go<T>(step: Step, act: () => T): T {
    const own = { names: this.names.own, sent: this.#sent.own, pending: this.#pending.own }
    const known = this.#holding.after(step)
    let next = known?.next
    let result = known?.result as T
    if (next === undefined) {
      this.#standOn(this.#holding)
      result = act()
      next = this.#holding.leads(step, this.#frozen(), result)
    }
    this.#standOn(next)
    if (own.names) this.names.rest(next.content.names, own.names)
    if (own.sent) this.#sent.rest(next.content.sent, own.sent)
    if (own.pending) this.#pending.rest(next.content.pending, own.pending)
    return result
  }

  get #differences(): number {
    return this.names.differences + this.#sent.differences + this.#pending.differences
  }

  #frozen(): HoldingContent {
    return { wildcard: this.wildcard, named: this.named, names: this.names.frozen(), sent: this.#sent.frozen(), pending: this.#pending.frozen() }
  }

  #standOn(holding: Holding): void {
    const { wildcard, named, names, sent, pending } = holding.content
    this.#holding = holding
    this.wildcard = wildcard
    this.named ||= named
    this.names.rest(names)
    this.#sent.rest(sent)
    this.#pending.rest(pending)
  }

  /** When nothing is due and much has come together: streams to which the same happened stand on one holding again. */
  #fold(): void {
    if (this.hasWork || this.isLeaving || this.#differences < this.#limits.differencesMax) return
    const differences = { names: this.names.differences, sent: this.#sent.differences, digest: this.#digest() }
    this.#standOn(this.#holding.fold(differences, (content) => this.#isSame(content), () => this.#frozen()))
  }

  /** Of what differs from the holding: enough to find one that may be the same. Versions are hashes already. */
  #digest(): number {
    let digest = this.names.size * 31 + this.#sent.size
    for (const [name, version] of this.#sent.changes()) digest = (digest + Math.imul(name.length + 1, Number.parseInt(version?.slice(0, 7) || '1', 16) | 0)) | 0
    return digest
  }

  /** Whether a holding that was made of this one's by as many differences is what this has become: it is when it has all of them. */
  #isSame({ wildcard, named, names, sent }: HoldingContent): boolean {
    if (wildcard !== this.wildcard || named !== this.named || names.size !== this.names.size || sent.size !== this.#sent.size) return false
    for (const [name, wanted] of this.names.changes()) if (names.get(name) !== wanted) return false
    for (const [name, version] of this.#sent.changes()) if (sent.get(name) !== version) return false
    return true
  }

  #lookAt(name: string, force: boolean): void {
    if (force || !this.#pending.has(name)) this.#pending.set(name, force)
  }

  #mark(since: number): void {
    if (this.#since === undefined || since < this.#since) this.#since = since
  }

  #forget(name: string): void {
    this.#sent.delete(name)
    this.#pending.delete(name)
    this.#leaving.delete(name)
    this.#held?.delete(name)
    this.#refused.moved(name, undefined)
    this.#settleWhenIdle()
  }

  /** What waited was about names that are of no interest any more, or are again as they were: nothing is owed, and nothing unacknowledged. */
  #settleWhenIdle(): void {
    if (!this.hasWork && !this.isLeaving) this.#since = undefined
  }

  /** What is there under a name that the client wants, or what stands for its absence (xds-rules 19). */
  #resolve(view: ResourceView, name: string): Resource | undefined {
    return view.get(this.type, name) ?? (this.names.has(name) ? view.placeholder(this.type, name) : undefined)
  }

  /** The client was sent a resource of that name, and no removal since. */
  #has(name: string): boolean {
    const sent = this.#sent.get(name)
    return sent !== undefined && sent !== ABSENT
  }

  /** Whether a resource must go out: changed or asked for again, and not refused before. */
  #isDue(resource: Resource, forced: boolean): boolean {
    if (this.#refused.size > 0 && this.#refused.get(resource.name) === resource.version) return false
    return forced || this.#sent.get(resource.name) !== resource.version
  }

  /** Whether others like this client refused just this: it keeps what it has. */
  #isKeptBack(resource: Resource, view: ResourceView): boolean {
    if (this.rulings === undefined || this.rulings.isEmpty) return false
    const ruling = this.rulings.of(resource)
    if (ruling === undefined) return false
    const message = `kept back, for ${ruling.by} refused it: ${ruling.message}`
    this.#refused.add(resource, { message, revision: view.revision, since: this.#since ?? view.revision, atMs: this.#takingAtMs, kept: true, certain: true })
    return true
  }

  /** Whether an absence must be told: the client has the resource, or asked. */
  #isAbsenceDue(name: string, forced: boolean): boolean {
    const sent = this.#sent.get(name)
    return forced || (sent === undefined ? this.names.has(name) : sent !== ABSENT)
  }

  #makeTaken(view: ResourceView, bytesMax: number): Taken | undefined {
    if (this.protocol === 'sotw' && fullSetTypes.has(this.type)) {
      const set = this.#takeSet(view)
      if (set) this.#owed = false
      return set ?? this.#takeHeartbeat(view)
    }
    const due = this.#takeDue(view, bytesMax)
    const isOwed = this.#owed && this.protocol === 'delta'
    if (due || isOwed) this.#owed = false
    return due ?? (isOwed ? { resources: [], removed: [], adds: false } : this.#takeHeartbeat(view))
  }

  /** Of much that is due the part that is due to others as well goes as it went to them, and what is this stream's own before it. */
  #takeDue(view: ResourceView, bytesMax: number): Taken | undefined {
    const common = this.#holding.content.pending.size >= this.#limits.dueMin ? this.#common(TAKING, [], view) : undefined
    if (common === undefined) return this.#takeChanged(view, bytesMax, this.#pending)
    const own = [...this.#pending.changes()].flatMap(([name, forced]): [string, boolean][] => (forced === undefined ? [] : [[name, forced]]))
    return this.#takeChanged(view, bytesMax, own) ?? this.#go(common.step, () => this.#takeChanged(view, bytesMax, this.#pending))
  }

  #takeChanged(view: ResourceView, bytesMax: number, due: Iterable<[string, boolean]>): Taken | undefined {
    const resources: Resource[] = []
    const removed: string[] = []
    let bytes = 0
    let adds = false
    for (const [name, forced] of due) {
      let resource = this.wants(name) ? this.#resolve(view, name) : undefined
      if (resource && this.#sent.get(name) !== resource.version && this.#isKeptBack(resource, view)) {
        // Who has an older one keeps it; who has none and asked for it by name is told what stands for absence, and does not wait (xds-rules 19).
        if (this.#has(name) || !this.names.has(name)) {
          this.#pending.delete(name)
          continue
        }
        resource = view.placeholder(this.type, name)
      }
      // Two aliases of one resource may be asked for at once.
      if (resource && this.#isDue(resource, forced) && !(resource.aliases && resources.includes(resource))) {
        const size = sizeWithin(resource)
        if (bytes + size > bytesMax && bytes > 0) break
        bytes += size
        resources.push(resource)
        adds ||= !this.#has(name)
        // The resource's own strings: they are there once for all streams.
        this.#sent.set(resource.name, resource.version)
      } else if (!resource && this.wants(name)) {
        const size = name.length + 4
        if (bytes + size > bytesMax && bytes > 0) break
        if (this.#isAbsenceDue(name, forced)) {
          bytes += size
          removed.push(name)
        }
        if (this.names.has(name)) this.#sent.set(name, ABSENT)
        else this.#sent.delete(name)
      }
      this.#pending.delete(name)
    }
    // SotW has no word for an absence outside the full sets: there it means nothing, and the client waits (xds-rules 16, 19).
    const silent = resources.length === 0 && (removed.length === 0 || this.protocol === 'sotw')
    return silent ? undefined : { resources, removed, adds }
  }

  #takeHeartbeat(view: ResourceView): Taken | undefined {
    if (!this.#heartbeat) return undefined
    this.#heartbeat = false
    const whole = this.protocol === 'sotw' && fullSetTypes.has(this.type)
    const resources: Resource[] = []
    for (const [name, version] of this.#sent) {
      const resource = version === ABSENT ? undefined : view.get(this.type, name)
      if (resource?.version === version && (whole || resource.ttlMs !== undefined)) resources.push(resource)
    }
    return resources.some((resource) => resource.ttlMs !== undefined) ? { resources, removed: [], adds: false, heartbeat: true } : undefined
  }

  /** SotW, full sets: one thing to say, and everything is said (xds-rules 16). What was refused before stays in the set, for its absence would delete the client's older one. */
  #takeSet(view: ResourceView): Taken | undefined {
    let due = this.#owed
    for (const [name, forced] of this.#pending) {
      if (due) break
      const resource = this.wants(name) ? this.#resolve(view, name) : undefined
      due = resource ? this.#isDue(resource, forced) && !(this.#sent.get(name) !== resource.version && this.#isKeptBack(resource, view)) : this.wants(name) && this.#isAbsenceDue(name, forced)
    }
    this.#pending.clear()
    if (!due) return undefined
    const set = new Map<string, Resource>()
    if (this.wildcard) for (const resource of view.list(this.type)) this.#include(set, resource, view)
    const absent: string[] = []
    for (const name of this.names) {
      const resource = this.#resolve(view, name)
      if (resource) this.#include(set, resource, view)
      else absent.push(name)
    }
    for (const name of this.#leaving) {
      const held = this.#held?.get(name)
      if (held && !set.has(name)) set.set(name, held)
    }
    const adds = [...set.keys()].some((name) => !this.#has(name))
    this.#sent.clear()
    this.#held?.clear()
    for (const name of absent) if (!set.has(name)) this.#sent.set(name, ABSENT)
    for (const [name, resource] of set) {
      this.#sent.set(name, resource.version)
      this.#held?.set(name, resource)
    }
    return { resources: [...set.values()], removed: [], adds }
  }

  /** A set must name what the client is to keep: of what is kept back the older one where that is at hand, and nothing where the client has none. */
  #include(set: Map<string, Resource>, resource: Resource, view: ResourceView): void {
    const { name, version } = resource
    if (this.#sent.get(name) === version || !this.#isKeptBack(resource, view)) set.set(name, resource)
    else if (this.#has(name)) set.set(name, this.#held?.get(name) ?? resource)
  }
}
