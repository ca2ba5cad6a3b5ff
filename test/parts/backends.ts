import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPooledPostgres } from './pgbouncer.ts'
import type { Pooled } from './pgbouncer.ts'
import { startPostgres } from './postgres.ts'
import type { Postgres } from './postgres.ts'

/** A database URL may name any of these, and nothing else may differ. */
export interface Backend {
  readonly name: string
  /** Starts it; the URL of an empty database. */
  url(): Promise<string>
  /** The same database for one whom no policy keeps from any row, where the URL is not so already. */
  superuserUrl?(): string
  end(): Promise<void>
}

const memory = (): Backend => ({ name: 'PGlite in memory', url: async () => 'pglite:memory', end: async () => {} })

function inFolder(): Backend {
  let folder = ''
  return {
    name: 'PGlite in a folder',
    url: async () => `pglite:${(folder = await mkdtemp(join(tmpdir(), 'weft-store-')))}`,
    end: () => rm(folder, { recursive: true, force: true }),
  }
}

function postgres(version: 15 | 18): Backend {
  let server: Postgres | undefined
  return { name: `Postgres ${version}`, url: async () => (server = await startPostgres(version)).url, end: async () => server?.stop() }
}

function pooled(): Backend {
  let server: Pooled | undefined
  return { name: 'Postgres 18 behind pgbouncer, for a login that is no superuser', url: async () => (server = await startPooledPostgres()).url, superuserUrl: () => server?.superuserUrl ?? '', end: async () => server?.stop() }
}

export const everyBackend = (): Backend[] => [memory(), inFolder(), postgres(18), postgres(15), pooled()]
/** One of each kind, for suites that are long. */
export const mainBackends = (): Backend[] => [memory(), postgres(18)]
