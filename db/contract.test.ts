import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import type { ResourceObject } from '#core/resource/object.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Workload } from '#core/workload/workload.ts'
import { everyBackend } from '#test/parts/backends.ts'
import type { Driver } from './driver.ts'
import { migrate } from './migrate.ts'
import { openDriver, storeOver } from './open.ts'
import { openSeal } from './seal.ts'
import { StoreConflict, StoreDuplicate, StoreUnavailable } from './store.ts'
import type { Change, Mesh, Organization, ResourceFilter, ResourceKey, ResourceWrite, Store } from './store.ts'

// One suite for whatever a database URL may name.

const by = { author: 'ada', message: 'because' }
const configKey = (name: string, namespace = 'prod'): ResourceKey => ({ group: '', kind: 'ConfigMap', namespace, name })
const config = (name: string, value: string, labels?: Record<string, string>): ResourceObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'prod', ...(labels ? { labels } : {}) }, data: { value } })
const write = (name: string, value: string, labels?: Record<string, string>): ResourceWrite => ({ key: configKey(name), object: config(name, value, labels) })
const workload = (name: string, health: Workload['health'] = 'healthy'): Workload => ({
  name, namespace: 'prod', serviceAccount: 'orders', labels: { app: 'orders' }, address: '10.0.0.1', network: 'n1', locality: 'eu/eu-1/a', cluster: 'c1', mutualTls: true, health,
  ports: [{ port: 8080, name: 'http', listen: { address: '10.0.0.1', port: 15006 }, app: { address: '127.0.0.1', port: 8080 } }],
})

for (const backend of everyBackend())
  describe(backend.name, () => {
    let driver: Driver
    let own = ''
    let store: Store
    let organizations = 0

    before(async () => {
      own = await backend.url()
      driver = await openDriver(own, systemDoors)
      await migrate(driver)
      store = storeOver(driver, systemDoors, openSeal(Buffer.alloc(32, 7)))
    })
    after(async () => {
      await store?.close()
      await backend.end()
    })

    const newOrganization = (): Promise<Organization> => store.createOrganization(`organization-${++organizations}`)
    const newMesh = (organization: Organization, name = 'shop'): Promise<Mesh> =>
      store.createMesh(organization.id, { name, trustDomain: 'cluster.local', sealedRoot: new Uint8Array([0, 127, 255]), rootCertificate: `root of ${name}` })
    const newTenant = async () => {
      const organization = await newOrganization()
      return { organization, mesh: await newMesh(organization) }
    }
    const everything = async (): Promise<string> => {
      const reader = backend.superuserUrl ? await openDriver(backend.superuserUrl(), systemDoors) : driver
      const text = await reader.transaction('begin read only', async (query) => {
        let all = ''
        for (const table of ['organization', 'mesh', 'api_key', 'join_token', 'resource', 'history', 'change', 'workload', 'oidc']) all += JSON.stringify(await query(`select t::text from "${table}" t`, [], 'array'))
        return all
      })
      if (reader !== driver) await reader.close()
      return text
    }

    test('the first value put for the installation stays, and no tenant sees it', async () => {
      const { organization } = await newTenant()
      const name = `root-${organization.id}`
      assert.equal(await store.platformValue(name), undefined)
      const [one, other] = await Promise.all([store.putPlatformValue(name, Buffer.from('one')), store.putPlatformValue(name, Buffer.from('other'))])
      assert.deepEqual(Buffer.from(one), Buffer.from(other))
      assert.deepEqual(Buffer.from((await store.platformValue(name)) ?? []), Buffer.from(one))
      for (const role of ['weft_app', 'weft_lookup']) await assert.rejects(driver.transaction(`begin; set local role ${role}`, (query) => query('select * from platform', [], 'array')))
    })

    test('an organization and a mesh are found by their names, and a name is given once', async () => {
      const { organization, mesh } = await newTenant()
      assert.deepEqual(await store.organizationByName(organization.name), organization)
      assert.equal(await store.organizationByName('nobody'), undefined)
      assert.ok((await store.listOrganizations()).some(({ id }) => id === organization.id))
      assert.deepEqual(await store.meshByName(organization.id, 'shop'), mesh)
      assert.deepEqual(await store.meshById(mesh.id), mesh)
      assert.equal(await store.meshById('no uuid'), undefined)
      assert.equal(mesh.revision, 0)
      assert.deepEqual(Uint8Array.from((await store.sealedRoot(mesh.id)) ?? []), new Uint8Array([0, 127, 255]))
      assert.equal((await store.rootCertificates()).get(mesh.id), 'root of shop')
      await assert.rejects(newMesh(organization), (error) => error instanceof StoreDuplicate && error.message === 'a mesh of that name exists already')
      await assert.rejects(store.createOrganization(organization.name), StoreDuplicate)
    })

    test('meshes are listed in pages, in order of their names', async () => {
      const organization = await newOrganization()
      for (const name of ['c', 'a', 'B']) await newMesh(organization, name)
      const first = await store.listMeshes(organization.id, { limit: 2 })
      assert.deepEqual(first.items.map(({ name }) => name), ['B', 'a'])
      const second = await store.listMeshes(organization.id, { limit: 2, cursor: first.next ?? '' })
      assert.deepEqual([second.items.map(({ name }) => name), second.next], [['c'], undefined])
    })

    test('an API key is found by its hash until it expires or is deleted', async () => {
      const { organization, mesh } = await newTenant()
      const now = systemDoors.clock.wallMs()
      const lasting = await store.createApiKey(organization.id, { name: 'ci', hash: `hash-${organization.id}`, role: 'editor', meshId: mesh.id, expiresAtMs: now + 60_000 })
      await store.createApiKey(organization.id, { name: 'old', hash: `old-${organization.id}`, role: 'owner', meshId: null, expiresAtMs: now - 1 })
      assert.deepEqual(await store.apiKeyByHash(`hash-${organization.id}`), lasting)
      assert.equal(await store.apiKeyByHash(`old-${organization.id}`), undefined)
      assert.deepEqual((await store.listApiKeys(organization.id)).map(({ name }) => name).toSorted(), ['ci', 'old'])
      const stranger = await newOrganization()
      // The same with what names lead to: a mesh of the key's own organization, or nothing.
      const names = { organization: organization.name, mesh: mesh.name }
      assert.deepEqual(await store.keyWithMesh(`hash-${organization.id}`, names), { key: lasting, found: await store.meshNamed(organization.id, names) })
      const theirs = await newTenant()
      for (const others of [{ ...names, organization: theirs.organization.name }, { ...names, mesh: 'none' }, { ...names, organization: 'nobody' }]) assert.deepEqual(await store.keyWithMesh(`hash-${organization.id}`, others), { key: lasting, found: undefined })
      assert.equal(await store.keyWithMesh(`old-${organization.id}`, names), undefined)
      assert.deepEqual(await store.listApiKeys(stranger.id), [])
      assert.equal(await store.deleteApiKey(stranger.id, lasting.id), false)
      assert.equal(await store.deleteApiKey(organization.id, lasting.id), true)
      assert.equal(await store.deleteApiKey(organization.id, 'no uuid'), false)
      assert.equal(await store.apiKeyByHash(`hash-${organization.id}`), undefined)
    })

    test('a join token is found by its hash, expired or not', async () => {
      const { organization, mesh } = await newTenant()
      const token = await store.createJoinToken(organization.id, { meshId: mesh.id, hash: `join-${mesh.id}`, namespace: '*', serviceAccount: 'orders', expiresAtMs: 1 })
      assert.deepEqual(await store.joinTokenByHash(`join-${mesh.id}`), token)
      assert.equal(await store.joinTokenByHash('unknown'), undefined)
    })

    test('a batch is one revision, and what does not differ takes none', async () => {
      const { organization, mesh } = await newTenant()
      const first = await store.applyResources(organization.id, mesh.id, [write('a', '1'), write('b', '1')], by)
      assert.deepEqual([first.revision, first.results.map(({ verdict }) => verdict)], [1, ['created', 'created']])
      const again = await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)
      assert.deepEqual([again.revision, again.results[0]?.verdict, again.results[0]?.stored], [1, 'unchanged', first.results[0]?.stored])
      const second = await store.applyResources(organization.id, mesh.id, [write('a', '2'), write('b', '1'), { key: configKey('c'), object: null }], by)
      assert.deepEqual([second.revision, second.results.map(({ verdict }) => verdict)], [2, ['configured', 'unchanged', 'absent']])
      const stored = await store.getResource(organization.id, mesh.id, configKey('a'))
      assert.deepEqual([stored?.revision, stored?.generation, stored?.uid, stored?.object['data']], [2, 2, first.results[0]?.stored?.uid, { value: '2' }])
      assert.equal((await store.getResource(organization.id, mesh.id, configKey('b')))?.revision, 1)
      assert.equal((await store.meshById(mesh.id))?.revision, 2)
    })

    test('what the store itself decides is no difference, and a generation counts no labels', async () => {
      const { organization, mesh } = await newTenant()
      await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)
      const read = { ...config('a', '1'), metadata: { name: 'a', namespace: 'prod', uid: 'u', resourceVersion: '7', generation: 3, creationTimestamp: '2020-01-01T00:00:00Z' } }
      const same = await store.applyResources(organization.id, mesh.id, [{ key: configKey('a'), object: read }], by)
      assert.equal(same.results[0]?.verdict, 'unchanged')
      const labelled = await store.applyResources(organization.id, mesh.id, [write('a', '1', { tier: 'x' })], by)
      assert.deepEqual([labelled.results[0]?.verdict, labelled.results[0]?.stored?.generation], ['configured', 1])
    })

    test('fields keep their order, and any text that JSON can bear is kept', async () => {
      const { organization, mesh } = await newTenant()
      const object: ResourceObject = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'odd', namespace: 'prod' }, data: { zebra: "a\u0000b '\"\\ \u{1F980}", ape: '\ud800' } }
      await store.applyResources(organization.id, mesh.id, [{ key: configKey('odd'), object }], by)
      assert.equal(JSON.stringify((await store.getResource(organization.id, mesh.id, configKey('odd')))?.object), JSON.stringify(object))
    })

    test('a write that expects another version fails, and its whole batch with it', async () => {
      const { organization, mesh } = await newTenant()
      await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)
      const conflicting = (expectedVersion: string, name = 'a') => store.applyResources(organization.id, mesh.id, [write('new', '1'), { ...write(name, '2'), expectedVersion }], by)
      await assert.rejects(conflicting('9'), (error) => error instanceof StoreConflict && error.storedVersion === '1' && error.key.name === 'a')
      await assert.rejects(conflicting(''), StoreConflict)
      await assert.rejects(conflicting('1', 'absent'), (error) => error instanceof StoreConflict && error.storedVersion === undefined)
      assert.equal(await store.getResource(organization.id, mesh.id, configKey('new')), undefined)
      assert.equal((await conflicting('1')).revision, 2)
    })

    test('a dry run says what would be and leaves everything as it was', async () => {
      const { organization, mesh } = await newTenant()
      const dry = await store.applyResources(organization.id, mesh.id, [write('a', '1')], by, { dryRun: true })
      assert.deepEqual([dry.revision, dry.results[0]?.verdict], [1, 'created'])
      assert.equal((await store.meshById(mesh.id))?.revision, 0)
      assert.equal(await store.getResource(organization.id, mesh.id, configKey('a')), undefined)
      assert.deepEqual((await store.history(organization.id, mesh.id, {}, { limit: 10 })).items, [])
      await assert.rejects(store.applyResources(organization.id, mesh.id, [{ ...write('a', '1'), expectedVersion: '4' }], by, { dryRun: true }), StoreConflict)
    })

    test('later writes of a batch see the earlier ones', async () => {
      const { organization, mesh } = await newTenant()
      const { results, revision } = await store.applyResources(organization.id, mesh.id, [write('a', '1'), write('a', '2'), write('b', '1'), { key: configKey('b'), object: null }], by)
      assert.deepEqual([revision, results.map(({ verdict }) => verdict)], [1, ['created', 'configured', 'created', 'deleted']])
      const { changes } = await store.changesAfter(mesh.id, 0, 10)
      assert.deepEqual(changes.map((change) => change.of === 'resource' && change.key.name), ['a'])
    })

    test('a thousand objects are one revision, listed in pages without loss or repetition', async () => {
      const { organization, mesh } = await newTenant()
      const names = Array.from({ length: 1_000 }, (_, index) => `object-${index}`)
      await store.applyResources(organization.id, mesh.id, names.map((name, index) => write(name, '1', { parity: index % 2 ? 'odd' : 'even' })), by)
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await store.listResources(organization.id, mesh.id, { kind: 'ConfigMap', labels: { parity: 'odd' } }, { limit: 150, ...(cursor === undefined ? {} : { cursor }) })
        seen.push(...page.items.map(({ key }) => key.name))
        cursor = page.next
        assert.equal(page.revision, 1)
      } while (cursor !== undefined)
      assert.deepEqual(seen, names.filter((_, index) => index % 2 === 1).toSorted())
      const named = await store.listResources(organization.id, mesh.id, { group: '', namespace: 'prod', name: 'object-7' }, { limit: 10 })
      assert.deepEqual(named.items.map(({ key }) => key), [configKey('object-7')])
      const { changes } = await store.changesAfter(mesh.id, 0, 10)
      assert.equal(changes.length, 1_000, 'a revision is never cut in two')
    })

    test('a list as of a revision shows what was there then, page by page', async () => {
      const { organization, mesh } = await newTenant()
      await store.applyResources(organization.id, mesh.id, [write('a', '1', { old: 'yes' }), write('b', '1', { old: 'yes' }), write('c', '1')], by)
      await store.applyResources(organization.id, mesh.id, [write('a', '2', { old: 'no' }), { key: configKey('b'), object: null }, write('d', '1', { old: 'yes' })], by)
      const listed = async (at: number, filter: ResourceFilter = {}): Promise<unknown[]> => {
        const shown: unknown[] = []
        let cursor: string | undefined
        do {
          const page = await store.listResources(organization.id, mesh.id, { kind: 'ConfigMap', ...filter }, { limit: 2, at, ...(cursor === undefined ? {} : { cursor }) })
          shown.push(...page.items.map(({ key, object, revision }) => [key.name, (object['data'] as { value: string }).value, revision]))
          cursor = page.next
          assert.equal(page.revision, 2)
        } while (cursor !== undefined)
        return shown
      }
      assert.deepEqual(await listed(0), [])
      assert.deepEqual(await listed(1), [['a', '1', 1], ['b', '1', 1], ['c', '1', 1]])
      assert.deepEqual(await listed(1, { labels: { old: 'yes' } }), [['a', '1', 1], ['b', '1', 1]])
      assert.deepEqual(await listed(1, { name: 'b' }), [['b', '1', 1]])
      assert.deepEqual(await listed(2), [['a', '2', 2], ['c', '1', 1], ['d', '1', 2]])
      assert.deepEqual((await store.listResources((await newTenant()).organization.id, mesh.id, {}, { limit: 2, at: 1 })).items, [])
    })

    test('changes come as of their own revision, a deletion with what was deleted', async () => {
      const { organization, mesh } = await newTenant()
      await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)
      await store.applyResources(organization.id, mesh.id, [write('a', '2')], by)
      assert.equal(await store.putWorkload(mesh.id, workload('orders-1')), 3)
      await store.applyResources(organization.id, mesh.id, [{ key: configKey('a'), object: null }], by)
      await store.setMeshSettings(organization.id, mesh.id, { strict: true })
      assert.equal(await store.removeWorkload(mesh.id, { namespace: 'prod', name: 'orders-1' }), 6)
      const { changes, tooOld } = await store.changesAfter(mesh.id, 0, 100)
      assert.equal(tooOld, false)
      const told = changes.map((change) => {
        if (change.of === 'workload') return [change.revision, change.name, change.workload]
        if (change.of === 'settings') return [change.revision, change.settings]
        return [change.revision, change.stored?.object['data'], change.last?.object['data'], change.last?.revision]
      })
      assert.deepEqual(told, [
        [1, { value: '1' }, undefined, undefined],
        [2, { value: '2' }, undefined, undefined],
        [3, 'orders-1', workload('orders-1')],
        [4, undefined, { value: '2' }, 2],
        [5, { strict: true }],
        [6, 'orders-1', undefined],
      ])
      assert.deepEqual((await store.changesAfter(mesh.id, 4, 1)).changes.map(({ revision }) => revision), [5])
      assert.deepEqual(await store.changesAfter(mesh.id, 6, 10), { changes: [], tooOld: false })
      assert.equal((await store.changesAfter(mesh.id, 7, 10)).tooOld, true, 'ahead of the mesh: another database')
    })

    test('writers who say what they have read go together, and each has a revision and an answer of its own', async () => {
      const { organization, mesh } = await newTenant()
      const apply = (...writes: ResourceWrite[]) => store.applyResources(organization.id, mesh.id, writes, by)
      const first = (await apply({ ...write('first', '1'), expectedVersion: '' })).results[0]?.stored
      assert.ok(first)
      const update = (value: string): ResourceWrite => ({ ...write('first', value), expectedVersion: String(first.revision), before: first })
      const outcomes = await Promise.allSettled([
        ...Array.from({ length: 10 }, (_, at) => apply({ ...write(`new-${at}`, 'x'), expectedVersion: '' })),
        apply(update('2')),
        apply(update('3')),
        apply({ ...write('with\0nul', 'x'), expectedVersion: '' }),
        store.applyResources(organization.id, mesh.id, [{ ...write('beyond', 'x'), expectedVersion: '' }], by, { resourcesMax: 1 }),
      ])
      const revisions = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value.revision] : []))
      assert.deepEqual(revisions.toSorted((a, b) => a - b), Array.from({ length: 11 }, (_, at) => at + 2))
      assert.deepEqual(outcomes.slice(10).map((one) => (one.status === 'fulfilled' ? 'done' : (one.reason as Error).name)).toSorted(), ['StoreBound', 'StoreConflict', 'StoreText', 'done'])
      const { changes } = await store.changesAfter(mesh.id, 0, 100)
      assert.deepEqual(changes.map(({ revision }) => revision), Array.from({ length: 12 }, (_, at) => at + 1))
      // What the process remembers of its own writes is what the database has of them.
      assert.deepEqual(store.ownChangesAfter(mesh.id, 0, 100), changes)
      const standing = await store.getResource(organization.id, mesh.id, configKey('first'))
      assert.ok(standing)
      await assert.rejects(apply({ key: configKey('first'), object: null, expectedVersion: String(first.revision), before: first }), StoreConflict)
      const gone = await apply({ key: configKey('first'), object: null, expectedVersion: String(standing.revision), before: standing })
      assert.deepEqual(gone.results.map(({ verdict }) => verdict), ['deleted'])
      assert.deepEqual(store.ownChangesAfter(mesh.id, 12, 100), (await store.changesAfter(mesh.id, 12, 100)).changes)
      assert.equal(await store.countResources(organization.id, mesh.id), 10)
    })

    test('of deleted objects the mesh knows the uids', async () => {
      const { organization, mesh } = await newTenant()
      const made = (await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)).results[0]?.stored
      assert.ok(made)
      const asked = [{ key: configKey('a'), uid: made.uid }, { key: configKey('a'), uid: 'no uid' }, { key: configKey('b'), uid: made.uid }]
      assert.deepEqual([...(await store.deletedBefore(organization.id, mesh.id, asked))], [])
      await store.applyResources(organization.id, mesh.id, [{ key: configKey('a'), object: null }], by)
      assert.deepEqual([...(await store.deletedBefore(organization.id, mesh.id, asked))], [made.uid])
    })

    test('the log of changes is bounded, and says so to whoever is behind it', async () => {
      const { organization, mesh } = await newTenant()
      for (const value of ['1', '2', '3'])
        await store.applyResources(organization.id, mesh.id, Array.from({ length: 5_200 }, (_, index) => write(`object-${index}`, value)), by)
      // Of 15,600 changes the last 10,000 are kept, and the rest of their revisions.
      assert.deepEqual(await store.changesAfter(mesh.id, 0, 1), { changes: [], tooOld: true })
      const { changes, tooOld } = await store.changesAfter(mesh.id, 1, 1)
      assert.deepEqual([changes.length, tooOld], [5_200, false])
    })

    test('an equal workload and equal settings take no revision', async () => {
      const { organization, mesh } = await newTenant()
      assert.equal(await store.putWorkload(mesh.id, workload('orders-1')), 1)
      assert.equal(await store.putWorkload(mesh.id, workload('orders-1')), 1)
      assert.equal(await store.putWorkload(mesh.id, workload('orders-1', 'draining')), 2)
      assert.equal(await store.removeWorkload(mesh.id, { namespace: 'prod', name: 'unknown' }), 2)
      assert.equal((await store.setMeshSettings(organization.id, mesh.id, { otlp: 'http://collector' })).revision, 3)
      assert.equal((await store.setMeshSettings(organization.id, mesh.id, { otlp: 'http://collector' })).revision, 3)
      assert.deepEqual((await store.meshByName(organization.id, 'shop'))?.settings, { otlp: 'http://collector' })
      assert.deepEqual((await store.history(organization.id, mesh.id, {}, { limit: 10 })).items, [])
    })

    test('a whole mesh is loaded with its revision', async () => {
      const { organization, mesh } = await newTenant()
      const { results } = await store.applyResources(organization.id, mesh.id, [write('b', '1'), write('a', '1')], by)
      await store.putWorkload(mesh.id, workload('orders-1'))
      assert.deepEqual(await store.loadMesh(mesh.id), { revision: 2, resources: [results[1]?.stored, results[0]?.stored], workloads: [workload('orders-1')] })
      assert.equal(await store.loadMesh('00000000-0000-4000-8000-000000000000'), undefined)
    })

    test('history tells who did what and why, the newest first', async () => {
      const { organization, mesh } = await newTenant()
      await store.applyResources(organization.id, mesh.id, [write('a', '1'), write('b', '1')], by)
      await store.applyResources(organization.id, mesh.id, [write('a', '2')], { author: 'bob', message: 'more' })
      await store.applyResources(organization.id, mesh.id, [{ key: configKey('a'), object: null }], by)
      const told = (await store.history(organization.id, mesh.id, { key: configKey('a') }, { limit: 10 })).items.map(({ revision, operation, author, message, object }) => [revision, operation, author, message, object?.['data']])
      assert.deepEqual(told, [[3, 'delete', 'ada', 'because', undefined], [2, 'update', 'bob', 'more', { value: '2' }], [1, 'create', 'ada', 'because', { value: '1' }]])
      const first = await store.history(organization.id, mesh.id, {}, { limit: 3 })
      const second = await store.history(organization.id, mesh.id, {}, { limit: 3, cursor: first.next ?? '' })
      assert.deepEqual([...first.items, ...second.items].map(({ revision, key }) => `${revision}${key.name}`), ['3a', '2a', '1a', '1b'])
      assert.deepEqual((await store.history(organization.id, mesh.id, { afterRevision: 2 }, { limit: 9 })).items.map(({ revision }) => revision), [3])
    })

    test('another organization sees and changes nothing, through the verbs', async () => {
      const { organization, mesh } = await newTenant()
      const stranger = await newTenant()
      await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)
      assert.equal(await store.meshByName(stranger.organization.id, 'other'), undefined)
      assert.equal(await store.getResource(stranger.organization.id, mesh.id, configKey('a')), undefined)
      assert.deepEqual((await store.listResources(stranger.organization.id, mesh.id, {}, { limit: 10 })).items, [])
      assert.deepEqual((await store.history(stranger.organization.id, mesh.id, {}, { limit: 10 })).items, [])
      await assert.rejects(store.applyResources(stranger.organization.id, mesh.id, [write('a', '2')], by), /has no mesh/)
      await assert.rejects(store.setMeshSettings(stranger.organization.id, mesh.id, { strict: true }), /has no mesh/)
      await assert.rejects(store.createApiKey(stranger.organization.id, { name: 'k', hash: 'foreign', role: 'owner', meshId: mesh.id, expiresAtMs: null }), /23503/)
      assert.equal((await store.meshById(mesh.id))?.revision, 1)
    })

    test('another organization sees and changes nothing, with SQL of its own', async () => {
      const { organization, mesh } = await newTenant()
      const stranger = await newTenant()
      await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)
      await store.putWorkload(mesh.id, workload('orders-1'))
      await store.createApiKey(organization.id, { name: 'k', hash: `raw-${mesh.id}`, role: 'owner', meshId: null, expiresAtMs: null })
      await store.createJoinToken(organization.id, { meshId: mesh.id, hash: `raw-${mesh.id}`, namespace: '*', serviceAccount: '*', expiresAtMs: 1 })
      const as = (setting: string, text: string) => driver.transaction(`begin; set local role weft_app; ${setting}`, (query) => query(text, [], 'array'))
      const own = `set local weft.organization = '${stranger.organization.id}'`
      const tables = await driver.transaction('begin read only', (query) => query(`select c.relname, c.relrowsecurity and c.relforcerowsecurity from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id' where c.relkind = 'r' order by 1`, [], 'array'))
      const expected = ['api_key', 'audit', 'change', 'history', 'join_token', 'member', 'mesh', 'oidc', 'replay', 'replica_status', 'resource', 'sign_in', 'workload']
      assert.deepEqual(tables, expected.map((name) => [name, true]), 'every table of tenants has row-level security, for its owner too')
      for (const table of expected) {
        assert.deepEqual(await as(own, `select 1 from "${table}" where organization_id = '${organization.id}'`), [], table)
        assert.deepEqual(await as('', `select 1 from "${table}"`), [], `${table}, without a tenant`)
        assert.deepEqual(await as(`set local weft.organization = ''`, `select 1 from "${table}"`), [], `${table}, with an empty tenant`)
      }
      assert.deepEqual(await as(own, `select name from organization`), [[stranger.organization.name]])
      assert.deepEqual(await as(own, `update mesh set revision = 99 where id = '${mesh.id}' returning 1`), [])
      assert.deepEqual(await as(own, `delete from resource where mesh_id = '${mesh.id}' returning 1`), [])
      const insert = (organizationId: string) => as(own, `insert into workload (organization_id, mesh_id, namespace, name, revision, workload) values ('${organizationId}', '${mesh.id}', 'prod', 'orders-1', 1, '{}')`)
      await assert.rejects(insert(organization.id), /42501/)
      await assert.rejects(insert(stranger.organization.id), /23503/, 'no row of its own in a mesh of another')
      await assert.rejects(as(own, `update workload set organization_id = '${organization.id}' where true; `).then(() => as(own, `update mesh set organization_id = '${organization.id}'`)), /42501/)
      await assert.rejects(as(own, 'update history set author = $$eve$$'), /42501/)
      await assert.rejects(as(own, 'alter table mesh disable row level security'), /42501/)
      await assert.rejects(as(own, 'create table mine (a int)'), /42501/)
      const lookup = (text: string) => driver.transaction('begin; set local role weft_lookup', (query) => query(text, [], 'array'))
      await assert.rejects(lookup('select sealed_root from mesh'), /42501/)
      await assert.rejects(lookup('select * from resource'), /42501/)
      await assert.rejects(lookup(`update mesh set name = 'x'`), /42501/)
      assert.equal((await store.meshById(mesh.id))?.revision, 2)
    })

    test('twenty writers at once: a follower sees every revision once and in order', async () => {
      const { organization, mesh } = await newTenant()
      const writers = 20
      const each = 8
      const seen: Change[] = []
      let at = 0
      let reading = Promise.resolve()
      const { promise: complete, resolve, reject } = Promise.withResolvers<void>()
      const catchUp = async (): Promise<void> => {
        for (;;) {
          const { changes, tooOld } = await store.changesAfter(mesh.id, at, 7)
          assert.equal(tooOld, false)
          if (changes.length === 0) break
          seen.push(...changes)
          at = changes.at(-1)?.revision ?? at
        }
        if (at === writers * each) resolve()
      }
      const stop = store.onChange((meshId) => {
        if (meshId === mesh.id) reading = reading.then(catchUp).catch(reject)
      })
      const acknowledged = await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          const revisions: number[] = []
          for (let turn = 0; turn < each; turn++) revisions.push((await store.applyResources(organization.id, mesh.id, [write(`writer-${writer}`, String(turn))], by)).revision)
          assert.deepEqual(revisions, revisions.toSorted((a, b) => a - b))
          return revisions
        }),
      )
      await complete
      stop()
      const all = Array.from({ length: writers * each }, (_, index) => index + 1)
      assert.deepEqual(acknowledged.flat().toSorted((a, b) => a - b), all)
      assert.deepEqual(seen.map(({ revision }) => revision), all)
    })

    test('listeners are told of a write by its revision, until they stop', async () => {
      const { organization, mesh } = await newTenant()
      const told: number[] = []
      const { promise, resolve } = Promise.withResolvers<number>()
      const stop = store.onChange((meshId, revision) => void (meshId === mesh.id && told.push(revision)))
      const stopSecond = store.onChange((meshId, revision) => meshId === mesh.id && revision === 2 && resolve(revision))
      const first = new Promise<void>((heard) => {
        const stopThird = store.onChange((meshId, revision) => {
          if (meshId !== mesh.id || revision !== 1) return
          stopThird()
          heard()
        })
      })
      await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)
      await first
      stop()
      await store.applyResources(organization.id, mesh.id, [write('a', '2')], by)
      assert.equal(await promise, 2)
      stopSecond()
      assert.ok(!told.includes(2))
    })

    test('the data of a Secret lies nowhere in the clear, and is read as it was written', async () => {
      const { organization, mesh } = await newTenant()
      const key: ResourceKey = { group: '', kind: 'Secret', namespace: 'prod', name: 'tls' }
      const secret = (canary: string): ResourceObject => ({
        apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls',
        metadata: { name: 'tls', namespace: 'prod', annotations: { note: 'seen', 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ data: { 'tls.key': canary } }) } },
        data: { 'tls.key': canary }, stringData: { password: canary },
      })
      const apply = (canary: string) => store.applyResources(organization.id, mesh.id, [{ key, object: secret(canary) }], by)
      await apply('CANARY-1')
      assert.equal((await apply('CANARY-1')).results[0]?.verdict, 'unchanged')
      assert.equal((await apply('CANARY-2')).results[0]?.verdict, 'configured')
      assert.deepEqual((await store.getResource(organization.id, mesh.id, key))?.object, secret('CANARY-2'))
      assert.deepEqual((await store.loadMesh(mesh.id))?.resources[0]?.object, secret('CANARY-2'))
      assert.deepEqual((await store.history(organization.id, mesh.id, { key }, { limit: 9 })).items.map(({ object }) => object), [secret('CANARY-2'), secret('CANARY-1')])
      await store.applyResources(organization.id, mesh.id, [{ key, object: null }], by)
      const { changes } = await store.changesAfter(mesh.id, 0, 10)
      assert.deepEqual(changes.map((change) => change.of === 'resource' && (change.stored ?? change.last)?.object), [secret('CANARY-1'), secret('CANARY-2'), secret('CANARY-2')])
      const dump = await everything()
      assert.ok(dump.includes('kubernetes.io/tls'))
      assert.ok(!dump.includes('CANARY'))
    })

    test('a failure of the database bears none of what was sent to it', async () => {
      const { organization, mesh } = await newTenant()
      const key: ResourceKey = { group: '', kind: 'Secret', namespace: 'prod', name: 'CANARY\u0000' }
      const object: ResourceObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'CANARY\u0000' }, data: { key: 'CANARY' } }
      const error: unknown = await store.applyResources(organization.id, mesh.id, [{ key, object }], by).catch((reason: unknown) => reason)
      assert.ok(error instanceof Error)
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes('CANARY'), inspect(error))
      assert.equal((await store.applyResources(organization.id, mesh.id, [write('a', '1')], by)).revision, 1, 'and the next write goes through')
    })

    test('migrating again, by many at once, changes nothing', async () => {
      await Promise.all(Array.from({ length: 5 }, () => migrate(driver)))
      await store.ping()
    })

    test('after closing, every verb fails as unavailable', async () => {
      const other = storeOver(await openDriver(own.startsWith('postgres') ? own : 'pglite:memory', systemDoors), systemDoors, openSeal(Buffer.alloc(32, 7)))
      await other.close()
      await assert.rejects(other.ping(), StoreUnavailable)
    })
  })
