import assert from 'node:assert/strict'
import http2 from 'node:http2'
import net from 'node:net'
import { test } from 'node:test'
import type { LogServicePlan } from '#core/plan/http.ts'
import { systemDoors } from '#core/time/system.ts'
import { Runtime } from '../runtime.ts'
import { clusterPlan, endpointPlan, noSecrets, TestPlans, testNode } from '../testing/plan.ts'
import { until } from '../testing/peers.ts'

const service: LogServicePlan = { kind: 'otlp', cluster: 'logs', authority: 'logs:4317', logName: 'log', timeoutMs: 600_000, attributes: [], requestHeaders: [], responseHeaders: [] }
const entry = { startWallMs: 0, body: 'one', attributes: [] }

test('a service that does not answer costs entries past a bound, which are counted, and takes them again when it does', async (t) => {
  const waiting: http2.Http2ServerResponse[] = []
  let answers = false
  const answer = (response: http2.Http2ServerResponse): void => {
    response.setHeader('content-type', 'application/grpc')
    response.addTrailers({ 'grpc-status': '0' })
    response.end(Buffer.alloc(5))
  }
  const server = http2.createServer((request, response) => {
    request.resume()
    if (answers) answer(response)
    else waiting.push(response)
  })
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => void sockets.add(socket))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  t.after(() => {
    for (const one of sockets) one.destroy()
    server.close()
  })

  const plans = new TestPlans()
  plans.clusters.set('logs', clusterPlan('logs', [endpointPlan((server.address() as net.AddressInfo).port)], { protocol: 'http2' }))
  const runtime = new Runtime(systemDoors, plans, noSecrets, { node: testNode })
  t.after(() => runtime.close())
  runtime.applyCluster('logs')
  const { logServices } = runtime
  const queue = logServices.queueOf(service)

  const offer = (count: number): number => {
    let taken = 0
    for (let at = 0; at < count; at++) {
      if (!logServices.takes(queue)) continue
      logServices.add(queue, entry)
      taken += 1
    }
    return taken
  }
  assert.equal(offer(5000), 4096)
  assert.equal(logServices.dropped, 904)
  // Eight full batches are on their way, and hold their places.
  await until(() => waiting.length === 8)
  assert.equal(offer(1), 0)
  assert.match(runtime.metricsText(), /weft_proxy_log_entries_dropped_total 905\n/)
  answers = true
  for (const one of waiting) answer(one)
  await logServices.flush()
  assert.equal(offer(10), 10)
  await logServices.flush()
  assert.equal(logServices.dropped, 905)
})

test('entries for a service that cannot be reached are counted as dropped', async (t) => {
  const runtime = new Runtime(systemDoors, new TestPlans(), noSecrets, { node: testNode })
  t.after(() => runtime.close())
  runtime.logServices.add(runtime.logServices.queueOf(service), entry)
  await runtime.logServices.flush()
  assert.equal(runtime.logServices.dropped, 1)
})
