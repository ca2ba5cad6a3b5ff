import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forward, routePlan } from '../testing/plan.ts'
import { ask, httpServer, startProxy } from '../testing/peers.ts'
import { Identifiers } from './identifiers.ts'

const hello = { listener: (_request: unknown, response: { end(text: string): void }): void => response.end('hello') }

test('istio_requests_total counts by source, destination, code and flags, histograms with it', async (t) => {
  const upstream = await httpServer(t, hello.listener)
  const workload = { name: 'order-v2', namespace: 'prod', service: 'order-service', version: 'v2', cluster: 'c1' }
  const proxy = await startProxy(t, {
    routes: [routePlan('/up', forward('up'))],
    clusters: [['up', [{ key: `127.0.0.1:${upstream.port}`, address: '127.0.0.1', port: upstream.port, weight: 1, health: 'healthy', hostname: '', transport: {}, workload }]]],
  })
  for (let i = 0; i < 3; i++) await ask(proxy.port, '/up')
  await ask(proxy.port, '/none')
  const lines = proxy.runtime.metricsText().split('\n')
  const total = lines.filter((line) => line.startsWith('istio_requests_total{'))
  assert.equal(total.length, 2)
  const ok = total.find((line) => line.includes('response_code="200"')) ?? ''
  for (const label of ['reporter="source"', 'source_workload="client-v1"', 'source_workload_namespace="prod"', 'destination_workload="order-v2"', 'destination_service="up.prod.svc.cluster.local"', 'destination_service_name="up"', 'destination_version="v2"', 'request_protocol="http"', 'response_flags="-"', 'connection_security_policy="unknown"']) assert.ok(ok.includes(label), `${label} in ${ok}`)
  assert.ok(ok.endsWith(' 3'))
  assert.ok(total.some((line) => line.includes('response_code="404",response_flags="NR"') && line.endsWith(' 1')))
  assert.ok(lines.some((line) => line.startsWith('istio_response_bytes_sum{') && line.includes('response_code="200"') && line.endsWith(' 15')))
  assert.ok(lines.some((line) => line.startsWith('istio_request_duration_milliseconds_count{') && line.includes('response_code="200"') && line.endsWith(' 3')))
})

test('a text log follows its format; a JSON log has numbers, nulls, origin and revision', async (t) => {
  const upstream = await httpServer(t, (_request, response) => response.setHeader('x-up', 'a"b').end('hello'))
  const origin = { resource: 'VirtualService/prod/order', field: 'http[0]', revision: 41 }
  const fields = [
    { name: 'code', format: '%RESPONSE_CODE%' },
    { name: 'up', format: '%RESP(X-UP)%' },
    { name: 'none', format: '%REQ(X-NONE)%' },
    { name: 'both', format: '%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%' },
  ]
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'), { origin })], http: { accessLog: [{ path: 'a', json: true, fields }] }, clusters: [['up', [upstream.port]]] })
  await ask(proxy.port, '/x?y')
  assert.deepEqual(await proxy.log(), [{ code: 200, up: 'a"b', none: null, both: 'GET /x?y', weft_revision: 41, weft_origin: 'VirtualService/prod/order http[0]' }])
})

test('a log that leaves out what is empty has no field and no dash for it', async (t) => {
  const upstream = await httpServer(t, hello.listener)
  const fields = [
    { name: 'none', format: '%REQ(X-NONE)%' },
    { name: 'code', format: '%RESPONSE_CODE%' },
    { name: 'both', format: '%REQ(:METHOD)% %REQ(X-NONE)%' },
  ]
  const accessLog = [{ path: 'a', json: true, fields, omitsEmpty: true as const }, { path: 'a', json: false, fields: [{ name: '', format: '"%REQ(X-NONE)% %REQ(:METHOD)%"' }], omitsEmpty: true as const }]
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], http: { accessLog }, clusters: [['up', [upstream.port]]] })
  await ask(proxy.port, '/')
  const [json, line] = await proxy.log()
  assert.deepEqual([{ ...json, weft_revision: 0 }, line], [{ code: 200, both: 'GET ', weft_revision: 0 }, ' GET'])
})

test('a forged line cannot be written into the log', async (t) => {
  const proxy = await startProxy(t, { routes: [], clusters: [] })
  await ask(proxy.port, '/a', { headers: { 'user-agent': 'x","response_code":"200' } })
  const [line] = await proxy.log()
  assert.equal(line?.['user_agent'], 'x","response_code":"200')
  assert.equal(line?.['response_code'], 404)
})

test('load since the last report is told once', async (t) => {
  const upstream = await httpServer(t, (request, response) => response.writeHead(request.url === '/bad' ? 500 : 200).end())
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port]]] })
  await ask(proxy.port, '/')
  await ask(proxy.port, '/bad')
  const [load] = proxy.runtime.takeLoads()
  assert.deepEqual([load?.issued, load?.succeeded, load?.failed, load?.cluster], [2, 1, 1, 'up'])
  assert.deepEqual(proxy.runtime.takeLoads(), [])
})

test('a client without the cookie of its route gets one, and stays with its endpoint', async (t) => {
  const named = (name: string) => httpServer(t, (_request, response) => response.end(name))
  const servers = await Promise.all(['a', 'b', 'c'].map(named))
  const proxy = await startProxy(t, {
    routes: [routePlan('/', forward('up', { hash: [{ by: 'cookie', name: 'user', ttlMs: 60_000, path: '/', terminal: false }] }))],
    clusters: [['up', servers.map((server) => server.port), { balancer: 'ring-hash' }]],
  })
  const first = await ask(proxy.port, '/')
  const cookie = /user="([0-9a-f]{16})"; Max-Age=60; Path=\/; HttpOnly/.exec(String(first.headers['set-cookie']))
  assert.ok(cookie)
  for (let i = 0; i < 10; i++) assert.equal((await ask(proxy.port, '/', { headers: { cookie: `user=${cookie[1]}` } })).body, first.body)
})

test('ids are hex digits, and never the same; a UUID says that it is random', () => {
  const identifiers = new Identifiers()
  const seen = new Set<string>()
  for (let i = 0; i < 2000; i++) {
    const uuid = identifiers.uuid()
    const span = identifiers.hex(8)
    assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.match(span, /^[0-9a-f]{16}$/)
    seen.add(uuid).add(span)
  }
  assert.equal(seen.size, 4000)
})
