import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { ask, deadPort, until } from '#proxy/testing/peers.ts'
import { installNginx } from '#infra/parts/nginx.ts'

/** A server that notes what it takes for a request. */
export interface Watched {
  readonly port: number
  /** `METHOD TARGET` of each, and behind it what should not have come with it. */
  readonly seen: string[]
}

/** Fields that must not come behind a body (RFC 9110 §6.5.1). */
const NOT_BEHIND = ['content-length', 'transfer-encoding', 'host', 'connection', 'te', 'trailer', 'expect', 'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'content-type']

export async function nodeUpstream(t: TestContext, lenient: boolean): Promise<Watched> {
  const seen: string[] = []
  const server = http.createServer({ insecureHTTPParser: lenient, keepAliveTimeout: 60_000 }, (request, response) => {
    seen.push(`${request.method} ${request.url}${request.headers['x-injected'] === undefined ? '' : ' injected'}`)
    request.on('error', () => {}).resume().on('end', () => {
      for (const name of NOT_BEHIND) if (request.trailers[name] !== undefined) seen.push(`a trailer ${name}`)
      response.writeHead(200, { 'x-path': (request.url ?? '').replace(/[^\x21-\x7e]/g, '') }).end(request.url)
    })
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, seen }
}

export async function goUpstream(t: TestContext): Promise<Watched> {
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

export async function nginxUpstream(t: TestContext): Promise<Watched> {
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
  log_format seen '$request $http_x_injected'; access_log ${folder}/log seen;
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
  createInterface(log).on('line', (line) => void seen.push(line.replace(/ HTTP\/1\.1 -$/, '')))
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`)
    const answers = await ask(port, '/').then(() => true, () => false)
    if (answers) break
  }
  await until(() => seen.length > 0)
  seen.length = 0
  return { port, seen }
}

/** Every kind of server that attacks are aimed at. */
export const upstreams: readonly (readonly [kind: string, make: (t: TestContext) => Promise<Watched>])[] = [
  ['node:http', (t) => nodeUpstream(t, false)],
  ['a lenient node:http', (t) => nodeUpstream(t, true)],
  ["Go's net/http", goUpstream],
  ['nginx', nginxUpstream],
]
