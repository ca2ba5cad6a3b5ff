import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { TestControlPlane } from '../testing/control-plane.ts'
import { deadPort, httpServer, until } from '../testing/peers.ts'
import { putWay } from '../testing/ways.ts'

interface Line {
  readonly event: string
  readonly pid?: number
  readonly why?: string
}

/** A proxy process whose program can be exchanged, in front of an application that answers slowly on `/slow`. */
async function world(t: TestContext) {
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
    env: { WEFT_XDS: plane.target, WEFT_XDS_ROOT: root, WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: '127.0.0.1', WEFT_ADMIN: '127.0.0.1:0' },
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const ask = (port: number, url: string, agent: http.Agent | false): Promise<string> =>
  new Promise((resolve) => {
    http
      .get({ host: '127.0.0.1', port, path: url, agent }, (response) => {
        let body = ''
        response.on('data', (part) => (body += String(part))).on('end', () => resolve(`${response.statusCode} ${body}`))
      })
      .on('error', (error) => resolve(error.message))
  })

/** Asks without a pause, over new connections, until told to stop; answers how often each answer came. */
function keepAsking(port: number): { stop: () => Promise<Record<string, number>>; count: () => number } {
  const answers: Record<string, number> = {}
  let count = 0
  let going = true
  const loop = async (): Promise<void> => {
    // oxlint-disable-next-line no-unmodified-loop-condition -- stop() changes it
    while (going) {
      const answer = await ask(port, '/', false)
      answers[answer] = (answers[answer] ?? 0) + 1
      count += 1
    }
  }
  const loops = Promise.all([loop(), loop()])
  return { count: () => count, stop: async () => (going = false, await loops, answers) }
}

test('a proxy is replaced in place, twice, while it serves: no request is lost, its identity goes on, and the first process stays', async (t) => {
  const { plane, port, slow, child, lines, successors } = await world(t)
  const inFlight = ask(port, '/slow', false)
  await until(() => slow.length === 1)
  const asking = keepAsking(port)
  child.kill('SIGUSR2')
  await until(() => successors().length === 1)
  const beforeSecond = asking.count()
  await until(() => asking.count() > beforeSecond + 20)
  slow[0]?.end('late')
  assert.equal(await inFlight, '200 late')
  child.kill('SIGUSR2')
  await until(() => successors().length === 2 && !isAlive(successors()[0] ?? 0))
  const atLast = asking.count()
  await until(() => asking.count() > atLast + 20)
  const answers = await asking.stop()
  assert.deepEqual(Object.keys(answers), ['200 served'])
  assert.deepEqual(plane.credentials, ['token'], 'the successors joined as who the first one was')
  assert.equal(lines.filter(({ event }) => event === 'proxy.drained').length, 2)

  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await gone, [0, null])
  await until(() => !isAlive(successors()[1] ?? 0))
  assert.equal(await ask(port, '/', false), `connect ECONNREFUSED 127.0.0.1:${port}`)
})

test('a successor that cannot start leaves the proxy as it was', async (t) => {
  const { program, port, child, lines } = await world(t)
  writeFileSync(program, 'process.exit(3)\n')
  child.kill('SIGUSR2')
  await until(() => lines.some(({ event }) => event === 'upgrade.failed'))
  assert.equal(lines.find(({ event }) => event === 'upgrade.failed')?.why, 'ended with 3')
  assert.equal(await ask(port, '/', false), '200 served')
})

test('when the process that took over dies, the first one ends with its code, so that whoever watches it starts anew', async (t) => {
  const { child, successors } = await world(t)
  child.kill('SIGUSR2')
  await until(() => successors().length === 1)
  const gone = once(child, 'exit')
  process.kill(successors()[0] ?? 0, 'SIGKILL')
  assert.deepEqual(await gone, [137, null])
})
