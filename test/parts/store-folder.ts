import { mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemDoors } from '#core/time/system.ts'
import { seedFolder } from '#db/pglite/template.ts'

/** The URL of an empty, migrated store in a folder of its own that nobody has opened. */
export async function storeFolder(): Promise<{ url: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-store-'))
  await seedFolder(folder, join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft'), systemDoors)
  return { url: `pglite:${folder}`, remove: () => rm(folder, { recursive: true, force: true }) }
}
