import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { mainBackends } from '#test/parts/backends.ts'
import { openStore } from './open.ts'
import { StoreBound, StoreConflict } from './store.ts'
import type { Organization, Restoring, Store } from './store.ts'

// A mesh out of an archive: all of it, or nothing.

const write = (name: string): Restoring['writes'][number] => ({
  key: { group: '', kind: 'ConfigMap', namespace: 'prod', name },
  object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'prod' }, data: { of: name } },
  expectedVersion: '',
})

for (const backend of mainBackends())
  describe(backend.name, () => {
    let store: Store
    let made = 0
    before(async () => {
      store = await openStore(await backend.url(), { doors: systemDoors, sealKey: Buffer.alloc(32, 7) })
    })
    after(async () => {
      await store?.close()
      await backend.end()
    })

    const newOrganization = (): Promise<Organization> => store.createOrganization(`restore-${++made}`)
    const root = (certificate: string) => ({ sealedRoot: new Uint8Array([1]), rootCertificate: certificate })
    const about = (change: Partial<Restoring> = {}): Restoring => ({
      name: 'shop', trustDomain: 'cluster.local', meshesMax: 10, resourcesMax: 10, settings: { strict: true }, writes: [write('a'), write('b')], by: { author: 'ada', message: 'import' }, root: () => root(`root ${++made}`), ...change,
    })

    test('a mesh that is not there comes with root, settings and objects', async () => {
      const of = await newOrganization()
      const { mesh, outcome } = await store.restoreMesh(of.id, about({ root: () => root('of the archive') }))
      const found = await store.meshByName(of.id, 'shop')
      assert.deepEqual([found?.id, found?.rootCertificate, found?.settings, found?.revision], [mesh.id, 'of the archive', { strict: true }, outcome.revision])
      assert.deepEqual(outcome.results.map((one) => one.verdict), ['created', 'created'])
      assert.equal((await store.rootCertificates()).get(mesh.id), 'of the archive')
    })

    test('whatever is refused on the way leaves no mesh behind, and a mesh that is there as it was', async () => {
      const of = await newOrganization()
      const wrongs: [Partial<Restoring>, (error: unknown) => boolean][] = [
        [{ writes: [write('a'), write('a')] }, (error) => error instanceof StoreConflict],
        [{ resourcesMax: 1 }, (error) => error instanceof StoreBound],
        [{ meshesMax: 0 }, (error) => error instanceof StoreBound],
        [{ root: () => { throw new RangeError('not this root') } }, (error) => error instanceof RangeError],
      ]
      for (const [wrong, expected] of wrongs) await assert.rejects(store.restoreMesh(of.id, about(wrong)), expected)
      assert.equal(await store.meshByName(of.id, 'shop'), undefined)
      const empty = await store.createMesh(of.id, { name: 'shop', trustDomain: 'cluster.local', ...root(`own ${of.id}`) })
      for (const [wrong, expected] of wrongs.filter(([one]) => one.meshesMax === undefined)) await assert.rejects(store.restoreMesh(of.id, about(wrong)), expected)
      assert.deepEqual(await store.meshByName(of.id, 'shop'), empty)
    })

    test('what is there is judged as it is: empty, with objects, or with somebody in it', async () => {
      const of = await newOrganization()
      const seen: (boolean | undefined)[] = []
      const look = (): Promise<unknown> =>
        store.restoreMesh(of.id, about({ writes: [], settings: undefined, root: ({ mesh, isEmpty }) => (seen.push(mesh && isEmpty), undefined) }))
      const mesh = await store.createMesh(of.id, { name: 'shop', trustDomain: 'cluster.local', ...root(`own ${of.id}`) })
      await look()
      await store.applyResources(of.id, mesh.id, [write('a')], { author: 'ada', message: '' })
      await look()
      await store.applyResources(of.id, mesh.id, [{ ...write('a'), object: null, expectedVersion: undefined }], { author: 'ada', message: '' })
      await look()
      await store.putWorkload(mesh.id, { name: 'w', namespace: 'prod', serviceAccount: 's', labels: {}, address: '10.0.0.1', network: '', locality: '', cluster: '', mutualTls: true, health: 'healthy', ports: [] })
      await look()
      assert.deepEqual(seen, [true, false, true, false])
      assert.equal((await store.meshByName(of.id, 'shop'))?.rootCertificate, `own ${of.id}`, 'its root is kept where no other is given')
    })

    test('of many that bring the same root at once, in organizations of their own, one has it', async () => {
      const organizations = await Promise.all(Array.from({ length: 6 }, newOrganization))
      const shared = `root that all bring ${++made}`
      await Promise.all(
        organizations.map((of) => store.restoreMesh(of.id, about({ root: ({ roots }) => ([...roots.values()].includes(shared) ? root(`another ${of.id}`) : root(shared)) }))),
      )
      assert.equal([...(await store.rootCertificates()).values()].filter((one) => one === shared).length, 1)
    })

    test('a tenant sees nothing of another’s in between: the role that looks at all roots is given up again', async () => {
      const [one, other] = [await newOrganization(), await newOrganization()]
      const { mesh } = await store.restoreMesh(other.id, about())
      await assert.rejects(store.restoreMesh(one.id, about({ root: () => { throw new Error('stop') } })), /stop/)
      await store.restoreMesh(one.id, about())
      assert.deepEqual((await store.listMeshes(one.id, { limit: 10 })).items.map((found) => found.organizationId), [one.id])
      assert.equal(await store.getResource(one.id, mesh.id, write('a').key), undefined)
    })
  })
