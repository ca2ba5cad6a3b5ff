import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { jsonLog } from '../admin/log.ts'
import { readBootstrap } from '../bootstrap/read-bootstrap.ts'
import type { FinishedSpan } from './span.ts'
import { Spans } from './spans.ts'

const { node } = readBootstrap({ WEFT_XDS: '127.0.0.1:1', WEFT_XDS_PLAINTEXT: 'true', WEFT_NAME: 'order-v1', WEFT_NAMESPACE: 'prod', WEFT_LABELS: 'app=order' }, 'sidecar', {
  readFile: () => '',
  ownAddress: () => '10.0.0.1',
  hostName: () => 'h',
  version: '1.2.3',
})

const span: FinishedSpan = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentId: '00f067aa0ba902b7',
  traceState: '',
  name: 'order-service.prod.svc.cluster.local:8080/*',
  kind: 'client',
  startWallMs: 1_700_000_000_000.25,
  endWallMs: 1_700_000_000_012.5,
  failed: true,
  attributes: { 'http.status_code': 503, 'response_flags': 'UF' },
}

test('spans reach an OTLP receiver whole, the first ones too, which had to wait for the exporter', async (t) => {
  const bodies: { resourceSpans: { resource: { attributes: { key: string; value: { stringValue?: string } }[] }; scopeSpans: { spans: Record<string, unknown>[] }[] }[] }[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (part) => (text += String(part)))
    request.on('end', () => {
      bodies.push(JSON.parse(text))
      response.setHeader('content-type', 'application/json').end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const spans = new Spans(systemDoors.clock, `http://127.0.0.1:${address.port}/v1/traces`, node, jsonLog(systemDoors.clock, () => {}))
  spans.onSpan(span)
  spans.onSpan({ ...span, spanId: '0000000000000001', parentId: '', kind: 'server', failed: false })
  await spans.stop()
  const resources = bodies.flatMap(({ resourceSpans }) => resourceSpans)
  const service = resources[0]?.resource.attributes.find(({ key }) => key === 'service.name')
  assert.equal(service?.value.stringValue, 'order.prod')
  const got = resources.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
  assert.equal(got.length, 2)
  const [first = {}, second = {}] = got
  assert.deepEqual(
    [first['traceId'], first['spanId'], first['parentSpanId'], first['kind'], first['name'], first['startTimeUnixNano'], first['endTimeUnixNano'], first['status']],
    [span.traceId, span.spanId, span.parentId, 3, span.name, '1700000000000250000', '1700000000012500000', { code: 2 }],
  )
  assert.equal(second['parentSpanId'], undefined)
  assert.equal(second['kind'], 2)
})

// The exporter itself tries for ten seconds.
test('a receiver that is away does not hold up a proxy that ends', { timeout: 9000 }, async () => {
  const spans = new Spans(systemDoors.clock, 'http://127.0.0.1:1/v1/traces', node, jsonLog(systemDoors.clock, () => {}))
  spans.onSpan(span)
  await spans.stop()
  assert.equal(spans.dropped, 0)
})
