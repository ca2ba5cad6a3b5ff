import type { Clock, Timer } from '#core/time/clock.ts'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { numberOfNonce } from '#core/wire/nonce.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, SECRET } from '#core/wire/type-url.ts'
import type { Answers } from './answers.ts'
import { isStarting, rejectionsIn, rejectionsOf, syncedRevision, unackedSince } from './acknowledged.ts'
import { applyDelta } from './delta.ts'
import type { Holdings } from './holding.ts'
import type { ProxyStatus, Rejection } from './ledger-entry.ts'
import { MakeBeforeBreak } from './make-before-break.ts'
import { ownEngine } from './own-engine.ts'
import { fullSetTypes, passOrder } from './pass.ts'
import type { Peer } from './peer.ts'
import type { Quarantine } from './quarantine.ts'
import { NO_PROGRESS, type Progress } from './flight.ts'
import type { Room } from './room.ts'
import type { DiscoveryRequest, Protocol } from './request.ts'
import type { Resource, ResourceView, ViewChange } from './resource.ts'
import { applySotw } from './sotw.ts'
import { absentResources, type SentResource, sentResources } from './sent-resources.ts'
import { Subscription } from './subscription.ts'
import type { Taken } from './taking.ts'
import { statusOf } from './type-status.ts'
import { UnknownShare } from './unknown-share.ts'

/** Delta responses, and SotW ones that may be split, stay below this (xds-rules 24): gRPC clients refuse more than 4 MiB. */
const responseBytesMax = 1 << 20
/** A response of so many bytes is the last of its turn. */
const turnBytesMax = 1 << 18
/** A SotW set cannot be split: beyond this it is near what clients refuse. */
const setBytesWarn = 3 << 20
/** Names that one stream may subscribe to in one type, and those that one request may bring. */
const namesMax = 200_000
/** Names of secrets that one stream is written down for. */
const auditedMax = 32

/** The other end, as far as a stream sees it. */
export interface Channel {
  /** False when what was written waits: the stream then pauses until `drained`. */
  write(message: Buffer): boolean
  /** What is written until `uncork` leaves as one. */
  cork(): void
  uncork(): void
}

/** What a stream tells those around it. */
export interface StreamWatcher {
  /** There is something to send: call `pump` when it is this stream's turn. */
  wake(stream: XdsStream, urgency: 'endpoints' | 'change' | 'first'): void
  /** An answer came, or the view moved on. */
  progressed(stream: XdsStream): void
  rejected(stream: XdsStream, type: string, rejection: Rejection): void
  /** A change of the view that this client must hear of. */
  concerned(stream: XdsStream, revision: number): void
  sent(stream: XdsStream, type: string, resources: number, bytes: number): void
  note(event: 'xds.unknown-type' | 'xds.response-large' | 'xds.stalled' | 'xds.resynced' | 'xds.secret-refused' | 'xds.failed', fields: Readonly<Record<string, unknown>>): void
}

/** Raised by `request` when the stream must end: the caller closes it with RESOURCE_EXHAUSTED. */
export class TooManyNames extends Error {
  /** Others like it may let go of theirs: it may come again. */
  readonly isForNow: boolean

  constructor(message: string, isForNow = false) {
    super(message)
    this.isForNow = isForNow
  }
}

/** One discovery stream of one node: all its types, their order, and what is in flight. Knows no socket. */
export class XdsStream {
  readonly peer: Peer
  readonly node: ProxyNode
  readonly protocol: Protocol
  /** Why its workload may not be called, by its own word; undefined: it may. */
  notReady: string | undefined
  readonly connectedAtMs: number
  readonly #clock: Clock
  readonly #watcher: StreamWatcher
  readonly #view: ResourceView
  readonly #channel: Channel
  readonly #answers: Answers
  readonly #quarantine: Quarantine | undefined
  readonly #holdings: Holdings
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #unknownTypes = new Set<string>()
  readonly #refusedSecrets = new Set<string>()
  readonly #room: Room<XdsStream> | undefined
  /** By nonce, the large answers that have room and are unanswered: how to give it back. */
  readonly #roomOf = new Map<string, () => void>()
  readonly #unknownShare: UnknownShare
  #progress: Progress = NO_PROGRESS
  #writable = true
  #blockedSinceMs = 0
  #closed = false
  readonly #order: MakeBeforeBreak
  /** Runs from the first resource with a time to live that this client was sent. */
  #heartbeats: Timer | undefined
  readonly #unsubscribe: () => void

  /** @param around of `unknownShare`: takes of what its identity may hold of names that nobody has, or gives it back; answers whether that is within bounds */
  constructor(
    around: { clock: Clock; watcher: StreamWatcher; channel: Channel; answers: Answers; holdings: Holdings; quarantine?: Quarantine; room?: Room<XdsStream>; unknownShare?: (bytes: number) => boolean },
    of: { peer: Peer; node: ProxyNode; protocol: Protocol; view: ResourceView },
  ) {
    this.#clock = around.clock
    this.#watcher = around.watcher
    this.#channel = around.channel
    this.#answers = around.answers
    this.#quarantine = around.quarantine
    this.#holdings = around.holdings
    this.#room = around.room
    this.#unknownShare = new UnknownShare(around.unknownShare)
    this.peer = of.peer
    this.node = of.node
    this.notReady = of.node.health === 'unhealthy' ? 'the application is not ready' : undefined
    this.protocol = of.protocol
    this.#view = of.view
    this.connectedAtMs = around.clock.wallMs()
    this.#order = new MakeBeforeBreak({ clock: around.clock, engine: of.node.engine, subscriptions: this.#subscriptions, wake: () => around.watcher.wake(this, 'change') })
    this.#unsubscribe = of.view.subscribe((change) => this.#onChange(change))
  }

  /** @throws TooManyNames */
  request(request: DiscoveryRequest): void {
    if (this.#closed) return
    if (!passOrder.includes(request.type)) {
      // A type that we do not serve is answered with nothing, and harms no other (xds-rules 3).
      if (this.#unknownTypes.size < 32 && !this.#unknownTypes.has(request.type)) {
        this.#unknownTypes.add(request.type)
        this.#watcher.note('xds.unknown-type', { proxy: this.node.id, type: request.type.slice(0, 200) })
      }
      return
    }
    if (request.names.length + request.held.size > namesMax) throw new TooManyNames(`more than ${namesMax} names in one request for ${request.type}`)
    const subscription = this.#subscriptionTo(request.type)
    const first = !subscription.asked
    const sentAtMs = request.nonce === '' ? undefined : subscription.sentAtMs(request.nonce)
    const settled = sentAtMs !== undefined && subscription.settle(request.nonce, request.refusal, this.#clock.wallMs())
    if (settled) this.#progress = { ...this.#progress, answeredAtMs: this.#clock.wallMs(), answeredSentAtMs: sentAtMs }
    this.#giveRoomBack(request.nonce)
    if (settled && subscription.rejection && request.refusal !== undefined) {
      this.#quarantine?.refused(this, subscription.answered.refused, subscription.answered.revision, request.refusal)
      this.#watcher.rejected(this, request.type, subscription.rejection)
    } else if (settled) this.#quarantine?.accepted(this, subscription.answered.accepted, subscription.answered.revision)
    if (this.protocol === 'delta') applyDelta(subscription, request, this.#view, { resumes: this.node.engine === ownEngine })
    else applySotw(subscription, request, this.#view)
    if (request.type === SECRET) this.#auditSecrets(request.names)
    if (subscription.names.size > namesMax) throw new TooManyNames(`more than ${namesMax} names of ${request.type}`)
    if (!this.#unknownShare.holds(this.#unknownBytes)) throw new TooManyNames('this identity holds as many names of what is not there as it may', true)
    if (settled) this.#watcher.progressed(this)
    if (first) this.#order.leavesFromBefore(subscription)
    if (this.#hasWork() || (first && this.#order.isLeaving)) this.#watcher.wake(this, first ? 'first' : request.type === CLUSTER_LOAD_ASSIGNMENT ? 'endpoints' : 'change')
    else if (settled) this.#order.releaseWhenQuiet()
  }

  /**
   * Sends what can be sent now, at most one response a type and one that is large, in the order of a pass. Called by the publisher, in turn.
   * @param isLast nothing can be sent later, so nothing waits for room
   */
  pump(isLast = false): void {
    if (this.#closed) return
    this.#order.releaseWhenQuiet()
    this.#channel.cork()
    try {
      this.#sendDue(isLast)
    } finally {
      this.#channel.uncork()
    }
    if (!this.#writable) return
    this.#order.releaseWhenQuiet()
    this.#watcher.progressed(this)
  }

  #sendDue(isLast: boolean): void {
    for (const type of passOrder) {
      if (!this.#writable) return
      const subscription = this.#subscriptions.get(type)
      if (!subscription || !subscription.hasWork || !subscription.mayGo) continue
      if (this.#order.mustHold(subscription)) continue
      // What comes after it in the order stays behind it.
      if (!isLast && this.#room?.isMuch(subscription.due) === true && !this.#room.admits(this)) return
      if (this.#send(subscription) < turnBytesMax || !this.#hasWork()) continue
      this.#watcher.wake(this, 'change')
      return
    }
  }

  /** What was written has left: go on. */
  drained(): void {
    if (!this.#writable) this.#progress = { ...this.#progress, drainedAtMs: this.#clock.wallMs() }
    this.#writable = true
    this.#blockedSinceMs = 0
    if (this.#hasWork()) this.#watcher.wake(this, 'change')
  }

  /** What was written has not left yet. */
  get isBlocked(): boolean {
    return !this.#writable
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#order.close()
    this.#heartbeats?.cancel()
    this.#room?.forget(this)
    for (const nonce of [...this.#roomOf.keys()]) this.#giveRoomBack(nonce)
    this.#unknownShare.holds(0)
    this.#unsubscribe()
    this.#view.release()
  }

  /** Its mesh: meshes share a replica fairly. */
  get share(): string {
    return this.peer.meshId
  }

  accepts(resource: Resource): boolean {
    return this.#subscriptions.get(resource.type)?.accepts(resource) ?? false
  }

  /** Sends what was kept back after all (see Quarantine). */
  reconsider(type: string, name: string): void {
    if (this.#subscriptions.get(type)?.reconsider(name, this.#view.revision)) this.#watcher.wake(this, 'change')
  }

  /** Nothing that it asked for has been answered by it yet: it has connected, and is not configured. */
  get isStarting(): boolean {
    return isStarting(this.#subscriptions.values())
  }

  get viewRevision(): number {
    return this.#view.revision
  }

  /** The oldest mesh revision with something not acknowledged; undefined when all is. */
  get unackedSince(): number | undefined {
    return unackedSince(this.#subscriptions.values())
  }

  /** Types whose last answer was a NACK. */
  get rejections(): readonly Rejection[] {
    return rejectionsIn(this.#subscriptions.values())
  }

  /** Refusals of responses that carried `revision`. */
  rejectionsOf(revision: number): readonly { type: string; rejection: Rejection }[] {
    return rejectionsOf(this.#subscriptions.values(), revision)
  }

  get syncedRevision(): number {
    return syncedRevision(this.#subscriptions, this.viewRevision)
  }

  status(): ProxyStatus {
    const { id, name, namespace, type, engine, version, cluster } = this.node
    return {
      node: { id, name, namespace, type, engine, version, cluster },
      identity: this.peer.identity && formatSpiffeId(this.peer.identity),
      connectedAtMs: this.connectedAtMs,
      syncedRevision: this.syncedRevision,
      viewRevision: this.viewRevision,
      ...(this.notReady === undefined ? {} : { notReady: this.notReady }),
      types: [...this.#subscriptions.values()].map(statusOf),
    }
  }

  /** What this client was sent, for `weft proxy-config`. */
  sent(): Iterable<SentResource> {
    return sentResources(this.#subscriptions.values(), this.#view)
  }

  /** What the client asks for by name and does not have. */
  absent(): Iterable<{ readonly type: string; readonly name: string }> {
    return absentResources(this.#subscriptions.values())
  }

  /** The last NACK of a type, unless an ACK came after it; then the newest refusal that stands. */
  rejectionOf(type: string): Rejection | undefined {
    const subscription = this.#subscriptions.get(type)
    return subscription?.rejection ?? subscription?.refusals.at(-1)
  }

  /** When a type was last sent or answered, epoch ms. */
  sinceMs(type: string): number {
    return this.#subscriptions.get(type)?.sinceMs ?? this.connectedAtMs
  }

  /**
   * What was sent and not acknowledged for `afterMs` is sent again unasked, and raised: an answer may have been lost on its way through what stands between. The time of a client that works its way
   * through what was sent before does not run: to send it more would only make it later.
   * Each time that it happens to a type it takes twice as long to happen again, so a client that never answers costs little. A client that does not read is not sent more.
   */
  resyncLate(afterMs: number): boolean {
    if (!this.#writable) return false
    const nowMs = this.#clock.wallMs()
    let resynced = false
    for (const subscription of this.#subscriptions.values()) {
      const lateMs = subscription.resyncIfLate(nowMs, afterMs, this.#view.revision, this.#progress)
      if (lateMs === undefined) continue
      resynced = true
      this.#watcher.note('xds.resynced', { proxy: this.node.id, type: subscription.type, forMs: lateMs })
    }
    if (resynced) this.#watcher.wake(this, 'change')
    return resynced
  }

  /** Something is unanswered for longer than this, and the client comes no nearer to it. */
  isLate(afterMs: number): boolean {
    const nowMs = this.#clock.wallMs()
    for (const subscription of this.#subscriptions.values()) {
      const lateMs = subscription.lateMs(nowMs, this.#progress)
      if (lateMs !== undefined && lateMs >= afterMs) return true
    }
    return false
  }

  /** Reports a write that does not drain for a minute, or an ACK that is missing for five while more waits: logged and shown, never killed (xds-rules 25). */
  reportStall(): void {
    const nowMs = this.#clock.wallMs()
    if (!this.#writable && nowMs - this.#blockedSinceMs > 60_000) {
      this.#watcher.note('xds.stalled', { proxy: this.node.id, why: 'does not read', forMs: nowMs - this.#blockedSinceMs })
    }
    for (const subscription of this.#subscriptions.values()) {
      const sentAtMs = subscription.inFlight?.sentAtMs
      if (sentAtMs !== undefined && subscription.hasWork && nowMs - sentAtMs > 300_000) {
        this.#watcher.note('xds.stalled', { proxy: this.node.id, type: subscription.type, why: 'does not acknowledge', forMs: nowMs - sentAtMs })
      }
    }
  }

  /** A secret that is not this client's own is not there for it, and that it asked is written down (xds-rules 28). */
  #auditSecrets(names: readonly string[]): void {
    for (const name of names) {
      if (this.#refusedSecrets.has(name) || this.#refusedSecrets.size >= auditedMax || this.#view.get(SECRET, name) !== undefined) continue
      this.#refusedSecrets.add(name)
      this.#watcher.note('xds.secret-refused', { mesh: this.peer.meshId, proxy: this.node.id, identity: this.peer.identity && formatSpiffeId(this.peer.identity), secret: name.slice(0, 200) })
    }
  }

  #subscriptionTo(type: string): Subscription {
    const known = this.#subscriptions.get(type)
    if (known) return known
    const start = this.#holdings.start(type, this.protocol, this.node.engine === ownEngine ? ownEngine : '')
    const made = new Subscription(type, this.protocol, start, this.#holdings.limits)
    made.sinceMs = this.#clock.wallMs()
    made.heed(this.#quarantine?.rulingsFor(this))
    this.#subscriptions.set(type, made)
    return made
  }

  #onChange(change: ViewChange): void {
    let concerned = false
    let endpoints = false
    for (const resource of change.changed) {
      if (!this.#subscriptions.get(resource.type)?.changed(resource, change.revision)) continue
      concerned = true
      endpoints ||= resource.type === CLUSTER_LOAD_ASSIGNMENT
    }
    for (const { type, name } of change.removed) {
      const subscription = this.#subscriptions.get(type)
      if (subscription === undefined || !subscription.gone(name, change.revision)) continue
      concerned = true
      this.#order.leaves(subscription)
    }
    if (concerned) {
      this.#watcher.concerned(this, change.revision)
      this.#watcher.wake(this, endpoints ? 'endpoints' : 'change')
    }
    else this.#watcher.progressed(this)
  }

  #hasWork(): boolean {
    for (const subscription of this.#subscriptions.values()) if (subscription.hasWork) return true
    return false
  }

  get #unknownBytes(): number {
    let bytes = 0
    for (const subscription of this.#subscriptions.values()) bytes += subscription.unknownBytes
    return bytes
  }

  #giveRoomBack(nonce: string): void {
    this.#roomOf.get(nonce)?.()
    this.#roomOf.delete(nonce)
  }

  /** Answers how many bytes went. */
  #send(subscription: Subscription): number {
    const { type } = subscription
    const room = this.#room?.isMuch(subscription.due) === true ? this.#room : undefined
    const taken = subscription.take(this.#view, this.#clock.wallMs(), responseBytesMax)
    if (!taken) return 0
    const { text, message } = this.#answers.encode(this.protocol, { type, revision: this.#view.versionOf?.(type) ?? this.#view.revision, resources: taken.resources, removed: taken.removed, ...this.#ttlOf(taken) }, numberOfNonce(subscription.nonce), subscription.hasWork)
    subscription.carry(text)
    if (room) this.#roomOf.set(text, room.takes(this, message.length))
    this.#watcher.sent(this, type, taken.resources.length + taken.removed.length, message.length)
    if (message.length > setBytesWarn && fullSetTypes.has(type)) this.#watcher.note('xds.response-large', { proxy: this.node.id, type, bytes: message.length })
    if (!this.#channel.write(message)) {
      this.#writable = false
      this.#blockedSinceMs = this.#clock.wallMs()
    }
    if (type === CLUSTER) this.#followWithEndpoints(taken.resources)
    return message.length
  }

  /** A time to live goes only to clients that ask for it, and then its heartbeats do too, three within it. */
  #ttlOf({ resources, heartbeat }: Taken): { ttl?: 'lives' | 'heartbeat' } {
    if (this.node.resourceTtl !== true) return {}
    if (heartbeat) return { ttl: 'heartbeat' }
    let shortestMs = Infinity
    for (const { ttlMs } of resources) if (ttlMs !== undefined && ttlMs < shortestMs) shortestMs = ttlMs
    if (shortestMs === Infinity) return {}
    this.#heartbeats ??= this.#clock.every(shortestMs / 3, () => {
      for (const subscription of this.#subscriptions.values()) subscription.beat()
      this.#watcher.wake(this, 'change')
    })
    return { ttl: 'lives' }
  }

  /** Every EDS cluster sent is followed at once by its endpoints, changed or not: Envoy withholds the ACK until they come, and asks for nothing (xds-rules 20). */
  #followWithEndpoints(clusters: readonly Resource[]): void {
    const endpoints = this.#subscriptions.get(CLUSTER_LOAD_ASSIGNMENT)
    if (!endpoints) return
    for (const cluster of clusters) if (endpoints.names.has(cluster.name)) endpoints.enqueue(cluster.name, this.#view.revision, true)
  }
}
