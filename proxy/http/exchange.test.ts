import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import type { RetryPlan } from '#core/plan/route.ts'
import { parseRetryOn } from '#core/balance/retry.ts'
import { systemDoors } from '#core/time/system.ts'
import { LeapingClock } from '#test/parts/leaping-clock.ts'
import { endpointPlan, forward, limitOf, routePlan, toClusters } from '../testing/plan.ts'
import { ask, deadPort, httpServer, netServer, speak, startProxy, until } from '../testing/peers.ts'

const echo: http.RequestListener = (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    response.setHeader('x-path', request.url ?? '')
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, trailers: request.trailers, body: Buffer.concat(chunks).toString('latin1') }))
  })
}

const retry = (on: string, over: Partial<RetryPlan> = {}): RetryPlan => {
  const { flags, statusCodes } = parseRetryOn(on)
  return { on: flags, statusCodes: new Set(statusCodes), retriesMax: 2, perTryTimeoutMs: 0, backoffBaseMs: 5, backoffMaxMs: 20, avoidTriedHosts: true, hostSelectionAttemptsMax: 5, ...over }
}

test('a request is forwarded with its body, and answered with the upstream\'s', async (t) => {
  const upstream = await httpServer(t, echo)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const reply = await ask(proxy.port, '/a?b=1', { method: 'POST', body: 'hello', headers: { 'x-one': '1', connection: 'keep-alive, x-hop', 'x-hop': 'gone' } })
  const seen = JSON.parse(reply.body) as { url: string; body: string; headers: Record<string, string> }
  assert.equal(reply.status, 200)
  assert.equal(reply.headers['server'], 'weft')
  assert.equal(seen.url, '/a?b=1')
  assert.equal(seen.body, 'hello')
  assert.equal(seen.headers['x-one'], '1')
  assert.equal(seen.headers['x-hop'], undefined)
  assert.equal(seen.headers['x-envoy-attempt-count'], '1')
  assert.match(seen.headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/)
  assert.equal(seen.headers['x-forwarded-proto'], 'http')
})

test('requests on one connection, pipelined, are answered in order', async (t) => {
  const upstream = await httpServer(t, echo)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const one = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  const received = await speak(proxy.port, one('/1') + one('/2') + 'GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  assert.deepEqual([...received.matchAll(/x-path: (\S+)/g)].map((found) => found[1]), ['/1', '/2', '/3'])
})

test('upstream connections are kept and used again', async (t) => {
  const sockets = new Set<net.Socket>()
  const upstream = await httpServer(t, echo)
  upstream.on('connection', (socket: net.Socket) => sockets.add(socket))
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  for (let i = 0; i < 20; i++) await ask(proxy.port, '/')
  assert.equal(sockets.size, 1)
})

test('chunked bodies and trailers pass both ways', async (t) => {
  const upstream = await httpServer(t, (request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'transfer-encoding': 'chunked', trailer: 'x-sum' })
      response.write('part one,')
      response.addTrailers({ 'x-sum': request.trailers['x-in'] ?? 'none' })
      response.end('part two')
    })
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const received = await speak(proxy.port, 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nx-in: 7\r\n\r\n')
  assert.match(received, /transfer-encoding: chunked/i)
  assert.match(received, /part one,/)
  assert.match(received, /0\r\nx-sum: 7\r\n\r\n$/i)
})

test('HEAD, 204 and 304 have no body, and the connection goes on', async (t) => {
  const upstream = await httpServer(t, (request, response) => {
    if (request.url === '/204') response.writeHead(204).end()
    else if (request.url === '/304') response.writeHead(304).end()
    else response.writeHead(200, { 'content-length': 5 }).end(request.method === 'HEAD' ? undefined : 'hello')
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const received = await speak(proxy.port, 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /204 HTTP/1.1\r\nHost: x\r\n\r\nGET /304 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  assert.deepEqual([...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((found) => found[1]), ['200', '204', '304', '200'])
  assert.match(received, /hello$/)
})

test('Expect: 100-continue is answered before the body is asked for', async (t) => {
  const upstream = await httpServer(t, echo)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const reply = await new Promise<string>((resolve, reject) => {
    const socket = net.connect(proxy.port, '127.0.0.1', () => socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n'))
    let received = ''
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString()
      if (received === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write('abc')
    })
    socket.on('end', () => resolve(received))
    socket.on('error', reject)
  })
  assert.match(reply, /"body":"abc"/)
})

test('no route: 404 NR', async (t) => {
  const proxy = await startProxy(t, { routes: [], clusters: [] })
  assert.equal((await ask(proxy.port, '/')).status, 404)
  const [line] = await proxy.log()
  assert.equal(line?.['response_flags'], 'NR')
  assert.equal(line?.['response_code_details'], 'route_not_found')
})

test('no healthy endpoint: 503 UH; no cluster: 503 NC; nobody listens: 503 UF', async (t) => {
  const proxy = await startProxy(t, {
    routes: [routePlan('/empty', forward('empty')), routePlan('/gone', forward('gone')), routePlan('/dead', forward('dead'))],
    clusters: [['empty', []], ['dead', [await deadPort()]]],
  })
  const empty = await ask(proxy.port, '/empty')
  assert.deepEqual([empty.status, empty.body], [503, 'no healthy upstream'])
  assert.equal((await ask(proxy.port, '/gone')).status, 503)
  const dead = await ask(proxy.port, '/dead')
  assert.equal(dead.status, 503)
  assert.match(dead.body, /^upstream connect error or disconnect\/reset before headers\. reset reason: remote connection failure/)
  assert.deepEqual((await proxy.log()).map((line) => line['response_flags']), ['UH', 'NC', 'UF'])
})

test('a malformed request is refused with 400, logged, and the connection closed', async (t) => {
  const proxy = await startProxy(t, { routes: [], clusters: [] })
  const received = await speak(proxy.port, 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n')
  assert.match(received, /^HTTP\/1\.1 400 Bad Request\r\n/)
  assert.match(received, /connection: close/)
  assert.equal((await proxy.log())[0]?.['response_flags'], 'DPE')
})

test('a request that takes too long: 504 UT, and not before', async (t) => {
  const upstream = await httpServer(t, () => undefined)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { timeoutMs: 300 }))], clusters: [['up', [upstream.port]]] })
  const from = performance.now()
  const reply = await ask(proxy.port, '/')
  const took = performance.now() - from
  assert.deepEqual([reply.status, reply.body], [504, 'upstream request timeout'])
  assert.ok(took >= 295, `${took} ms`)
  assert.equal((await proxy.log())[0]?.['response_flags'], 'UT')
})

test('a 503 is tried again elsewhere, and the upstream is told which try it is', async (t) => {
  const counts: string[] = []
  const bad = await httpServer(t, (request, response) => {
    counts.push(String(request.headers['x-envoy-attempt-count']))
    response.writeHead(503).end()
  })
  const good = await httpServer(t, echo)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { retry: retry('gateway-error', { hostSelectionAttemptsMax: 50 }) }))], clusters: [['up', [bad.port, good.port]]] })
  for (let i = 0; i < 10; i++) {
    const reply = await ask(proxy.port, '/', { method: 'PUT', body: 'again' })
    assert.equal(reply.status, 200)
    assert.match(reply.body, /"body":"again"/)
  }
  assert.ok(counts.length > 0)
  assert.ok(counts.every((count) => count === '1'))
})

test('when all tries fail, the last answer is given, flagged URX', async (t) => {
  let tries = 0
  const bad = await httpServer(t, (_request, response) => {
    tries += 1
    response.writeHead(503).end('no')
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { retry: retry('5xx') }))], clusters: [['up', [bad.port]]] })
  assert.equal((await ask(proxy.port, '/')).status, 503)
  assert.equal(tries, 3)
  assert.equal((await proxy.log())[0]?.['response_flags'], 'URX')
})

test('each try has its own timeout', async (t) => {
  let tries = 0
  const slow = await httpServer(t, (request, response) => {
    tries += 1
    if (tries > 1) echo(request, response)
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { retry: retry('gateway-error', { perTryTimeoutMs: 1000 }), timeoutMs: 120_000 }))], clusters: [['up', [slow.port]]] })
  assert.equal((await ask(proxy.port, '/')).status, 200)
  assert.equal(tries, 2)
})

test('a retry does not follow an answer that the policy does not name', async (t) => {
  let tries = 0
  const upstream = await httpServer(t, (_request, response) => {
    tries += 1
    response.writeHead(500).end()
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { retry: retry('gateway-error,connect-failure') }))], clusters: [['up', [upstream.port]]] })
  assert.equal((await ask(proxy.port, '/')).status, 500)
  assert.equal(tries, 1)
})

/** Answers the first request of each connection, and cuts the connection at the second. */
function cutsSecond(seen: string[]): (socket: net.Socket) => void {
  return (socket) => {
    let requests = 0
    socket.on('data', (bytes: Buffer) => {
      requests += 1
      seen.push(bytes.toString().split(' ')[0] ?? '')
      if (requests === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      else socket.destroy()
    })
  }
}

test('a kept-alive connection that breaks under a GET costs the client nothing', async (t) => {
  const seen: string[] = []
  const upstream = await netServer(t, cutsSecond(seen))
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  for (let i = 0; i < 5; i++) assert.equal((await ask(proxy.port, '/')).status, 200)
})

test('a POST on a connection that breaks is not delivered twice: 503 UC', async (t) => {
  const seen: string[] = []
  const upstream = await netServer(t, cutsSecond(seen))
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  assert.equal((await ask(proxy.port, '/')).status, 200)
  const reply = await ask(proxy.port, '/', { method: 'POST', body: 'pay' })
  assert.equal(reply.status, 503)
  assert.match(reply.body, /connection termination/)
  assert.deepEqual(seen, ['GET', 'POST'])
  assert.equal((await proxy.log())[1]?.['response_flags'], 'UC')
})

test('an upstream that closes an idle connection fails no request', async (t) => {
  const sockets = new Set<net.Socket>()
  const upstream = await netServer(t, (socket) => {
    sockets.add(socket)
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'))
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  for (let i = 0; i < 5; i++) {
    assert.equal((await ask(proxy.port, '/', { method: 'POST', body: 'x' })).status, 200)
    for (const socket of sockets) socket.end()
    await until(() => proxy.runtime.clusterReports()[0]?.connections === 0)
  }
})

test('the request past the pending limit: 503 UO', async (t) => {
  const waiting: http.ServerResponse[] = []
  const upstream = await httpServer(t, (_request, response) => void waiting.push(response))
  const proxy = await startProxy(t, {
    routes: [routePlan('/', forward('up'))],
    clusters: [['up', [upstream.port], { limits: { connectionsMax: 1, pendingMax: 100, requestsMax: 1024, retriesMax: 3 } }]],
  })
  const agent = new http.Agent({ maxSockets: 200 })
  t.after(() => agent.destroy())
  const replies: number[] = []
  const send = (): Promise<void> => ask(proxy.port, '/', { agent }).then((reply) => void replies.push(reply.status))
  const all = [send()]
  await until(() => waiting.length === 1)
  for (let i = 0; i < 100; i++) all.push(send())
  await until(() => proxy.runtime.clusterReports()[0]?.pending === 100)
  const refused = await ask(proxy.port, '/')
  assert.equal(refused.status, 503)
  assert.equal(refused.headers['x-envoy-overloaded'], 'true')
  assert.match(refused.body, /reset reason: overflow$/)
  const answered = setInterval(() => waiting.splice(0).forEach((response) => response.end()), 1)
  await Promise.all(all)
  clearInterval(answered)
  assert.ok(replies.every((status) => status === 200))
  assert.ok((await proxy.log()).some((line) => line['response_flags'] === 'UO'))
})

test('an endpoint that fails is ejected, and comes back', async (t) => {
  let failing = true
  let hits = 0
  const bad = await httpServer(t, (_request, response) => {
    hits += 1
    response.writeHead(failing ? 503 : 200).end()
  })
  const good = await httpServer(t, echo)
  const clock = new LeapingClock()
  const proxy = await startProxy(t, {
    doors: { clock, random: systemDoors.random },
    routes: [routePlan('/', forward('up'))],
    clusters: [['up', [bad.port, good.port], { outlier: { consecutive5xx: 3, consecutiveGatewayFailure: 0, consecutiveLocalOrigin: 0, splitLocalOrigin: false, intervalMs: 50, baseEjectionMs: 3_600_000, maxEjectionMs: 3_600_000, maxEjectionPercent: 100, minHealthPercent: 0 } }]],
  })
  const ejected = (): boolean => proxy.runtime.clusterReports()[0]?.hosts.some((host) => host.ejected) === true
  while (!ejected()) await ask(proxy.port, '/')
  const before = hits
  assert.equal(before, 3)
  for (let i = 0; i < 20; i++) assert.equal((await ask(proxy.port, '/')).status, 200)
  assert.equal(hits, before)
  failing = false
  clock.leap(3_600_000)
  await until(() => !ejected())
  const isBack = (): boolean => hits > before
  while (!isBack()) assert.equal((await ask(proxy.port, '/')).status, 200)
})

test('a mirror gets a copy under a -shadow name, and its answer is nobody\'s', async (t) => {
  const upstream = await httpServer(t, echo)
  const seen: string[] = []
  const shadow = await httpServer(t, (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      seen.push(`${request.headers.host} ${body}`)
      response.writeHead(500).end('ignored')
    })
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { mirrors: [{ cluster: 'shadow', percent: 100 }] }))], clusters: [['up', [upstream.port]], ['shadow', [shadow.port]]] })
  const reply = await ask(proxy.port, '/', { method: 'POST', body: 'copy me', headers: { host: 'order-service:8080' } })
  assert.equal(reply.status, 200)
  await until(() => seen.length === 1)
  assert.deepEqual(seen, ['order-service-shadow:8080 copy me'])
  assert.equal((await ask(proxy.port, '/', { headers: { host: 'order-service:8080' } })).status, 200)
  assert.equal((await ask(proxy.port, '/', { method: 'POST', body: 'last', headers: { host: 'order-service:8080' } })).status, 200)
  await until(() => seen.includes('order-service-shadow:8080 last'))
  assert.equal(seen.filter((one) => one === 'order-service-shadow:8080 ').length, 1, 'a request without a body is copied once')
})

test('a dead or silent mirror slows nobody', async (t) => {
  const upstream = await httpServer(t, echo)
  const silent = await httpServer(t, () => undefined)
  const proxy = await startProxy(t, {
    routes: [routePlan('/', forward('up', { mirrors: [{ cluster: 'dead', percent: 100 }, { cluster: 'silent', percent: 100 }] }))],
    clusters: [['up', [upstream.port]], ['dead', [await deadPort()]], ['silent', [silent.port]]],
  })
  for (let i = 0; i < 20; i++) assert.equal((await ask(proxy.port, '/')).status, 200)
})

test('WebSocket: after 101 bytes pass both ways, early ones too', async (t) => {
  const upstream = await httpServer(t, echo)
  upstream.on('upgrade', (request, socket) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${request.headers.upgrade}\r\n\r\nfirst;`)
    socket.on('data', (bytes: Buffer) => socket.write(bytes.toString().toUpperCase()))
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { timeoutMs: 200 }))], clusters: [['up', [upstream.port]]] })
  const received = await speak(proxy.port, 'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\nhello', (text) => text.includes('HELLO'))
  assert.match(received, /^HTTP\/1\.1 101 Switching Protocols\r\n/)
  assert.match(received, /first;HELLO$/)
  await until(() => proxy.runtime.tunnels.size === 0)
  assert.equal((await proxy.log())[0]?.['response_code'], 101)
})

test('a slow reader of 16 MiB holds the upstream back, not the memory', async (t) => {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  let sent = 0
  const total = 16 * 1024 * 1024
  const upstream = await httpServer(t, (_request, response) => {
    response.writeHead(200, { 'content-length': total })
    const more = (): void => {
      while (sent < total) {
        sent += chunk.length
        if (!response.write(chunk)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  let received = 0
  await new Promise<void>((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port: proxy.port, path: '/', agent: false }, (response) => {
      response.pause()
      let quiet = 0
      let last = -1
      // Once the upstream stands still, what is between the two is bounded: by kernel buffers and ours.
      const look = setInterval(() => {
        if (sent === last) quiet += 1
        else quiet = 0
        last = sent
        if (quiet < 20) return
        clearInterval(look)
        try {
          assert.ok(sent < total, `everything was taken: ${sent}`)
        } catch (error) {
          reject(error as Error)
        }
        response.on('data', (bytes: Buffer) => (received += bytes.length))
        response.on('end', resolve)
        response.resume()
      }, 10)
    })
    request.on('error', reject)
  })
  assert.equal(received, total)
})

test('a 16 MiB upload to a slow server holds the client back', async (t) => {
  let received = 0
  let release = (): void => undefined
  const upstream = await httpServer(t, (request, response) => {
    release = () => {
      request.on('data', (bytes: Buffer) => (received += bytes.length))
      request.on('end', () => response.end('done'))
    }
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const total = 16 * 1024 * 1024
  const reply = ask(proxy.port, '/', { method: 'POST', body: Buffer.alloc(total, 'y') })
  await until(() => (proxy.runtime.clusterReports()[0]?.requests ?? 0) === 1)
  await new Promise((settled) => setTimeout(settled, 200))
  let held = 0
  for (const exchange of proxy.runtime.active) held = exchange.requestBytes
  assert.ok(held < total, `${held} taken`)
  release()
  assert.equal((await reply).body, 'done')
  assert.equal(received, total)
})

test('weights divide the traffic, and headers are changed as the route says', async (t) => {
  const one = await httpServer(t, (_request, response) => response.end('one'))
  const two = await httpServer(t, (request, response) => response.setHeader('x-internal', 's').end(`two ${request.headers['x-subset']} ${request.headers['x-gone']}`))
  const entry = (cluster: string, weight: number) => ({ cluster, weight, origin: undefined, requestHeaders: { set: [{ name: 'x-subset', value: cluster }], add: [], remove: ['x-gone'] }, responseHeaders: { set: [{ name: 'x-by', value: '%UPSTREAM_CLUSTER%' }], add: [], remove: ['x-internal'] } })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('', { clusters: toClusters(entry('c1', 50), entry('c2', 50)) }))], clusters: [['c1', [one.port]], ['c2', [two.port]]] })
  const bodies = new Map<string, number>()
  for (let i = 0; i < 60; i++) {
    const reply = await ask(proxy.port, '/', { headers: { 'x-subset': 'mine', 'x-gone': '1' } })
    assert.match(String(reply.headers['x-by']), /^c[12]$/)
    assert.equal(reply.headers['x-internal'], undefined)
    bodies.set(reply.body, (bodies.get(reply.body) ?? 0) + 1)
  }
  assert.deepEqual([...bodies.keys()].sort(), ['one', 'two c2 undefined'])
})

test('RBAC denies with 403 and names the policy in the log', async (t) => {
  const upstream = await httpServer(t, echo)
  const policy = { name: 'ns[prod]-policy[payment-authz]-rule[0]', origin: { resource: 'AuthorizationPolicy/prod/payment-authz', field: 'rules[0]', revision: 42 }, permission: { words: 'method POST', matches: (request: { method: string } | undefined) => request?.method === 'POST' }, principal: { words: 'anyone', matches: () => true } }
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], http: { filters: [{ kind: 'rbac', name: 'rbac', policy: { action: 'deny', policies: [policy], shadow: false } }] }, clusters: [['up', [upstream.port]]] })
  assert.equal((await ask(proxy.port, '/')).status, 200)
  const denied = await ask(proxy.port, '/', { method: 'POST', body: 'x' })
  assert.deepEqual([denied.status, denied.body, denied.headers['connection']], [403, 'RBAC: access denied', 'close'])
  const line = (await proxy.log())[1]
  assert.equal(line?.['response_code_details'], 'rbac_access_denied_matched_policy[ns[prod]-policy[payment-authz]-rule[0]]')
  assert.match(String(line?.['weft_policy']), /^AuthorizationPolicy\/prod\/payment-authz rules\[0\]/)
})

test('faults delay and abort, CORS answers preflights, a local limit says 429', async (t) => {
  const upstream = await httpServer(t, echo)
  const cors = { allowOrigins: [{ words: 'any', matches: () => true }], allowMethods: 'GET', allowHeaders: 'x-a', exposeHeaders: 'x-b', maxAge: '60', allowCredentials: true }
  const proxy = await startProxy(t, {
    routes: [
      routePlan('/abort', forward('up'), { fault: { delayMs: 0, delayPercent: 0, abortStatus: 418, abortPercent: 100 } }),
      routePlan('/delay', forward('up'), { fault: { delayMs: 120, delayPercent: 100, abortStatus: 0, abortPercent: 0 } }),
      routePlan('/', forward('up'), { cors }),
    ],
    http: { filters: [{ kind: 'cors', name: 'cors' }, { kind: 'fault', name: 'fault', fault: { delayMs: 0, delayPercent: 0, abortStatus: 0, abortPercent: 0 } }, { kind: 'local-rate-limit', name: 'limit', limit: limitOf({ tokensMax: 3, tokensPerFill: 1, fillIntervalMs: 3_600_000 }) }] },
    clusters: [['up', [upstream.port]]],
  })
  const aborted = await ask(proxy.port, '/abort')
  assert.deepEqual([aborted.status, aborted.body], [418, 'fault filter abort'])
  const from = performance.now()
  const delayed = await ask(proxy.port, '/delay', { method: 'POST', body: 'kept' })
  assert.match(delayed.body, /"body":"kept"/)
  assert.ok(performance.now() - from >= 119)
  const preflight = await ask(proxy.port, '/', { method: 'OPTIONS', headers: { origin: 'http://o', 'access-control-request-method': 'GET' } })
  assert.deepEqual([preflight.status, preflight.headers['access-control-allow-origin'], preflight.headers['access-control-allow-methods']], [200, 'http://o', 'GET'])
  const plain = await ask(proxy.port, '/', { headers: { origin: 'http://o' } })
  assert.equal(plain.headers['access-control-allow-origin'], 'http://o')
  assert.equal((await ask(proxy.port, '/')).status, 200)
  const limited = await ask(proxy.port, '/')
  assert.deepEqual([limited.status, limited.body], [429, 'local_rate_limited'])
  assert.deepEqual((await proxy.log()).map((line) => line['response_flags']), ['FI', 'DI', null, null, null, 'RL'])
})

test('a client that leaves is logged DC, and the upstream request ends', async (t) => {
  let closed = false
  let arrived = false
  const upstream = await httpServer(t, (request) => {
    arrived = true
    request.on('close', () => (closed = true))
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const request = http.get({ host: '127.0.0.1', port: proxy.port, path: '/', agent: false })
  request.on('error', () => undefined)
  await until(() => arrived)
  request.destroy()
  await until(() => closed)
  assert.equal((await proxy.log())[0]?.['response_flags'], 'DC')
})

test('a new route table takes the next request, and the running one ends under the old', async (t) => {
  let finish = (): void => undefined
  const old = await httpServer(t, (_request, response) => (finish = () => void response.end('old')))
  const young = await httpServer(t, (_request, response) => response.end('young'))
  const proxy = await startProxy(t, { http: { routes: { kind: 'named', name: 'r' } }, clusters: [['old', [old.port]], ['young', [young.port]]] })
  const table = (cluster: string) => ({ name: 'r', version: cluster, exact: new Map(), suffixes: [], prefixes: [], any: { name: 'all', routes: [routePlan('/', forward(cluster))], requireTls: false }, ignorePort: false, requestHeadersToRemove: [] })
  proxy.plans.tables.set('r', table('old'))
  const first = ask(proxy.port, '/')
  await until(() => proxy.runtime.clusterReports()[0]?.requests === 1)
  proxy.plans.tables.set('r', table('young'))
  proxy.plans.clusters.delete('old')
  proxy.runtime.removeCluster('old')
  assert.equal((await ask(proxy.port, '/')).body, 'young')
  finish()
  assert.equal((await first).body, 'old')
})

test('drain waits for what runs, and asks clients to close', async (t) => {
  let finish = (): void => undefined
  let asked = false
  const upstream = await httpServer(t, (_request, response) => {
    asked = true
    finish = () => void response.end('done')
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  const agent = new http.Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const reply = ask(proxy.port, '/', { agent })
  await until(() => asked && proxy.runtime.active.size === 1)
  const drained = proxy.runtime.drain(5000)
  await assert.rejects(ask(proxy.port, '/'))
  finish()
  const { body, headers } = await reply
  assert.deepEqual([body, headers['connection']], ['done', 'close'])
  await drained
})

test('traces go on: traceparent names our span as the parent, and a sampled span is handed over', async (t) => {
  const upstream = await httpServer(t, echo)
  const spans: { traceId: string; spanId: string; parentId: string }[] = []
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], http: { tracing: { serviceName: 's', samplingPercent: 0 } }, clusters: [['up', [upstream.port]]], onSpan: (span) => spans.push(span) })
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const reply = await ask(proxy.port, '/', { headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } })
  const seen = (JSON.parse(reply.body) as { headers: Record<string, string> }).headers['traceparent']
  assert.equal(spans.length, 1)
  assert.equal(seen, `00-${trace}-${spans[0]?.spanId}-01`)
  assert.equal(spans[0]?.parentId, '00f067aa0ba902b7')
  const unsampled = await ask(proxy.port, '/')
  assert.match((JSON.parse(unsampled.body) as { headers: Record<string, string> }).headers['traceparent'] ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  assert.equal(spans.length, 1)
})

test('an unhealthy endpoint gets nothing', async (t) => {
  const good = await httpServer(t, (_request, response) => response.end('good'))
  const bad = await httpServer(t, (_request, response) => response.end('bad'))
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [good.port, endpointPlan(bad.port, { health: 'unhealthy' })]]] })
  for (let i = 0; i < 10; i++) assert.equal((await ask(proxy.port, '/')).body, 'good')
})

test('what cannot be read is not logged under the request before it', async (t) => {
  const upstream = await httpServer(t, echo)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  await speak(proxy.port, 'GET /first HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n')
  assert.deepEqual((await proxy.log()).map((line) => [line['path'], line['response_code']]), [['/first', 200], [null, 400]])
})
