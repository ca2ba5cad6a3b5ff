import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pg-proxy'
import type { PgRemoteDatabase } from 'drizzle-orm/pg-proxy'
import { LRUCache } from 'lru-cache'
import type { Driver, Query } from './driver.ts'
import { storeFailure } from './failure.ts'
import { mesh } from './schema/mesh.ts'

export type Transaction = PgRemoteDatabase

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
export const isUuid = (text: string): boolean => UUID.test(text)

const SNAPSHOT = 'begin isolation level repeatable read read only'
// A transaction that stalls holds its mesh's row; nothing that the store does takes seconds.
const BOUNDS = `set local statement_timeout = '30s'; set local idle_in_transaction_session_timeout = '30s'`

/** Every transaction of the store runs through here, as a role that owns nothing: within one organization, or across all of them and then read-only. */
export class Tenancy {
  readonly #driver: Driver
  /** A mesh never changes its organization. */
  readonly #organizations = new LRUCache<string, string>({ max: 10_000 })

  constructor(driver: Driver) {
    this.#driver = driver
  }

  /** Row-level security lets `work` see and write the rows of this organization alone. `snapshot`: all reads see one state, and writes are refused. */
  within<T>(organizationId: string, work: (tx: Transaction) => Promise<T>, options: { snapshot?: boolean } = {}): Promise<T> {
    if (!isUuid(organizationId)) throw new Error('an organization id is a UUID')
    return this.#run(`${options.snapshot ? SNAPSHOT : 'begin'}; ${BOUNDS}; set local role weft_app; set local weft.organization = '${organizationId}'`, work)
  }

  /** For the few lookups that do not know their organization yet. Sees organizations, credentials' rows and meshes without their sealed roots. */
  across<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#run(`begin read only; ${BOUNDS}; set local role weft_lookup`, work)
  }

  /** In a tenant's transaction that is under way: what only lookups may see. After a failure the transaction is over, and with it the role. */
  async acrossWithin<T>(tx: Transaction, work: (tx: Transaction) => Promise<T>): Promise<T> {
    await tx.execute(sql`set local role weft_lookup`)
    const found = await work(tx)
    await tx.execute(sql`set local role weft_app`)
    return found
  }

  /** For what the installation keeps for itself. Sees nothing of any tenant. */
  platform<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#run(`begin; ${BOUNDS}; set local role weft_platform`, work)
  }

  /** Undefined when there is no such mesh. */
  async organizationOf(meshId: string): Promise<string | undefined> {
    if (!isUuid(meshId)) return undefined
    const known = this.#organizations.get(meshId)
    if (known !== undefined) return known
    const [row] = await this.across((tx) => tx.select({ organizationId: mesh.organizationId }).from(mesh).where(eq(mesh.id, meshId)))
    if (row) this.#organizations.set(meshId, row.organizationId)
    return row?.organizationId
  }

  async #run<T>(begin: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
    try {
      return await this.#driver.transaction(begin, (query) => work(overQuery(query)))
    } catch (error) {
      throw storeFailure(error)
    }
  }
}

/** drizzle over whichever driver: statements go out as text and parameters, rows come back read by `values.ts`. */
const overQuery = (query: Query): Transaction =>
  drizzle(async (text, params, method) => ({ rows: await query(text, params, method === 'execute' ? 'object' : 'array') }))
