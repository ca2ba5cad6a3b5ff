import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { TcpPlan } from '#core/plan/listener.ts'
import { netServer, speak, startProxy, until } from '../testing/peers.ts'
import type { TestProxy } from '../testing/peers.ts'
import { chainPlan, listenerPlan, toClusters } from '../testing/plan.ts'

const plan = (over: Partial<TcpPlan> = {}): TcpPlan => ({ kind: 'tcp', clusters: toClusters('up'), idleTimeoutMs: 0, accessLog: [{ path: '/dev/stdout', json: true, fields: [] }], ...over })

const start = (t: TestContext, port: number, over: Partial<TcpPlan> = {}, cluster: Partial<ClusterPlan> = {}): Promise<TestProxy> =>
  startProxy(t, { listener: listenerPlan('tcp', [chainPlan(plan(over))]), clusters: [['up', [port], cluster]] })

/** A forward proxy of node:http that opens tunnels, to one address. */
async function forwardProxy(t: TestContext, answer = 'HTTP/1.1 200 Connection established\r\n\r\n'): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = []
  const server = http.createServer()
  server.on('connect', (request: http.IncomingMessage, socket: net.Socket, head: Buffer) => {
    asked.push(String(request.url))
    socket.on('error', () => socket.destroy())
    if (!answer.includes(' 200 ')) return void socket.end(answer)
    const [host = '', port = ''] = String(request.url).split(':')
    const out = net.connect({ host, port: Number(port), allowHalfOpen: true }, () => {
      socket.write(answer)
      out.write(head)
      socket.pipe(out).pipe(socket)
    })
    out.on('error', () => socket.destroy())
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, asked }
}

test('through a forward proxy a connection goes to its target by CONNECT, both ways and to the end', async (t) => {
  const target = await netServer(t, (socket) => {
    let heard = ''
    socket.write('welcome ')
    socket.on('data', (bytes: Buffer) => (heard += bytes.toString()))
    socket.on('end', () => socket.end(`you said ${heard}`))
  }, { allowHalfOpen: true })
  const forward = await forwardProxy(t)
  const tunnelTo = `127.0.0.1:${target.port}`
  const proxy = await start(t, forward.port, { tunnelTo })
  const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end('hello'))
  t.after(() => socket.destroy())
  let heard = ''
  socket.on('data', (bytes: Buffer) => (heard += bytes.toString()))
  await new Promise((ended) => socket.once('end', ended))
  assert.equal(heard, 'welcome you said hello')
  assert.deepEqual(forward.asked, [tunnelTo])
})

for (const [words, answer, reason] of [
  ['a forward proxy that refuses', 'HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n', 'tunnel_refused:407'],
  ['a server that is no proxy', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 'tunnel_refused:no_answer'],
] as const) {
  test(`${words} gets none of the client's bytes, and the log says why`, async (t) => {
    const received: string[] = []
    const refusing = await netServer(t, (socket) => socket.on('data', (bytes: Buffer) => {
      received.push(bytes.toString('latin1'))
      socket.write(answer)
    }))
    const proxy = await start(t, refusing.port, { tunnelTo: 'db.example:5432' })
    assert.equal(await speak(proxy.port, 'secret').catch(() => ''), '')
    assert.deepEqual(received, ['CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\n'])
    const [line] = await proxy.log()
    assert.equal(line?.['response_flags'], 'UF,URX')
    assert.match(JSON.stringify(line), new RegExp(reason))
  })
}

test('a forward proxy that says nothing is given up after the connect timeout', async (t) => {
  const silent = await netServer(t, (socket) => void socket.resume())
  const proxy = await start(t, silent.port, { tunnelTo: 'db.example:5432' }, { connectTimeoutMs: 200 })
  assert.equal(await speak(proxy.port, 'secret').catch(() => ''), '')
})

test('the end of one direction leaves the other open, from either side', async (t) => {
  const upstream = await netServer(t, (socket) => {
    socket.once('data', () => socket.end('first'))
    let after = ''
    socket.on('data', (bytes: Buffer) => (after += bytes.toString()))
    socket.on('end', () => ends.push(after))
  }, { allowHalfOpen: true })
  const ends: string[] = []
  const proxy = await start(t, upstream.port)
  const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write('a'))
  t.after(() => socket.destroy())
  let heard = ''
  socket.on('data', (bytes: Buffer) => (heard += bytes.toString()))
  await new Promise((ended) => socket.once('end', ended))
  assert.equal(heard, 'first')
  socket.end('bcd')
  await until(() => ends.length === 1)
  assert.equal(ends[0], 'abcd')
  await until(() => proxy.runtime.tunnels.size === 0)
})

test('a side that does not read makes the other wait, and nothing is lost', async (t) => {
  const size = 32 * 1024 * 1024
  const upstream = await netServer(t, (socket) => void socket.end(Buffer.alloc(size, 'x')))
  const proxy = await start(t, upstream.port)
  const before = process.memoryUsage().rss
  const socket = net.connect(proxy.port, '127.0.0.1')
  t.after(() => socket.destroy())
  await until(() => proxy.runtime.tunnels.size === 1)
  await new Promise((later) => setTimeout(later, 300))
  const grown = process.memoryUsage().rss - before
  // The server holds the whole answer itself; the proxy must not hold it a second time.
  assert.ok(grown < 1.6 * size, `${Math.round(grown / 1024 / 1024)} MB`)
  let received = 0
  socket.on('data', (bytes: Buffer) => (received += bytes.length))
  await new Promise((ended) => socket.once('end', ended))
  assert.equal(received, size)
})

test('a connection that is silent for too long is closed, and one that lasts too long too', async (t) => {
  const upstream = await netServer(t, (socket) => void socket.pipe(socket))
  const idle = await start(t, upstream.port, { idleTimeoutMs: 500 })
  const quiet = net.connect(idle.port, '127.0.0.1', () => quiet.write('a'))
  await new Promise((closed) => quiet.resume().once('close', closed))
  const bounded = await start(t, upstream.port, { lifetimeMaxMs: 1000 })
  const busy = net.connect(bounded.port, '127.0.0.1')
  busy.on('error', () => busy.destroy())
  const drip = setInterval(() => busy.write('a'), 50)
  t.after(() => clearInterval(drip))
  await new Promise((closed) => busy.resume().once('close', closed))
})

test('connections of one address go to one endpoint where the balancer is a ring', async (t) => {
  const counts = await Promise.all([0, 1, 2, 3].map(() => netServer(t, (socket) => void socket.end('x'))))
  const proxy = await startProxy(t, { listener: listenerPlan('tcp', [chainPlan(plan({ hashesSource: true }))]), clusters: [['up', counts.map((one) => one.port), { balancer: 'ring-hash' }]] })
  for (let i = 0; i < 12; i++) assert.equal(await speak(proxy.port, ''), 'x')
  assert.deepEqual(counts.map((one) => one.accepted()).filter((count) => count > 0), [12])
})

test('bytes of a connection are in the metrics while it is open, and once when it is over', async (t) => {
  const upstream = await netServer(t, (socket) => void socket.once('data', () => socket.write('eight ch')))
  const proxy = await start(t, upstream.port)
  const socket = net.connect({ port: proxy.port, host: '127.0.0.1' }, () => socket.write('hello'))
  t.after(() => socket.destroy())
  await new Promise((came) => socket.once('data', came))
  const counted = (): string[] => proxy.runtime.metricsText().split('\n').flatMap((line) => /^(istio_tcp_(?:sent|received)_bytes_total)\{.*\} (\d+)$/.exec(line)?.slice(1).join(' ') ?? [])
  const both = ['istio_tcp_received_bytes_total 5', 'istio_tcp_sent_bytes_total 8']
  assert.deepEqual(counted().sort(), both)
  assert.deepEqual(counted().sort(), both)
  socket.end()
  await until(() => /^istio_tcp_connections_closed_total\{.*\} 1$/m.test(proxy.runtime.metricsText()))
  assert.deepEqual(counted().sort(), both)
})
