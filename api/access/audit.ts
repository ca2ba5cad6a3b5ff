import type { AuditEntry, Store } from '#db/store.ts'

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
  #storing: Promise<void> | undefined

  constructor(store: Pick<Store, 'recordAudit'>, failed: (error: unknown) => void) {
    this.#store = store
    this.#failed = failed
  }

  record(organizationId: string, entry: AuditRecord): void {
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

  async #drain(): Promise<void> {
    while (this.#waiting.size > 0) {
      const taken = this.#waiting
      this.#waiting = new Map()
      for (const [organizationId, entries] of taken) await this.#store.recordAudit(organizationId, entries).catch(this.#failed)
    }
    this.#storing = undefined
  }
}
