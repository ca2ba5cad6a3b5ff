import { workloadKey, type Workload } from '#core/workload/workload.ts'
import type { Random } from '#core/time/clock.ts'
import type { MeshReads } from '#api/meshes.ts'
import { objectId } from '#api/model/mesh-model.ts'
import type { Change, Mesh, StoredResource } from '#db/store.ts'

export interface Rows {
  readonly revision: number
  readonly resources: StoredResource[]
  readonly workloads: Workload[]
}

/** A read that waits for its answer. */
interface Read {
  answer(): void
  fail(): void
}

/**
 * One mesh in a store whose reads are slow or fail, whose notices are late or lost, and whose log of changes is cut: what a database does when it is busy, gone or restarted.
 * What it says is never wrong: it tells each revision once, as the real one does, and a read answers what was committed when it began or when it ended.
 */
export class FaultyStore implements MeshReads {
  readonly #random: Random
  readonly #row: Omit<Mesh, 'revision'>
  readonly #log: Change[] = []
  readonly #objects = new Map<string, StoredResource>()
  readonly #workloads = new Map<string, Workload>()
  /** The log has what came after. */
  #floor = 0
  #told = 0
  readonly #reads: Read[] = []
  readonly #notices: number[] = []
  readonly #listeners = new Set<(meshId: string, revision: number) => void>()

  constructor(random: Random, id: string) {
    this.#random = random
    this.#row = { id, organizationId: 'o', name: id, trustDomain: 'cluster.local', rootCertificate: '', settings: {}, createdAtMs: 0 }
  }

  get revision(): number {
    return this.#log.length
  }

  get rows(): Rows {
    return { revision: this.revision, resources: [...this.#objects.values()], workloads: [...this.#workloads.values()] }
  }

  /** Of the next revision. Its notice is under way, or lost. */
  commit(change: Change): void {
    this.#log.push(change)
    if (change.of === 'workload') {
      if (change.workload === undefined) this.#workloads.delete(workloadKey(change))
      else this.#workloads.set(workloadKey(change), change.workload)
    } else if (change.of === 'resource') {
      if (change.stored === undefined) this.#objects.delete(objectId(change.key))
      else this.#objects.set(objectId(change.key), change.stored)
    }
    if (this.#random.draw() < 0.8) this.#notices.push(this.revision)
  }

  /** Old changes leave the log. */
  cutLog(): void {
    this.#floor = this.revision
  }

  /** One notice arrives, in any order. */
  notify(): void {
    const [revision] = this.#notices.splice(Math.floor(this.#random.draw() * this.#notices.length), 1)
    if (revision !== undefined) this.#tell(revision)
  }

  /** What lost notices told is found by looking. */
  poll(): void {
    this.#tell(this.revision)
  }

  /** One read ends: the oldest or the newest. Answers whether there was one. */
  endRead(how: 'answer' | 'fail'): boolean {
    const read = this.#random.draw() < 0.5 ? this.#reads.shift() : this.#reads.pop()
    read?.[how]()
    return read !== undefined
  }

  onChange(listener: (meshId: string, revision: number) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  meshById(): Promise<Mesh> {
    return this.#read(() => ({ ...this.#row, revision: this.revision }))
  }

  loadMesh(): Promise<Rows> {
    return this.#read(() => this.rows)
  }

  changesAfter(_meshId: string, revision: number): Promise<{ changes: Change[]; tooOld: boolean }> {
    const pieces = 1 + Math.floor(this.#random.draw() * 4)
    return this.#read(() => (revision < this.#floor ? { changes: [], tooOld: true } : { changes: this.#log.slice(revision, revision + pieces), tooOld: false }))
  }

  #tell(revision: number): void {
    if (revision <= this.#told) return
    this.#told = revision
    for (const listener of this.#listeners) listener(this.#row.id, revision)
  }

  #read<T>(look: () => T): Promise<T> {
    const early = this.#random.draw() < 0.5 ? look() : undefined
    return new Promise((resolve, reject) => this.#reads.push({ answer: () => resolve(early ?? look()), fail: () => reject(new Error('the connection is gone')) }))
  }
}
