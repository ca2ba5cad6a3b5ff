/** One database, embedded or remote: transactions and notices, and nothing of what is stored. */
export interface Driver {
  /**
   * Runs `begin` (plain statements, the first of which begins a transaction, parted by semicolons), then `work`, then commits; rolls back when either fails. `begin` goes out with the first query of `work`.
   * @throws DriverError
   */
  transaction<T>(begin: string, work: (query: Query) => Promise<T>): Promise<T>
  /**
   * The same for statements that do not wait for each other's answers: all of it goes out at once, and nothing runs behind a failure. The rows of each.
   * @throws DriverError
   */
  batch(begin: string, statements: readonly Statement[]): Promise<unknown[][]>
  /** Calls back with the payload of every notification on `channel`, by anyone; `gap` whenever some may have been missed. */
  listen(channel: string, notice: (payload: string) => void, gap: () => void): () => void
  /** Others write to it too, past this process. */
  readonly remote: boolean
  close(): Promise<void>
}

/** Rows as arrays of columns, or as objects by column name. */
export type Query = (text: string, params: readonly unknown[], rows: 'array' | 'object') => Promise<unknown[]>

export interface Statement {
  readonly text: string
  readonly params: readonly unknown[]
  readonly rows: 'array' | 'object'
}

export const statementsOf = (begin: string): Statement[] => begin.split(';').map((text) => ({ text, params: [], rows: 'array' }))
export const COMMIT: Statement = { text: 'commit', params: [], rows: 'array' }

/** A parameter in the protocol's text form, as all of them are by the time they get here; bytes as such. */
export function parameterText(value: unknown): string | Buffer | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  throw new Error(`a parameter of type ${typeof value} has no text form of its own`)
}

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
