import type { Change, Store, StoredResource } from '#db/store.ts'
import type { Clock, Timer } from '#core/time/clock.ts'
import { workloadKey, type Workload } from '#core/workload/workload.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { SpiffeId } from '#core/identity/spiffe.ts'
import type { ResourceView } from './serve/resource.ts'
import type { Log } from './log.ts'
import { MeshModel, objectId } from './model/mesh-model.ts'
import { MeshViews, type Turns } from './translate/view.ts'
import { inTurns, LongWork } from './turns.ts'

/** Changes are fetched in pieces of this many, so that a long absence does not become one huge answer. */
const CHANGES_MAX = 1000
/** A mesh that nobody holds is let go after this long. */
const IDLE_MS = 10 * 60_000
/** When changes could not be read, they are asked for again after this long: a revision is told once. */
const RETRY_MS = 1000

/** What of the store the meshes in memory read. */
export type MeshReads = Pick<Store, 'onChange' | 'meshById' | 'loadMesh' | 'changesAfter'> & Partial<Pick<Store, 'ownChangesAfter'>>

/** One mesh in memory: its model and the views that streams hold of it. */
export interface LoadedMesh {
  readonly id: string
  readonly organizationId: string
  readonly model: MeshModel
  readonly views: MeshViews
}

interface Rows {
  readonly revision: number
  readonly resources: readonly StoredResource[]
  readonly workloads: readonly Workload[]
}

/** A whole mesh as the changes that make it from nothing; what a model holds already touches nothing. */
function* asChanges(rows: Rows): Iterable<Change> {
  for (const stored of rows.resources) yield { of: 'resource', revision: stored.revision, key: stored.key, stored }
  for (const workload of rows.workloads) yield { of: 'workload', revision: rows.revision, namespace: workload.namespace, name: workload.name, workload }
}

/** What rows say that a model does not, looked through in turns: what is gone first. The model stands still meanwhile. */
async function differing(model: MeshModel, rows: Rows, turns: Turns): Promise<Change[]> {
  const gone: Change[] = []
  const put: Change[] = []
  const objects = new Set<string>()
  const workloads = new Set<string>()
  for (const change of asChanges(rows)) {
    if (change.of === 'resource') objects.add(objectId(change.key))
    else if (change.of === 'workload') workloads.add(workloadKey(change))
    if (!model.holds(change)) put.push(change)
    if (turns.isOver()) await turns.next()
  }
  for (const stored of model.objects()) {
    if (!objects.has(objectId(stored.key))) gone.push({ of: 'resource', revision: rows.revision, key: stored.key, stored: undefined })
    if (turns.isOver()) await turns.next()
  }
  for (const workload of model.workloads()) {
    if (!workloads.has(workloadKey(workload))) gone.push({ of: 'workload', revision: rows.revision, namespace: workload.namespace, name: workload.name, workload: undefined })
    if (turns.isOver()) await turns.next()
  }
  return [...gone, ...put]
}

interface Entry {
  loading: Promise<LoadedMesh | undefined>
  loaded: LoadedMesh | undefined
  /** The newest revision heard of. */
  wanted: number
  /** When the first revision that is not applied yet was heard of. */
  heardAtMs: number | undefined
  following: boolean
  holders: number
  idle: Timer | undefined
  /** The store failed, and is asked again. */
  retry: Timer | undefined
}

/** The meshes in memory: loaded when first needed, kept up to the store's revision, dropped when idle. */
export class Meshes {
  readonly #store: MeshReads
  readonly #clock: Clock
  readonly #longWork: LongWork
  readonly #toldAtOnce: number | undefined
  readonly #log: Log
  readonly #entries = new Map<string, Entry>()
  readonly #waiters = new Map<string, Set<{ readonly revision: number; done(): void }>>()
  readonly #stop: () => void
  /** Called when a mesh was loaded: its workloads get their lease. */
  onLoaded: (mesh: LoadedMesh, workloads: readonly Workload[]) => void = () => {}
  /** Called before changes are taken in, with the first of their revisions and the moment at which this replica heard of them, on the monotonic clock. */
  onChanges: (mesh: LoadedMesh, from: number, heardAtMs: number) => void = () => {}
  /** Called after a mesh reached a revision, for followers of the API. */
  onRevision: (mesh: LoadedMesh) => void = () => {}

  /** @param toldAtOnce of so many views of a mesh that hear of a change in one turn, the usual unless told */
  constructor(store: MeshReads, clock: Clock, log: Log, toldAtOnce?: number) {
    this.#toldAtOnce = toldAtOnce
    this.#store = store
    this.#clock = clock
    this.#longWork = new LongWork(clock)
    this.#log = log
    this.#stop = store.onChange((meshId, revision) => this.#heard(meshId, revision))
  }

  /** Undefined when there is no such mesh. */
  async get(meshId: string): Promise<LoadedMesh | undefined> {
    const entry = this.#entries.get(meshId) ?? this.#load(meshId)
    this.#restartIdle(meshId, entry)
    return entry.loading
  }

  /** A mesh that is in memory; nothing is loaded for it. */
  loaded(meshId: string): LoadedMesh | undefined {
    return this.#entries.get(meshId)?.loaded
  }

  /** Those in memory, as they are now. */
  *all(): Iterable<LoadedMesh> {
    for (const { loaded } of this.#entries.values()) if (loaded !== undefined) yield loaded
  }

  /** Keeps a mesh in memory until given back. */
  hold(meshId: string): () => void {
    const entry = this.#entries.get(meshId)
    if (!entry) return () => {}
    entry.holders++
    let held = true
    return () => {
      if (!held) return
      held = false
      entry.holders--
      this.#restartIdle(meshId, entry)
    }
  }

  /**
   * What one node may be sent; the mesh stays in memory until the view is released.
   * @throws Error when the mesh is gone
   */
  async viewFor(meshId: string, node: ProxyNode, identity: SpiffeId | undefined): Promise<ResourceView> {
    const mesh = await this.get(meshId)
    if (!mesh) throw new Error('the mesh of this proxy is gone')
    const unhold = this.hold(meshId)
    const view = await this.#viewInTurns(mesh, node, identity).catch((error: unknown) => {
      unhold()
      throw error
    })
    return {
      get revision() {
        return view.revision
      },
      get: (type, name) => view.get(type, name),
      list: (type) => view.list(type),
      subscribe: (listener) => view.subscribe(listener),
      placeholder: (type, name) => view.placeholder(type, name),
      sharing: (type) => view.sharing?.(type),
      release() {
        view.release()
        unhold()
      },
    }
  }

  #viewInTurns(mesh: LoadedMesh, node: ProxyNode, identity: SpiffeId | undefined): Promise<ResourceView> {
    return mesh.views.viewInTurns(node, identity, this.#longWork.turns())
  }

  /** Resolves when the mesh in memory has reached a revision, or when the time is over. */
  async reached(meshId: string, revision: number, timeoutMs: number): Promise<void> {
    const mesh = await this.get(meshId)
    if (!mesh || mesh.model.revision >= revision) return
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(timeoutMs, () => done())
      const waiter = { revision, done: () => done() }
      const done = (): void => {
        timer.cancel()
        this.#waiters.get(meshId)?.delete(waiter)
        resolve()
      }
      const waiters = this.#waiters.get(meshId)
      if (waiters) waiters.add(waiter)
      else this.#waiters.set(meshId, new Set([waiter]))
    })
  }

  close(): void {
    this.#stop()
    for (const entry of this.#entries.values()) {
      entry.idle?.cancel()
      entry.retry?.cancel()
    }
    this.#entries.clear()
  }

  #load(meshId: string): Entry {
    const entry: Entry = { loading: Promise.resolve(undefined), loaded: undefined, wanted: 0, heardAtMs: undefined, following: false, holders: 0, idle: undefined, retry: undefined }
    entry.loading = this.#fill(meshId, entry).catch((error: unknown) => {
      this.#entries.delete(meshId)
      throw error
    })
    this.#entries.set(meshId, entry)
    return entry
  }

  async #fill(meshId: string, entry: Entry): Promise<LoadedMesh | undefined> {
    const [row, rows] = await Promise.all([this.#store.meshById(meshId), this.#store.loadMesh(meshId)])
    if (!row || !rows) {
      this.#entries.delete(meshId)
      return undefined
    }
    const model = new MeshModel({ trustDomain: row.trustDomain, settings: row.settings })
    const turns = this.#longWork.turns()
    const steps = model.applying(asChanges(rows), rows.revision)
    // Nobody has the model before it is whole; what other meshes are due does not wait for it.
    while (steps.next().done !== true) if (turns.isOver()) await turns.next()
    const mesh: LoadedMesh = { id: meshId, organizationId: row.organizationId, model, views: new MeshViews(model, this.#toldAtOnce) }
    entry.loaded = mesh
    this.#log.info('mesh.loaded', { mesh: meshId, revision: rows.revision, resources: rows.resources.length, workloads: rows.workloads.length })
    this.onLoaded(mesh, rows.workloads)
    // Whatever was heard of while loading is fetched now.
    void this.#follow(meshId, entry)
    return mesh
  }

  #heard(meshId: string, revision: number): void {
    const entry = this.#entries.get(meshId)
    if (!entry) return
    entry.wanted = Math.max(entry.wanted, revision)
    entry.heardAtMs ??= this.#clock.monotonicMs()
    void this.#follow(meshId, entry)
  }

  /** Applies what the store has beyond the model's revision, in order; one follower a mesh. */
  async #follow(meshId: string, entry: Entry): Promise<void> {
    const mesh = entry.loaded
    if (!mesh || entry.following) return
    entry.following = true
    try {
      while (mesh.model.revision < entry.wanted) {
        const heardAtMs = entry.heardAtMs ?? this.#clock.monotonicMs()
        // What is heard while the store is asked may be in its answer or not: its time is taken as the earlier.
        entry.heardAtMs = undefined
        const own = this.#store.ownChangesAfter?.(meshId, mesh.model.revision, CHANGES_MAX) ?? []
        const { changes, tooOld } = own.length > 0 ? { changes: own, tooOld: false } : await this.#store.changesAfter(meshId, mesh.model.revision, CHANGES_MAX)
        if (tooOld) {
          if (!(await this.#reload(mesh))) break
        } else if (changes.length === 0) break
        else await this.#apply(mesh, changes, heardAtMs)
      }
    } catch (error) {
      // Until it is back the mesh stays as it is.
      this.#retry(meshId, entry)
      this.#log.warn('mesh.follow-failed', { mesh: meshId, reason: error instanceof Error ? error.message : String(error) })
    } finally {
      entry.following = false
      // Heard of what is in already: the time of the next change begins with its own notice.
      if (mesh.model.revision >= entry.wanted) entry.heardAtMs = undefined
    }
  }

  #retry(meshId: string, entry: Entry): void {
    entry.retry?.cancel()
    if (this.#entries.get(meshId) !== entry) return
    entry.retry = this.#clock.after(RETRY_MS, () => {
      if (this.#entries.get(meshId) === entry) void this.#follow(meshId, entry)
    })
  }

  async #apply(mesh: LoadedMesh, changes: readonly Change[], heardAtMs: number): Promise<void> {
    const last = changes.at(-1)
    if (!last) return
    this.onChanges(mesh, mesh.model.revision + 1, heardAtMs)
    await inTurns(mesh.views.applying(changes, last.revision))
    this.#arrived(mesh)
  }

  /** The change log no longer reaches back to where the model stands: what differs becomes one step, and streams go on while that is found out. False when the mesh is no more. */
  async #reload(mesh: LoadedMesh): Promise<boolean> {
    const rows = await this.#store.loadMesh(mesh.id)
    if (!rows) return false
    await inTurns(mesh.views.applying(await differing(mesh.model, rows, this.#longWork.turns()), rows.revision))
    this.#log.warn('mesh.reloaded', { mesh: mesh.id, revision: rows.revision })
    this.#arrived(mesh)
    return true
  }

  #arrived(mesh: LoadedMesh): void {
    for (const waiter of this.#waiters.get(mesh.id) ?? []) if (waiter.revision <= mesh.model.revision) waiter.done()
    this.onRevision(mesh)
  }

  #restartIdle(meshId: string, entry: Entry): void {
    entry.idle?.cancel()
    if (entry.holders > 0) return
    entry.idle = this.#clock.after(IDLE_MS, () => {
      if (entry.holders > 0 || this.#entries.get(meshId) !== entry) return
      this.#entries.delete(meshId)
      this.#log.info('mesh.unloaded', { mesh: meshId })
    })
  }
}
