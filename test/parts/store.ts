import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemDoors } from '#core/time/system.ts'
import type { Doors } from '#core/time/clock.ts'
import { openStore } from '#db/open.ts'
import type { Store } from '#db/store.ts'

/** A real store in a folder of its own; `end` closes it and removes the folder. */
export interface TestStore {
  readonly store: Store
  readonly url: string
  end(): Promise<void>
}

/** An empty store in a tenth of the time that a new database takes: from a copy of a migrated one, kept in the cache folder for each state of the migrations. */
export async function startStore(options: { doors?: Doors; sealKey?: Uint8Array } = {}): Promise<TestStore> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-store-'))
  await cp(await template(), join(folder, 'data'), { recursive: true })
  const url = `pglite:${folder}`
  const store = await openStore(url, { doors: options.doors ?? systemDoors, sealKey: options.sealKey ?? Buffer.alloc(32, 7) })
  return {
    store,
    url,
    async end() {
      await store.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function template(): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft-test')
  const target = join(cache, `pglite-${await stateOfSchema()}`)
  if (await exists(target)) return target
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(join(cache, 'pglite-draft-'))
  try {
    const store = await openStore(`pglite:${draft}`, { doors: systemDoors, sealKey: Buffer.alloc(32) })
    await store.close()
    await rename(join(draft, 'data'), target).catch(async (error: unknown) => {
      if (!(await exists(target))) throw error // else another test was first
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return target
}

/** Differs whenever the migrations or the database's version do. */
async function stateOfSchema(): Promise<string> {
  const hash = createHash('sha256')
  const migrations = new URL('../../db/migrations/', import.meta.url)
  for (const name of (await readdir(migrations)).toSorted()) if (name.endsWith('.sql')) hash.update(name).update(await readFile(new URL(name, migrations)))
  hash.update(await readFile(new URL('../package.json', import.meta.resolve('@electric-sql/pglite'))))
  return hash.digest('hex').slice(0, 16)
}

const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false)
