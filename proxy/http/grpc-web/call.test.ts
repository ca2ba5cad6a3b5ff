import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http2'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { ask, deadPort, httpServer, startProxy } from '../../testing/peers.ts'
import type { Reply } from '../../testing/peers.ts'
import { forward, routePlan } from '../../testing/plan.ts'

const frame = (message: Uint8Array): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** What came to the application. */
interface Came {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A server of HTTP/2 whose answer goes by the path. */
async function application(t: TestContext): Promise<{ port: number; came: Came[] }> {
  const came: Came[] = []
  const server = createServer()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (headers[':path'] === '/chat' && !isGone(stream)) stream.write(frame(chunk.subarray(5)))
    })
    const path = String(headers[':path'])
    if (path === '/chat') begin(stream, { 'grpc-status': '0' })
    stream.on('end', () => {
      // A reset ends it as well.
      if (isGone(stream)) return undefined
      came.push({ headers, body: Buffer.concat(chunks) })
      if (path === '/chat') return stream.end()
      if (path === '/plain') return plainly(stream, 200, 'text/plain', 'not gRPC at all: 100 %')
      if (path === '/lost') return plainly(stream, 502, 'text/html', '<p>é</p>'.repeat(3000))
      if (path === '/bare') {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': 'no' }, { endStream: true })
        return undefined
      }
      if (path === '/own') return plainly(stream, 200, 'application/grpc-web+proto', frame(Buffer.from('made of it already')).toString('latin1'))
      begin(stream, { 'grpc-status': '0', 'X-Trailer': 'behind', 'grpc-message': 'all%20is well' })
      for (const size of [0, 1, 2, 3, 70_000]) stream.write(frame(Buffer.alloc(size, size)))
      stream.end()
      return undefined
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()))
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, came }
}

const isGone = (stream: ServerHttp2Stream): boolean => stream.destroyed || stream.closed || stream.aborted

function begin(stream: ServerHttp2Stream, trailers: Record<string, string>): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-encoding': 'identity' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => (isGone(stream) ? undefined : stream.sendTrailers(trailers)))
}

function plainly(stream: ServerHttp2Stream, status: number, type: string, body: string): void {
  stream.respond({ ':status': status, 'content-type': type, 'content-length': Buffer.byteLength(body) })
  stream.end(body)
}

const FILTER = { kind: 'grpc-web' as const, name: 'grpc-web', byDefault: true }

async function bundled(t: TestContext, appPort: number): Promise<number> {
  const { port } = await startProxy(t, { routes: [routePlan('/', forward('app'))], clusters: [['app', [appPort], { protocol: 'http2' }]], http: { filters: [FILTER] } })
  return port
}

const TYPE = 'type.googleapis.com/envoy.extensions'

async function stock(t: TestContext, version: string, appPort: number): Promise<number> {
  const port = await deadPort()
  const folder = mkdtempSync(join(tmpdir(), 'weft-grpc-web-'))
  const filters = ['grpc_web.v3.GrpcWeb', 'router.v3.Router'].map((type) => ({ name: type, typed_config: { '@type': `${TYPE}.filters.http.${type}` } }))
  const manager = { '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`, stat_prefix: 'http', http_filters: filters, route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app', timeout: '0s' } }] }] } }
  const socket = (at: number) => ({ socket_address: { address: '127.0.0.1', port_value: at } })
  const options = { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`, explicit_http_config: { http2_protocol_options: {} } } }
  const cluster = { name: 'app', type: 'STATIC', typed_extension_protocol_options: options, load_assignment: { cluster_name: 'app', endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(appPort) } }] }] } }
  const listener = { name: 'main', address: socket(port), filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }] }
  const file = join(folder, 'envoy.json')
  writeFileSync(file, JSON.stringify({ static_resources: { listeners: [listener], clusters: [cluster] } }))
  const process = spawn(await installEnvoy(version), ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'off'], { stdio: 'ignore' })
  const ended = new Promise((done) => process.once('exit', done))
  t.after(async () => {
    process.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true })
  })
  while (process.exitCode === null) {
    const ready = await ask(port, '/plain').catch(() => undefined)
    if (ready?.status === 200) return port
    await new Promise((later) => setTimeout(later, 50))
  }
  throw new Error(`Envoy ended: ${process.exitCode}`)
}

const BYTES = Buffer.concat([frame(Buffer.from('a word')), frame(Buffer.alloc(5000, 9))])
const TEXT = [frame(Buffer.from('a word')), frame(Buffer.alloc(5000, 9))].map((one) => one.toString('base64')).join('')

/** Every way to ask, and what is compared of each. */
const CALLS = ['/call', '/plain', '/lost', '/bare', '/own'].flatMap((path) =>
  [
    { type: 'application/grpc-web+proto', accept: '*/*', body: BYTES },
    { type: 'application/grpc-web', accept: 'application/grpc-web-text', body: BYTES },
    { type: 'application/grpc-web-text', accept: 'application/grpc-web-text', body: Buffer.from(TEXT.replaceAll('=', '')).subarray(0, 4000) },
    { type: 'application/grpc-web-text+proto', accept: 'application/grpc-web-text+proto', body: Buffer.from(BYTES.toString('base64')) },
    { type: 'application/grpc-web-text', accept: '', body: Buffer.from('AAAAA') },
    { type: 'application/grpc-web-text', accept: '', body: Buffer.from('A-AA') },
    { type: 'application/grpc-web+json', accept: '*/*', body: BYTES },
    { type: 'Application/gRPC-Web', accept: '*/*', body: BYTES },
    { type: 'application/json', accept: 'application/grpc-web-text', body: BYTES },
  ].map((one) => ({ path, ...one })),
)

const digest = (body: Buffer): string => `${body.length} bytes, ${createHash('sha256').update(body).digest('hex')}`

const told = ({ status, headers, body }: Reply) => ({ status, ...Object.fromEntries(['content-type', 'content-length', 'grpc-status', 'grpc-message', 'transfer-encoding'].map((name) => [name, headers[name]])), body: digest(Buffer.from(body, 'latin1')) })
const got = ({ headers, body }: Came) => ({ ...Object.fromEntries(['content-type', 'content-length', 'te', 'grpc-accept-encoding', 'accept', ':path', ':method'].map((name) => [name, headers[name]])), body: digest(body) })

for (const version of ENVOY_VERSIONS) {
  test(`what clients of gRPC-Web are answered, and what their servers get, is what Envoy ${version} makes of it`, async (t) => {
    const app = await application(t)
    const ports = [await bundled(t, app.port), await stock(t, version, app.port)]
    for (const [nth, call] of CALLS.entries()) {
      const words = `${call.path} ${call.type} for ${call.accept}`
      const seen = []
      for (const port of ports) {
        const id = `${nth} ${port}`
        const reply = await ask(port, call.path, { method: 'POST', maxHeaderSize: 65_536, headers: { 'x-call': id, 'content-type': call.type, ...(call.accept === '' ? {} : { accept: call.accept }), 'content-length': call.body.length }, body: call.body })
        // Of a request that is refused in its middle the server may have seen the begin.
        seen.push({ reply: told(reply), came: reply.status === 400 ? [] : app.came.filter((one) => one.headers['x-call'] === id).map(got) })
      }
      assert.deepEqual(seen[0], seen[1], words)
    }
  })
}

test('each message goes on as it comes, in text as well', async (t) => {
  const app = await application(t)
  const port = await bundled(t, app.port)
  const call = httpRequest({ port, path: '/chat', method: 'POST', headers: { 'content-type': 'application/grpc-web-text', accept: 'application/grpc-web-text' } })
  let text = ''
  let heard: (() => void) | undefined
  const ended = new Promise<void>((done, failed) => {
    call.on('error', failed)
    call.on('response', (answer) => {
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        heard?.()
      })
      answer.on('end', () => done())
    })
  })
  for (const word of ['one', 'three', 'seven']) {
    text = ''
    const back = frame(Buffer.from(word)).toString('base64')
    // In pieces that part fours of letters.
    const sent = frame(Buffer.from(word)).toString('base64')
    call.write(sent.slice(0, 3))
    call.write(sent.slice(3))
    await new Promise<void>((done) => {
      heard = () => (text === back ? done() : undefined)
      heard()
    })
  }
  text = ''
  call.end()
  await ended
  assert.equal(Buffer.from(text, 'base64').toString('latin1'), `\x80\0\0\0\x0fgrpc-status:0\r\n`)
})

test('letters that come one by one are one body for a server of HTTP/1.1', async (t) => {
  const server = await httpServer(t, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => response.end(Buffer.concat(chunks)))
  })
  const { port } = await startProxy(t, { routes: [routePlan('/', forward('app'))], clusters: [['app', [server.port]]], http: { filters: [FILTER] } })
  const call = httpRequest({ port, path: '/', method: 'POST', headers: { 'content-type': 'application/grpc-web-text' } })
  const answered = new Promise<string>((done, failed) => {
    call.on('error', failed)
    call.on('response', (answer) => done(String(answer.resume().headers['grpc-message'] ?? '')))
  })
  call.setNoDelay(true)
  for (const letter of Buffer.from('word').toString('base64')) await new Promise<void>((sent) => call.write(letter, () => setImmediate(sent)))
  call.end()
  assert.equal(await answered, 'word')
})

test('letters that are none, behind the begin of an answer, break it off', async (t) => {
  const app = await application(t)
  const port = await bundled(t, app.port)
  const call = httpRequest({ port, path: '/chat', method: 'POST', headers: { 'content-type': 'application/grpc-web-text' } })
  const broken = new Promise<string>((done) => {
    call.on('error', (error) => done(error.message))
    call.on('response', (answer) => {
      answer.resume()
      answer.on('error', (error) => done(error.message))
      answer.on('end', () => done('ended'))
      call.write('?')
    })
  })
  call.write(frame(Buffer.from('one')).toString('base64'))
  assert.notEqual(await broken, 'ended')
})
