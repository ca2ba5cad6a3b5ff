import { eq, sql } from 'drizzle-orm'
import type { SQL } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
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
const dialect = new PgDialect()
// A transaction that stalls holds its mesh's row; nothing that the store does takes seconds. Settings of the transaction, as by SET LOCAL, in one statement.
const as = (role: string, more = ''): string => `select set_config('statement_timeout', '30s', true), set_config('idle_in_transaction_session_timeout', '30s', true), set_config('role', '${role}', true)${more}`

interface Within {
  /** All reads see one state, and writes are refused. */
  readonly snapshot?: boolean
  /** `work` makes one statement, which goes out with the transaction around it: one round trip. */
  readonly single?: boolean
}

/** Every transaction of the store runs through here, as a role that owns nothing: within one organization, or across all of them and then read-only. */
export class Tenancy {
  readonly #driver: Driver
  /** A mesh never changes its organization. */
  readonly #organizations = new LRUCache<string, string>({ max: 10_000 })

  constructor(driver: Driver) {
    this.#driver = driver
  }

  /** Row-level security lets `work` see and write the rows of this organization alone. */
  within<T>(organizationId: string, work: (tx: Transaction) => Promise<T>, options: Within = {}): Promise<T> {
    return this.#run(beginWithin(organizationId, options.snapshot), work, options.single)
  }

  /** As `within`, for statements that do not wait for each other's answers: all or none of them, in one round trip. The rows of each, as objects. */
  async together(organizationId: string, statements: readonly SQL[]): Promise<unknown[][]> {
    try {
      return await this.#driver.batch(beginWithin(organizationId), statements.map((statement) => {
        const { sql: text, params } = dialect.sqlToQuery(statement)
        return { text, params, rows: 'object' }
      }))
    } catch (error) {
      throw storeFailure(error)
    }
  }

  /** For the few lookups that do not know their organization yet. Sees organizations, credentials' rows and meshes without their sealed roots. */
  across<T>(work: (tx: Transaction) => Promise<T>, options: { readonly single?: boolean } = {}): Promise<T> {
    return this.#run(`begin read only; ${as('weft_lookup')}`, work, options.single)
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
    return this.#run(`begin; ${as('weft_platform')}`, work)
  }

  /** Undefined when there is no such mesh. */
  async organizationOf(meshId: string): Promise<string | undefined> {
    if (!isUuid(meshId)) return undefined
    const known = this.#organizations.get(meshId)
    if (known !== undefined) return known
    const [row] = await this.across((tx) => tx.select({ organizationId: mesh.organizationId }).from(mesh).where(eq(mesh.id, meshId)), { single: true })
    if (row) this.#organizations.set(meshId, row.organizationId)
    return row?.organizationId
  }

  async #run<T>(begin: string, work: (tx: Transaction) => Promise<T>, single = false): Promise<T> {
    try {
      return await (single ? work(overQuery(this.#once(begin))) : this.#driver.transaction(begin, (query) => work(overQuery(query))))
    } catch (error) {
      throw storeFailure(error)
    }
  }

  #once(begin: string): Query {
    let asked = false
    return async (text, params, rows) => {
      if (asked) throw new Error('this transaction is of one statement')
      asked = true
      const [answer = []] = await this.#driver.batch(begin, [{ text, params, rows }])
      return answer
    }
  }
}

function beginWithin(organizationId: string, snapshot = false): string {
  if (!isUuid(organizationId)) throw new Error('an organization id is a UUID')
  return `${snapshot ? SNAPSHOT : 'begin'}; ${as('weft_app', `, set_config('weft.organization', '${organizationId}', true)`)}`
}

/** drizzle over whichever driver: statements go out as text and parameters, rows come back read by `values.ts`. */
const overQuery = (query: Query): Transaction =>
  drizzle(async (text, params, method) => ({ rows: await query(text, params, method === 'execute' ? 'object' : 'array') }))
