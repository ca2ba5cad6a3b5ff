import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { httpServer, startProxy, until } from '../../testing/peers.ts'
import { forward, routePlan } from '../../testing/plan.ts'
import { call, connect } from '../../testing/http2-peers.ts'

/** An upstream that says what it got. */
const echo = (t: TestContext) =>
  httpServer(t, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      response.setHeader('x-method', request.method ?? '')
      response.setHeader('x-url', request.url ?? '')
      response.setHeader('x-seen', JSON.stringify(request.headers))
      response.setHeader('Set-Cookie', ['a=1', 'b=2'])
      response.end(Buffer.concat(chunks))
    })
  })

test('an HTTP/2 client with prior knowledge is served as one of HTTP/1.1 is', async (t) => {
  const upstream = await echo(t)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const session = await connect(t, proxy.port)
  const reply = await call(session, { ':path': '/a?b=c', 'x-word': 'grüß'.normalize(), cookie: 'one=1' })
  assert.equal(reply.headers[':status'], 200)
  assert.equal(reply.headers['x-url'], '/a?b=c')
  assert.deepEqual(reply.headers['set-cookie'], ['a=1', 'b=2'])
  const seen = JSON.parse(String(reply.headers['x-seen'])) as Record<string, string>
  assert.equal(seen['host'], `127.0.0.1:${proxy.port}`)
  assert.equal(seen['cookie'], 'one=1')
  assert.equal(seen['x-forwarded-proto'], 'http')
  const [line] = await proxy.log()
  assert.equal(line?.['protocol'], 'HTTP/2')
  assert.equal(line?.['response_code'], 200)
  assert.match(proxy.runtime.metricsText(), /istio_requests_total\{[^}]*response_code="200"/)
})

test('many requests at once, with bodies larger than any window, come back whole', async (t) => {
  const upstream = await echo(t)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const session = await connect(t, proxy.port)
  const bodies = Array.from({ length: 40 }, (_, i) => Buffer.alloc(i * 40_000, 65 + (i % 26)))
  const replies = await Promise.all(bodies.map((body, i) => call(session, { ':method': 'POST', ':path': `/${i}` }, body)))
  for (const [i, reply] of replies.entries()) {
    assert.equal(reply.headers[':status'], 200)
    assert.ok(reply.body.equals(bodies[i] ?? Buffer.alloc(0)), `body ${i}`)
  }
  for (let i = 0; i < 200; i++) assert.equal((await call(session, { ':path': `/again/${i}`, 'x-fixed': 'same' })).headers['x-url'], `/again/${i}`)
})

test('a request that is none of HTTP/1.1 either is refused before it leaves', async (t) => {
  const upstream = await echo(t)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const session = await connect(t, proxy.port)
  for (const headers of [{ ':path': '/a b' }, { ':path': '/a#b' }, { ':path': 'x' }, { ':authority': 'a b' }, { ':authority': '' }]) {
    assert.equal((await call(session, headers)).headers[':status'], 400, JSON.stringify(headers))
  }
  assert.equal((await call(session, { 'x-large': 'x'.repeat(70_000) })).headers[':status'], 431)
  assert.equal((await call(session, {})).headers[':status'], 200)
})

test('a WebSocket over HTTP/2 reaches a server of HTTP/1.1 (RFC 8441)', async (t) => {
  const seen: Record<string, unknown>[] = []
  const upstream = await httpServer(t, (_request, response) => response.end('no'))
  upstream.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    seen.push({ ...request.headers, method: request.method, url: request.url })
    if (request.url === '/refused') return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\nx-word: yes\r\n\r\nfirst')
    socket.on('data', (bytes: Buffer) => socket.write(`re: ${bytes.toString()}`))
    socket.on('end', () => socket.end('bye'))
    socket.on('error', () => undefined)
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const session = await connect(t, proxy.port)
  await until(() => session.remoteSettings?.enableConnectProtocol === true)
  const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', ':scheme': 'http', ':authority': 'shop', 'sec-websocket-version': '13' }, { endStream: false })
  let text = ''
  stream.on('data', (bytes: Buffer) => (text += bytes.toString()))
  const headers = await new Promise<Record<string, unknown>>((got, failed) => stream.once('response', got).once('error', failed))
  assert.equal(headers[':status'], 200)
  assert.equal(headers['x-word'], 'yes')
  assert.equal(headers['sec-websocket-accept'], undefined)
  stream.write('one')
  await until(() => text === 'firstre: one')
  stream.end()
  await new Promise((closed) => stream.once('close', closed))
  assert.equal(seen[0]?.['method'], 'GET')
  assert.equal(seen[0]?.['upgrade'], 'websocket')
  assert.match(String(seen[0]?.['sec-websocket-key']), /^[A-Za-z0-9+/]{22}==$/)
  const refused = await call(session, { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/refused', ':scheme': 'http', ':authority': 'shop' })
  assert.equal(refused.headers[':status'], 403)
  assert.equal((await call(session, { ':path': '/' })).body.toString(), 'no')
  await until(() => proxy.runtime.tunnels.size === 0 && proxy.runtime.active.size === 0)
})

test('a draining proxy finishes the streams under way, and its clients go elsewhere', async (t) => {
  let finish: (() => void) | undefined
  const upstream = await httpServer(t, (_request, response) => (finish = () => void response.end('whole')))
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const session = await connect(t, proxy.port)
  const reply = call(session, { ':path': '/' })
  await until(() => finish !== undefined)
  const gone = new Promise((closed) => session.once('close', closed))
  const drained = proxy.runtime.drain(10_000)
  await new Promise((goaway) => session.once('goaway', goaway))
  finish?.()
  assert.equal((await reply).body.toString(), 'whole')
  await Promise.all([drained, gone])
})
