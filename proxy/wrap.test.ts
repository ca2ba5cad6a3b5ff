import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { TestControlPlane } from './testing/control-plane.ts'
import { ask, deadPort, httpServer, until } from './testing/peers.ts'
import { putWay } from './testing/ways.ts'

/** Calls out at once, serves slowly, calls out again when told to end, then ends with 7. */
const application = `
const http = require('node:http')
const [outbound, port] = process.argv.slice(-2)
const call = (path) => new Promise((resolve) => http.get({ port: outbound, path, agent: false }, (r) => r.resume().on('end', resolve)).on('error', (e) => { console.error(e); resolve() }))
process.on('SIGTERM', async () => { await call('/last'); process.exit(7) })
http.createServer((request, response) => void call('/serving').then(() => setTimeout(() => response.end('served'), 300))).listen(Number(port), '127.0.0.1', () => call('/first'))
`

async function world(t: TestContext) {
  const plane = new TestControlPlane()
  await plane.start()
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-wrap-'))
  t.after(() => {
    plane.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const root = path.join(directory, 'root.pem')
  writeFileSync(root, plane.authority.rootPem)
  const calls: string[] = []
  const outside = await httpServer(t, (request, response) => {
    calls.push(request.url ?? '')
    response.end()
  })
  const ports = { inbound: await deadPort(), outbound: await deadPort(), app: await deadPort() }
  putWay(plane, 'inbound', 1, ports.inbound, ports.app)
  putWay(plane, 'outbound', 2, ports.outbound, outside.port)
  const run = (...command: string[]) => {
    const environment = { PATH: process.env['PATH'] ?? '', WEFT_XDS: plane.target, WEFT_XDS_ROOT: root, WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: '127.0.0.1', WEFT_ADMIN: '127.0.0.1:0' }
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, 'main.ts'), '--', ...command], { env: environment, stdio: ['ignore', 'ignore', 'ignore'] })
    t.after(() => child.kill('SIGKILL'))
    return child
  }
  return { calls, ports, run }
}

test("an application's first call goes through, and the proxy ends with its application and its exit code", async (t) => {
  const { calls, ports, run } = await world(t)
  const child = run(process.execPath, '-e', `require('node:http').get({ port: ${ports.outbound}, path: '/first', agent: false }, (r) => r.resume().on('end', () => { console.log(performance.timeOrigin); process.exit(r.statusCode === 200 ? 3 : 4) })).on('error', () => process.exit(5))`)
  assert.deepEqual(await once(child, 'exit'), [3, null])
  assert.deepEqual(calls, ['/first'])
})

test('at SIGTERM inbound stops first, requests in flight end, and outbound stays open until the application is gone', async (t) => {
  const { calls, ports, run } = await world(t)
  const child = run(process.execPath, '-e', application, String(ports.outbound), String(ports.app))
  await until(() => calls.includes('/first'))
  const inFlight = ask(ports.inbound, '/')
  await until(() => calls.includes('/serving'))
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  let refused = false
  while (!refused) refused = await ask(ports.inbound, '/').then(() => false, () => true)
  assert.equal((await inFlight).body, 'served')
  const [code] = await ended
  assert.equal(code, 7)
  assert.equal(calls.at(-1), '/last')
})

test('the proxy ends soon after its application, whatever is still open', async (t) => {
  const { calls, ports, run } = await world(t)
  const child = run(process.execPath, '-e', application.replace('await call', 'void call').replace('process.exit(7)', "process.kill(process.pid, 'SIGKILL')"), String(ports.outbound), String(ports.app))
  await until(() => calls.includes('/first'))
  const agent = new http.Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const open = http.get({ port: ports.outbound, path: '/held', agent })
  open.on('error', () => {})
  await once(open, 'response')
  const startMs = performance.now()
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [137, null])
  // What is open stays so for good: that it ended at all says it. A slow machine takes its time.
  assert.ok(performance.now() - startMs < 60_000)
})

test('a command that is not there ends the proxy with 127', async (t) => {
  const { run } = await world(t)
  assert.deepEqual(await once(run('/no/such/command'), 'exit'), [127, null])
})
