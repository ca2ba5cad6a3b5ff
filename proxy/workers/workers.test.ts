import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { TestControlPlane } from '../testing/control-plane.ts'
import { ask, deadPort, httpServer } from '../testing/peers.ts'
import { putWay } from '../testing/ways.ts'
import { mergeMetrics } from './merge-metrics.ts'

/** Sockets that listen on a port of 127.0.0.1 (proc_net_tcp(5): address, state 0A). */
const listenersOf = (port: number): number =>
  readFileSync('/proc/net/tcp', 'utf8').split('\n').filter((line) => line.includes(` 0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} `) && line.split(/\s+/)[4] === '0A').length

test('threads share the ports, follow each change, are counted as one, and drain together', async (t) => {
  const plane = new TestControlPlane()
  await plane.start()
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-workers-'))
  t.after(() => {
    plane.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const root = path.join(directory, 'root.pem')
  writeFileSync(root, plane.authority.rootPem)
  const [one, other] = await Promise.all(['one', 'other'].map((name) => httpServer(t, (_request, response) => void response.end(name))))
  const [port, admin] = [await deadPort(), await deadPort()]
  putWay(plane, 'in', 1, port, one?.port ?? 0)
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, '../main.ts'), '--concurrency', '3'], {
    env: { WEFT_XDS: plane.target, WEFT_XDS_ROOT: root, WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: '127.0.0.1', WEFT_ADMIN: `127.0.0.1:${admin}` },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const isReady = (): Promise<boolean> => ask(admin, '/ready').then(({ status }) => status === 200, () => false)
  while (!(await isReady())) assert.equal(child.exitCode, null)

  // Each over a connection of its own, so that the kernel spreads them.
  const askMany = async (): Promise<Set<string>> => new Set(await Promise.all(Array.from({ length: 60 }, () => ask(port, '/').then(({ body }) => body))))
  assert.deepEqual(await askMany(), new Set(['one']))
  const counted = async (): Promise<string> => (await ask(admin, '/stats/prometheus')).body
  assert.match(await counted(), /istio_requests_total\{[^}]*\} 60\n/)
  assert.match((await ask(admin, '/clusters')).body, /rq_total::60\n/)
  assert.equal(listenersOf(port), 3)

  plane.revision += 1
  putWay(plane, 'in', 1, port, other?.port ?? 0)
  let seen = new Set<string>()
  while (seen.size !== 1 || !seen.has('other')) seen = await askMany()

  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await gone, [0, null])
  await assert.rejects(ask(port, '/'))
})

test('series of threads are added up, each under its family', () => {
  const merged = mergeMetrics(['# TYPE a counter\na{x="1"} 1\na{x="2"} 2\n# TYPE b gauge\nb 5\n', '# TYPE a counter\na{x="2"} 3\na{x="3"} 1\n# TYPE b gauge\nb 1\n# TYPE c gauge\nc 1\n'])
  assert.equal(merged, '# TYPE a counter\na{x="1"} 1\na{x="2"} 5\na{x="3"} 1\n# TYPE b gauge\nb 6\n# TYPE c gauge\nc 1\n')
})
