import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import * as fc from 'fast-check'
import { ask, deadPort, startProxy, type TestProxy, until } from '#proxy/testing/peers.ts'
import { forward, routePlan } from '#proxy/testing/plan.ts'
import { installNginx } from '#infra/parts/nginx.ts'
import { corpus } from './smuggling-corpus.ts'

/** A server that notes what it takes for a request. */
interface Watched {
  readonly port: number
  readonly seen: string[]
}

async function nodeUpstream(t: TestContext, lenient: boolean): Promise<Watched> {
  const seen: string[] = []
  const server = http.createServer({ insecureHTTPParser: lenient, keepAliveTimeout: 60_000 }, (request, response) => {
    seen.push(`${request.method} ${request.url}`)
    request.on('error', () => {}).resume().on('end', () => response.writeHead(200, { 'x-path': (request.url ?? '').replace(/[^\x21-\x7e]/g, '') }).end(request.url))
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, seen }
}

async function goUpstream(t: TestContext): Promise<Watched> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-smuggling-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const built = spawnSync('go', ['build', '-o', join(folder, 'upstream'), join(import.meta.dirname, 'smuggling-upstream.go')], { encoding: 'utf8' })
  if (built.error !== undefined) throw built.error
  assert.equal(built.status, 0, built.stderr)
  const child = spawn(join(folder, 'upstream'), { stdio: ['ignore', 'pipe', 'ignore'] })
  t.after(() => child.kill('SIGKILL'))
  const seen: string[] = []
  let port = 0
  await new Promise<void>((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      if (port !== 0) return void seen.push(line)
      port = Number(line)
      resolve()
    })
  })
  return { port, seen }
}

async function nginxUpstream(t: TestContext): Promise<Watched> {
  const binary = await installNginx()
  const folder = mkdtempSync(join(tmpdir(), 'weft-nginx-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const port = await deadPort()
  const kept = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log /dev/null;
events { worker_connections 256; }
http {
  ${kept} keepalive_requests 100000; keepalive_timeout 60s; ignore_invalid_headers off; merge_slashes off;
  log_format seen '$request'; access_log ${folder}/log seen;
  server { listen 127.0.0.1:${port}; location / { add_header x-path $request_uri; return 200 $request_uri; } }
}
`,
  )
  // It writes a line for each request, at once, into what is no file.
  const made = spawnSync('mkfifo', [join(folder, 'log')])
  if (made.error !== undefined) throw made.error
  const log = createReadStream(join(folder, 'log'))
  const child = spawn(binary, ['-p', folder, '-e', '/dev/null', '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' })
  t.after(() => {
    child.kill('SIGKILL')
    log.destroy()
  })
  const seen: string[] = []
  createInterface(log).on('line', (line) => void seen.push(line.replace(/ HTTP\/1\.1$/, '')))
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`)
    const answers = await ask(port, '/').then(() => true, () => false)
    if (answers) break
  }
  await until(() => seen.length > 0)
  seen.length = 0
  return { port, seen }
}

/** Sends an attack and reads until the proxy closes, or has answered and is quiet again: it then waits for more, and gets none. */
function attack(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
    const end = (): void => {
      clearTimeout(quiet)
      socket.destroy()
      resolve(received)
    }
    let quiet = setTimeout(end, 60)
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      clearTimeout(quiet)
      quiet = setTimeout(end, 25)
    })
    socket.on('error', end)
    socket.on('close', end)
  })
}

async function world(t: TestContext, upstream: Watched): Promise<TestProxy> {
  // One connection upstream, which every request shares: whatever an attack leaves on it, the next request meets.
  const limits = { connectionsMax: 1, pendingMax: 1024, requestsMax: 1024, retriesMax: 3 }
  return startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], { limits }]] })
}

/** Whatever was sent: the next client gets its own answer, and the server took for requests exactly what the proxy did. */
async function assertNoDesync(proxy: TestProxy, upstream: Watched, name: string, victim: string): Promise<void> {
  const answer = await ask(proxy.port, victim)
  assert.deepEqual([answer.status, answer.body, answer.headers['x-path']], [200, victim, victim], name)
  const forwarded = (await proxy.log()).filter((line) => line['upstream_host'] !== '-' && line['upstream_host'] !== null).map((line) => `${String(line['method'])} ${String(line['path'])}`)
  // The proxy may have sent what the server did not take; never the other way round.
  const left = [...forwarded]
  for (const one of upstream.seen) {
    const at = left.indexOf(one)
    assert.ok(at >= 0, `${name}: the server took ${one} for a request, and the proxy did not`)
    left.splice(at, 1)
  }
}

for (const [kind, make] of [['node:http', (t: TestContext) => nodeUpstream(t, false)], ['a lenient node:http', (t: TestContext) => nodeUpstream(t, true)], ["Go's net/http", goUpstream], ['nginx', nginxUpstream]] as const) {
  test(`no request is smuggled past the proxy to ${kind}`, { timeout: 300_000 }, async (t) => {
    const upstream = await make(t)
    const proxy = await world(t, upstream)
    let nth = 0
    for (const { name, bytes } of corpus()) {
      await attack(proxy.port, bytes)
      await assertNoDesync(proxy, upstream, name, `/victim-${nth++}`)
    }
    t.diagnostic(`${nth} attacks, ${upstream.seen.length} requests reached the server`)
  })
}

test('nor when attacks are cut, joined and garbled', { timeout: 300_000 }, async (t) => {
  const upstream = await nodeUpstream(t, true)
  const proxy = await world(t, upstream)
  const all = corpus().map((one) => one.bytes)
  const byte = fc.constantFrom('\r', '\n', '\0', ' ', '\t', ':', ';', ',', '0', '1', 'a', '\x0b', '\xff', '\r\n', '')
  const garbled = fc.tuple(fc.constantFrom(...all), fc.array(fc.tuple(fc.nat(400), byte), { maxLength: 4 }), fc.option(fc.constantFrom(...all))).map(([first, edits, second]) => {
    let text = first + (second ?? '')
    for (const [at, what] of edits) text = text.slice(0, at % text.length) + what + text.slice((at % text.length) + 1)
    return text
  })
  let nth = 0
  await fc.assert(
    fc.asyncProperty(garbled, async (bytes) => {
      await attack(proxy.port, bytes)
      await assertNoDesync(proxy, upstream, JSON.stringify(bytes), `/victim-${nth++}`)
    }),
    { numRuns: 300, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  )
})
