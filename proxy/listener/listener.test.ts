import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import http from 'node:http'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import tls from 'node:tls'
import type { ClientTlsPlan } from '#core/plan/cluster.ts'
import type { ChainMatch, FilterChainPlan, ListenerPlan, ServerTlsPlan, StringMatchPlan } from '#core/plan/listener.ts'
import type { Log } from '../admin/log.ts'
import { Secrets } from '../identity/secrets.ts'
import { createAuthority } from '../testing/authority.ts'
import type { Authority } from '../testing/authority.ts'
import { ask, httpServer, netServer, speak, startProxy, until } from '../testing/peers.ts'
import type { TestProxy } from '../testing/peers.ts'
import { chainPlan, forward, httpPlan, listenerPlan, routePlan, tablePlan, toClusters } from '../testing/plan.ts'

const quiet: Log = { level: 'off', debug() {}, info() {}, warn() {}, error() {} }
const exactly = (name: string): StringMatchPlan => ({ words: `exact ${name}`, matches: (text) => text === name })
const uriOf = (account: string): string => `spiffe://cluster.local/ns/prod/sa/${account}`

function secretsOf(authority: Authority, account: string, trusts: Authority = authority): Secrets {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const secrets = new Secrets(quiet)
  secrets.put({ kind: 'certificate', name: 'default', version: '1', chainPem: authority.issue(publicKey, { uri: uriOf(account) }, Date.now() - 60_000, Date.now() + 3_600_000), keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
  secrets.put({ kind: 'trust', name: 'ROOTCA', version: '1', rootsPem: trusts.rootPem })
  return secrets
}

const serverTls: ServerTlsPlan = { certificates: ['default'], trust: 'ROOTCA', requireClientCertificate: true, allowedSans: [], alpn: ['h2', 'http/1.1'], minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }
const clientTls: ClientTlsPlan = { certificate: 'default', trust: 'ROOTCA', allowedSans: [exactly(uriOf('order'))], sni: 'outbound_.8080_._.order.prod.svc.cluster.local', alpn: ['istio'] }
const match = (over: Partial<ChainMatch>): ChainMatch => ({ destinationPort: undefined, serverNames: [], transportProtocol: '', applicationProtocols: [], ...over })
const toApp = (over = {}) => httpPlan(tablePlan([routePlan('/', forward('app'))]), { clientCertificateHeader: 'append', accessLog: [{ path: '/dev/stdout', json: true, fields: [] }], ...over })

const inbound = (chains: readonly FilterChainPlan[]): ListenerPlan => listenerPlan('inbound', chains, { direction: 'inbound', inspectsTls: true })
const strict = (): ListenerPlan => inbound([chainPlan(toApp(), { match: match({ transportProtocol: 'tls' }), tls: serverTls })])
const permissive = (): ListenerPlan => inbound([chainPlan(toApp(), { match: match({ transportProtocol: 'tls' }), tls: serverTls }), chainPlan(toApp(), { match: match({ transportProtocol: 'raw_buffer' }) })])

const app: http.RequestListener = (request, response) => {
  let body = ''
  request.on('data', (chunk: Buffer) => (body += chunk.toString()))
  request.on('end', () => response.end(JSON.stringify({ headers: request.headers, body })))
}

async function pair(t: TestContext, listener: ListenerPlan, client: Secrets, server: Secrets, transport = clientTls): Promise<{ client: TestProxy; server: TestProxy }> {
  const upstream = await httpServer(t, app)
  const behind = await startProxy(t, { listener, clusters: [['app', [upstream.port]]], secrets: server })
  const before = await startProxy(t, { routes: [routePlan('/', forward('order'))], clusters: [['order', [behind.port], { transports: [{ name: 'mtls', match: {}, tls: transport }] }]], secrets: client })
  return { client: before, server: behind }
}

/** One request over a TLS connection of its own, which resumes `session` when there is one. Answers what came, and a session to resume. */
async function askOver(t: TestContext, port: number, client: Secrets, session?: Buffer): Promise<{ answer: string; resumed: boolean; session: Buffer | undefined }> {
  const socket = tls.connect({ host: '127.0.0.1', port, secureContext: client.clientContext(clientTls), servername: 'order', checkServerIdentity: () => undefined, ...(session && { session }) })
  t.after(() => socket.destroy())
  let given: Buffer | undefined
  let resumed = false
  socket.once('secureConnect', () => (resumed = socket.isSessionReused()))
  socket.on('session', (ticket) => (given = ticket))
  let answer = ''
  socket.setEncoding('latin1').on('data', (text: string) => (answer += text))
  socket.write('GET / HTTP/1.1\r\nhost: order\r\nconnection: close\r\n\r\n')
  const failure = await new Promise<string>((ended) => socket.once('error', ({ message }) => ended(message)).once('close', () => ended('')))
  return { answer: answer + failure, resumed, session: given }
}

test('a client with a certificate resumes its session, with another thread of the proxy too, and is still known; with new roots it begins anew', async (t) => {
  const authority = createAuthority()
  const upstream = await httpServer(t, app)
  const threads = [secretsOf(authority, 'order')]
  threads.push(new Secrets(quiet, threads[0]?.ticketSecret))
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = { kind: 'certificate', name: 'default', version: '1', chainPem: authority.issue(publicKey, { uri: uriOf('order') }, Date.now() - 60_000, Date.now() + 3_600_000), keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() } as const
  for (const one of threads) {
    one.put(certificate)
    one.put({ kind: 'trust', name: 'ROOTCA', version: '1', rootsPem: authority.rootPem })
  }
  const proxies = []
  for (const secrets of threads) proxies.push(await startProxy(t, { listener: strict(), clusters: [['app', [upstream.port]]], secrets }))
  const [first, second] = proxies.map(({ port }) => port)
  assert.ok(first !== undefined && second !== undefined)
  const client = secretsOf(authority, 'checkout')

  const begun = await askOver(t, first, client)
  assert.ok(begun.session)
  assert.equal(begun.resumed, false)
  for (const port of [first, second]) {
    const again = await askOver(t, port, client, begun.session)
    assert.equal(again.resumed, true, again.answer)
    assert.match(again.answer, new RegExp(`URI=${uriOf('checkout')}`))
  }

  threads[0]?.put({ kind: 'trust', name: 'ROOTCA', version: '2', rootsPem: createAuthority().rootPem })
  const refused = await askOver(t, first, client, begun.session)
  assert.equal(refused.resumed, false)
  assert.doesNotMatch(refused.answer, /HTTP\/1.1 200/)
})

test('two sidecars speak mutual TLS, and the application learns who called', async (t) => {
  const authority = createAuthority()
  const { client, server } = await pair(t, strict(), secretsOf(authority, 'checkout'), secretsOf(authority, 'order'))
  for (let i = 0; i < 3; i++) {
    const reply = await ask(client.port, '/', { method: 'POST', body: 'x'.repeat(100_000) })
    assert.equal(reply.status, 200, reply.body)
    const seen = JSON.parse(reply.body) as { headers: Record<string, string>; body: string }
    assert.match(seen.headers['x-forwarded-client-cert'] ?? '', new RegExp(`^By=${uriOf('order')};Hash=[0-9a-f]{64};Subject="";URI=${uriOf('checkout')}$`))
    assert.equal(seen.body.length, 100_000)
    assert.equal(seen.headers['x-envoy-peer-metadata-id'], undefined)
  }
  assert.match(server.runtime.metricsText(), /istio_requests_total\{reporter="destination",source_workload="client-v1",.*source_principal="spiffe:\/\/cluster\.local\/ns\/prod\/sa\/checkout".*connection_security_policy="mutual_tls"\} 3/)
  assert.match(client.runtime.metricsText(), /istio_requests_total\{reporter="source",.*destination_principal="spiffe:\/\/cluster\.local\/ns\/prod\/sa\/order".*\} 3/)
  assert.equal(client.runtime.takeLoads()[0]?.secured, 3)
})

test('STRICT refuses plaintext and strangers; PERMISSIVE takes plaintext too', async (t) => {
  const authority = createAuthority()
  const stranger = createAuthority('stranger')
  const refusing = await pair(t, strict(), secretsOf(stranger, 'checkout', authority), secretsOf(authority, 'order'))
  await assert.rejects(ask(refusing.server.port, '/'))
  const reply = await ask(refusing.client.port, '/')
  assert.equal(reply.status, 503)
  await assert.rejects(
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port: refusing.server.port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' }, () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'))
      socket.on('data', resolve)
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('closed')))
    }),
  )
  const open = await pair(t, permissive(), secretsOf(authority, 'checkout'), secretsOf(authority, 'order'))
  assert.equal((await ask(open.server.port, '/')).status, 200)
  assert.equal((await ask(open.client.port, '/')).status, 200)
})

test('a server with another name than the plan allows is not spoken to: 503 UF', async (t) => {
  const authority = createAuthority()
  const { client, server } = await pair(t, strict(), secretsOf(authority, 'checkout'), secretsOf(authority, 'impostor'))
  const reply = await ask(client.port, '/')
  assert.equal(reply.status, 503)
  const [line] = await client.log()
  assert.match(String(line?.['response_code_details']), /CERTIFICATE_VERIFY_FAILED/)
  assert.equal(line?.['response_flags'], 'UF')
  assert.deepEqual(await server.log(), [])
})

test('a server of another root is not spoken to', async (t) => {
  const authority = createAuthority()
  const { client } = await pair(t, strict(), secretsOf(authority, 'checkout', createAuthority('other')), secretsOf(authority, 'order'))
  assert.equal((await ask(client.port, '/')).status, 503)
  assert.match(String((await client.log())[0]?.['response_code_details']), /CERTIFICATE_VERIFY_FAILED/)
})

test('without a certificate nothing is sent in the clear', async (t) => {
  const authority = createAuthority()
  const { client } = await pair(t, permissive(), new Secrets(quiet), secretsOf(authority, 'order'))
  const reply = await ask(client.port, '/')
  assert.equal(reply.status, 503)
  assert.match(String((await client.log())[0]?.['response_code_details']), /Secret_is_not_supplied/)
})

test('a forged client certificate header does not pass', async (t) => {
  const authority = createAuthority()
  const { server } = await pair(t, permissive(), secretsOf(authority, 'checkout'), secretsOf(authority, 'order'))
  const seen = JSON.parse((await ask(server.port, '/', { headers: { 'x-forwarded-client-cert': `URI=${uriOf('admin')}` } })).body) as { headers: Record<string, string> }
  assert.equal(seen.headers['x-forwarded-client-cert'], undefined)
})

const toTcp = (cluster: string) => ({ kind: 'tcp', clusters: toClusters(cluster), idleTimeoutMs: 0, accessLog: [{ path: '/dev/stdout', json: true, fields: [] }] }) as const

test('TCP passes both ways, half-closed too', async (t) => {
  const upstream = await netServer(
    t,
    (socket) => {
      let received = ''
      socket.on('data', (bytes: Buffer) => (received += bytes.toString()))
      socket.on('end', () => socket.end(received.toUpperCase()))
    },
    { allowHalfOpen: true },
  )
  const proxy = await startProxy(t, { listener: listenerPlan('tcp', [chainPlan(toTcp('db'))]), clusters: [['db', [upstream.port]]] })
  const received = await new Promise<string>((resolve, reject) => {
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end('half closed'))
    let text = ''
    socket.on('data', (bytes: Buffer) => (text += bytes.toString()))
    socket.on('end', () => resolve(text))
    socket.on('error', reject)
  })
  assert.equal(received, 'HALF CLOSED')
  await until(() => proxy.runtime.tunnels.size === 0)
  const [line] = await proxy.log()
  assert.deepEqual([line?.['bytes_received'], line?.['bytes_sent']], [11, 11])
  assert.match(proxy.runtime.metricsText(), /istio_tcp_connections_closed_total\{reporter="source".*\} 1/)
})

test('a server that speaks first is heard through TLS between two sidecars', async (t) => {
  const authority = createAuthority()
  const upstream = await netServer(t, (socket) => {
    socket.write('220 ready')
    socket.on('data', (bytes: Buffer) => socket.write(bytes))
  })
  const behind = await startProxy(t, { listener: inbound([chainPlan(toTcp('app'), { match: match({ transportProtocol: 'tls' }), tls: serverTls })]), clusters: [['app', [upstream.port]]], secrets: secretsOf(authority, 'order') })
  const before = await startProxy(t, { listener: listenerPlan('tcp', [chainPlan(toTcp('db'))]), clusters: [['db', [behind.port], { transports: [{ name: 'mtls', match: {}, tls: clientTls }] }]], secrets: secretsOf(authority, 'checkout') })
  const received = await speak(before.port, 'ping', (text) => text.includes('ping'))
  assert.equal(received, '220 readyping')
})

test('network RBAC closes the connection of a peer that is not allowed', async (t) => {
  const upstream = await netServer(t, (socket) => socket.write('secret'))
  const deny = { action: 'allow', policies: [], shadow: false } as const
  const proxy = await startProxy(t, { listener: listenerPlan('tcp', [chainPlan(toTcp('db'), { rbac: [deny] })]), clusters: [['db', [upstream.port]]] })
  const received = await speak(proxy.port, 'x').catch(() => '')
  assert.equal(received, '')
  assert.equal(upstream.accepted(), 0)
  const [line] = await proxy.log()
  assert.equal(line?.['connection_termination_details'], 'rbac_access_denied_matched_policy[none]')
  assert.equal(line?.['weft_policy'], 'the filter allows nothing')
})

for (const [what, plan, heard] of [
  ['a bound that passes', { timeoutMs: 50, continues: true }, 'hello'],
  ['a bound that closes', { timeoutMs: 50, continues: false }, ''],
] as const) {
  test(`a client that says nothing is kept no longer than its listener says: ${what}`, async (t) => {
    const upstream = await netServer(t, (socket) => socket.write('hello'))
    const http = chainPlan(httpPlan(tablePlan([routePlan('/', { kind: 'direct', status: 200, body: 'HTTP' })])), { match: match({ transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.0', 'http/1.1', 'h2c'] }) })
    const listener = listenerPlan('sniffed', [http, chainPlan(toTcp('db'), { match: match({ transportProtocol: 'raw_buffer' }) })], { inspectsHttp: true, inspection: plan })
    const proxy = await startProxy(t, { listener, clusters: [['db', [upstream.port]]] })
    assert.equal(await speak(proxy.port, '', (text) => text === heard && heard !== '').catch(() => ''), heard)
    const slow = net.connect({ port: proxy.port, host: '127.0.0.1' })
    t.after(() => slow.destroy())
    let text = ''
    const ended = new Promise<void>((resolve) => slow.on('close', resolve).on('error', () => resolve()))
    slow.on('data', (bytes: Buffer) => (text += bytes.toString()))
    slow.write('G')
    if (plan.continues) await until(() => text === 'hello')
    else await ended
    assert.equal(text, heard)
  })
}

test('without a bound a client may say its request a byte at a time, and is HTTP by its whole first line', async (t) => {
  const upstream = await netServer(t, (socket) => socket.on('data', () => socket.end('bytes')))
  const http = chainPlan(httpPlan(tablePlan([routePlan('/', { kind: 'direct', status: 200, body: 'HTTP' })])), { match: match({ transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.0', 'http/1.1', 'h2c'] }) })
  const listener = listenerPlan('sniffed', [http, chainPlan(toTcp('db'), { match: match({ transportProtocol: 'raw_buffer' }) })], { inspectsHttp: true, inspection: { timeoutMs: 0, continues: true } })
  const proxy = await startProxy(t, { listener, clusters: [['db', [upstream.port]]] })
  for (const [said, answer] of [['GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 200 /], ['SET key value\r\n', /^bytes$/]] as const) {
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1', noDelay: true })
    t.after(() => socket.destroy())
    let text = ''
    socket.on('error', () => {})
    const ended = new Promise<void>((resolve) => socket.on('close', resolve))
    socket.on('data', (bytes: Buffer) => (text += bytes.toString()))
    for (const byte of said) await new Promise<void>((sent) => socket.write(byte, () => setImmediate(sent)))
    await ended
    assert.match(text, answer)
  }
})

test('TCP to nobody is closed, and logged UF', async (t) => {
  const proxy = await startProxy(t, { listener: listenerPlan('tcp', [chainPlan(toTcp('db'))]), clusters: [['db', [1]]] })
  await speak(proxy.port, 'x').catch(() => '')
  await until(() => proxy.runtime.clusterReports()[0]?.connectFailures === 1)
  assert.equal((await proxy.log())[0]?.['response_flags'], 'UF,URX')
})

test('SNI chooses the chain', async (t) => {
  const authority = createAuthority()
  const chain = (name: string, body: string): FilterChainPlan => chainPlan(httpPlan(tablePlan([routePlan('/', { kind: 'direct', status: 200, body })])), { match: match({ serverNames: [name] }), tls: { ...serverTls, trust: undefined, requireClientCertificate: false } })
  const proxy = await startProxy(t, { listener: inbound([chain('a.example', 'A'), chain('*.b.example', 'B')]), clusters: [], secrets: secretsOf(authority, 'gateway') })
  const get = (servername: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port: proxy.port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'))
      let text = ''
      socket.on('data', (bytes: Buffer) => (text += bytes.toString()))
      socket.on('end', () => resolve(text.slice(-1)))
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('closed')))
    })
  assert.equal(await get('a.example'), 'A')
  assert.equal(await get('x.b.example'), 'B')
  assert.equal(await get('c.example').catch(() => ''), '')
})

test('a replaced listener keeps its port and its connections', async (t) => {
  const direct = (body: string): ListenerPlan => listenerPlan('main', [chainPlan(httpPlan(tablePlan([routePlan('/', { kind: 'direct', status: 200, body })])))])
  const proxy = await startProxy(t, { listener: direct('old'), clusters: [] })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  assert.equal((await ask(proxy.port, '/', { agent })).body, 'old')
  proxy.plans.listeners.set('main', direct('new'))
  assert.equal(await proxy.runtime.applyListener('main'), '')
  assert.equal((await ask(proxy.port, '/', { agent })).body, 'old')
  assert.equal((await ask(proxy.port, '/')).body, 'new')
  proxy.runtime.removeListener('main')
  await assert.rejects(ask(proxy.port, '/'))
})

test('clients that send nonsense, leave or reset at any point end nothing but themselves', async (t) => {
  const authority = createAuthority()
  const { client, server } = await pair(t, permissive(), secretsOf(authority, 'checkout'), secretsOf(authority, 'order'))
  const hello = Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Buffer.alloc(505, 7)])
  const openings = [Buffer.alloc(0), Buffer.from([0x16]), hello, hello.subarray(0, 100), Buffer.from('GET / HT'), Buffer.from('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc'), Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), Buffer.from([0x16, 3, 1, 0xff, 0xff]), Buffer.from('\0\0\0')]
  const rude = (port: number, bytes: Buffer, how: 'reset' | 'end' | 'destroy'): Promise<void> =>
    new Promise((gone) => {
      const socket = net.connect(port, '127.0.0.1', () => {
        socket.write(bytes, () => {
          if (how === 'reset') socket.resetAndDestroy()
          else if (how === 'end') socket.end()
          else socket.destroy()
        })
        if (bytes.length === 0 && how === 'end') socket.end()
      })
      socket.resume()
      socket.on('error', () => undefined)
      socket.on('close', () => gone())
    })
  for (const port of [client.port, server.port]) for (const bytes of openings) for (const how of ['reset', 'end', 'destroy'] as const) await rude(port, bytes, how)
  assert.equal((await ask(client.port, '/')).status, 200)
  await until(() => server.runtime.active.size === 0 && client.runtime.active.size === 0)
  for (const report of [...client.runtime.clusterReports(), ...server.runtime.clusterReports()]) assert.deepEqual([report.requests, report.pending, report.hosts[0]?.active], [0, 0, 0])
})

test('a listener takes connections at all of its addresses, or at none where one cannot be had', async (t) => {
  const upstream = await httpServer(t, app)
  const chains = [chainPlan(httpPlan(tablePlan([routePlan('/', forward('app'))])))]
  const proxy = await startProxy(t, { listener: listenerPlan('both', chains, { bind: { address: '127.0.0.1', port: 0 }, further: [{ address: '127.0.0.2', port: 0 }] }), clusters: [['app', [upstream.port]]] })
  const ports = proxy.runtime.listening().map(([at, server]) => [at.address, (server.address() as AddressInfo).port] as const)
  assert.deepEqual(ports.map(([address]) => address), ['127.0.0.1', '127.0.0.2'])
  for (const [host, port] of ports) assert.equal((await ask(port, '/', { host })).status, 200)

  const taken = await httpServer(t, app)
  proxy.plans.listeners.set('half', listenerPlan('half', chains, { bind: { address: '127.0.0.1', port: 0 }, further: [{ address: '127.0.0.1', port: taken.port }] }))
  assert.equal(await proxy.runtime.applyListener('half'), 'EADDRINUSE at 127.0.0.1')
  await until(() => proxy.runtime.listening().length === 2)
})
