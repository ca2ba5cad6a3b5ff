import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type { Driver, Query } from './driver.ts'
import { CREATE_ROLES, ROLES_READY } from './roles.ts'

const MIGRATIONS = new URL('./migrations/', import.meta.url)
// Any fixed number will do; this one is 'weft' in ASCII.
const LOCK = 0x77656674

interface Migration {
  readonly name: string
  readonly statements: string
  readonly hash: string
}

/**
 * Brings the schema up to date: all missing migrations in one transaction, under a lock, so that any number of starters may call it at once.
 * What was applied is remembered by name and not by time, so a migration that is merged late is not skipped. Names that this version does not know are left alone: an older version runs on a newer schema.
 * @param folder of `*.sql`, applied in order of their names; statements are parted by `--> statement-breakpoint`
 * @throws Error when an applied migration's text has changed since
 */
export async function migrate(driver: Driver, folder: URL = MIGRATIONS): Promise<void> {
  const migrations = await readMigrations(folder)
  const current = await driver.transaction('begin', async (query) => (await rolesReady(query)) && (await missing(query, migrations)).length === 0)
  if (current) return
  await driver.transaction('begin', async (query) => {
    await query(`select pg_advisory_xact_lock(${LOCK})`, [], 'object')
    if (!(await rolesReady(query))) await query(CREATE_ROLES, [], 'object')
    await query(`create table if not exists weft_migration (name text primary key, hash text not null, applied_at timestamptz not null default now())`, [], 'object')
    for (const migration of await missing(query, migrations)) {
      for (const statement of migration.statements.split('--> statement-breakpoint')) await query(statement, [], 'object')
      await query('insert into weft_migration (name, hash) values ($1, $2)', [migration.name, migration.hash], 'object')
    }
  })
}

async function readMigrations(folder: URL): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).toSorted()
  return Promise.all(
    names.map(async (name) => {
      const statements = await readFile(new URL(name, folder), 'utf8')
      return { name, statements, hash: createHash('sha256').update(statements).digest('hex') }
    }),
  )
}

async function rolesReady(query: Query): Promise<boolean> {
  const [row] = await query(ROLES_READY, [], 'array')
  return Array.isArray(row) && row[0] === true
}

async function missing(query: Query, migrations: readonly Migration[]): Promise<Migration[]> {
  const [table] = await query(`select to_regclass('weft_migration') is not null`, [], 'array')
  if (!Array.isArray(table) || table[0] !== true) return [...migrations]
  const applied = new Map<unknown, unknown>()
  for (const row of await query('select name, hash from weft_migration', [], 'array')) if (Array.isArray(row)) applied.set(row[0], row[1])
  for (const { name, hash } of migrations) if (applied.has(name) && applied.get(name) !== hash) throw new Error(`migration ${name} was applied to this database in another form: never edit one that was released, add a new one`)
  return migrations.filter(({ name }) => !applied.has(name))
}
