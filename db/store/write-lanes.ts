import type { Seal } from '../seal.ts'
import { StoreUnavailable } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'
import { cutLog, isTimeToCut } from './revision.ts'
import { writeStatement } from './write-statement.ts'
import type { MeshWrite, Written } from './write-statement.ts'

/** Writes that one transaction takes. */
const TOGETHER_MAX = 32

interface Waiting {
  readonly write: MeshWrite
  resolve(written: Written): void
  reject(reason: unknown): void
}

/**
 * Writes to one mesh wait for its lock in any case. Here those of this process do so in line: while one transaction is on its way, those that come meanwhile go together in the next one, each with a revision
 * and an answer of its own, and none of them holds a connection that only waits.
 */
export class WriteLanes {
  readonly #tenancy: Tenancy
  readonly #seal: Seal
  /** By mesh, while a transaction is on its way. */
  readonly #lanes = new Map<string, Waiting[]>()

  constructor(tenancy: Tenancy, seal: Seal) {
    this.#tenancy = tenancy
    this.#seal = seal
  }

  /** What others in the same transaction want does not matter to it: of two that write one object, the second is `stale`. */
  write(write: MeshWrite): Promise<Written> {
    return new Promise((resolve, reject) => {
      const waiting = { write, resolve, reject }
      const lane = this.#lanes.get(write.meshId)
      if (lane !== undefined) return void lane.push(waiting)
      const opened = [waiting]
      this.#lanes.set(write.meshId, opened)
      void this.#drain(write.meshId, opened)
    })
  }

  async #drain(meshId: string, lane: Waiting[]): Promise<void> {
    while (lane.length > 0) await this.#commit(lane.splice(0, TOGETHER_MAX))
    this.#lanes.delete(meshId)
  }

  async #commit(writes: readonly Waiting[]): Promise<void> {
    const [first] = writes
    if (first === undefined) return
    const { organizationId, meshId } = first.write
    let written: Written[]
    try {
      const answers = await this.#tenancy.together(organizationId, writes.map(({ write }) => writeStatement(this.#seal, write)))
      written = answers.map(([row]) => row as Written)
    } catch (error) {
      // Nothing of it was stored. Which of them the database did not take is seen when each goes alone; whether a lost connection had committed is not.
      if (writes.length === 1 || error instanceof StoreUnavailable) for (const one of writes) one.reject(error)
      else for (const one of writes) await this.#commit([one])
      return
    }
    for (const [at, one] of writes.entries()) one.resolve(written[at] as Written)
    if (!written.some((one) => one.outcome === 'written' && isTimeToCut(one.logged_before, one.logged))) return
    // What was written is told already; a log that could not be cut now is longer until the next time.
    await cutLog(this.#tenancy, organizationId, meshId).catch(() => {})
  }
}
