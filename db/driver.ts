/** One database, embedded or remote: transactions and notices, and nothing of what is stored. */
export interface Driver {
  /**
   * Runs `begin` (plain statements, the first of which begins a transaction), then `work`, then commits; rolls back when either fails.
   * @throws DriverError
   */
  transaction<T>(begin: string, work: (query: Query) => Promise<T>): Promise<T>
  /** Calls back with the payload of every notification on `channel`, by anyone; `gap` whenever some may have been missed. */
  listen(channel: string, notice: (payload: string) => void, gap: () => void): () => void
  /** Others write to it too, past this process. */
  readonly remote: boolean
  close(): Promise<void>
}

/** Rows as arrays of columns, or as objects by column name. */
export type Query = (text: string, params: readonly unknown[], rows: 'array' | 'object') => Promise<unknown[]>

/** Why the database did not do as told, without any value that was sent to it: those may be secrets. */
export class DriverError extends Error {
  /** Undefined when no answer came at all. */
  readonly sqlState: string | undefined
  readonly constraint: string | undefined

  constructor(message: string, sqlState?: string, constraint?: string) {
    super(message)
    this.name = 'DriverError'
    this.sqlState = sqlState
    this.constraint = constraint
  }
}

/** Classes whose messages name identifiers, roles and limits, and never a row's values: connection, transaction state, access and syntax, resources, object state, operator. */
const SAFE_CLASSES = new Set(['08', '25', '28', '42', '53', '55', '57'])

/** @param error what pg or PGlite threw, or its fields posted from the worker */
export function driverError(error: unknown): DriverError {
  if (error instanceof DriverError) return error
  const of: { message?: unknown; code?: unknown; constraint?: unknown; table?: unknown; routine?: unknown } = typeof error === 'object' && error !== null ? error : {}
  const message = typeof of.message === 'string' ? of.message : String(error)
  const code = typeof of.code === 'string' ? of.code : undefined
  if (code === undefined || !/^[0-9A-Z]{5}$/.test(code) || /^E[A-Z]+$/.test(code)) return new DriverError(message)
  const about = [`SQLSTATE ${code}`]
  for (const [name, value] of Object.entries({ table: of.table, constraint: of.constraint, routine: of.routine })) if (typeof value === 'string') about.push(`${name} ${value}`)
  return new DriverError(SAFE_CLASSES.has(code.slice(0, 2)) ? `${message} (${about.join(', ')})` : about.join(', '), code, typeof of.constraint === 'string' ? of.constraint : undefined)
}
