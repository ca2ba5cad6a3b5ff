import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'

test('a server that finds a port taken says so and ends, so that whoever watches it can start it anew', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-serve-'))
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  // The last of its ports: by then all else is open.
  const ports = ['--rest-port', '0', '--xds-port', '0', '--monitoring-port', String(port)]
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, '../main.ts'), 'server', '--data', folder, ...ports], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(() => {
    child.kill('SIGKILL')
    taken.close()
    rmSync(folder, { recursive: true, force: true })
  })
  let said = ''
  child.stderr.on('data', (part) => (said += String(part)))
  const [code] = (await once(child, 'close')) as [number | null]
  assert.equal(code, 1, said)
  assert.match(said, new RegExp(`^weft server: listen EADDRINUSE: address already in use 127\\.0\\.0\\.1:${port}$`, 'm'))
})
