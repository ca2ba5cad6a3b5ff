import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { root, until } from '../mesh/shop.ts'
import type { PlaneUnderTest } from './control-plane.ts'

/** Proxies as processes of their own, of one service account, on a control plane under test. */
export interface ProxyProcesses {
  /** A proxy with variables of its own, and with the application that it wraps, if any. Resolves when it is ready. */
  start(name: string, environment: Readonly<Record<string, string>>, command?: readonly string[]): Promise<ChildProcess>
  /** Ends all that still run, and forgets their files. */
  close(): Promise<void>
}

/** `before`: words before each command, such as those that take capabilities away. */
export async function proxyProcesses(world: PlaneUnderTest, namespace: string, serviceAccount: string, before: readonly string[] = []): Promise<ProxyProcesses> {
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-proxies-'))
  const rootFile = path.join(directory, 'root.pem')
  writeFileSync(rootFile, world.plane.xds.rootCertificate)
  const token = await world.plane.createJoinToken(world.mesh, namespace, serviceAccount, 3_600_000)
  const children = new Set<ChildProcess>()
  return {
    async start(name, environment, command = []) {
      const [program = '', ...words] = [...before, process.execPath, '--disable-warning=ExperimentalWarning', path.join(root, 'proxy/main.ts'), ...(command.length > 0 ? ['--', ...command] : [])]
      const child = spawn(program, words, {
        env: {
          PATH: process.env['PATH'] ?? '',
          WEFT_XDS: `127.0.0.1:${world.plane.xds.port}`,
          WEFT_XDS_ROOT: rootFile,
          WEFT_JOIN_TOKEN: token,
          WEFT_NAME: name,
          WEFT_NAMESPACE: namespace,
          WEFT_SERVICE_ACCOUNT: serviceAccount,
          WEFT_ADMIN: '127.0.0.1:0',
          WEFT_DRAIN_SECONDS: '5',
          ...environment,
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      children.add(child)
      child.once('exit', () => children.delete(child))
      let said = ''
      child.stderr?.on('data', (part) => (said += String(part)))
      const isReady = (): boolean => {
        if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}:\n${said}`)
        return said.includes('"proxy.ready"')
      }
      await until(`${name} is ready`, isReady)
      return child
    },
    async close() {
      // Killed, a wrapper would leave its application behind.
      await Promise.all([...children].map((child) => (child.kill('SIGTERM'), once(child, 'exit'))))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
