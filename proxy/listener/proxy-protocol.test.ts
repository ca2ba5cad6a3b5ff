import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import type { RbacPlan } from '#core/plan/rbac.ts'
import { readProxyHeader, writeProxyHeader } from '../tcp/proxy-header.ts'
import { httpServer, netServer, speak, startProxy } from '../testing/peers.ts'
import { chainPlan, forward, httpPlan, listenerPlan, routePlan, tablePlan, toClusters } from '../testing/plan.ts'

const CLIENT = { source: { address: '198.51.100.7', port: 51_000 }, destination: { address: '192.0.2.1', port: 443 } }
const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const behind = (version: 1 | 2): string => writeProxyHeader(version, CLIENT).toString('latin1')
const only = (address: string, direct: boolean): RbacPlan => ({
  action: 'allow',
  shadow: false,
  policies: [{ name: 'one', origin: undefined, permission: { words: 'any', matches: () => true }, principal: { words: address, matches: (_request, peer) => (direct ? (peer.direct ?? peer) : peer).address === address } }],
})
const log = [{ path: '/dev/stdout', json: true, fields: [{ name: 'client', format: '%DOWNSTREAM_REMOTE_ADDRESS%' }, { name: 'caller', format: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%' }] }]
const edge = (rbac?: RbacPlan) => chainPlan(httpPlan(tablePlan([routePlan('/', forward('up'))]), { useRemoteAddress: true, accessLog: log, ...(rbac !== undefined && { filters: [{ kind: 'rbac', name: 'rbac', policy: rbac }] }) }))

for (const version of [1, 2] as const) {
  test(`behind a balancer that speaks PROXY protocol version ${version} the client is the one it names`, async (t) => {
    const upstream = await httpServer(t, (request, response) => response.end(String(request.headers['x-forwarded-for'])))
    const at = (rbac?: RbacPlan) => startProxy(t, { listener: listenerPlan('edge', [edge(rbac)], { proxyProtocol: { versions: [1, 2], optional: false } }), clusters: [['up', [upstream.port]]] })
    const open = await at()
    assert.match(await speak(open.port, behind(version) + GET), /^HTTP\/1\.1 200 [^]*198\.51\.100\.7$/)
    assert.deepEqual(await open.log(), [{ client: '198.51.100.7:51000', caller: '127.0.0.1', weft_revision: 42 }])
    assert.match(await speak((await at(only('198.51.100.7', false))).port, behind(version) + GET), /^HTTP\/1\.1 200/)
    assert.match(await speak((await at(only('198.51.100.8', false))).port, behind(version) + GET), /^HTTP\/1\.1 403/)
    assert.match(await speak((await at(only('127.0.0.1', true))).port, behind(version) + GET), /^HTTP\/1\.1 200/)
    // A health check of the balancer itself.
    assert.match(await speak(open.port, writeProxyHeader(version, undefined).toString('latin1') + GET), /^HTTP\/1\.1 200 [^]*127\.0\.0\.1$/)
  })
}

test('a header in pieces is put together, and one without end is not waited for', async (t) => {
  const upstream = await httpServer(t, (request, response) => response.end(String(request.headers['x-forwarded-for'])))
  const { port } = await startProxy(t, { listener: listenerPlan('edge', [edge()], { proxyProtocol: { versions: [1, 2], optional: false } }), clusters: [['up', [upstream.port]]] })
  const socket = net.connect(port, '127.0.0.1').setNoDelay(true)
  t.after(() => socket.destroy())
  for (const byte of behind(2)) await new Promise<void>((sent) => socket.write(byte, 'latin1', () => setImmediate(sent)))
  let received = ''
  socket.on('data', (bytes: Buffer) => (received += bytes.toString()))
  socket.write(GET)
  await new Promise((ended) => socket.once('end', ended))
  assert.match(received, /198\.51\.100\.7$/)
  assert.equal(await speak(port, `PROXY ${'x'.repeat(200)}`).catch(() => ''), '')
})

test('a connection without the header is refused, unless it may be left out', async (t) => {
  const upstream = await httpServer(t, (_request, response) => response.end('ok'))
  const at = async (optional: boolean, versions: readonly (1 | 2)[] = [1, 2]) => (await startProxy(t, { listener: listenerPlan('edge', [edge()], { proxyProtocol: { versions, optional } }), clusters: [['up', [upstream.port]]] })).port
  const refused = async (port: number, bytes: string) => assert.equal(await speak(port, bytes).catch(() => ''), '')
  await refused(await at(false), GET)
  await refused(await at(false, [2]), behind(1) + GET)
  await refused(await at(true), `PROXY TCP4 nonsense\r\n${GET}`)
  assert.match(await speak(await at(true), GET), /^HTTP\/1\.1 200/)
  assert.match(await speak(await at(true), behind(2) + GET), /^HTTP\/1\.1 200/)
})

test('an upstream that wants the header gets it first, of the client', async (t) => {
  const begun: Buffer[] = []
  const upstream = await netServer(t, (socket) => socket.on('data', (bytes: Buffer) => {
    begun.push(bytes)
    // The header may come alone.
    if (/hello$|\r\n\r\n$/.test(bytes.toString('latin1'))) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok')
  }))
  for (const version of [1, 2] as const) {
    const tcp = await startProxy(t, {
      listener: listenerPlan('tcp', [chainPlan({ kind: 'tcp', clusters: toClusters('up'), idleTimeoutMs: 0, accessLog: [] })], { proxyProtocol: { versions: [1, 2], optional: false } }),
      clusters: [['up', [upstream.port], { proxyHeader: version }]],
    })
    assert.match(await speak(tcp.port, `${behind(2)}hello`), /ok$/)
    const bytes = Buffer.concat(begun.splice(0))
    const header = readProxyHeader(bytes, [version])
    assert.ok(typeof header === 'object')
    assert.deepEqual([header.addresses, bytes.toString('latin1', header.length)], [CLIENT, 'hello'])
    const requests = await startProxy(t, { listener: listenerPlan('edge', [edge()], { proxyProtocol: { versions: [1, 2], optional: false } }), clusters: [['up', [upstream.port], { proxyHeader: version }]] })
    assert.match(await speak(requests.port, behind(2) + GET), /ok$/)
    const first = Buffer.concat(begun.splice(0))
    const told = readProxyHeader(first, [version])
    assert.ok(typeof told === 'object')
    assert.deepEqual([told.addresses, first.toString('latin1', told.length, told.length + 4)], [CLIENT, 'GET '])
  }
})

test('connections that told of a client carry that client alone, and go when it is gone', async (t) => {
  const told: string[] = []
  const upstream = await netServer(t, (socket) => {
    let source: string | undefined
    socket.on('error', () => {}).on('data', (bytes: Buffer) => {
      let rest = bytes
      if (source === undefined) {
        const header = readProxyHeader(bytes, [2])
        if (typeof header !== 'object') return
        source = `${header.addresses?.source.address}:${header.addresses?.source.port}`
        rest = bytes.subarray(header.length)
      }
      for (const _ of rest.toString('latin1').matchAll(/\r\n\r\n/g)) {
        told.push(source)
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      }
    })
  })
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], clusters: [['up', [upstream.port], { proxyHeader: 2 }]] })
  const client = (): { readonly name: () => string; readonly ask: () => Promise<void>; readonly end: () => void } => {
    const socket = net.connect(proxy.port, '127.0.0.1')
    t.after(() => socket.destroy())
    let answers = 0
    socket.on('data', (bytes: Buffer) => (answers += bytes.toString('latin1').match(/ok/g)?.length ?? 0))
    return {
      name: () => `127.0.0.1:${socket.localPort}`,
      async ask() {
        const before = answers
        socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
        await waitFor(() => answers > before)
      },
      end: () => socket.destroy(),
    }
  }
  const [one, two] = [client(), client()]
  for (const each of [one, two, one, two, two]) await each.ask()
  assert.deepEqual(told, [one.name(), two.name(), one.name(), two.name(), two.name()])
  const connections = (): number => proxy.runtime.cluster('up')?.hosts.values().next().value?.pool.connections ?? 0
  assert.equal(connections(), 2)
  one.end()
  two.end()
  await waitFor(() => connections() === 0)
})

/** Longer than a connection that is one client's own is kept. */
async function waitFor(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 300_000
  while (!holds()) {
    assert.ok(performance.now() < deadline, holds.toString())
    await new Promise((tick) => setTimeout(tick, 50))
  }
}
