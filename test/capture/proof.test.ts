import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { addresses, installTools, iptablesAlone, makeHosts, run } from './namespaces.ts'

const root = join(import.meta.dirname, '../..')
const PATIENCE_MS = 300_000

/** What `mesh.ts` prints after its first line. */
type Readiness = { readonly ready: number; readonly body: string }
type Health = { readonly health: string }
type Said = Readiness | Health

/** A node script on a host; it ends with the test, in good order. Its lines as they come. */
function script(t: TestContext, host: string, file: string, words: readonly string[], environment: Record<string, string>) {
  const child = spawn('ip', ['netns', 'exec', host, process.execPath, '--disable-warning=ExperimentalWarning', join(root, file), ...words], { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env['PATH'] ?? '', ...environment } })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await gone
  })
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]()
}

/** A proxy on a host of its own, where no rules are in force, and its control plane. */
async function world(t: TestContext, engine: Record<string, string>) {
  installTools()
  const { near } = makeHosts(t)
  const lines = script(t, near, 'test/capture/mesh.ts', ['0'], {})
  const plane = JSON.parse((await lines.next()).value ?? '') as { target: string; token: string; root: string }
  const folder = mkdtempSync(join(tmpdir(), 'weft-proof-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const rootFile = join(folder, 'root.pem')
  writeFileSync(rootFile, plane.root)
  script(t, near, 'proxy/main.ts', [], { WEFT_XDS: plane.target, WEFT_XDS_ROOT: rootFile, WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: `${addresses.near},${addresses.nearSix}`, WEFT_PROBES: '127.0.0.1:15021', WEFT_LOG_LEVEL: 'error', WEFT_DRAIN_SECONDS: '0', ...engine })
  const told: Said[] = []
  const late = setTimeout(() => assert.fail(`not told within ${PATIENCE_MS} ms; so far: ${JSON.stringify(told)}`), PATIENCE_MS)
  t.after(() => clearTimeout(late))
  /** The next of its kind that is so, after the last that was waited for. */
  const awaited = <One extends Said>(is: (said: Said) => said is One) => {
    let at = 0
    return async (wanted: (one: One) => boolean): Promise<One> => {
      for (;; at += 1) {
        while (told.length <= at) {
          const { value, done } = await lines.next()
          if (done === true) throw new Error('the control plane has ended')
          told.push(JSON.parse(value) as Said)
        }
        const said = told[at]
        if (said === undefined || !is(said) || !wanted(said)) continue
        at += 1
        return said
      }
    }
  }
  const nextReadiness = awaited((said): said is Readiness => 'ready' in said)
  const nextHealth = awaited((said): said is Health => 'health' in said)
  return {
    near,
    told,
    readiness: (status: number, words: RegExp) => nextReadiness(({ ready, body }) => ready === status && words.test(body)),
    health: (words: RegExp) => nextHealth(({ health }) => words.test(health)),
    installCapture(path: string, ...words: string[]) {
      const done = spawnSync('ip', ['netns', 'exec', near, 'env', `PATH=${path}`, process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'cli/main.ts'), 'proxy', 'install-capture', '--exclude-uid', '0', ...words], { encoding: 'utf8' })
      assert.equal(done.status, 0, `${done.error?.message ?? ''}${done.stderr}`)
    },
  }
}

const path = process.env['PATH'] ?? ''
const skip = process.getuid?.() === 0 ? false : 'network namespaces are made by root alone'

for (const engine of ['weft', 'envoy'] as const) test(`a ${engine === 'weft' ? 'sidecar' : 'stock Envoy'} is ready once a connection that only rules bring has come to it${engine === 'weft' ? ', and not any more when they are gone' : ''}`, { skip }, async (t) => {
  const [newest = ''] = ENVOY_VERSIONS.slice(-1)
  const { told, readiness, health, installCapture } = await world(t, engine === 'weft' ? {} : { WEFT_ENGINE: 'envoy', WEFT_ENVOY: await installEnvoy(newest), WEFT_ENVOY_ARGUMENTS: '--concurrency 1' })
  const { body } = await readiness(503, /not redirected/)
  for (const direction of ['outbound', 'inbound']) for (const family of ['IPv4', 'IPv6']) assert.match(body, new RegExp(`${direction} connections over ${family} are not redirected to the proxy`))
  assert.match(body, /^INITIALIZING\n/)
  assert.ok(!told.some((said) => 'health' in said && said.health === ''), 'and the mesh was not told to call it')

  installCapture(path)
  await readiness(200, /^LIVE\n$/)
  await health(/^$/)

  // What goes on from here is the same for both.
  if (engine === 'envoy') return
  installCapture(path, '--remove')
  await readiness(503, /^NOT CAPTURED\n.*outbound connections over IPv4/)
  await health(/^its traffic is not captured: .*inbound connections over IPv6/)

  installCapture(path)
  await readiness(200, /^LIVE\n$/)
  await health(/^$/)
})

test('each family and direction is proven, where the rules are those of iptables', { skip }, async (t) => {
  const { near, readiness, installCapture } = await world(t, {})
  const tables = iptablesAlone(t)
  installCapture(tables)
  // As if somebody had emptied one table.
  run('ip', ['netns', 'exec', near, 'ip6tables', '-t', 'nat', '-D', 'OUTPUT', '-p', 'tcp', '-j', 'WEFT_OUTBOUND'])
  const { body } = await readiness(503, /^\S+( \S+)?\noutbound connections over IPv6 are not.*; inbound connections over IPv6 are not[^;]*\n$/)
  assert.doesNotMatch(body, /IPv4/)
  installCapture(tables)
  await readiness(200, /^LIVE\n$/)
})

test('a port of the proof that somebody else listens at proves nothing', { skip }, async (t) => {
  const { near, readiness, installCapture } = await world(t, {})
  script(t, near, 'test/capture/server.ts', ['0', '0.0.0.0:15002'], {})
  installCapture(path)
  await readiness(503, /outbound connections over IPv4: somebody listens at port 15002/)
})
