import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EndpointPlan } from '#core/plan/endpoints.ts'
import { startPair } from '../testing/pair.ts'
import { ask, deadPort, httpServer, netServer, speak, startProxy } from '../testing/peers.ts'
import { chainPlan, endpointPlan, forward, listenerPlan, routePlan, toClusters } from '../testing/plan.ts'

/** Where nobody listens: servers of tests are at 127.0.0.1. */
const NOBODY = '127.255.255.250'
const reached = (port: number, further: readonly string[] = ['127.0.0.1']): EndpointPlan => endpointPlan(port, { address: NOBODY, further })

const server = (t: TestContext) => httpServer(t, (request, response) => response.end(`served ${request.url}`))

test('an endpoint whose first address refuses is reached at the next', async (t) => {
  const { port } = await server(t)
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [reached(port)]]] })
  assert.deepEqual([(await ask(proxy.port, '/a')).body, (await ask(proxy.port, '/b', { method: 'POST', body: 'x'.repeat(200_000) })).body], ['served /a', 'served /b'])
  const [line] = await proxy.log()
  assert.equal(line?.['upstream_host'], `${NOBODY}:${port}`, 'it is the same endpoint, by its name')
})

test('where no address takes the connection the reason is the network’s', async (t) => {
  const port = await deadPort()
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [reached(port, ['127.255.255.251'])]]] })
  assert.equal((await ask(proxy.port, '/')).status, 503)
  const [line] = await proxy.log()
  assert.deepEqual([line?.['response_flags'], line?.['upstream_transport_failure_reason']], ['UF', 'delayed connect error: Connection refused'])
})

test('bytes go to the next address, too', async (t) => {
  const echo = await netServer(t, (socket) => socket.pipe(socket))
  const proxy = await startProxy(t, { listener: listenerPlan('tcp', [chainPlan({ kind: 'tcp', clusters: toClusters('up'), idleTimeoutMs: 0, accessLog: [] })]), clusters: [['up', [reached(echo.port)]]] })
  assert.equal(await speak(proxy.port, 'hello', (heard) => heard === 'hello'), 'hello')
})

test('so do a PROXY header and what follows it', async (t) => {
  const said: string[] = []
  const upstream = await netServer(t, (socket) => socket.on('data', (bytes: Buffer) => (said.push(bytes.toString()), socket.end('done'))))
  const proxy = await startProxy(t, { listener: listenerPlan('tcp', [chainPlan({ kind: 'tcp', clusters: toClusters('up'), idleTimeoutMs: 0, accessLog: [] })]), clusters: [['up', [reached(upstream.port)], { proxyHeader: 1 }]] })
  assert.equal(await speak(proxy.port, 'hello'), 'done')
  assert.match(said.join(''), /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n/)
})

for (const offers of [['h2', 'http/1.1'], ['http/1.1']]) test(`over mutual TLS with ${offers[0]} the peer is judged as ever`, async (t) => {
  const app = await server(t)
  const { before, behind } = await startPair(t, app.port, { offers, endpoint: reached })
  assert.equal((await ask(before.port, '/a')).body, 'served /a')
  const [line] = await behind.log()
  assert.match(String(line?.['protocol']), offers[0] === 'h2' ? /HTTP\/2/ : /HTTP\/1\.1/)
})
