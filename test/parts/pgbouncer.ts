import { spawn } from 'node:child_process'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { installPgbouncer } from '#infra/parts/pgbouncer.ts'
import { freePort } from './free-port.ts'
import { startPostgres } from './postgres.ts'

/** pgbouncer refuses to run as root: it runs as this user (nobody) then. */
const NOBODY = 65534
const asRoot = process.getuid?.() === 0

/** A Postgres behind a real pgbouncer that pools by transaction. */
export interface Pooled {
  /** Through pgbouncer, as a login that is no superuser: it owns the database, and no more. */
  readonly url: string
  /** The same database, past pgbouncer and for the superuser. */
  readonly superuserUrl: string
  /** Another empty database behind it. */
  createDatabase(name: string): Promise<string>
  stop(): Promise<void>
}

export async function startPooledPostgres(): Promise<Pooled> {
  const program = await installPgbouncer()
  const postgres = await startPostgres()
  await postgres.sql('create role weft login createrole nosuperuser')
  const folder = await mkdtemp(join(tmpdir(), 'weft-pgbouncer-'))
  const port = await freePort()
  const origin = new URL(postgres.url)
  const settings = join(folder, 'pgbouncer.ini')
  await writeFile(
    settings,
    `[databases]
* = host=${origin.hostname} port=${origin.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users')}
pool_mode = transaction
max_client_conn = 300
default_pool_size = 8
pidfile = ${join(folder, 'pid')}
logfile = ${join(folder, 'log')}
`,
  )
  await writeFile(join(folder, 'users'), '"weft" ""\n')
  if (asRoot) for (const path of [folder, settings, join(folder, 'users')]) await chown(path, NOBODY, NOBODY)
  const bouncer = spawn(program, ['-q', settings], { ...(asRoot ? { uid: NOBODY, gid: NOBODY } : {}), cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  bouncer.stderr.on('data', (text) => (said += String(text)))
  const createDatabase = async (name: string): Promise<string> => {
    await postgres.sql(`create database "${name}" owner weft`)
    return `postgres://weft@127.0.0.1:${port}/${name}`
  }
  const url = await createDatabase('weft')
  for (;;) {
    if (bouncer.exitCode !== null || bouncer.signalCode !== null) throw new Error(`pgbouncer did not start: ${said}`)
    const client = new Client({ connectionString: url })
    client.on('error', () => {}) // reported by connect
    try {
      await client.connect()
      break
    } catch {
      await pause(20) // starting
    } finally {
      await client.end().catch(() => {})
    }
  }
  return {
    url,
    superuserUrl: postgres.url.replace(/postgres$/, 'weft'),
    createDatabase,
    async stop() {
      const ended = new Promise((resolve) => bouncer.once('exit', resolve))
      bouncer.kill('SIGTERM')
      await ended
      await postgres.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
