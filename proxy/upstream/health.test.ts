import assert from 'node:assert/strict'
import http2 from 'node:http2'
import { test } from 'node:test'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import type { ClusterPlan, HealthCheckPlan } from '#core/plan/cluster.ts'
import type { RetryPlan } from '#core/plan/route.ts'
import { parseRetryOn } from '#core/balance/retry.ts'
import { ask, httpServer, netServer, startProxy, until } from '../testing/peers.ts'
import { endpointPlan, forward, routePlan } from '../testing/plan.ts'

const every: Omit<HealthCheckPlan, 'how'> = { timeoutMs: 30_000, intervalMs: 20, noTrafficIntervalMs: 20, unhealthyIntervalMs: 20, unhealthyThreshold: 2, healthyThreshold: 2, port: 0 }
const byHttp: HealthCheckPlan = { ...every, how: { kind: 'http', host: 'health.example', path: '/healthz', method: 'GET', headers: [], statuses: [{ start: 200, end: 201 }] } }

test('an endpoint that fails its checks gets no requests until it passes them again', async (t) => {
  let sick = true
  let checks = 0
  const upstream = (name: string, isSick: () => boolean) =>
    httpServer(t, (request, response) => {
      if (request.url !== '/healthz') return response.end(name)
      checks += 1
      assert.equal(request.headers.host, 'health.example')
      return response.writeHead(isSick() ? 503 : 200).end()
    })
  const [a, b] = [await upstream('a', () => sick), await upstream('b', () => false)]
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [a.port, b.port], { healthChecks: [byHttp], balancer: 'round-robin' }]] })
  const ten = async (): Promise<string> => [...new Set(await Promise.all(Array.from({ length: 10 }, async () => (await ask(proxy.port, '/')).body)))].sort().join()
  const failing = (): string => [...(proxy.runtime.cluster('up')?.hosts.values() ?? [])].map((host) => host.failsCheck).join()
  await until(() => checks > 0 && failing() === 'true,false')
  assert.equal(await ten(), 'b')
  sick = false
  await until(() => failing() === 'false,false')
  assert.equal(await ten(), 'a,b')
  sick = true
  await until(() => failing() === 'true,false')
  assert.equal(await ten(), 'b')
})

test('a TCP check looks for the bytes that a healthy server says', async (t) => {
  const speaker = (word: string) => netServer(t, (socket) => socket.on('data', (bytes) => socket.end(bytes.toString() === 'PING' ? word : 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx')))
  const good = await speaker('+PONG')
  const bad = await speaker('-LOADING')
  const check: HealthCheckPlan = { ...every, how: { kind: 'tcp', send: Buffer.from('PING'), receive: [Buffer.from('+PONG')] } }
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [good.port, bad.port], { healthChecks: [check] }]] })
  await until(() => good.accepted() > 1 && [...(proxy.runtime.cluster('up')?.hosts.values() ?? [])].map((host) => host.failsCheck).join() === 'false,true')
})

test('a gRPC check asks for a service by its whole name, and believes SERVING alone', async (t) => {
  const service = 'a.service.with.a.long.name.'.repeat(6)
  const SERVING = 1
  const NOT_SERVING = 2
  let status = NOT_SERVING
  const asked = new Set<string>()
  const server = http2.createServer()
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      // A gRPC message: five bytes of head, then the request, whose field 1 is the name.
      const reader = new BinaryReader(Buffer.concat(chunks).subarray(5))
      const [field] = reader.tag()
      asked.add(`${String(headers[':path'])} ${field} ${reader.string()}`)
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.of(0, 0, 0, 0, 2, 0x08, status))
    })
    stream.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  const at = server.address()
  assert.ok(typeof at === 'object' && at !== null)
  const check: HealthCheckPlan = { ...every, how: { kind: 'grpc', service, authority: '' } }
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [at.port], { healthChecks: [check], protocol: 'http2' }]] })
  const fails = (): boolean[] => [...(proxy.runtime.cluster('up')?.hosts.values() ?? [])].map((host) => host.failsCheck)
  await until(() => fails().join() === 'true')
  status = SERVING
  await until(() => fails().join() === 'false')
  assert.deepEqual([...asked], [`/grpc.health.v1.Health/Check 1 ${service}`])
})

test('names are resolved to all their addresses', async (t) => {
  const upstream = await httpServer(t, (_request, response) => response.end('here'))
  const name = { ...endpointPlan(upstream.port), address: 'localhost', key: `localhost:${upstream.port}` }
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { autoHostRewrite: true }))], clusters: [['up', [name], { discovery: 'strict-dns' }]] })
  const cluster = proxy.runtime.cluster('up')
  await until(() => [...(cluster?.hosts.keys() ?? [])].join() === `127.0.0.1:${upstream.port}`)
  assert.equal((await ask(proxy.port, '/')).body, 'here')
})

test('a retry leaves out priorities that were tried', async (t) => {
  const bad = await httpServer(t, (_request, response) => response.writeHead(503).end())
  const spare = await httpServer(t, (_request, response) => response.end('spare'))
  const { flags } = parseRetryOn('5xx')
  const retry: RetryPlan = { on: flags, statusCodes: new Set(), retriesMax: 1, perTryTimeoutMs: 0, backoffBaseMs: 1, backoffMaxMs: 2, avoidTriedHosts: false, hostSelectionAttemptsMax: 1, avoidTriedPriorities: { updateFrequency: 1 } }
  const over: Partial<ClusterPlan> = {
    inlineEndpoints: { name: 'up', version: '1', localities: [{ locality: 'a', weight: 1, priority: 0, endpoints: [endpointPlan(bad.port)] }, { locality: 'b', weight: 1, priority: 1, endpoints: [endpointPlan(spare.port)] }] },
  }
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up', { retry }))], clusters: [['up', [], over]] })
  assert.equal((await ask(proxy.port, '/')).body, 'spare')
})
