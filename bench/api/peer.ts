import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { kubeconfigText } from '#core/contract/kubeconfig.ts'
import { ask } from '#test/kube/asking.ts'
import type { HttpAccess } from '#test/kube/asking.ts'
import { customResourceDefinitions } from '#test/kube/definitions.ts'
import { startKube } from '#test/parts/kube.ts'
import { startPostgres } from '#test/parts/postgres.ts'

/** A server of the Kubernetes API that is measured. */
export interface Peer {
  readonly name: string
  readonly access: HttpAccess
  /** Of the next request: its key, where a key may only make so many a second. */
  headers(): Record<string, string>
  readonly kubeconfig: string
  /** Applies so many new objects as one transaction; Kubernetes has no such thing. */
  readonly applyFolder?: (count: number, textOf: (name: string) => string) => Promise<void>
  /** CPU time and memory so far, in words. */
  usage(): Promise<string>
  end(): Promise<void>
}

const KEYS = 16
const APPLY = '/api/v1/organizations/bench/meshes/bench/apply'

/** @param database `pglite` or `postgres` */
export async function startWeftPeer(database: string): Promise<Peer> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-bench-'))
  const postgres = database === 'postgres' ? await startPostgres() : undefined
  const url = postgres === undefined ? `pglite:${join(folder, 'data')}` : await postgres.createDatabase('bench')
  const server = fork(fileURLToPath(new URL('../../test/parts/plane-process.ts', import.meta.url)), [url, 'bench/bench', String(KEYS)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const { port, keys } = await firstLine(server)
  const origin = `http://127.0.0.1:${port}`
  const kubeconfig = join(folder, 'kubeconfig')
  await writeFile(kubeconfig, kubeconfigText(origin, 'bench', 'bench', keys[0] ?? ''))
  let turn = 0
  const headers = (): Record<string, string> => ({ authorization: `Bearer ${keys[(turn += 1) % keys.length] ?? ''}` })
  return {
    name: database,
    access: { url: `${origin}/k8s/bench/bench`, headers: {} },
    headers,
    kubeconfig,
    async applyFolder(count, textOf) {
      const files = Array.from({ length: count }, (_, at) => ({ name: `${at}.yaml`, text: textOf(`route-${at}`) }))
      const { code, text } = await ask({ url: origin, headers: {} }, { method: 'POST', path: APPLY, headers: { ...headers(), 'content-type': 'application/json' }, body: JSON.stringify({ files }) })
      if (code !== 200) throw new Error(`apply: ${code} ${text.slice(0, 500)}`)
    },
    usage: () =>
      new Promise((resolve) => {
        server.once('message', (message) => {
          const { cpu, rssMiB } = message as { cpu: NodeJS.CpuUsage; rssMiB: number }
          resolve(`${((cpu.user + cpu.system) / 1e6).toFixed(1)} s of CPU, ${rssMiB.toFixed(0)} MiB`)
        })
        server.send('usage')
      }),
    async end() {
      const gone = new Promise((resolve) => server.once('exit', resolve))
      server.disconnect()
      await gone
      await postgres?.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function firstLine(server: ChildProcess): Promise<{ port: number; keys: string[] }> {
  if (server.stdout === null) throw new Error('the server has no output')
  for await (const line of createInterface({ input: server.stdout })) return JSON.parse(line) as { port: number; keys: string[] }
  throw new Error('the server ended before it was ready')
}

export async function startKubePeer(): Promise<Peer> {
  const kube = await startKube('bench', ['-controllers', 'namespace-controller'])
  for (const definition of customResourceDefinitions()) {
    const { code, text } = await ask(kube.access, { method: 'POST', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', headers: { 'content-type': 'application/json' }, body: JSON.stringify(definition) })
    if (code !== 201) throw new Error(text.slice(0, 500))
  }
  while ((await ask(kube.access, { method: 'GET', path: '/apis/networking.istio.io/v1/virtualservices' })).code !== 200) await new Promise((resolve) => setTimeout(resolve, 50))
  return {
    name: 'kube',
    access: kube.access,
    headers: () => ({}),
    kubeconfig: kube.kubeconfig,
    async usage() {
      const [stat, status] = await Promise.all([readFile(`/proc/${kube.pid}/stat`, 'utf8'), readFile(`/proc/${kube.pid}/status`, 'utf8')])
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      // User and system time, in ticks of a hundredth of a second (proc(5), fields 14 and 15).
      const seconds = (Number(fields[11]) + Number(fields[12])) / 100
      return `${seconds.toFixed(1)} s of CPU, ${(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024).toFixed(0)} MiB`
    },
    end: () => kube.stop(),
  }
}
