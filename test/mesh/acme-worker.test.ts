import assert from 'node:assert/strict'
import { createServer as createHttp } from 'node:http'
import { type AddressInfo, createServer as createTcp, type Socket } from 'node:net'
import { X509Certificate } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { membersOf, readMembers, type StoredSecret } from '#api/acme/state.ts'
import { AcmeWorker } from '#api/acme/worker.ts'
import { jsonLog } from '#api/log.ts'
import { Meshes } from '#api/meshes.ts'
import { ACME_PATH, ACME_STATE, challengeMember, orderState, secretText } from '#api/model/acme.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Clock } from '#core/time/clock.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Mesh, Store } from '#db/store.ts'
import { startPebble } from '../parts/pebble.ts'
import { startStore } from '../parts/store.ts'
import { until } from './shop.ts'

const WITHIN_MS = 60_000

interface World {
  readonly store: Store
  readonly logs: string[]
  readonly roots: string
  readonly directory: string
  /** Runs before an authority is told to look. */
  beforeProof: ((mesh: string) => Promise<void>) | undefined
  mesh(name: string): Promise<Mesh>
  put(mesh: Mesh, ...objects: readonly object[]): Promise<void>
  secret(mesh: Mesh, name: string): Promise<StoredSecret | undefined>
  error(mesh: Mesh, credential: string): Promise<string>
  worker(directories: readonly string[], clock?: Clock): AcmeWorker
}

/** A store with its meshes, a real authority, and on the port where that looks a server with the answers that gateways would have. */
async function world(t: TestContext): Promise<World> {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const all: Mesh[] = []
  const front = createHttp((request, response) => {
    const host = (request.headers.host ?? '').replace(/:\d+$/, '')
    Promise.all(all.map(async (mesh) => secretText(await readMembers(store, mesh, 'edge', ACME_STATE), challengeMember(host)))).then(
      (answers) => response.writeHead(request.url?.startsWith(ACME_PATH) ? 200 : 404).end(answers.find((one) => one !== undefined) ?? ''),
      () => response.destroy(),
    )
  })
  await new Promise<void>((ready) => front.listen(0, '127.0.0.1', ready))
  t.after(() => front.close())
  const pebble = await startPebble(t, { address: '127.0.0.1', httpPort: (front.address() as AddressInfo).port })
  const logs: string[] = []
  const meshes = new Meshes(store, systemDoors.clock, jsonLog(() => {}, () => 0, 'error'))
  t.after(() => meshes.close())
  const made: World = {
    store,
    logs,
    roots: pebble.roots,
    directory: pebble.directory,
    beforeProof: undefined,
    async mesh(name) {
      const mesh = await store.createMesh(organization.id, { name, trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
      await meshes.get(mesh.id)
      all.push(mesh)
      return mesh
    },
    async put(mesh, ...objects) {
      const writes = (objects as ResourceObject[]).map((object) => ({ key: { group: object.kind === 'Secret' ? '' : 'networking.istio.io', kind: object.kind, namespace: 'edge', name: object.metadata.name }, object }))
      const { revision } = await store.applyResources(organization.id, mesh.id, writes, { author: 'somebody', message: '' })
      await meshes.reached(mesh.id, revision, WITHIN_MS)
    },
    secret: (mesh, name) => readMembers(store, mesh, 'edge', name),
    error: async (mesh, credential) => orderState(await readMembers(store, mesh, 'edge', ACME_STATE), credential).error,
    worker(directories, clock = systemDoors.clock) {
      const worker = new AcmeWorker({
        store, clock, random: systemDoors.random, log: jsonLog((line) => logs.push(line), () => 0, 'debug'), meshes: () => meshes.all(), hasGateway: () => true, holder: 'one', directories, roots: pebble.roots,
        whenServed: async (meshId) => made.beforeProof?.(meshId),
      })
      t.after(() => worker.close())
      return worker
    },
  }
  return made
}

const gateway = (directory: string, hosts: Readonly<Record<string, readonly string[]>>) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'Gateway',
  metadata: { name: 'edge', namespace: 'edge', annotations: { 'acme.weft.dev/directory': directory } },
  spec: { selector: { app: 'edge' }, servers: Object.entries(hosts).map(([credentialName, of]) => ({ port: { number: 443, name: credentialName, protocol: 'HTTPS' }, hosts: of, tls: { mode: 'SIMPLE', credentialName } })) },
})

const secretOf = (name: string, text: string, labels: Readonly<Record<string, string>> = { 'app.kubernetes.io/managed-by': 'weft' }) => ({
  apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'edge', labels }, type: 'kubernetes.io/tls',
  data: { 'tls.crt': Buffer.from(text).toString('base64'), 'tls.key': Buffer.from('a key').toString('base64') },
})

/** Accepts and says nothing. */
async function silentAuthority(t: TestContext): Promise<{ directory: string; open: Set<Socket>; seen: () => number }> {
  const open = new Set<Socket>()
  let seen = 0
  const server = createTcp((socket) => {
    seen += 1
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket)).resume()
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { directory: `https://127.0.0.1:${(server.address() as AddressInfo).port}/dir`, open, seen: () => seen }
}

/** The system's clock on which nobody's patience ends: an answer is waited for without end. */
const patient: Clock = {
  ...systemDoors.clock,
  monotonicMs: () => systemDoors.clock.monotonicMs(),
  wallMs: () => systemDoors.clock.wallMs(),
  after: (delayMs, fire) => (delayMs >= 20_000 ? { cancel() {} } : systemDoors.clock.after(delayMs, fire)),
  every: (periodMs, fire) => systemDoors.clock.every(periodMs, fire),
}

test('an authority that never answers for one mesh holds two orders of that mesh and nothing of another', async (t) => {
  const { directory, worker: start, mesh: make, put, secret, store } = await world(t)
  const silent = await silentAuthority(t)
  const [stuck, well] = [await make('stuck'), await make('well')]
  await put(stuck, gateway(silent.directory, Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [`cert-${name}`, [`${name}.shop.example`]]))))
  const worker = start([directory, silent.directory], patient)
  worker.look()
  await until('the first mesh waits for its authority', () => silent.open.size === 2, WITHIN_MS)
  await put(well, gateway(directory, { 'cert-z': ['z.shop.example'] }))
  worker.look()
  await until('the other has its certificate', async () => (await secret(well, 'cert-z')) !== undefined, WITHIN_MS)
  assert.deepEqual([silent.open.size, silent.seen()], [2, 2])
  // Whoever closes gives them up, counts no failure and leaves them to the next.
  await worker.close()
  const state = await readMembers(store, stuck, 'edge', ACME_STATE)
  for (const name of ['a', 'b', 'c', 'd', 'e']) assert.deepEqual(orderState(state, `cert-${name}`), { failures: 0, retryAtMs: 0, error: '', holder: '', untilMs: 0 })
})

test('an answer that trickles is none: it is over when its time is', async (t) => {
  const { worker: start, mesh: make, put, error } = await world(t)
  const silent = await silentAuthority(t)
  const mesh = await make('slow')
  await put(mesh, gateway(silent.directory, { cert: ['a.shop.example'] }))
  const trickle = setInterval(() => {
    for (const socket of silent.open) socket.write(Buffer.from([22]))
  }, 100)
  t.after(() => clearInterval(trickle))
  // Twenty seconds are over at once.
  start([silent.directory], { ...patient, after: (delayMs, fire) => systemDoors.clock.after(delayMs >= 20_000 ? 200 : delayMs, fire) }).look()
  await until('the order failed', async () => (await error(mesh, 'cert')).startsWith('unreachable'), WITHIN_MS)
})

test('a Secret that was not made here, or not for the host, is never written, whatever its labels say', async (t) => {
  const { directory, worker: start, mesh: make, put, secret, error } = await world(t)
  const mesh = await make('shop')
  const worker = start([directory])
  await put(mesh, secretOf('labelled', 'somebody’s'), secretOf('plain', 'another’s', {}), gateway(directory, { labelled: ['l.shop.example'], plain: ['p.shop.example'], made: ['a.shop.example'] }))
  worker.look()
  await until('the one that is not there is made', async () => (await secret(mesh, 'made')) !== undefined, WITHIN_MS)
  await until('the labelled one is told of', async () => (await error(mesh, 'labelled')).startsWith('conflict'), WITHIN_MS)
  const text = async (name: string, member = 'tls.crt') => membersOf(await secret(mesh, name))[member]
  assert.deepEqual([await text('labelled'), await text('plain'), await error(mesh, 'plain')], ['somebody’s', 'another’s', ''])
  const names = async (): Promise<string | undefined> => new X509Certificate((await text('made')) ?? '').subjectAltName

  // Grown by a host it is made anew, and what lies beside the certificate stays.
  const own = await secret(mesh, 'made')
  await put(mesh, { apiVersion: 'v1', kind: 'Secret', metadata: own?.metadata, type: 'kubernetes.io/tls', data: { ...own?.data, 'ca.crt': Buffer.from('clients').toString('base64') } }, gateway(directory, { made: ['a.shop.example', 'b.shop.example'] }))
  worker.look()
  await until('it is for both hosts', async () => (await names()) === 'DNS:a.shop.example, DNS:b.shop.example', WITHIN_MS)
  assert.equal(await text('made', 'ca.crt'), 'clients')

  // Named for quite another host it stays what it is.
  const before = await text('made')
  await put(mesh, gateway(directory, { made: ['z.shop.example'] }))
  worker.look()
  await until('the Gateway says so', async () => (await error(mesh, 'made')).startsWith('conflict'), WITHIN_MS)
  assert.equal(await text('made'), before)
})

test('a Secret whose content somebody replaced is theirs from then on, label or not', async (t) => {
  const { directory, worker: start, mesh: make, put, secret, error } = await world(t)
  const mesh = await make('shop')
  const worker = start([directory])
  await put(mesh, gateway(directory, { made: ['a.shop.example'] }))
  worker.look()
  await until('it is made', async () => (await secret(mesh, 'made')) !== undefined, WITHIN_MS)
  await put(mesh, secretOf('made', 'mine now'), gateway(directory, { made: ['a.shop.example', 'b.shop.example'] }))
  worker.look()
  await until('the Gateway says so', async () => (await error(mesh, 'made')).startsWith('conflict'), WITHIN_MS)
  assert.equal(membersOf(await secret(mesh, 'made'))['tls.crt'], 'mine now')
})

test('a Secret that comes while its order is under way stays as it came', async (t) => {
  const here = await world(t)
  const mesh = await here.mesh('shop')
  let came = false
  here.beforeProof = async () => {
    if (!came) await here.put(mesh, secretOf('made', 'mine'))
    came = true
  }
  await here.put(mesh, gateway(here.directory, { made: ['a.shop.example'] }))
  const worker = here.worker([here.directory])
  worker.look()
  await until('the order is let go', async () => came && orderState(await readMembers(here.store, mesh, 'edge', ACME_STATE), 'made').holder === '', WITHIN_MS)
  assert.equal(membersOf(await here.secret(mesh, 'made'))['tls.crt'], 'mine')
  assert.equal(here.logs.filter((line) => line.includes('acme.issued')).length, 0)
})
