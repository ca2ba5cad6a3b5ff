import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Doors } from '#core/time/clock.ts'
import { openStore } from '../open.ts'

/**
 * Makes `folder` a database with the newest schema and no rows, unless there is one already: a copy of a template, in a tenth of the time that a new database takes.
 * The template is kept in `cache`, one for each state of the migrations and of PGlite, and made when it is missing. The caller sees to it that nobody else opens the folder meanwhile.
 * @returns whether the folder was made
 */
export async function seedFolder(folder: string, cache: string, doors: Doors): Promise<boolean> {
  const data = join(folder, 'data')
  if (await exists(data)) return false
  const from = await template(cache, doors)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // A copy that is cut short must not be taken for a database.
  const draft = await mkdtemp(join(folder, 'seed-'))
  await cp(from, draft, { recursive: true })
  await rename(draft, data)
  return true
}

async function template(cache: string, doors: Doors): Promise<string> {
  const target = join(cache, `pglite-${await stateOfSchema()}`)
  if (await exists(target)) return target
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(join(cache, 'pglite-draft-'))
  try {
    // The key seals rows, and there are none.
    const store = await openStore(`pglite:${draft}`, { doors, sealKey: Buffer.alloc(32) })
    await store.close()
    await rename(join(draft, 'data'), target).catch(async (error: unknown) => {
      if (!(await exists(target))) throw error // else another process was first
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return target
}

/** Differs whenever the migrations or the database's version do. */
async function stateOfSchema(): Promise<string> {
  const hash = createHash('sha256')
  const migrations = new URL('../migrations/', import.meta.url)
  for (const name of (await readdir(migrations)).toSorted()) if (name.endsWith('.sql')) hash.update(name).update(await readFile(new URL(name, migrations)))
  for (const file of ['../roles.ts', '../migrate.ts']) hash.update(await readFile(new URL(file, import.meta.url)))
  hash.update(await readFile(new URL('../package.json', import.meta.resolve('@electric-sql/pglite'))))
  return hash.digest('hex').slice(0, 16)
}

const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false)
