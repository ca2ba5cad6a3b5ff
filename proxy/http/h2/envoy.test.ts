import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { peerMetadataOf, readPeerMetadata } from '../../telemetry/peer-metadata.ts'
import { createAuthority } from '../../testing/authority.ts'
import type { Authority } from '../../testing/authority.ts'
import { secretsOf, uriOf } from '../../testing/pair.ts'
import { ask, deadPort, httpServer, startProxy } from '../../testing/peers.ts'
import type { Reply } from '../../testing/peers.ts'
import { chainPlan, forward, httpPlan, listenerPlan, routePlan, tablePlan, testNode } from '../../testing/plan.ts'

/** A stock Envoy at either end of the hop between two sidecars. */

type Json = Record<string, unknown>
const TYPE = 'type.googleapis.com/envoy.extensions'

/** Certificate, key and roots of a workload, as files. */
function filesOf(authority: Authority, account: string, folder: string): Json {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const write = (name: string, text: string): { filename: string } => {
    const filename = join(folder, name)
    writeFileSync(filename, text)
    return { filename }
  }
  return {
    tls_certificates: [{ certificate_chain: write(`${account}.pem`, authority.issue(publicKey, { uri: uriOf(account) }, Date.now() - 60_000, Date.now() + 3_600_000)), private_key: write(`${account}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()) }],
    validation_context: { trusted_ca: write('roots.pem', authority.rootPem) },
  }
}

const tlsSocket = (kind: 'UpstreamTlsContext' | 'DownstreamTlsContext', context: Json): Json => ({ transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: { '@type': `${TYPE}.transport_sockets.tls.v3.${kind}`, ...context } } })

const clusterOf = (name: string, port: number, more: Json): Json => ({
  name,
  type: 'STATIC',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] }] },
  ...more,
})

const managerTo = (cluster: string, adds: Readonly<Record<string, string>> = {}): Json => ({
  name: 'envoy.filters.network.http_connection_manager',
  typed_config: {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'http',
    forward_client_cert_details: 'APPEND_FORWARD',
    set_current_client_cert_details: { uri: true },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` } }],
    route_config: { request_headers_to_add: Object.entries(adds).map(([key, value]) => ({ header: { key, value } })), virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster } }] }] },
  },
})

async function startEnvoy(t: TestContext, version: string, folder: string, port: number, chain: Json, cluster: Json): Promise<void> {
  const config = join(folder, 'envoy.json')
  writeFileSync(config, JSON.stringify({ static_resources: { listeners: [{ name: 'main', address: { socket_address: { address: '127.0.0.1', port_value: port } }, filter_chains: [chain] }], clusters: [cluster] } }))
  const child = spawn(await installEnvoy(version), ['-c', config, '--concurrency', '1', '-l', 'error', '--disable-hot-restart'], { stdio: 'ignore' })
  const ended = new Promise((gone) => child.once('exit', gone))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-h2-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const application = (t: TestContext) =>
  httpServer(t, (request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('end', () => response.end(JSON.stringify({ bytes, headers: request.headers })))
  })

/** Asks until somebody is there who answers 200. */
async function answered(port: number): Promise<void> {
  const deadline = performance.now() + 300_000
  while (performance.now() < deadline) {
    const reply = await ask(port, '/').catch(() => undefined)
    if (reply?.status === 200) return
    await new Promise((tick) => setTimeout(tick, 20))
  }
  throw new Error('no answer in 15 s')
}

const askMany = (port: number): Promise<Reply[]> => Promise.all(Array.from({ length: 40 }, (_, i) => ask(port, `/${i}`, { method: 'POST', body: Buffer.alloc(i * 10_000) })))

function checkAll(replies: readonly Reply[]): void {
  for (const [i, reply] of replies.entries()) {
    assert.equal(reply.status, 200, reply.body)
    const seen = JSON.parse(reply.body) as { bytes: number; headers: Record<string, string> }
    assert.equal(seen.bytes, i * 10_000)
    assert.match(seen.headers['x-forwarded-client-cert'] ?? '', new RegExp(`URI=${uriOf('checkout')}`))
  }
}

for (const version of ENVOY_VERSIONS) {
  test(`requests of a Weft sidecar share an HTTP/2 connection to Envoy ${version}`, async (t) => {
    const authority = createAuthority()
    const folder = temporary(t)
    const app = await application(t)
    const port = await deadPort()
    const chain = { filters: [managerTo('app')], ...tlsSocket('DownstreamTlsContext', { require_client_certificate: true, common_tls_context: { alpn_protocols: ['h2', 'http/1.1'], ...filesOf(authority, 'order', folder) } }) }
    await startEnvoy(t, version, folder, port, chain, clusterOf('app', app.port, {}))
    const tls = { certificate: 'default', trust: 'ROOTCA', allowedSans: [{ words: 'order', matches: (name: string) => name === uriOf('order') }], sni: 'order.prod', alpn: ['istio', 'h2', 'http/1.1'] }
    const before = await startProxy(t, { routes: [routePlan('/', forward('order'))], clusters: [['order', [port], { protocol: 'alpn', transports: [{ name: 'mtls', match: {}, tls }] }]], secrets: secretsOf(authority, 'checkout') })
    await answered(before.port)
    checkAll(await askMany(before.port))
    const connections = [...(before.runtime.cluster('order')?.hosts.values() ?? [])].map((host) => host.pool.connections)
    assert.deepEqual(connections, [1])
    // A stock Envoy has no filter that takes them away: its application sees who asks.
    const { headers } = JSON.parse((await ask(before.port, '/')).body) as { headers: Record<string, string> }
    assert.equal(headers['x-envoy-peer-metadata-id'], testNode.id)
    assert.equal(readPeerMetadata(headers['x-envoy-peer-metadata'] ?? '')?.workload, 'client-v1')
  })

  test(`an Envoy ${version} shares an HTTP/2 connection to a Weft sidecar`, async (t) => {
    const authority = createAuthority()
    const folder = temporary(t)
    const app = await application(t)
    const serverTls = { certificates: ['default'], trust: 'ROOTCA', requireClientCertificate: true, allowedSans: [], alpn: ['h2', 'http/1.1'], minVersion: 'TLSv1.2' as const, maxVersion: 'TLSv1.3' as const }
    const inbound = httpPlan(tablePlan([routePlan('/', forward('app'))]), { clientCertificateHeader: 'append', accessLog: [{ path: '/dev/stdout', json: true, fields: [] }] })
    const behind = await startProxy(t, { listener: listenerPlan('inbound', [chainPlan(inbound, { tls: serverTls })], { direction: 'inbound', inspectsTls: true }), clusters: [['app', [app.port]]], secrets: secretsOf(authority, 'order') })
    const port = await deadPort()
    const auto = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`, auto_config: {} } } }
    const tls = tlsSocket('UpstreamTlsContext', { sni: 'order.prod', common_tls_context: { alpn_protocols: ['istio', 'h2', 'http/1.1'], ...filesOf(authority, 'checkout', folder) } })
    await startEnvoy(t, version, folder, port, { filters: [managerTo('order', { 'x-envoy-peer-metadata-id': 'sidecar~10.0.0.1~web-1.prod~prod.svc.cluster.local', 'x-envoy-peer-metadata': peerMetadataOf({ ...testNode, id: 'sidecar~10.0.0.1~web-1.prod~x' }, 'web') })] }, clusterOf('order', behind.port, { ...auto, ...tls }))
    await answered(port)
    checkAll(await askMany(port))
    // As Istio's filter would have put them: read, counted by, taken away, and answered.
    const told = await ask(port, '/')
    const { headers } = JSON.parse(told.body) as { headers: Record<string, string> }
    assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith('x-envoy-peer')), [])
    assert.deepEqual([told.headers['x-envoy-peer-metadata-id'], readPeerMetadata(String(told.headers['x-envoy-peer-metadata']))?.workload], [testNode.id, 'client-v1'])
    assert.match(behind.runtime.metricsText(), /istio_requests_total\{[^}]*source_workload="web"/)
    const lines = await behind.log()
    assert.ok(lines.length >= 41 && lines.every((line) => line['protocol'] === 'HTTP/2'))
    assert.equal(behind.runtime.connections.size, 1)
  })
}
