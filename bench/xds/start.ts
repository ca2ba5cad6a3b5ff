import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { systemDoors } from '#core/time/system.ts'
import { openStore } from '#db/open.ts'
import type { Mesh, ResourceWrite } from '#db/store.ts'
import { startPostgres } from '#test/parts/postgres.ts'
import { SEAL_KEY, startQuietPlane } from '#test/parts/quiet-plane.ts'
import { DeltaClient } from './delta-client.ts'
import { BenchMesh, benchNode } from './mesh.ts'

/** One start of a server, from its process on. Times in ms. */
export interface Start {
  /** It says where it listens. */
  readonly listensMs: number
  /** The first proxy has all that it asked for. */
  readonly configuredMs: number
  /** User and system time of the process until then, in steps of 10 ms. */
  readonly cpuSeconds: number
}

/** In one transaction, as a folder would be applied. */
const WRITES_MAX = 600
const LIMIT_MS = 120_000

/** Starts `weft server` so many times, and once more before that, on a Postgres that holds the mesh; each time a proxy is there at once that knows nothing and has a join token. */
export async function measureStart(services: number, times: number): Promise<Start[]> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-bench-start-'))
  const postgres = await startPostgres()
  try {
    const database = await postgres.createDatabase('bench')
    const token = await fill(database, services)
    const starts: Start[] = []
    for (let time = 0; time <= times; time += 1) starts.push(await start(database, folder, token))
    // The first compiles what the others find compiled, and builds the console.
    return starts.slice(1)
  } finally {
    await postgres.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Answers a join token. */
async function fill(database: string, services: number): Promise<string> {
  const plane = await startQuietPlane(database)
  try {
    const mesh = await plane.ensureMesh(await plane.ensureOrganization('bench'), 'bench', 'cluster.local')
    await write(database, mesh, services)
    return await plane.createJoinToken(mesh, '*', '*', 86_400_000)
  } finally {
    await plane.close()
  }
}

async function write(database: string, mesh: Mesh, services: number): Promise<void> {
  const store = await openStore(database, { doors: systemDoors, sealKey: SEAL_KEY })
  const writes: ResourceWrite[] = []
  for (const change of new BenchMesh(services).whole()) if (change.of === 'resource' && change.stored !== undefined) writes.push({ key: change.key, object: change.stored.object })
  for (let at = 0; at < writes.length; at += WRITES_MAX) await store.applyResources(mesh.organizationId, mesh.id, writes.slice(at, at + WRITES_MAX), { author: 'bench', message: '' }, { resourcesMax: writes.length })
  await store.close()
}

async function start(database: string, folder: string, token: string): Promise<Start> {
  const startedMs = performance.now()
  const rootFile = join(folder, 'root.pem')
  const args = ['server', '--database', database, '--data', folder, '--rest-port', '0', '--xds-port', '0', '--monitoring-port', '0', '--root-file', rootFile, '--log-level', 'error']
  const server = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL('../../cli/main.ts', import.meta.url)), ...args], {
    env: { ...process.env, WEFT_SEAL_KEY: SEAL_KEY.toString('base64') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const { port } = await listening(server)
    const listensMs = performance.now() - startedMs
    const client = new DeltaClient({ url: `https://127.0.0.1:${port}`, tls: { ca: await readFile(rootFile, 'utf8') }, bearer: token, node: benchNode(0, 'weft'), held: new Map() })
    while (!client.isConfigured) {
      if (client.broken !== undefined || performance.now() - startedMs > LIMIT_MS) throw new Error(`the first proxy was not configured: ${client.broken ?? 'it takes too long'}`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const configuredMs = performance.now() - startedMs
    const cpuSeconds = await cpuSecondsOf(server.pid ?? 0)
    client.close()
    return { listensMs, configuredMs, cpuSeconds }
  } finally {
    if (server.exitCode === null) {
      server.kill('SIGTERM')
      await once(server, 'exit')
    }
  }
}

async function listening(server: ChildProcess): Promise<{ port: number }> {
  if (server.stdout === null) throw new Error('the server has no output')
  for await (const line of createInterface({ input: server.stdout })) {
    const { xds } = JSON.parse(line) as { xds: { port: number } }
    return xds
  }
  throw new Error('the server ended before it was ready')
}

/** User and system time, in ticks of a hundredth of a second (proc(5), fields 14 and 15); NaN where there is no such file. */
async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
