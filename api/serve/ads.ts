import { fromBinary } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { Faults } from '#core/fault/fault.ts'
import type { Clock, Timer } from '#core/time/clock.ts'
import { type Node, NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { HEALTH_INFORMATION } from '#core/wire/type-url.ts'
import { readNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { CallRefused, contradiction, identify, refusalBy } from './credentials.ts'
import type { Answers } from './answers.ts'
import type { Asks } from './asks.ts'
import type { Holdings } from './holding.ts'
import type { Ledger } from './ledger.ts'
import type { Peer, ServeDoors } from './peer.ts'
import type { ResourceView } from './resource.ts'
import { passOrder } from './pass.ts'
import type { Room } from './room.ts'
import { MalformedMessage } from './protobuf.ts'
import type { Publisher } from './publisher.ts'
import type { Reading, Readings } from './readings.ts'
import type { Shares } from './shares.ts'
import type { Quarantine } from './quarantine.ts'
import { type DiscoveryRequest, nodeIdOf, type Protocol, readRequest } from './request.ts'
import { type StreamWatcher, TooManyNames, XdsStream } from './stream.ts'
import type { ServerCall } from './transport/server-call.ts'
import type { TrustStore } from './trust.ts'
import { type Turnstile, TurnstileFull } from './turnstile.ts'

/** What all discovery calls of a process share. */
export interface DiscoveryDoors {
  readonly serve: ServeDoors
  readonly clock: Clock
  readonly publisher: Publisher
  readonly ledger: Ledger
  readonly watcher: StreamWatcher
  readonly answers: Answers
  readonly quarantine: Quarantine
  readonly asks: Asks
  readonly holdings: Holdings
  readonly room: Room<XdsStream>
  /** First views are costly: so many are made at once (xds-rules 26). */
  readonly turnstile: Turnstile
  /** Runs something in the event loop's next turn. */
  readonly schedule: (run: () => void) => void
  /** First requests have turns of the event loop of their own. */
  readonly alone: Turnstile
  readonly readings: Readings
  readonly shares: Shares
  /** Callers that were asked to come again. */
  readonly sentAway: { count: number }
  /** Calls that are open, for the shutdown. */
  readonly open: Set<DiscoverySession>
}

/** Discovery calls that a process holds at once. */
const callsMax = 50_000
/** Whoever is sent away for now may come again after this long at the earliest, and they after each other: a herd that is turned away comes back as a file. */
const awayMs = 1000
const awayStepMs = 5
const awaySteps = 800
/** After a first request that took so long, the next of the call waits for a turn of its own. */
const longMs = 4
/** How long a call may stay silent before its first message. */
const firstMessageMs = 30_000
/** The longest that a Node timer can wait. */
const timerMsMax = 2 ** 31 - 1

/** One discovery call, from its first message to its status: credentials, node, then the stream. */
export class DiscoverySession implements Reading {
  readonly #doors: DiscoveryDoors
  readonly #call: ServerCall
  readonly #protocol: Protocol
  /** The type that a per-type service implies; undefined for ADS. */
  readonly #impliedType: string | undefined
  readonly #peer: Promise<Peer>
  #stream: XdsStream | undefined
  /** A request that waits to be read. */
  #inHand: Buffer | undefined
  #over = false
  /** It has said all that it has to say. */
  #saidGoodbye = false
  #leave: (() => void) | undefined
  #expiry: Timer | undefined
  #unwatch: (() => void) | undefined

  constructor(doors: DiscoveryDoors, call: ServerCall, kind: { protocol: Protocol; impliedType: string | undefined; trust: TrustStore | undefined }) {
    this.#doors = doors
    this.#call = call
    this.#protocol = kind.protocol
    this.#impliedType = kind.impliedType
    // Who has no business here goes at once: silent strangers would hold the calls that proxies need.
    this.#peer = identify(call, doors.serve, kind.trust).then((peer) => {
      if (!this.#over) this.#leave = doors.shares.enter(peer)
      return peer
    })
    this.#peer.catch((raised: unknown) => this.#refuse(raised))
    if (doors.open.size >= callsMax) {
      this.#refuse(new CallRefused(status.RESOURCE_EXHAUSTED, 'this replica holds as many streams as it can', true))
      return
    }
    doors.open.add(this)
    this.#expiry = doors.clock.after(firstMessageMs, () => this.end(status.INVALID_ARGUMENT, 'no first message came'))
    call.onDrain(() => {
      this.#stream?.drained()
      if (this.#saidGoodbye) this.#goodbye()
    })
    // A cancelled or broken call ends its reading side too, a moment before it says that it is cancelled.
    call.onEnd(() => {
      doors.schedule(() => {
        if (call.cancelled) this.#finish('lost')
        else this.#goodbye()
      })
    })
    call.onCancelled(() => this.#finish('lost'))
    call.onMessage((bytes) => this.#onMessage(bytes))
  }

  /** Ends the call with a status, after the messages in hand (xds-rules 4). */
  end(code: status, details: string, retryAfterMs?: number): void {
    if (this.#over) return
    this.#finish('lost')
    this.#call.fail(code, details, retryAfterMs)
  }

  /** Whoever has no more to say is answered what it has asked, and then the call ends. */
  #goodbye(): void {
    if (this.#over) return
    // A turn has one large answer of one type.
    for (let turn = 0; turn < passOrder.length; turn += 1) this.#stream?.pump(true)
    this.#saidGoodbye = true
    // On when what was written has left.
    if (this.#stream?.isBlocked === true) return
    this.#finish('clean')
    this.#call.end()
  }

  /** Its mesh, as soon as it is known. */
  get share(): string {
    return this.#stream?.share ?? ''
  }

  get waitingBytes(): number {
    return this.#inHand?.length ?? 0
  }

  /** Reads what waited for that. */
  read(): void {
    const bytes = this.#inHand
    this.#inHand = undefined
    if (bytes === undefined || this.#over) return
    if (this.#take(bytes) === 'done') this.#call.resume()
  }

  #onMessage(bytes: Buffer): void {
    if (this.#over) return
    if (this.#doors.readings.isOpen) {
      this.#take(bytes)
      return
    }
    this.#inHand = bytes
    this.#call.pause()
    this.#doors.readings.wait(this)
  }

  /** `opening`: the call is paused until the stream is there. */
  #take(bytes: Buffer): 'done' | 'opening' {
    const request = this.#guard(() => this.#read(bytes))
    if (!request) return 'done'
    if (this.#stream) {
      this.#next(this.#stream, request)
      return 'done'
    }
    this.#expiry?.cancel()
    this.#call.pause()
    this.#open(request).then(
      () => this.#call.resume(),
      (raised: unknown) => this.#refuse(raised),
    )
    return 'opening'
  }

  /** Resolves in a turn of the event loop in which no other call's long work begins. */
  #turn(): Promise<void> {
    const { alone, schedule } = this.#doors
    return alone.pass(() => new Promise((resolve) => schedule(resolve)))
  }

  #next(stream: XdsStream, request: DiscoveryRequest): void {
    this.#guard(() => {
      if (request.node) {
        const id = nodeIdOf(request.node)
        // A node may be repeated, and is skipped, but it may not become another (xds-rules 1).
        if (id !== '' && id !== stream.node.id) throw new CallRefused(status.INVALID_ARGUMENT, 'the node id changed within a stream')
      }
      if (request.type === HEALTH_INFORMATION) {
        stream.notReady = request.refusal
        this.#doors.serve.health?.(stream.peer, stream.node, request.refusal === undefined ? 'healthy' : 'unhealthy')
      } else stream.request(request)
    })
  }

  #read(bytes: Buffer): DiscoveryRequest {
    const request = readRequest(this.#protocol, bytes, this.#doors.asks)
    if (this.#impliedType === undefined) {
      if (request.type === '') throw new CallRefused(status.INVALID_ARGUMENT, 'a type URL is required on an aggregated stream')
      return request
    }
    if (request.type !== '' && request.type !== this.#impliedType) throw new CallRefused(status.INVALID_ARGUMENT, `this service serves ${this.#impliedType} only`)
    return request.type === '' ? { ...request, type: this.#impliedType } : request
  }

  async #open(first: DiscoveryRequest): Promise<void> {
    const { serve, clock } = this.#doors
    const peer = await this.#peer
    const said = agreedNode(peer, first.node && readNodeBytes(first.node))
    if (peer.expiresAtMs <= clock.wallMs()) throw new CallRefused(status.UNAUTHENTICATED, 'the credential has expired')
    const { node, view } = await this.#doors.turnstile.pass(() => admitted(serve, peer, said))
    await this.#turn()
    if (this.#over) {
      view.release()
      return
    }
    const { watcher, answers, holdings, quarantine, room, shares } = this.#doors
    const unknownShare = (bytes: number): boolean => shares.holdUnknown(peer, bytes)
    const stream = new XdsStream({ clock, watcher, channel: this.#call, answers, holdings, quarantine, room, unknownShare }, { peer, node, protocol: this.#protocol, view })
    this.#stream = stream
    this.#doors.ledger.add(stream)
    this.#endWhenExpired(peer)
    this.#unwatch = serve.watch?.(peer, () => this.end(status.UNAUTHENTICATED, 'the credential is not valid any more'))
    serve.connected(peer, node, (why) => this.#refuse(why))
    const beganMs = clock.monotonicMs()
    stream.request(first)
    if (clock.monotonicMs() - beganMs >= longMs) await this.#turn()
  }

  /** A proxy renews before and reconnects; what is revoked or forgotten ends here (xds-rules 2). */
  #endWhenExpired(peer: Peer): void {
    const leftMs = peer.expiresAtMs - this.#doors.clock.wallMs()
    if (leftMs <= 0) this.end(status.UNAUTHENTICATED, 'the credential has expired')
    else this.#expiry = this.#doors.clock.after(Math.min(leftMs, timerMsMax), () => this.#endWhenExpired(peer))
  }

  #guard<T>(act: () => T): T | undefined {
    try {
      return act()
    } catch (raised) {
      this.#refuse(raised)
      return undefined
    }
  }

  #refuse(raised: unknown): void {
    if (raised instanceof TurnstileFull) this.#refuse(new CallRefused(status.RESOURCE_EXHAUSTED, 'more proxies begin here at once than this replica can have wait', true))
    else if (raised instanceof CallRefused) this.end(raised.code, raised.message, raised.isForNow ? awayMs + (this.#doors.sentAway.count++ % awaySteps) * awayStepMs : undefined)
    else if (raised instanceof Faults) this.#refuse(refusalBy(raised))
    else if (raised instanceof MalformedMessage) this.end(status.INVALID_ARGUMENT, raised.message)
    else if (raised instanceof TooManyNames) this.#refuse(new CallRefused(status.RESOURCE_EXHAUSTED, raised.message, raised.isForNow))
    else {
      this.#doors.watcher.note('xds.failed', { error: raised instanceof Error ? (raised.stack ?? raised.message) : String(raised) })
      this.end(status.UNAVAILABLE, 'the control plane could not answer; try again')
    }
  }

  #finish(how: 'clean' | 'lost'): void {
    if (this.#over) return
    this.#over = true
    this.#expiry?.cancel()
    this.#unwatch?.()
    this.#doors.open.delete(this)
    this.#doors.readings.forget(this)
    this.#inHand = undefined
    this.#leave?.()
    const stream = this.#stream
    if (!stream) return
    stream.close()
    this.#doors.publisher.forget(stream)
    this.#doors.ledger.remove(stream, how)
    if (!this.#doors.ledger.isKnown(stream.peer.meshId)) this.#doors.quarantine.forget(stream.peer.meshId)
    this.#doors.serve.disconnected(stream.peer, stream.node, how)
  }
}

/** A node as its mesh knows it, with its view. */
export async function admitted(serve: ServeDoors, peer: Peer, said: ProxyNode): Promise<{ readonly node: ProxyNode; readonly view: ResourceView }> {
  const node = serve.admit === undefined ? said : await serve.admit(peer, said)
  return { node, view: await serve.viewFor(peer, node) }
}

/**
 * The node of a first request, completed by what the peer has proven.
 * @throws CallRefused INVALID_ARGUMENT without a usable node, PERMISSION_DENIED where it contradicts the credential (xds-rules 2)
 */
export function agreedNode(peer: Peer, message: Node | undefined): ProxyNode {
  if (!message) throw new CallRefused(status.INVALID_ARGUMENT, 'the first request of a stream must carry a node')
  const node = nodeIn(message)
  const wrong = contradiction(peer, node)
  if (wrong !== undefined) throw new CallRefused(status.PERMISSION_DENIED, wrong)
  const { identity, bound } = peer
  if (identity) return { ...node, namespace: identity.namespace, serviceAccount: identity.serviceAccount }
  // What a node leaves out, its token says, as far as it is bound.
  const orBound = (said: string, may: string | undefined): string => (said === '' && may !== undefined && may !== '*' ? may : said)
  return { ...node, namespace: orBound(node.namespace, bound?.namespace), serviceAccount: orBound(node.serviceAccount, bound?.serviceAccount) }
}

function readNodeBytes(bytes: Uint8Array): Node {
  try {
    return fromBinary(NodeSchema, bytes)
  } catch {
    throw new CallRefused(status.INVALID_ARGUMENT, 'the node cannot be read')
  }
}

function nodeIn(message: Node): ProxyNode {
  try {
    return readNode(message)
  } catch (raised) {
    throw raised instanceof Faults ? new CallRefused(status.INVALID_ARGUMENT, raised.message) : raised
  }
}
