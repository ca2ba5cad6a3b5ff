import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceObject } from '#core/resource/object.ts'
import { SteppedClock } from '#core/time/seeded.ts'
import { startStore } from '#test/parts/store.ts'
import { jsonLog } from './log.ts'
import { type MeshReads, Meshes } from './meshes.ts'
import type { ViewChange } from './serve/resource.ts'
import { nodeFrom } from './translate/testing/mesh-case.ts'

/** Stands still but for a millisecond at each look: what is long is told by work, and not by time. */
class CountingClock extends SteppedClock {
  #looks = 0

  override monotonicMs(): number {
    this.#looks += 1
    return super.monotonicMs() + this.#looks
  }
}

const serviceEntry = (at: number): ResourceObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: `svc-${at}`, namespace: 'prod' },
  spec: { hosts: [`svc-${at}.example`], location: 'MESH_INTERNAL', resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], endpoints: [{ address: '10.0.0.1' }] },
})

test('a mesh is loaded in turns between which all else runs, and is whole when anyone has it', async (t) => {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const mesh = await store.createMesh(organization.id, { name: 'shop', trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
  const objects = Array.from({ length: 300 }, (_, at) => serviceEntry(at))
  const writes = objects.map((object) => ({ key: { group: 'networking.istio.io', kind: object.kind, namespace: 'prod', name: object.metadata.name }, object }))
  const { revision } = await store.applyResources(organization.id, mesh.id, writes, { author: 'test', message: '' })
  // The rows are fetched before, so that the turns counted are those of the load alone.
  const rows = await store.loadMesh(mesh.id)
  const row = await store.meshById(mesh.id)
  const meshes = new Meshes({ ...store, loadMesh: () => Promise.resolve(rows), meshById: () => Promise.resolve(row) }, new CountingClock(), jsonLog(() => {}, () => 0, 'error'))
  t.after(() => meshes.close())
  let turns = 0
  let isLoaded = false
  const loading = meshes.get(mesh.id).then((loaded) => {
    isLoaded = true
    return loaded
  })
  const { promise: counted, resolve } = Promise.withResolvers<void>()
  const turn = (): void => {
    if (isLoaded) return resolve()
    turns += 1
    assert.equal(meshes.loaded(mesh.id), undefined)
    setImmediate(turn)
  }
  setImmediate(turn)
  const loaded = await loading
  await counted
  // One change is one look, and some eight of them make a turn.
  assert.ok(turns >= 300 / 12, `${turns} turns`)
  assert.equal(loaded?.model.revision, revision)
  assert.equal([...(loaded?.model.objects() ?? [])].length, 300)
})

test('a change is timed from its own notice, whatever was heard twice before', async (t) => {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const mesh = await store.createMesh(organization.id, { name: 'shop', trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
  const clock = new SteppedClock()
  let tell = (_meshId: string, _revision: number): void => {}
  let newest = 0
  const meshes = new Meshes(
    {
      ...store,
      ownChangesAfter: () => [],
      onChange: (listener) => ((tell = listener), () => {}),
      async changesAfter(...asked) {
        const answer = await store.changesAfter(...asked)
        // By notice and by poll: the second comes while the first is being fetched.
        tell(mesh.id, newest)
        return answer
      },
    },
    clock,
    jsonLog(() => {}, () => 0, 'error'),
  )
  t.after(() => meshes.close())
  await meshes.get(mesh.id)
  const heard: number[] = []
  meshes.onChanges = (_mesh, _from, heardAtMs) => void heard.push(heardAtMs)
  const write = async (at: number): Promise<void> => {
    const object = serviceEntry(at)
    const { revision } = await store.applyResources(organization.id, mesh.id, [{ key: { group: 'networking.istio.io', kind: object.kind, namespace: 'prod', name: object.metadata.name }, object }], { author: 'test', message: '' })
    newest = revision
    tell(mesh.id, revision)
    await meshes.reached(mesh.id, revision, 5000)
  }
  const startMs = clock.monotonicMs()
  await write(1)
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(13_000)
  await write(2)
  assert.deepEqual(heard.map((atMs) => atMs - startMs), [0, 13_000])
})

test('a mesh whose changes are no longer kept is read again in turns, and told of as one step of what differs', async (t) => {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const mesh = await store.createMesh(organization.id, { name: 'shop', trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
  const write = (objects: readonly ResourceObject[]) => store.applyResources(organization.id, mesh.id, objects.map((object) => ({ key: { group: 'networking.istio.io', kind: object.kind, namespace: 'prod', name: object.metadata.name }, object })), { author: 'test', message: '' })
  await write(Array.from({ length: 300 }, (_, at) => serviceEntry(at)))
  let tell = (_meshId: string, _revision: number): void => {}
  let rows = await store.loadMesh(mesh.id)
  const meshes = new Meshes({ ...store, onChange: (listener) => ((tell = listener), () => {}), loadMesh: () => Promise.resolve(rows), changesAfter: () => Promise.resolve({ changes: [], tooOld: true }), ownChangesAfter: () => [] }, new CountingClock(), jsonLog(() => {}, () => 0, 'error'))
  t.after(() => meshes.close())
  const loaded = await meshes.get(mesh.id)
  const view = await meshes.viewFor(mesh.id, nodeFrom({ name: 'client', namespace: 'prod', outbound: '127.0.0.1:15001' }), undefined)
  const steps: ViewChange[] = []
  view.subscribe((change) => steps.push(change))
  const { revision } = await write([serviceEntry(300)])
  rows = await store.loadMesh(mesh.id)
  assert.ok(rows)
  rows = { ...rows, resources: rows.resources.filter(({ key }) => key.name !== 'svc-7') }
  let turns = 0
  const { promise: arrived, resolve } = Promise.withResolvers<void>()
  meshes.onRevision = () => resolve()
  const turn = (): void => {
    if (loaded?.model.revision === revision) return
    turns += 1
    setImmediate(turn)
  }
  tell(mesh.id, revision)
  setImmediate(turn)
  await arrived
  assert.ok(turns >= 300 / 12, `${turns} turns`)
  assert.equal(steps.length, 1)
  const named = (of: readonly { readonly name: string }[] | undefined) => [...new Set((of ?? []).map(({ name }) => /svc-\d+/.exec(name)?.[0]))]
  assert.deepEqual([named(steps[0]?.changed), named(steps[0]?.removed)], [['svc-300'], ['svc-7']])
  assert.equal(loaded?.model.revision, revision)
})

test('a mesh that nobody holds is let go after a while, one that a stream holds is not, and what is asked for again is loaded again', async (t) => {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const mesh = await store.createMesh(organization.id, { name: 'shop', trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
  const clock = new SteppedClock()
  const meshes = new Meshes(store, clock, jsonLog(() => {}, () => 0, 'error'))
  t.after(() => meshes.close())
  const first = await meshes.get(mesh.id)
  assert.ok(first)
  const view = await meshes.viewFor(mesh.id, nodeFrom({ name: 'client', namespace: 'prod', outbound: '127.0.0.1:15001' }), undefined)
  clock.advance(3_600_000)
  assert.equal(meshes.loaded(mesh.id), first, 'held by a stream')
  view.release()
  clock.advance(10 * 60_000 - 1)
  assert.equal(meshes.loaded(mesh.id), first, 'not idle for long enough')
  clock.advance(1)
  assert.equal(meshes.loaded(mesh.id), undefined)
  const { revision } = await store.applyResources(organization.id, mesh.id, [{ key: { group: 'networking.istio.io', kind: 'ServiceEntry', namespace: 'prod', name: 'svc-1' }, object: serviceEntry(1) }], { author: 'test', message: '' })
  const again = await meshes.get(mesh.id)
  assert.ok(again !== undefined && again !== first)
  assert.equal(again.model.revision, revision)
})

test('changes that could not be read are asked for again, though their revision is told once', async (t) => {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const mesh = await store.createMesh(organization.id, { name: 'shop', trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
  const clock = new SteppedClock()
  let tell = (_meshId: string, _revision: number): void => {}
  let isAway = false
  const failed = Promise.withResolvers<void>()
  const log = jsonLog((line) => (line.includes('mesh.follow-failed') ? failed.resolve() : undefined), () => 0, 'warn')
  const meshes = new Meshes({ ...store, onChange: (listener) => ((tell = listener), () => {}), ownChangesAfter: () => [], changesAfter: (...asked) => (isAway ? Promise.reject(new Error('the connection is gone')) : store.changesAfter(...asked)) }, clock, log)
  t.after(() => meshes.close())
  await meshes.get(mesh.id)
  const { revision } = await store.applyResources(organization.id, mesh.id, [{ key: { group: 'networking.istio.io', kind: 'ServiceEntry', namespace: 'prod', name: 'svc-1' }, object: serviceEntry(1) }], { author: 'test', message: '' })
  isAway = true
  tell(mesh.id, revision)
  await failed.promise
  await new Promise((resolve) => setImmediate(resolve))
  isAway = false
  const arrived = new Promise<void>((resolve) => (meshes.onRevision = () => resolve()))
  clock.advance(1000)
  await arrived
  assert.equal(meshes.loaded(mesh.id)?.model.revision, revision)
})

test('a mesh that is deleted while it is followed is asked for once and no more', async (t) => {
  let tell = (_meshId: string, _revision: number): void => {}
  let asked = 0
  const looked = Promise.withResolvers<void>()
  let isGone = false
  const row = { id: 'm', organizationId: 'o', name: 'shop', trustDomain: 'cluster.local', revision: 1, rootCertificate: '', settings: {}, createdAtMs: 0 }
  const reads: MeshReads = {
    onChange: (listener) => ((tell = listener), () => {}),
    meshById: () => Promise.resolve(row),
    changesAfter: () => Promise.resolve({ changes: [], tooOld: true }),
    loadMesh: () => {
      if (!isGone) return Promise.resolve({ revision: 1, resources: [], workloads: [] })
      asked += 1
      looked.resolve()
      return Promise.resolve(undefined)
    },
  }
  const meshes = new Meshes(reads, new SteppedClock(), jsonLog(() => {}, () => 0, 'error'))
  t.after(() => meshes.close())
  await meshes.get('m')
  isGone = true
  tell('m', 99)
  await looked.promise
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(asked, 1)
})
