import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import type { HttpAccess } from '#test/kube/asking.ts'

const execute = promisify(execFile)
const folder = fileURLToPath(new URL('../../../shared/kube', import.meta.url))

/** Why the real API server cannot be had, or false: for `skip` of tests that compare with it. */
export const withoutKube: string | false = existsSync(join(folder, 'up')) ? false : 'the real Kubernetes API server for tests is not here (../shared/kube)'

/** A real kube-apiserver with etcd, on loopback, for this process. */
export interface Kube {
  readonly kubeconfig: string
  readonly access: HttpAccess
  /** Process id of the server, to measure it. */
  readonly pid: number
  stop(): Promise<void>
}

/** Starts one; the first time on a machine it is built, which takes minutes. Flags are those of its README. */
export async function startKube(name: string, flags: readonly string[] = []): Promise<Kube> {
  const { stdout } = await execute(join(folder, 'up'), ['--name', name, '-watch-pid', String(process.pid), ...flags], { timeout: 1_200_000 })
  const at = stdout.trim()
  const kubeconfig = join(at, 'kubeconfig')
  const config: { clusters: { cluster: { server: string; 'certificate-authority-data': string } }[]; users: { user: { 'client-certificate-data': string; 'client-key-data': string } }[] } = parse(await readFile(kubeconfig, 'utf8'))
  const cluster = config.clusters[0]?.cluster
  const user = config.users[0]?.user
  if (cluster === undefined || user === undefined) throw new Error('a kubeconfig has a cluster and a user')
  const decoded = (base64: string): Buffer => Buffer.from(base64, 'base64')
  return {
    kubeconfig,
    access: { url: cluster.server, headers: {}, tls: { ca: decoded(cluster['certificate-authority-data']), cert: decoded(user['client-certificate-data']), key: decoded(user['client-key-data']) } },
    pid: Number(await readFile(join(at, 'pid'), 'utf8')),
    stop: async () => void (await execute(join(folder, 'down'), [at])),
  }
}
