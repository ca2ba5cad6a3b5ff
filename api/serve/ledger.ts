import type { Clock } from '#core/time/clock.ts'
import type { ProxyStatus, Rejection } from './ledger-entry.ts'
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
  readonly acked: string[]
  readonly rejected: SyncOutcome['rejected'][number][]
  readonly finish: () => void
}

interface MeshRecord {
  readonly streams: Set<XdsStream>
  readonly waiters: Set<Waiter>
}

/** Who acknowledged what: the streams of this replica, by mesh. */
export class Ledger {
  readonly #clock: Clock
  readonly #meshes = new Map<string, MeshRecord>()
  readonly #listeners = new Set<(news: RejectionNews) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(stream: XdsStream): void {
    this.#recordOf(stream.peer.meshId).streams.add(stream)
  }

  /** A stream that is gone is nobody's straggler: when the proxy comes back it is sent the newest. */
  remove(stream: XdsStream): void {
    const { meshId } = stream.peer
    const record = this.#meshes.get(meshId)
    if (!record) return
    record.streams.delete(stream)
    for (const waiter of record.waiters) {
      waiter.waiting.delete(stream)
      if (waiter.waiting.size === 0) waiter.finish()
    }
    if (record.streams.size === 0 && record.waiters.size === 0) this.#meshes.delete(meshId)
  }

  /** Where each connected proxy of a mesh stands. */
  statuses(meshId: string): ProxyStatus[] {
    return [...(this.#meshes.get(meshId)?.streams ?? [])].map((stream) => stream.status())
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
        record.waiters.delete(waiter)
        if (record.streams.size === 0 && record.waiters.size === 0) this.#meshes.delete(meshId)
        resolve({ acked: waiter.acked, rejected: waiter.rejected, stragglers: [...waiter.waiting].map((stream) => stream.node.id) })
      }
      const waiter: Waiter = { revision, waiting: new Set(record.streams), acked: [], rejected: [], finish }
      const timer = this.#clock.after(timeoutMs, finish)
      record.waiters.add(waiter)
      for (const stream of record.streams) judge(waiter, stream)
      if (waiter.waiting.size === 0) finish()
    })
  }

  /** A mesh's views moved on without news for some: a revision that changed nothing for a proxy is acknowledged by it. */
  advanced(meshId: string): void {
    const record = this.#meshes.get(meshId)
    for (const waiter of record?.waiters ?? []) {
      for (const stream of waiter.waiting) judge(waiter, stream)
      if (waiter.waiting.size === 0) waiter.finish()
    }
  }

  progressed(stream: XdsStream): void {
    for (const waiter of this.#meshes.get(stream.peer.meshId)?.waiters ?? []) {
      if (!waiter.waiting.has(stream)) continue
      judge(waiter, stream)
      if (waiter.waiting.size === 0) waiter.finish()
    }
  }

  /** Calls back on each NACK. Returns the way to stop. */
  onRejection(listener: (news: RejectionNews) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
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

function judge(waiter: Waiter, stream: XdsStream): void {
  const unacked = stream.unackedSince
  if (stream.viewRevision < waiter.revision || (unacked !== undefined && unacked <= waiter.revision)) return
  waiter.waiting.delete(stream)
  if (!waiter.rejected.some((one) => one.node === stream.node.id)) {
    // Refused before anyone waited: `apply` returns its revision a moment before `--wait` asks about it.
    const earlier = stream.rejectionsOf(waiter.revision)
    if (earlier.length > 0) waiter.rejected.push(...earlier.map(({ type, rejection }) => ({ node: stream.node.id, type, rejection })))
    else waiter.acked.push(stream.node.id)
  }
}
