import { StoreUnavailable } from '#db/store.ts'
import type { AuditEntry, Store } from '#db/store.ts'

/** Entries that wait while the database is slow or away; beyond, they are lost, and the log of this process says so. */
const WAITING_MAX = 10_000

export type AuditRecord = Omit<AuditEntry, 'id'>

/**
 * Files what was done and what was refused, in order. Entries that arrive while others are being stored go together with the next statement, so that the log costs a write no round trip of its own.
 * What changed in a mesh stands in its history too, in the transaction of the change itself.
 */
export class AuditLog {
  readonly #store: Pick<Store, 'recordAudit'>
  readonly #failed: (error: unknown) => void
  readonly #expected = new Set<Promise<void>>()
  #waiting = new Map<string, AuditRecord[]>()
  #count = 0
  #storing: Promise<void> | undefined

  constructor(store: Pick<Store, 'recordAudit'>, failed: (error: unknown) => void) {
    this.#store = store
    this.#failed = failed
  }

  record(organizationId: string, entry: AuditRecord): void {
    if (this.#count >= WAITING_MAX) return this.#failed(new Error(`more than ${WAITING_MAX} entries wait to be stored`))
    this.#count += 1
    const list = this.#waiting.get(organizationId) ?? []
    list.push(entry)
    this.#waiting.set(organizationId, list)
    this.#storing ??= this.#drain()
  }

  /** An entry that is on its way: `settled` waits for it. */
  expect(entry: Promise<unknown>): void {
    const watched = entry.catch(this.#failed).then(() => void this.#expected.delete(watched))
    this.#expected.add(watched)
  }

  /** Until all that was recorded is stored. */
  async settled(): Promise<void> {
    while (this.#expected.size > 0 || this.#storing !== undefined) {
      await Promise.all(this.#expected)
      await this.#storing
    }
  }

  /** Together; where one cannot be stored, the others by themselves. */
  async #file(organizationId: string, entries: readonly AuditRecord[]): Promise<void> {
    try {
      await this.#store.recordAudit(organizationId, entries)
    } catch (error) {
      if (entries.length === 1 || error instanceof StoreUnavailable) return this.#failed(error)
      for (const entry of entries) await this.#store.recordAudit(organizationId, [entry]).catch(this.#failed)
    }
  }

  async #drain(): Promise<void> {
    while (this.#waiting.size > 0) {
      const taken = this.#waiting
      this.#waiting = new Map()
      this.#count = 0
      for (const [organizationId, entries] of taken) await this.#file(organizationId, entries)
    }
    this.#storing = undefined
  }
}
