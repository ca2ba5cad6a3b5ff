import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterPlan } from '#core/plan/cluster.ts'
import { call, connect, http2Server } from '../../testing/http2-peers.ts'
import { ask, httpServer, speak, startProxy, until } from '../../testing/peers.ts'
import { startPair, uriOf } from '../../testing/pair.ts'
import { forward, routePlan } from '../../testing/plan.ts'

const http2: Partial<ClusterPlan> = { protocol: 'http2' }

test('requests of HTTP/1.1 share one connection to an HTTP/2 server', async (t) => {
  const upstream = await http2Server(t, (stream, headers) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      stream.respond({ ':status': 201, 'x-path': headers[':path'] ?? '', 'x-authority': headers[':authority'] ?? '', 'x-te': headers['te'] ?? '', 'x-latin': headers['x-latin'] ?? '' })
      stream.end(Buffer.concat(chunks))
    })
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], http2]] })
  const replies = await Promise.all(Array.from({ length: 60 }, (_, i) => ask(proxy.port, `/${i}?q`, { method: 'POST', headers: { connection: 'close', 'x-latin': '\u00e9\u00ff' }, body: Buffer.alloc(i * 10_000, 97) })))
  for (const [i, reply] of replies.entries()) {
    assert.equal(reply.status, 201)
    assert.equal(reply.headers['x-path'], `/${i}?q`)
    assert.equal(reply.headers['x-authority'], `127.0.0.1:${proxy.port}`)
    assert.equal(reply.headers['x-latin'], '\u00e9\u00ff')
    assert.equal(reply.body.length, i * 10_000)
  }
  assert.equal(upstream.sessions(), 1)
  for (let i = 0; i < 20; i++) assert.equal((await ask(proxy.port, '/again')).status, 201)
  assert.equal(upstream.sessions(), 1)
  const [line] = await proxy.log()
  assert.equal(line?.['protocol'], 'HTTP/1.1')
})

test('an answer without a body is told apart from one whose length is unknown', async (t) => {
  const upstream = await http2Server(t, (stream, headers) => {
    if (headers[':path'] === '/empty') stream.respond({ ':status': 200 }, { endStream: true })
    else if (headers[':path'] === '/none') stream.respond({ ':status': 204 }, { endStream: true })
    else if (headers[':method'] === 'HEAD') stream.respond({ ':status': 200, 'content-length': '12' }, { endStream: true })
    else {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42', 'content-length': '3' }))
      stream.end('streamed')
    }
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], http2]] })
  const empty = await ask(proxy.port, '/empty')
  assert.equal(empty.headers['content-length'], '0')
  assert.equal((await ask(proxy.port, '/none')).headers['content-length'], undefined)
  assert.equal((await ask(proxy.port, '/head', { method: 'HEAD' })).headers['content-length'], '12')
  const streamed = await speak(proxy.port, 'GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n')
  assert.match(streamed, /transfer-encoding: chunked\r\n[^]*\r\n8\r\nstreamed\r\n0\r\nx-sum: 42\r\n\r\n$/)
})

test('more requests than a connection takes wait for a stream, or for another connection', async (t) => {
  const waiting: (() => void)[] = []
  let most = 0
  const upstream = await http2Server(
    t,
    (stream) => {
      most = Math.max(most, waiting.push(() => stream.respond({ ':status': 200 }, { endStream: true })))
      if (waiting.length === 10) for (const answer of waiting.splice(0)) answer()
    },
    { settings: { maxConcurrentStreams: 5 } },
  )
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], http2]] })
  const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(proxy.port, `/${i}`)))
  assert.ok(replies.every((reply) => reply.status === 200))
  assert.equal(most, 10)
  assert.ok(upstream.sessions() >= 2)
})

test('a stream that the server refuses is tried again, whatever the method; one that it gives up is answered 503', async (t) => {
  let refused = 0
  const upstream = await http2Server(t, (stream, headers) => {
    if (headers[':path'] === '/refuse' && refused++ === 0) stream.close(7)
    else if (headers[':path'] === '/cancel') stream.close(8)
    else {
      stream.resume()
      stream.on('end', () => {
        stream.respond({ ':status': 200 })
        stream.end('ok')
      })
    }
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], http2]] })
  assert.equal((await ask(proxy.port, '/refuse', { method: 'POST' })).status, 200)
  const cancelled = await ask(proxy.port, '/cancel')
  assert.equal(cancelled.status, 503)
  assert.match(cancelled.body, /remote reset/)
  assert.equal((await proxy.log())[1]?.['response_flags'], 'UR')
  assert.equal((await ask(proxy.port, '/')).status, 200)
})

test('a server that goes away finishes what it took, and the rest goes elsewhere', async (t) => {
  let first = true
  const upstream = await http2Server(t, (stream) => {
    if (first) {
      first = false
      stream.session?.goaway(0)
    }
    stream.respond({ ':status': 200 })
    stream.end('done')
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], http2]] })
  for (let i = 0; i < 5; i++) assert.equal((await ask(proxy.port, `/${i}`, { method: 'POST', body: 'x' })).body, 'done')
  assert.equal(upstream.sessions(), 2)
})

test('a client that goes away cancels its stream and no other', async (t) => {
  let cancelled = 0
  const upstream = await http2Server(t, (stream, headers) => {
    stream.on('close', () => (cancelled += headers[':path'] === '/slow' ? 1 : 0))
    if (headers[':path'] === '/slow') return
    stream.respond({ ':status': 200 }, { endStream: true })
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], { protocol: 'as-downstream' }]] })
  const session = await connect(t, proxy.port)
  const slow = session.request({ ':path': '/slow' })
  slow.on('error', () => undefined)
  await call(session, { ':path': '/' })
  slow.close(8)
  await until(() => cancelled === 1)
  assert.equal((await call(session, { ':path': '/' })).headers[':status'], 200)
  assert.equal(upstream.sessions(), 1)
})

test('a stalled reader holds up its own stream alone, and memory stays bounded', async (t) => {
  let sent = 0
  const upstream = await http2Server(t, (stream, headers) => {
    // Else node:http2 resets the stream as soon as its answer is written, before END_STREAM.
    stream.resume()
    stream.respond({ ':status': 200 })
    if (headers[':path'] === '/small') return void stream.end('small')
    const more = (): void => {
      while (sent < 64 * 1024 * 1024) {
        sent += 64 * 1024
        if (!stream.write(Buffer.alloc(64 * 1024))) return void stream.once('drain', more)
      }
      stream.end()
    }
    more()
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], { protocol: 'as-downstream' }]] })
  const session = await connect(t, proxy.port)
  const big = session.request({ ':path': '/big' })
  big.on('error', () => undefined)
  big.pause()
  await new Promise((seen) => big.once('response', seen))
  for (let i = 0; i < 50; i++) assert.equal((await call(session, { ':path': '/small' })).body.toString(), 'small')
  assert.ok(sent < 4 * 1024 * 1024, `${sent} bytes were taken from a server whose client does not read`)
  let got = 0
  for await (const chunk of big) got += (chunk as Buffer).length
  assert.equal(got, 64 * 1024 * 1024)
})

// ---- between sidecars

const both = ['h2', 'http/1.1']

for (const [name, serves, protocol] of [['h2 is chosen where both speak it', both, 'HTTP/2'], ['HTTP/1.1 where the called side knows nothing else', ['http/1.1'], 'HTTP/1.1'], ['HTTP/1.1 where nothing is chosen', [], 'HTTP/1.1']] as const) {
  test(`between sidecars: ${name}`, async (t) => {
    const app = await httpServer(t, (request, response) => {
      request.resume()
      request.on('end', () => response.end(JSON.stringify(request.headers)))
    })
    const { before, behind } = await startPair(t, app.port, { serves, offers: both })
    const replies = await Promise.all(Array.from({ length: 30 }, (_, i) => ask(before.port, `/${i}`, { method: 'POST', body: 'x'.repeat(i * 5000) })))
    for (const reply of replies) {
      assert.equal(reply.status, 200, reply.body)
      const seen = JSON.parse(reply.body) as Record<string, string>
      assert.match(seen['x-forwarded-client-cert'] ?? '', new RegExp(`URI=${uriOf('checkout')}$`))
      assert.equal(seen['x-envoy-peer-metadata-id'], undefined)
    }
    const lines = await behind.log()
    assert.equal(lines.length, 30)
    assert.ok(lines.every((line) => line['protocol'] === protocol))
    assert.equal(behind.runtime.connections.size === 1, protocol === 'HTTP/2')
    assert.match(behind.runtime.metricsText(), /source_principal="spiffe:\/\/cluster\.local\/ns\/prod\/sa\/checkout".*connection_security_policy="mutual_tls"\} 30/)
  })
}
