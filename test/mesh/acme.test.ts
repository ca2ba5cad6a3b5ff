import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import tls from 'node:tls'
import type { TestContext } from 'node:test'
import { readMembers } from '#api/acme/state.ts'
import { AcmeWorker } from '#api/acme/worker.ts'
import { jsonLog } from '#api/log.ts'
import { Meshes } from '#api/meshes.ts'
import { ACME_STATE, orderState } from '#api/model/acme.ts'
import { claimBlock } from '#cli/engines/address-block.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { systemDoors } from '#core/time/system.ts'
import { deadPort, httpServer } from '#proxy/testing/peers.ts'
import { type EngineName, startGateway } from '../parts/gateway.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { BLOCKED, startPebble } from '../parts/pebble.ts'
import { startStore } from '../parts/store.ts'
import { send, until } from './shop.ts'

const gateway = (directory: string, hosts: readonly string[], redirect: boolean) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'Gateway',
  metadata: { name: 'edge', namespace: 'edge', annotations: { 'acme.weft.dev/directory': directory, 'acme.weft.dev/email': 'ops@shop.example' } },
  spec: {
    selector: { app: 'edge' },
    servers: [
      { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts, tls: { httpsRedirect: redirect } },
      ...hosts.map((host, nth) => ({ port: { number: 443, name: `https-${nth}`, protocol: 'HTTPS' }, hosts: [host], tls: { mode: 'SIMPLE', credentialName: `cert-${host.split('.')[0]}` } })),
    ],
  },
})

const backend = (port: number, hosts: readonly string[]): object[] => [
  { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts: ['up.internal'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', endpoints: [{ address: '127.0.0.1', ports: { http: port } }] } },
  { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts, gateways: ['edge'], http: [{ route: [{ destination: { host: 'up.internal' } }] }] } },
]

/** The certificate that a gateway shows for a name; undefined while it shows none. */
function shown(address: string, port: number, servername: string): Promise<X509Certificate | undefined> {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: address, port, servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate())
      socket.destroy()
    })
    socket.on('error', () => resolve(undefined))
    socket.on('close', () => resolve(undefined))
  })
}

async function world(t: TestContext, engine: EngineName, hosts: readonly string[], options: { validitySeconds?: number; redirect?: boolean } = {}) {
  const block = await claimBlock(systemDoors.random.draw)
  t.after(() => block.release())
  const address = block.at(0)
  const pebble = await startPebble(t, { address, httpPort: 20_080, ...(options.validitySeconds === undefined ? {} : { validitySeconds: options.validitySeconds }) })
  const under = await startPlane({ acme: { directories: [pebble.directory], roots: pebble.roots } })
  t.after(() => {
    for (const line of under.logs) if (line.includes('"acme.') || line.includes('"error"')) t.diagnostic(line)
    return under.close()
  })
  const upstream = await httpServer(t, (_request, response) => response.end('hello'))
  await under.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'edge' } }, gateway(pebble.directory, hosts, options.redirect ?? true), ...backend(upstream.port, hosts))
  const edge = await startGateway(t, under, engine, { ports: [80, 443], block })
  return { pebble, under, edge, touch: toucher(under) }
}

/** A change of something else, upon which the control plane looks again. */
function toucher(under: PlaneUnderTest): () => Promise<unknown> {
  let nth = 0
  return () => under.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'touched', namespace: 'edge' }, spec: { ports: [{ name: 'http', port: 1000 + nth++ }] } })
}

for (const engine of ['weft', 'envoy'] as const) {
  test(`a ${engine} gateway proves its host to an authority, behind a redirect to https too, and shows the certificate`, async (t) => {
    const { pebble, under, edge } = await world(t, engine, ['a.shop.example'])
    let certificate: X509Certificate | undefined
    await until('the certificate is shown', async () => (certificate = await shown(edge.address, edge.port(443), 'a.shop.example')) !== undefined)
    assert.equal(certificate?.subjectAltName, 'DNS:a.shop.example')
    assert.match(new X509Certificate(await pebble.issuerRoot()).subject, /Pebble/)
    // The answers are gone again, and the redirect holds for all.
    await until('the answer is taken away', async () => (await send(`${edge.address}:${edge.port(80)}`, { host: 'a.shop.example', path: '/.well-known/acme-challenge/x' })).status === 301)
    // Neither the key of the certificate nor the account's is told to anyone.
    for (const path of ['/resources?kind=Secret&namespace=edge', '/resources?namespace=edge']) assert.doesNotMatch(await (await under.rest(path)).text(), /PRIVATE KEY|UFJJVkFURSBLRVk/)
    assert.doesNotMatch(under.logs.join(''), /PRIVATE KEY/)
  })
}

test('a certificate is renewed before it runs out', async (t) => {
  const { edge, touch } = await world(t, 'weft', ['a.shop.example'], { validitySeconds: 24, redirect: false })
  const serial = async (): Promise<string> => (await shown(edge.address, edge.port(443), 'a.shop.example'))?.serialNumber ?? ''
  let first = ''
  await until('the certificate is shown', async () => (first = await serial()) !== '')
  await until('another one is shown', async () => {
    await touch()
    await new Promise((later) => setTimeout(later, 500))
    const now = await serial()
    // Never none between.
    assert.notEqual(now, '')
    return now !== first
  })
})

test('a host that the authority refuses, or that it cannot reach, concerns that host alone, and its Gateway says why', async (t) => {
  const { pebble, under, edge, touch } = await world(t, 'weft', [BLOCKED, 'b.shop.example'])
  await until('the other host has its certificate', async () => (await shown(edge.address, edge.port(443), 'b.shop.example')) !== undefined)
  assert.equal(await shown(edge.address, edge.port(443), BLOCKED), undefined)
  await until('the Gateway says why', async () => (await (await under.rest('/proxies')).text()).includes('rejectedIdentifier'))
  const failures = (): number => under.logs.filter((line) => line.includes('acme.failed') && line.includes(BLOCKED)).length
  for (let i = 0; i < 3; i++) await touch()
  await new Promise((later) => setTimeout(later, 2500))
  assert.equal(failures(), 1, 'a failure is not tried again at once')
  assert.ok(pebble.said().length > 0)
})

test('while the authority is away orders wait, and are made when it is back', async (t) => {
  const { pebble, under, edge } = await world(t, 'weft', ['a.shop.example'])
  await until('the first certificate is there', async () => (await shown(edge.address, edge.port(443), 'a.shop.example')) !== undefined)
  await pebble.stop()
  await under.apply({ ...gateway(pebble.directory, ['a.shop.example', 'c.shop.example'], true) })
  await until('the order failed', () => Promise.resolve(under.logs.some((line) => line.includes('acme.failed') && line.includes('unreachable'))))
  assert.notEqual(await shown(edge.address, edge.port(443), 'a.shop.example'), undefined)
  await pebble.start()
  // Pebble forgets its accounts when it ends; the client enters anew each time. The next try is some seconds away.
  await until('the second certificate is there', async () => (await shown(edge.address, edge.port(443), 'c.shop.example')) !== undefined)
})

test('of two control planes on one database one orders at a time, and a failure holds for both', async (t) => {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const mesh = await store.createMesh(organization.id, { name: 'shop', trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
  const directory = `https://127.0.0.1:${await deadPort()}/dir`
  const object = { ...gateway(directory, ['a.shop.example', 'b.shop.example'], false) } as unknown as ResourceObject
  await store.applyResources(organization.id, mesh.id, [{ key: { group: 'networking.istio.io', kind: 'Gateway', namespace: 'edge', name: 'edge' }, object }], { author: 'test', message: '' })
  const logs: string[] = []
  const meshes = new Meshes(store, systemDoors.clock, jsonLog(() => {}, () => 0, 'error'))
  t.after(() => meshes.close())
  assert.notEqual(await meshes.get(mesh.id), undefined)
  const workers = ['one', 'two', 'three'].map(
    (holder) =>
      new AcmeWorker({
        store, clock: systemDoors.clock, random: systemDoors.random, log: jsonLog((line) => logs.push(line), () => 0, 'debug'), meshes: () => meshes.all(), hasGateway: () => true, holder, directories: [directory], roots: undefined, whenServed: async () => {},
      }),
  )
  t.after(() => Promise.all(workers.map((worker) => worker.close())))
  const begunMs = Date.now()
  for (const worker of workers) worker.look()
  await until('both orders failed', () => logs.length >= 2)
  for (const worker of workers) worker.look()
  await Promise.all(workers.map((worker) => worker.close()))
  assert.equal(logs.length, 2, logs.join(''))
  const state = await readMembers(store, mesh, 'edge', ACME_STATE)
  for (const credential of ['cert-a', 'cert-b']) {
    const { failures, holder, error, retryAtMs } = orderState(state, credential)
    assert.deepEqual([failures, holder, error.startsWith('unreachable')], [1, '', true])
    assert.ok(retryAtMs > begunMs + 5000)
  }
  assert.equal(Object.keys(state?.data ?? {}).filter((member) => member.startsWith('account.')).length, 1)
})
