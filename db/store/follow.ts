import { gt, inArray, sql } from 'drizzle-orm'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { Driver } from '../driver.ts'
import { mesh } from '../schema/mesh.ts'
import type { Tenancy } from '../tenancy.ts'
import { CHANGE_CHANNEL } from './revision.ts'
import { rowsOf } from './rows.ts'

const POLL_MS = 1_000
/** A transaction that stamped a mesh may commit later than one stamped after it, but not by more than this: longer ones are ended (tenancy.ts). */
const OVERLAP_MS = 60_000

export type ChangeListener = (meshId: string, revision: number) => void
export type RootListener = (meshId: string, rootCertificate: string) => void

/** Third word of a notice: the mesh is new, or its root is. */
export const ROOT_NOTICE = 'root'

/** Tells listeners of each mesh's newest revision and of its root, by whomever: by notices, and by polling where notices may be lost on their way. */
export class Follower {
  readonly #tenancy: Tenancy
  readonly #driver: Driver
  readonly #doors: Doors
  readonly #listeners = new Set<ChangeListener>()
  /** Newest revision told, by mesh id. */
  readonly #told = new Map<string, number>()
  readonly #rootListeners = new Set<RootListener>()
  /** Digest of the root told, by mesh id. */
  readonly #roots = new Map<string, string>()
  #stop: (() => void) | undefined
  /** The database's own time of the last poll. */
  #polledAtMs: number | undefined
  #polling: Promise<void> | undefined

  constructor(tenancy: Tenancy, driver: Driver, doors: Doors) {
    this.#tenancy = tenancy
    this.#driver = driver
    this.#doors = doors
  }

  /** @returns stops calling back */
  listen(listener: ChangeListener): () => void {
    // Each subscription is one of its own, even of one function twice.
    const own: ChangeListener = (meshId, revision) => listener(meshId, revision)
    this.#listeners.add(own)
    this.#stop ??= this.#start()
    return () => {
      this.#listeners.delete(own)
    }
  }

  /** @returns stops calling back */
  listenRoots(listener: RootListener): () => void {
    this.#rootListeners.add(listener)
    this.#stop ??= this.#start()
    return () => {
      this.#rootListeners.delete(listener)
    }
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    this.#rootListeners.clear()
    this.#stop?.()
    await this.#polling
  }

  #start(): () => void {
    const poll = (): void => {
      this.#polling ??= this.#poll().finally(() => (this.#polling = undefined))
    }
    const unlisten = this.#driver.listen(CHANGE_CHANNEL, (payload) => {
      const [meshId, revision, notice] = payload.split(' ')
      if (meshId === undefined || revision === undefined) return
      this.tell(meshId, Number(revision))
      // What goes wrong here, the next poll makes good.
      if (notice === ROOT_NOTICE) void this.#tellRoots([meshId]).catch(() => undefined)
    }, poll)
    const timer: Timer | undefined = this.#driver.remote ? this.#doors.clock.every(POLL_MS, poll) : undefined
    return () => {
      unlisten()
      timer?.cancel()
    }
  }

  async #poll(): Promise<void> {
    try {
      const { now, rows } = await this.#tenancy.across(async (tx) => {
        const [clock] = await rowsOf<{ now: string }>(tx, sql`select now() as now`)
        const since = this.#polledAtMs === undefined ? undefined : gt(mesh.changedAt, new Date(this.#polledAtMs - OVERLAP_MS))
        return { now: clock?.now, rows: await tx.select({ id: mesh.id, revision: mesh.revision, root: sql<string>`md5(${mesh.rootCertificate})` }).from(mesh).where(since) }
      })
      for (const { id, revision } of rows) this.tell(id, revision)
      await this.#tellRoots(rows.filter(({ id, root }) => this.#roots.get(id) !== root).map(({ id }) => id))
      if (now !== undefined) this.#polledAtMs = new Date(now).getTime()
    } catch {
      // The database is away. The next poll covers what this one missed, since the stamp stays where it was.
    }
  }

  async #tellRoots(meshIds: readonly string[]): Promise<void> {
    if (meshIds.length === 0 || this.#rootListeners.size === 0) return
    const rows = await this.#tenancy.across((tx) => tx.select({ id: mesh.id, pem: mesh.rootCertificate, digest: sql<string>`md5(${mesh.rootCertificate})` }).from(mesh).where(inArray(mesh.id, [...meshIds])))
    for (const { id, pem, digest } of rows) {
      if (this.#roots.get(id) === digest) continue
      this.#roots.set(id, digest)
      for (const listener of this.#rootListeners) listener(id, pem)
    }
  }

  /** Once a revision, by whomever it is heard of first. */
  tell(meshId: string, revision: number): void {
    if (revision <= (this.#told.get(meshId) ?? 0)) return
    this.#told.set(meshId, revision)
    for (const listener of this.#listeners) listener(meshId, revision)
  }
}
