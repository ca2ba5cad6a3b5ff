import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { TestControlPlane } from './testing/control-plane.ts'

function run(t: TestContext, main: string, environment: Record<string, string>): { child: ChildProcess; lines: { event: string; path?: string }[]; logged: (event: string) => Promise<void> } {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, main)], { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  const lines: { event: string; path?: string }[] = []
  let rest = ''
  child.stderr?.on('data', (part) => {
    const parts = (rest + String(part)).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) lines.push(JSON.parse(line))
    child.emit('logged')
  })
  const logged = async (event: string): Promise<void> => {
    while (!lines.some((line) => line.event === event)) await once(child, 'logged')
  }
  return { child, lines, logged }
}

test('a proxy with a wrong environment names each variable and exits 2', async (t) => {
  const { child, lines } = run(t, 'main.ts', { WEFT_PORTS: 'x' })
  const [code] = await once(child, 'close')
  assert.equal(code, 2)
  assert.deepEqual(lines.map((line) => line.path).sort(), ['WEFT_PORTS', 'WEFT_XDS', 'WEFT_XDS_ROOT'])
})

for (const [main, type] of [['main.ts', 'sidecar'], ['../gateway/main.ts', 'router']] as const) {
  test(`a ${type} is ready, leaves the mesh at SIGTERM and exits 0`, async (t) => {
    const plane = new TestControlPlane()
    await plane.start()
    const directory = mkdtempSync(path.join(tmpdir(), 'weft-test-'))
    t.after(() => {
      plane.stop()
      rmSync(directory, { recursive: true, force: true })
    })
    const root = path.join(directory, 'root.pem')
    writeFileSync(root, plane.authority.rootPem)
    const { child, logged } = run(t, main, { WEFT_XDS: plane.target, WEFT_XDS_ROOT: root, WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: '127.0.0.1', WEFT_ADMIN: '127.0.0.1:0' })
    await logged('proxy.ready')
    assert.ok([...plane.sessions][0]?.nodeId.startsWith(`${type}~127.0.0.1~a.default~`))
    const closed = once(child, 'close')
    child.kill('SIGTERM')
    assert.deepEqual(await closed, [0, null])
    assert.equal(plane.goodbyes, 1)
  })
}
