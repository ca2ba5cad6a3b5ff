import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { TestControlPlane } from './control-plane.ts'
import { deadPort, httpServer, until } from './peers.ts'
import { putWay } from './ways.ts'

interface Line {
  readonly event: string
  readonly pid?: number
  readonly why?: string
}

/** A proxy process whose program can be exchanged, in front of an application that answers slowly on `/slow`. */
export async function upgradeWorld(t: TestContext, more: Record<string, string> = {}) {
  const plane = new TestControlPlane()
  await plane.start()
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-upgrade-'))
  t.after(() => {
    plane.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const root = path.join(directory, 'root.pem')
  writeFileSync(root, plane.authority.rootPem)
  const program = path.join(directory, 'program.mjs')
  writeFileSync(program, `import ${JSON.stringify(path.join(import.meta.dirname, '../main.ts'))}\n`)
  const slow: http.ServerResponse[] = []
  const app = await httpServer(t, (request, response) => {
    if (request.url === '/slow') slow.push(response)
    else response.end('served')
  })
  const port = await deadPort()
  putWay(plane, 'in', 1, port, app.port)

  const child: ChildProcess = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    env: { WEFT_XDS: plane.target, WEFT_XDS_ROOT: root, WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: '127.0.0.1', WEFT_ADMIN: '127.0.0.1:0', ...more },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const lines: Line[] = []
  let rest = ''
  child.stderr?.on('data', (part) => {
    const parts = (rest + String(part)).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) if (line.startsWith('{')) lines.push(JSON.parse(line))
  })
  const successors = (): number[] => lines.flatMap(({ event, pid }) => (event === 'upgrade.done' && pid !== undefined ? [pid] : []))
  t.after(() => {
    child.kill('SIGKILL')
    for (const pid of successors()) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  })
  await until(() => lines.some(({ event }) => event === 'proxy.ready'))
  return { plane, program, port, slow, child, lines, successors }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export const askOnce = (port: number, url: string, agent: http.Agent | false): Promise<string> =>
  new Promise((resolve) => {
    http
      .get({ host: '127.0.0.1', port, path: url, agent }, (response) => {
        let body = ''
        response.on('data', (part) => (body += String(part))).on('end', () => resolve(`${response.statusCode} ${body}`))
      })
      .on('error', (error) => resolve(error.message))
  })

/** Asks without a pause, over new connections, `loops` at a time, until told to stop; answers how often each answer came. */
export function keepAsking(t: TestContext, port: number, loops = 2): { stop: () => Promise<Record<string, number>>; count: () => number } {
  const answers: Record<string, number> = {}
  let count = 0
  let going = true
  const loop = async (): Promise<void> => {
    // oxlint-disable-next-line no-unmodified-loop-condition -- stop() changes it
    while (going) {
      const answer = await askOnce(port, '/', false)
      answers[answer] = (answers[answer] ?? 0) + 1
      count += 1
    }
  }
  const all = Promise.all(Array.from({ length: loops }, loop))
  // A test that fails leaves nobody who asks on.
  t.after(() => (going = false))
  return { count: () => count, stop: async () => (going = false, await all, answers) }
}
