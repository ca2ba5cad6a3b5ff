import type { Clock } from '#core/time/clock.ts'
import type { XdsStream } from './stream.ts'

/** How long one change took to the proxies that it concerned, from the moment this replica heard of its commit. */
export interface PushTimes {
  /** The revisions that went out together: the first and the last. */
  readonly from: number
  readonly revision: number
  readonly proxies: number
  readonly rejected: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

interface Push {
  /** More proxies may yet hear of it: it is not over when those who did have answered. */
  isOpen: boolean
  readonly from: number
  readonly revision: number
  readonly startedMs: number
  readonly waiting: Set<XdsStream>
  readonly tookMs: number[]
  rejected: number
}

/** Changes of one mesh whose times are kept. */
const keptMax = 1000

/** Times each change of each mesh, at the cost of the streams that it concerns and no others. */
export class Pushes {
  readonly #clock: Clock
  readonly #done: (push: PushTimes) => void
  /** By mesh: what is known of the step that is being applied. */
  readonly #heard = new Map<string, { readonly from: number; readonly atMs: number; isTelling: boolean }>()
  /** By mesh, then by revision, the newest last. */
  readonly #pushes = new Map<string, Map<number, Push>>()
  readonly #finished = new Map<string, PushTimes[]>()
  /** What a stream has yet to answer, in order of revision. */
  readonly #owing = new WeakMap<XdsStream, Push[]>()

  constructor(clock: Clock, done: (push: PushTimes) => void) {
    this.#clock = clock
    this.#done = done
  }

  /** A mesh is about to take changes in, and its proxies hear of them until `told`: since when it knows of them, on the monotonic clock. */
  begins(meshId: string, from: number, heardAtMs: number): void {
    this.#heard.set(meshId, { from, atMs: heardAtMs, isTelling: true })
  }

  /** All proxies of a mesh have heard of its changes. */
  told(meshId: string): void {
    const heard = this.#heard.get(meshId)
    if (heard) heard.isTelling = false
    for (const push of this.#pushes.get(meshId)?.values() ?? []) {
      if (!push.isOpen) continue
      push.isOpen = false
      this.#settle(meshId, push)
    }
  }

  concerns(stream: XdsStream, revision: number): void {
    const { meshId } = stream.peer
    let pushes = this.#pushes.get(meshId)
    if (pushes === undefined) this.#pushes.set(meshId, (pushes = new Map()))
    let push = pushes.get(revision)
    if (push === undefined) {
      const heard = this.#heard.get(meshId)
      push = { isOpen: heard?.isTelling === true, from: Math.min(heard?.from ?? revision, revision), revision, startedMs: heard?.atMs ?? this.#clock.monotonicMs(), waiting: new Set(), tookMs: [], rejected: 0 }
      pushes.set(revision, push)
    }
    if (push.waiting.has(stream)) return
    push.waiting.add(stream)
    const owing = this.#owing.get(stream)
    if (owing === undefined) this.#owing.set(stream, [push])
    else owing.push(push)
  }

  /** Its answers now reach as far as they do. */
  progressed(stream: XdsStream): void {
    const owing = this.#owing.get(stream)
    if (owing === undefined || owing.length === 0) return
    const unacked = stream.unackedSince ?? Infinity
    const nowMs = this.#clock.monotonicMs()
    while (owing[0] !== undefined && owing[0].revision < unacked) {
      const push = owing.shift()
      if (push === undefined) return
      push.tookMs.push(nowMs - push.startedMs)
      if (stream.rejectionsOf(push.revision).length > 0) push.rejected += 1
      this.#answered(stream, push)
    }
  }

  gone(stream: XdsStream): void {
    for (const push of this.#owing.get(stream) ?? []) this.#answered(stream, push)
    this.#owing.delete(stream)
  }

  /** Undefined when the change is not there yet, long past, or concerned nobody. */
  timesOf(meshId: string, revision: number): PushTimes | undefined {
    return this.#finished.get(meshId)?.findLast((one) => one.from <= revision && revision <= one.revision)
  }

  forget(meshId: string): void {
    this.#heard.delete(meshId)
    this.#pushes.delete(meshId)
  }

  #answered(stream: XdsStream, push: Push): void {
    if (push.waiting.delete(stream)) this.#settle(stream.peer.meshId, push)
  }

  #settle(meshId: string, push: Push): void {
    if (push.isOpen || push.waiting.size > 0) return
    this.#pushes.get(meshId)?.delete(push.revision)
    if (push.tookMs.length === 0) return
    const sorted = push.tookMs.sort((a, b) => a - b)
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
    const times = { from: push.from, revision: push.revision, proxies: sorted.length, rejected: push.rejected, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
    let finished = this.#finished.get(meshId)
    if (finished === undefined) this.#finished.set(meshId, (finished = []))
    finished.push(times)
    if (finished.length > keptMax) finished.shift()
    this.#done(times)
  }
}
