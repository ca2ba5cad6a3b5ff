import type { Clock, Timer } from '#core/time/clock.ts'
import type { ProxyStatus, Rejection } from './ledger-entry.ts'
import { Pushes, type PushTimes } from './pushes.ts'
import type { XdsStream } from './stream.ts'

/** What became of one revision: node ids that have all of it, that do not yet, and the refusals. */
export interface SyncOutcome {
  readonly acked: readonly string[]
  readonly stragglers: readonly string[]
  readonly rejected: readonly { readonly node: string; readonly type: string; readonly rejection: Rejection }[]
}

export interface RejectionNews {
  readonly meshId: string
  readonly node: string
  readonly type: string
  readonly rejection: Rejection
}

interface Waiter {
  readonly revision: number
  readonly waiting: Set<XdsStream>
  /** Proxies whose stream broke while they were waited for, until they are back or given up, by node id. */
  readonly away: Map<string, Timer>
  readonly acked: string[]
  readonly rejected: SyncOutcome['rejected'][number][]
  readonly finish: () => void
}

interface MeshRecord {
  readonly streams: Set<XdsStream>
  readonly waiters: Set<Waiter>
}

/** How long a proxy whose stream broke is waited for: longer than proxies take to come back, with their jitter. */
const awayMs = 10_000

/** Who acknowledged what: the streams of this replica, by mesh. */
export class Ledger {
  readonly #clock: Clock
  readonly #meshes = new Map<string, MeshRecord>()
  readonly #listeners = new Set<(news: RejectionNews) => void>()
  readonly #pushListeners = new Set<(push: PushTimes) => void>()
  /** How long each change took. */
  readonly pushes: Pushes

  constructor(clock: Clock) {
    this.#clock = clock
    this.pushes = new Pushes(clock, (push) => {
      for (const listener of this.#pushListeners) listener(push)
    })
  }

  add(stream: XdsStream): void {
    const record = this.#recordOf(stream.peer.meshId)
    record.streams.add(stream)
    for (const waiter of record.waiters) {
      const away = waiter.away.get(stream.node.id)
      if (away === undefined) continue
      away.cancel()
      waiter.away.delete(stream.node.id)
      waiter.waiting.add(stream)
    }
  }

  /** A proxy that said goodbye is nobody's straggler. One whose stream broke goes on with what it had, so it is waited for until it is back, or has been gone for a while. */
  remove(stream: XdsStream, how: 'clean' | 'lost'): void {
    const { meshId } = stream.peer
    this.pushes.gone(stream)
    const record = this.#meshes.get(meshId)
    if (!record) return
    record.streams.delete(stream)
    for (const waiter of record.waiters) {
      if (waiter.waiting.delete(stream) && how === 'lost') {
        const give = this.#clock.after(awayMs, () => {
          waiter.away.delete(stream.node.id)
          finishIfDone(waiter)
        })
        waiter.away.set(stream.node.id, give)
      }
      finishIfDone(waiter)
    }
    if (record.streams.size === 0 && record.waiters.size === 0) this.#meshes.delete(meshId)
  }

  /** Where each connected proxy of a mesh stands. */
  statuses(meshId: string): ProxyStatus[] {
    return [...(this.#meshes.get(meshId)?.streams ?? [])].map((stream) => stream.status())
  }

  /** Meshes that have streams here. */
  meshIds(): Iterable<string> {
    return this.#meshes.keys()
  }

  /** A mesh has streams here, or is waited for. */
  isKnown(meshId: string): boolean {
    return this.#meshes.has(meshId)
  }

  /** The streams of one mesh. */
  streamsOf(meshId: string): Iterable<XdsStream> {
    return this.#meshes.get(meshId)?.streams ?? []
  }

  /** All streams of this replica, for its own metrics. */
  *streams(): Iterable<XdsStream> {
    for (const record of this.#meshes.values()) yield* record.streams
  }

  /**
   * Resolves when every proxy of the mesh that is connected now has acknowledged or refused all that `revision` brought it, or with the stragglers after `timeoutMs`.
   * A proxy that the revision does not concern counts as soon as its view has reached it.
   */
  whenSynced(meshId: string, revision: number, timeoutMs: number): Promise<SyncOutcome> {
    const record = this.#recordOf(meshId)
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel()
        for (const give of waiter.away.values()) give.cancel()
        record.waiters.delete(waiter)
        if (record.streams.size === 0 && record.waiters.size === 0) this.#meshes.delete(meshId)
        resolve({ acked: waiter.acked, rejected: waiter.rejected, stragglers: [...waiter.away.keys(), ...[...waiter.waiting].map((stream) => stream.node.id)] })
      }
      const waiter: Waiter = { revision, waiting: new Set(record.streams), away: new Map(), acked: [], rejected: [], finish }
      const timer = this.#clock.after(timeoutMs, finish)
      record.waiters.add(waiter)
      for (const stream of record.streams) judge(waiter, stream)
      finishIfDone(waiter)
    })
  }

  /** A mesh's views moved on without news for some: a revision that changed nothing for a proxy is acknowledged by it. */
  advanced(meshId: string): void {
    this.pushes.told(meshId)
    const record = this.#meshes.get(meshId)
    for (const waiter of record?.waiters ?? []) {
      for (const stream of waiter.waiting) judge(waiter, stream)
      finishIfDone(waiter)
    }
  }

  progressed(stream: XdsStream): void {
    this.pushes.progressed(stream)
    for (const waiter of this.#meshes.get(stream.peer.meshId)?.waiters ?? []) {
      if (!waiter.waiting.has(stream)) continue
      judge(waiter, stream)
      finishIfDone(waiter)
    }
  }

  /** Calls back on each NACK. Returns the way to stop. */
  onRejection(listener: (news: RejectionNews) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls back when the last proxy that a change concerned has answered it. Returns the way to stop. */
  onPush(listener: (push: PushTimes) => void): () => void {
    this.#pushListeners.add(listener)
    return () => this.#pushListeners.delete(listener)
  }

  rejected(stream: XdsStream, type: string, rejection: Rejection): void {
    const news = { meshId: stream.peer.meshId, node: stream.node.id, type, rejection }
    for (const waiter of this.#meshes.get(stream.peer.meshId)?.waiters ?? []) {
      if (waiter.waiting.has(stream) && stream.rejectionsOf(waiter.revision).some((one) => one.type === type)) waiter.rejected.push({ node: news.node, type, rejection })
    }
    for (const listener of this.#listeners) listener(news)
  }

  #recordOf(meshId: string): MeshRecord {
    const known = this.#meshes.get(meshId)
    if (known) return known
    const made: MeshRecord = { streams: new Set(), waiters: new Set() }
    this.#meshes.set(meshId, made)
    return made
  }
}

function finishIfDone(waiter: Waiter): void {
  if (waiter.waiting.size === 0 && waiter.away.size === 0) waiter.finish()
}

function judge(waiter: Waiter, stream: XdsStream): void {
  const unacked = stream.unackedSince
  if (stream.isStarting || stream.viewRevision < waiter.revision || (unacked !== undefined && unacked <= waiter.revision)) return
  waiter.waiting.delete(stream)
  if (!waiter.rejected.some((one) => one.node === stream.node.id)) {
    // Refused before anyone waited: `apply` returns its revision a moment before `--wait` asks about it.
    const earlier = stream.rejectionsOf(waiter.revision)
    if (earlier.length > 0) waiter.rejected.push(...earlier.map(({ type, rejection }) => ({ node: stream.node.id, type, rejection })))
    else waiter.acked.push(stream.node.id)
  }
}
