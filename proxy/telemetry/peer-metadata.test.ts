import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import https from 'node:https'
import { test } from 'node:test'
import type { Authority } from '../testing/authority.ts'
import { startPair, uriOf } from '../testing/pair.ts'
import { ask, httpServer, type Reply, startProxy } from '../testing/peers.ts'
import { forward, routePlan, testNode } from '../testing/plan.ts'
import { TrafficMetrics } from './metrics.ts'
import { peerMetadataOf, readPeerMetadata } from './peer-metadata.ts'

/** As istio-proxy 1.24 sends it for a pod `web-1` of deployment `web`: a Struct of NAME, NAMESPACE, WORKLOAD_NAME and LABELS {app: web}, encoded by hand from the wire format. */
function istioMetadata(namespace: string): string {
  const field = (number: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
  const text = (value: string): Buffer => field(3, Buffer.from(value))
  const entry = (name: string, value: Buffer): Buffer => field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, value)]))
  const labels = field(5, Buffer.concat([entry('app', text('web')), entry('service.istio.io/canonical-name', text('web-service'))]))
  return Buffer.concat([entry('NAME', text('web-1')), entry('NAMESPACE', text(namespace)), entry('WORKLOAD_NAME', text('web')), entry('LABELS', labels)]).toString('base64')
}

/** One request over mutual TLS, as another mesh proxy makes it. */
function askAsPeer(port: number, authority: Authority, account: string, headers: Record<string, string>): Promise<Reply> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cert = authority.issue(publicKey, { uri: uriOf(account) }, Date.now() - 60_000, Date.now() + 3_600_000)
  const options = { host: '127.0.0.1', port, path: '/', headers, cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }), ca: authority.rootPem, servername: 'peer', checkServerIdentity: () => undefined, agent: false }
  return new Promise((resolve, reject) => {
    https
      .get(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }))
      })
      .on('error', reject)
  })
}

const named = (headers: object): string[] => Object.keys(headers).filter((name) => name.startsWith('x-envoy-peer-metadata'))

test('what a proxy says of itself is what its peers read', () => {
  assert.deepEqual(readPeerMetadata(peerMetadataOf(testNode, 'client-v1')), { workload: 'client-v1', namespace: 'prod', cluster: 'c1', app: 'client', version: 'v1', service: 'client', revision: 'v1' })
  for (const text of ['', '?', 'AAAA', 'x'.repeat(9000)]) assert.equal(readPeerMetadata(text)?.workload ?? '', '')
})

test('between sidecars it goes over, counts, and reaches neither application', async (t) => {
  const app = await httpServer(t, (request, response) => response.end(JSON.stringify(request.headers)))
  const { before, behind } = await startPair(t, app.port)
  const reply = await ask(before.port, '/', { headers: { 'x-envoy-peer-metadata': 'forged', 'x-envoy-peer-metadata-id': 'forged' } })
  assert.equal(reply.status, 200)
  assert.deepEqual(named(reply.headers), [])
  assert.deepEqual(named(JSON.parse(reply.body) as object), [])
  const total = behind.runtime.metricsText().split('\n').find((line) => line.startsWith('istio_requests_total{')) ?? ''
  for (const label of ['source_workload="client-v1"', 'source_workload_namespace="prod"', 'source_app="client"', 'source_version="v1"', 'source_canonical_service="client"', 'source_canonical_revision="v1"', 'source_cluster="c1"']) assert.ok(total.includes(label), `${label} in ${total}`)
})

test('a proxy of Istio is read and answered in its own form, and believed within its namespace', async (t) => {
  const app = await httpServer(t, (request, response) => response.end(JSON.stringify(request.headers)))
  const { behind, authority } = await startPair(t, app.port)
  const id = 'sidecar~10.0.0.1~web-1.prod~prod.svc.cluster.local'
  for (const [namespace, seen] of [['prod', 'source_app="web"'], ['other', 'source_app="unknown"']] as const) {
    const reply = await askAsPeer(behind.port, authority, 'checkout', { 'x-envoy-peer-metadata': istioMetadata(namespace), 'x-envoy-peer-metadata-id': id })
    assert.deepEqual(named(JSON.parse(reply.body) as object), [])
    assert.equal(reply.headers['x-envoy-peer-metadata-id'], testNode.id)
    assert.equal(readPeerMetadata(String(reply.headers['x-envoy-peer-metadata']))?.workload, 'client-v1')
    assert.ok(behind.runtime.metricsText().includes(seen), seen)
  }
  assert.deepEqual(named((await askAsPeer(behind.port, authority, 'checkout', {})).headers), [])
})

test('what a server says of itself stays within the mesh', async (t) => {
  const app = await httpServer(t, (_request, response) => response.setHeader('x-envoy-peer-metadata', istioMetadata('prod')).setHeader('X-Envoy-Peer-Metadata-Id', 'sidecar~x').end())
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [app.port]]] })
  assert.deepEqual(named((await ask(proxy.port, '/')).headers), [])
})

test('a peer of many names is counted under none of them in the end', () => {
  const metrics = new TrafficMetrics(testNode, uriOf('order'))
  const ids = new Set<number>()
  for (let n = 0; n < 3000; n++) ids.add(metrics.source(uriOf('a'), `sidecar~10.0.0.1~a-${n}.prod~x`, true).id)
  assert.ok(ids.size <= 1001, `${ids.size}`)
  assert.ok(!ids.has(metrics.selfSecured.id))
  assert.ok(!ids.has(metrics.source('', '', false).id))
})
