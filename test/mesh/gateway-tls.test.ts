import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import tls from 'node:tls'
import { systemDoors } from '#core/time/system.ts'
import { jsonLog } from '#proxy/admin/log.ts'
import { certificateService } from '#proxy/identity/certificate-service.ts'
import { WorkloadIdentity } from '#proxy/identity/workload-identity.ts'
import { keyPem } from '#proxy/identity/certificate.ts'
import { httpServer } from '#proxy/testing/peers.ts'
import { type Pair, testAuthority } from '../parts/certificates.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { type EngineName, type GatewayUnderTest, startGateway } from '../parts/gateway.ts'
import { send, until } from './shop.ts'

const secret = (name: string, pair: Pair, more: Readonly<Record<string, string>> = {}): object => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'edge' }, stringData: { 'tls.crt': pair.certificate, 'tls.key': pair.privateKey, ...more } })

interface Asked {
  readonly sni: string
  readonly host?: string
  readonly client?: Pair | undefined
  readonly over?: tls.ConnectionOptions
}

/** The status and body of one request over TLS, or `refused`. */
function ask(at: GatewayUnderTest, port: number, { sni, host = sni, client, over = {} }: Asked): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: at.address, port: at.port(port), servername: sni, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], ...(client === undefined ? {} : { cert: client.certificate, key: client.privateKey }), ...over }, () =>
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    )
    let received = ''
    socket.on('data', (bytes: Buffer) => (received += bytes.toString()))
    const done = (): void => {
      socket.destroy()
      const [head = '', body = ''] = received.split('\r\n\r\n')
      resolve(received === '' ? 'refused' : `${head.split(' ')[1] ?? ''} ${/^[0-9a-f]+\r\n/.test(body) ? (body.split('\r\n')[1] ?? '') : body}`.trim())
    }
    socket.on('error', done).on('close', done)
  })
}

async function meshCertificate(t: TestContext, under: PlaneUnderTest): Promise<Pair> {
  const joinToken = await under.plane.createJoinToken(under.mesh, 'edge', 'caller', 3_600_000)
  const controlPlane = { target: `127.0.0.1:${under.plane.xds.port}`, rootsPem: under.plane.xds.rootCertificate, serverName: undefined }
  const identity = new WorkloadIdentity(systemDoors, { uri: 'spiffe://cluster.local/ns/edge/sa/caller', lifetimeMs: 3_600_000, joinToken: () => joinToken }, certificateService(controlPlane, () => Date.now()), jsonLog(systemDoors.clock, () => {}, 'off'))
  t.after(() => identity.stop())
  identity.start()
  await until('the caller has its certificate', () => identity.now !== undefined)
  const now = identity.now
  assert.ok(now)
  return { certificate: now.chainPem, privateKey: keyPem(now.key) }
}

const upgrading = (server: http.Server): http.Server =>
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => socket.destroy())
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    socket.on('data', (bytes: Buffer) => socket.write(`echo ${bytes.toString()}`))
    socket.on('end', () => socket.end())
  })

const server = (number: number, name: string, hosts: readonly string[], options: object, protocol = 'HTTPS'): object => ({ port: { number, name, protocol }, hosts, tls: options })

async function world(t: TestContext, engine: EngineName) {
  const authority = testAuthority('clients')
  const under = await startPlane()
  t.after(() => under.close())
  const upstream = await httpServer(t, (request, response) => response.end(`${String(request.headers.host)} ${/Subject="?[^";]*/.exec(String(request.headers['x-forwarded-client-cert'] ?? ''))?.[0].replaceAll('"', '') ?? 'nobody'}`))
  upgrading(upstream)
  const passed = authority.issue(['pass.example'])
  const secured = tls.createServer({ cert: passed.certificate, key: passed.privateKey, ALPNProtocols: ['http/1.1'] }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\npassed'))
  })
  await new Promise<void>((ready) => secured.listen(0, '127.0.0.1', ready))
  t.after(() => secured.close())
  const address = secured.address()
  const securedPort = typeof address === 'object' && address !== null ? address.port : 0
  const [good, bad, stranger] = [authority.issue(['good.client']), authority.issue(['bad.client']), testAuthority('strangers').issue(['good.client'])]
  const http1 = ['simple.example', 'second.example', 'mutual.example', 'optional.example', 'mesh.example', 'new.example', 'old.example']
  await under.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'edge' } },
    secret('simple', authority.issue(['simple.example', 'second.example'])),
    secret('mutual', authority.issue(['mutual.example']), { 'ca.crt': authority.certificate, 'ca.crl': authority.revoke([bad.serial]) }),
    secret('optional', authority.issue(['optional.example']), { 'ca.crt': authority.certificate }),
    secret('versions', authority.issue(['new.example', 'old.example'])),
    {
      apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'edge', namespace: 'edge' },
      spec: {
        selector: { app: 'edge' },
        servers: [
          server(80, 'http', ['simple.example'], { httpsRedirect: true }, 'HTTP'),
          server(443, 'simple', ['simple.example', 'second.example'], { mode: 'SIMPLE', credentialName: 'simple' }),
          server(443, 'mutual', ['mutual.example'], { mode: 'MUTUAL', credentialName: 'mutual' }),
          server(443, 'optional', ['optional.example'], { mode: 'OPTIONAL_MUTUAL', credentialName: 'optional' }),
          server(443, 'mesh', ['mesh.example'], { mode: 'ISTIO_MUTUAL' }),
          server(443, 'new', ['new.example'], { mode: 'SIMPLE', credentialName: 'versions', minProtocolVersion: 'TLSV1_3' }),
          server(443, 'old', ['old.example'], { mode: 'SIMPLE', credentialName: 'versions', maxProtocolVersion: 'TLSV1_2', cipherSuites: ['ECDHE-ECDSA-AES256-GCM-SHA384'] }),
          server(443, 'pass', ['pass.example'], { mode: 'PASSTHROUGH' }, 'TLS'),
          server(15443, 'tls', ['*.local'], { mode: 'AUTO_PASSTHROUGH' }, 'TLS'),
        ],
      },
    },
    { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts: ['up.internal'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', endpoints: [{ address: '127.0.0.1', ports: { http: upstream.port } }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'secured', namespace: 'edge' }, spec: { hosts: ['secured.internal'], ports: [{ number: 443, name: 'tls', protocol: 'TLS' }], resolution: 'STATIC', endpoints: [{ address: '127.0.0.1', ports: { tls: securedPort } }] } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'order', namespace: 'edge' }, spec: { selector: { app: 'order' }, ports: [{ name: 'http', port: 8443, targetPort: securedPort }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', metadata: { name: 'order', namespace: 'edge' }, spec: { address: '127.0.0.1', labels: { app: 'order' } } },
    { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts: http1, gateways: ['edge'], http: [{ route: [{ destination: { host: 'up.internal' } }] }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'pass', namespace: 'edge' }, spec: { hosts: ['pass.example'], gateways: ['edge'], tls: [{ match: [{ sniHosts: ['pass.example'] }], route: [{ destination: { host: 'secured.internal' } }] }] } },
  )
  const at = await startGateway(t, under, engine, { ports: [80, 443, 15443] })
  await until('every chain is there', async () => (await ask(at, 443, { sni: 'simple.example' })).startsWith('200') && (await ask(at, 443, { sni: 'pass.example' })) === '200 passed')
  return { under, at, good, bad, stranger }
}

for (const engine of ['weft', 'envoy'] as const) {
  test(`a ${engine} gateway ends, demands, passes on and refuses TLS as its servers say`, async (t) => {
    const { under, at, good, bad, stranger } = await world(t, engine)
    const mesh = await meshCertificate(t, under)
    const [v12, v13] = [{ maxVersion: 'TLSv1.2' } as const, { minVersion: 'TLSv1.3' } as const]
    const calls: readonly (readonly [string, number, Asked, string])[] = [
      ['SIMPLE', 443, { sni: 'simple.example' }, '200 simple.example nobody'],
      ['a port in Host', 443, { sni: 'simple.example', host: 'simple.example:443' }, '200 simple.example:443 nobody'],
      ['a name that nobody serves', 443, { sni: 'other.example' }, 'refused'],
      ['another host of the same server', 443, { sni: 'simple.example', host: 'second.example' }, '200 second.example nobody'],
      ['a host of another server, which demands more', 443, { sni: 'simple.example', host: 'mutual.example' }, '421'],
      ['MUTUAL', 443, { sni: 'mutual.example', client: good }, '200 mutual.example Subject=CN=good.client'],
      ['MUTUAL without a certificate', 443, { sni: 'mutual.example' }, 'refused'],
      ['MUTUAL with one that is revoked', 443, { sni: 'mutual.example', client: bad }, 'refused'],
      ['MUTUAL with a stranger', 443, { sni: 'mutual.example', client: stranger }, 'refused'],
      ['OPTIONAL_MUTUAL without a certificate', 443, { sni: 'optional.example' }, '200 optional.example nobody'],
      ['OPTIONAL_MUTUAL', 443, { sni: 'optional.example', client: good }, '200 optional.example Subject=CN=good.client'],
      ['OPTIONAL_MUTUAL with a stranger', 443, { sni: 'optional.example', client: stranger }, 'refused'],
      ['ISTIO_MUTUAL', 443, { sni: 'mesh.example', client: mesh }, '200 mesh.example Subject='],
      ['ISTIO_MUTUAL without a certificate', 443, { sni: 'mesh.example' }, 'refused'],
      ['ISTIO_MUTUAL with one from elsewhere', 443, { sni: 'mesh.example', client: good }, 'refused'],
      ['PASSTHROUGH', 443, { sni: 'pass.example' }, '200 passed'],
      ['TLS 1.3 at least', 443, { sni: 'new.example', over: v13 }, '200 new.example nobody'],
      ['TLS 1.2 where 1.3 is the least', 443, { sni: 'new.example', over: v12 }, 'refused'],
      ['TLS 1.2 at most, one cipher', 443, { sni: 'old.example', over: { ...v12, ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' } }, '200 old.example nobody'],
      ['another cipher', 443, { sni: 'old.example', over: { ...v12, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } }, 'refused'],
      ['TLS 1.3 where 1.2 is the most', 443, { sni: 'old.example', over: v13 }, 'refused'],
      ['AUTO_PASSTHROUGH', 15443, { sni: 'outbound_.8443_._.order.edge.svc.cluster.local' }, '200 passed'],
      ['AUTO_PASSTHROUGH to nobody', 15443, { sni: 'outbound_.8443_._.stranger.edge.svc.cluster.local' }, 'refused'],
      ['AUTO_PASSTHROUGH of another form', 15443, { sni: 'order.edge.svc.cluster.local' }, 'refused'],
    ]
    const wrong: string[] = []
    for (const [name, port, asked, expected] of calls) {
      const got = await ask(at, port, asked)
      if (got !== expected) wrong.push(`${name}: ${got} in place of ${expected}`)
    }
    assert.deepEqual(wrong, [])
    const redirect = await send(`${at.address}:${at.port(80)}`, { host: 'simple.example', path: '/x' })
    assert.deepEqual([redirect.status, redirect.headers['location']], [301, 'https://simple.example/x'])

    const session = http2.connect('https://simple.example', { createConnection: () => tls.connect({ host: at.address, port: at.port(443), servername: 'simple.example', rejectUnauthorized: false, ALPNProtocols: ['h2'] }) })
    t.after(() => session.destroy())
    const status = (authority: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => session.request({ ':authority': authority, ':path': '/' }).on('response', (headers) => resolve(headers[':status'])).on('error', reject).resume())
    assert.deepEqual([await status('simple.example'), await status('second.example'), await status('mutual.example'), await status('simple.example:443')], [200, 200, 421, 200])

    const upgraded = await new Promise<string>((resolve, reject) => {
      const socket = tls.connect({ host: at.address, port: at.port(443), servername: 'simple.example', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }, () =>
        socket.write('GET / HTTP/1.1\r\nHost: simple.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'),
      )
      let received = ''
      socket.on('data', (bytes: Buffer) => {
        received += bytes.toString()
        if (received.endsWith('\r\n\r\n')) socket.write('hello')
        if (received.includes('echo hello')) {
          socket.destroy()
          resolve(received)
        }
      })
      socket.on('error', reject).on('close', () => reject(new Error(received)))
    })
    assert.match(upgraded, /^HTTP\/1\.1 101 /)
    if (session.remoteSettings.enableConnectProtocol === true) {
      const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': '/', ':authority': 'simple.example', 'sec-websocket-version': '13' }, { endStream: false })
      let received = ''
      stream.on('data', (bytes: Buffer) => (received += bytes.toString()))
      stream.on('response', () => stream.write('hello'))
      await until('the stream echoes', () => received.includes('echo hello'))
      stream.close()
    } else t.diagnostic('extended CONNECT is not offered')
  })
}

test('hundreds of certificates by SNI are swapped under load, and no handshake fails', async (t) => {
  const hosts = Array.from({ length: 300 }, (_, nth) => `host-${nth}.shop.example`)
  const authority = testAuthority('many')
  const [first, second] = [authority.issue(['*.shop.example']), authority.issue(['*.shop.example'])]
  const under = await startPlane()
  t.after(() => under.close())
  const upstream = await httpServer(t, (_request, response) => response.end('ok'))
  await under.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'edge' } },
    ...hosts.map((_, nth) => secret(`cert-${nth}`, first)),
    { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'edge', namespace: 'edge' }, spec: { selector: { app: 'edge' }, servers: hosts.map((host, nth) => server(443, `https-${nth}`, [host], { mode: 'SIMPLE', credentialName: `cert-${nth}` })) } },
    { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts: ['up.internal'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', endpoints: [{ address: '127.0.0.1', ports: { http: upstream.port } }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts, gateways: ['edge'], http: [{ route: [{ destination: { host: 'up.internal' } }] }] } },
  )
  const at = await startGateway(t, under, 'weft', { ports: [443] })
  /** Which certificate a handshake was made with. */
  const serialOf = (host: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ host: at.address, port: at.port(443), servername: host, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
        socket.destroy()
      })
      socket.on('error', reject)
    })
  /** One after the other: all of them at once would wait for each other longer than a handshake may take. */
  const allShow = async (serial: string): Promise<boolean> => {
    for (const host of hosts) if ((await serialOf(host).catch(() => '')) !== serial) return false
    return true
  }
  await until('every host has its certificate', () => allShow(first.serial))
  const state = { running: true }
  let handshakes = 0
  const failures: string[] = []
  const seen = new Set<string>()
  const load = Promise.all(
    [0, 1, 2, 3].map(async (worker) => {
      for (let nth = worker; state.running; nth += 4) {
        const host = hosts[nth % hosts.length] ?? ''
        await serialOf(host).then(
          (serial) => seen.add(serial),
          (error: unknown) => failures.push(`${host}: ${String(error)}`),
        )
        handshakes += 1
      }
    }),
  )
  for (let from = 0; from < hosts.length; from += 50) await under.apply(...hosts.slice(from, from + 50).map((_, nth) => secret(`cert-${from + nth}`, second)))
  await until('every host shows the new one', () => allShow(second.serial))
  state.running = false
  await load
  assert.deepEqual(failures, [])
  assert.deepEqual([...seen].sort(), [first.serial, second.serial].sort())
  t.diagnostic(`${handshakes} handshakes while 300 certificates were swapped`)
})
