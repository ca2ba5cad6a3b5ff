import type { SQL } from 'drizzle-orm'
import type { Transaction } from '../tenancy.ts'

/** Rows of a statement written as SQL. Its author states their shape: columns by name, read by `values.ts`. */
export async function rowsOf<Row>(tx: Transaction, statement: SQL): Promise<Row[]> {
  const rows: unknown[] = await tx.execute(statement)
  return rows as Row[]
}
