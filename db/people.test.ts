import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { mainBackends } from '#test/parts/backends.ts'
import { openStore } from './open.ts'
import { StoreBound } from './store.ts'
import type { Organization, Store } from './store.ts'

// People and what they may: sessions, identities, sign-ins, repeated requests, bounds.

const HOUR_MS = 3_600_000

for (const backend of mainBackends())
  describe(backend.name, () => {
    let store: Store
    let made = 0
    const nowMs = (): number => systemDoors.clock.wallMs()

    before(async () => {
      store = await openStore(await backend.url(), { doors: systemDoors, sealKey: Buffer.alloc(32, 7) })
    })
    after(async () => {
      await store?.close()
      await backend.end()
    })

    const newOrganization = (): Promise<Organization> => store.createOrganization(`people-${++made}`)
    const invited = (of: Organization, name: string, untilMs = nowMs() + HOUR_MS) => store.createMember(of.id, { name, role: 'editor', password: null, invitation: { hash: `invite-${of.id}-${name}`, untilMs } })
    const identity = (subject: string, email: string) => ({ issuer: 'https://issuer.test', subject, email, role: undefined })

    test('a session goes with its member, and ends when the member is disabled or gets another role', async () => {
      const of = await newOrganization()
      const ada = await store.createMember(of.id, { name: 'ada', role: 'editor', password: 'x', invitation: null })
      const open = async (hash: string) => store.createSession(of.id, ada.id, { hash: `${of.id}-${hash}`, expiresAtMs: nowMs() + HOUR_MS })
      const isOpen = async (hash: string) => (await store.apiKeyByHash(`${of.id}-${hash}`)) !== undefined
      const first = await open('1')
      assert.deepEqual([first?.role, first?.memberId], ['editor', ada.id])
      assert.equal(await isOpen('1'), true)
      assert.equal((await store.updateMember(of.id, ada.id, { role: 'viewer' }))?.role, 'viewer')
      assert.equal(await isOpen('1'), false)
      assert.equal((await open('2'))?.role, 'viewer')
      assert.equal((await store.updateMember(of.id, ada.id, { disabled: true }))?.disabled, true)
      assert.equal(await isOpen('2'), false)
      assert.equal(await open('3'), undefined)
      await store.updateMember(of.id, ada.id, { disabled: false })
      await open('4')
      const stranger = await newOrganization()
      assert.equal(await store.updateMember(stranger.id, ada.id, { disabled: true }), undefined)
      assert.equal(await store.createSession(stranger.id, ada.id, { hash: `${of.id}-5`, expiresAtMs: nowMs() + HOUR_MS }), undefined)
      await store.deleteMember(of.id, ada.id)
      assert.equal(await isOpen('4'), false)
    })

    test('an invitation by e-mail is taken by whoever the issuer says has that address, and by nobody else after', async () => {
      const of = await newOrganization()
      const ada = await invited(of, 'Ada@example.com')
      assert.equal(await store.memberByIdentity(of.id, identity('s-0', 'eve@example.com')), undefined)
      assert.equal((await store.memberByIdentity(of.id, identity('s-1', 'ada@example.com')))?.id, ada.id)
      assert.equal(await store.memberByIdentity(of.id, identity('s-2', 'ada@example.com')), undefined, 'the address has another owner by now')
      assert.equal((await store.memberByIdentity(of.id, identity('s-1', 'ada@new.example')))?.id, ada.id, 'and its first owner another address')
      assert.equal(await store.takeInvitation(of.id, `invite-${of.id}-Ada@example.com`, 'password'), undefined)
      await store.updateMember(of.id, ada.id, { disabled: true })
      assert.equal(await store.memberByIdentity(of.id, identity('s-1', 'ada@example.com')), undefined)
      await invited(of, 'late@example.com', nowMs() - 1)
      assert.equal(await store.memberByIdentity(of.id, identity('s-3', 'late@example.com')), undefined)
      await invited(of, 'twice@example.com')
      await invited(of, 'TWICE@example.com')
      assert.equal(await store.memberByIdentity(of.id, identity('s-4', 'twice@example.com')), undefined, 'whose it is cannot be told')
    })

    test('who is made by claims goes by them at each entry', async () => {
      const of = await newOrganization()
      const made = await store.memberByIdentity(of.id, { ...identity('s-1', 'ada@example.com'), role: 'editor' })
      assert.deepEqual([made?.name, made?.role, made?.linked, made?.invited], ['ada@example.com', 'editor', true, false])
      await store.createSession(of.id, made?.id ?? '', { hash: `claims-${of.id}`, expiresAtMs: nowMs() + HOUR_MS })
      assert.equal((await store.memberByIdentity(of.id, { ...identity('s-1', 'ada@example.com'), role: 'viewer' }))?.role, 'viewer')
      assert.equal(await store.apiKeyByHash(`claims-${of.id}`), undefined, 'a session of more than the role now gives')
      assert.equal(await store.memberByIdentity(of.id, identity('s-1', 'ada@example.com')), undefined)
    })

    test('settings of the provider are sealed, and members of another issuer are not those of a new one', async () => {
      const of = await newOrganization()
      const settings = { issuer: 'https://issuer.test', clientId: 'weft', clientSecret: 'hush', rolesClaim: 'groups', roles: { ops: 'owner' } } as const
      await store.setOidc(of.id, settings)
      assert.deepEqual(await store.oidc(of.id), settings)
      const stranger = await newOrganization()
      assert.equal(await store.oidc(stranger.id), undefined)
      const ada = await store.memberByIdentity(of.id, { ...identity('s-1', 'ada@example.com'), role: 'owner' })
      await store.createSession(of.id, ada?.id ?? '', { hash: `issuer-${of.id}`, expiresAtMs: nowMs() + HOUR_MS })
      await store.setOidc(of.id, { ...settings, issuer: 'https://other.test' })
      assert.equal(await store.apiKeyByHash(`issuer-${of.id}`), undefined)
      await store.setOidc(of.id, null)
      assert.equal(await store.oidc(of.id), undefined)
    })

    test('the code of a sign-in is taken once, in time, and in its own organization', async () => {
      const [of, stranger] = [await newOrganization(), await newOrganization()]
      const ada = await invited(of, 'ada')
      const about = { memberId: ada.id, challenge: 'c', untilMs: nowMs() + HOUR_MS }
      await store.createSignIn(of.id, { ...about, hash: 'h' })
      assert.equal(await store.takeSignIn(stranger.id, 'h'), undefined)
      assert.deepEqual(await store.takeSignIn(of.id, 'h'), { memberId: ada.id, challenge: 'c' })
      assert.equal(await store.takeSignIn(of.id, 'h'), undefined)
      await store.createSignIn(of.id, { ...about, hash: 'late', untilMs: nowMs() - 1 })
      assert.equal(await store.takeSignIn(of.id, 'late'), undefined)
      await assert.rejects(store.createSignIn(stranger.id, { ...about, hash: 'foreign' }), /23503/)
    })

    test('of equal requests at once one begins, and its answer is the answer of all later ones', async () => {
      const [of, stranger] = [await newOrganization(), await newOrganization()]
      const begun = await Promise.all(Array.from({ length: 8 }, () => store.beginReplay(of.id, 'p', 'body')))
      assert.deepEqual(begun.map((one) => one.is).toSorted(), ['begun', ...Array<string>(7).fill('running')])
      assert.deepEqual(await store.beginReplay(of.id, 'p', 'other'), { is: 'other-body' })
      await store.endReplay(of.id, 'p', { status: 201, body: '{"a":1}' })
      assert.deepEqual(await store.beginReplay(of.id, 'p', 'body'), { is: 'answered', status: 201, body: '{"a":1}' })
      assert.deepEqual(await store.beginReplay(stranger.id, 'p', 'body'), { is: 'begun' }, 'another tenant learns nothing of it')
      await store.endReplay(stranger.id, 'p', undefined)
      assert.deepEqual(await store.beginReplay(stranger.id, 'p', 'other'), { is: 'begun' })
    })

    test('bounds hold, however many write at once', async () => {
      const of = await newOrganization()
      const about = { trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none', meshesMax: 3 }
      const meshes = await Promise.allSettled(Array.from({ length: 8 }, (_, at) => store.createMesh(of.id, { ...about, name: `m${at}` })))
      assert.equal(meshes.filter((one) => one.status === 'fulfilled').length, 3)
      const mesh = meshes.find((one) => one.status === 'fulfilled')?.value
      assert.ok(mesh)
      const put = (name: string, gone = false) => ({ key: { group: '', kind: 'ConfigMap', namespace: 'n', name }, object: gone ? null : { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'n' } } })
      const apply = (...writes: ReturnType<typeof put>[]) => store.applyResources(of.id, mesh.id, writes, { author: 'a', message: '' }, { resourcesMax: 5 })
      const written = await Promise.allSettled(Array.from({ length: 9 }, (_, at) => apply(put(`o${at}`))))
      assert.equal(written.filter((one) => one.status === 'fulfilled').length, 5)
      assert.ok(written.every((one) => one.status === 'fulfilled' || one.reason instanceof StoreBound))
      const there = (await store.listResources(of.id, mesh.id, {}, { limit: 10 })).items.map((one) => one.key.name)
      assert.equal(there.length, 5)
      // What is there may change and go, at the bound too; and what goes makes room.
      await store.applyResources(of.id, mesh.id, [{ ...put(there[0] ?? ''), object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: there[0] ?? '', namespace: 'n' }, data: { a: 'b' } } }], { author: 'a', message: '' }, { resourcesMax: 5 })
      await apply(put(there[1] ?? '', true), put('fresh'))
      await assert.rejects(apply(put('one-more')), StoreBound)
      await apply(put('fresh', true))
      await apply(put('one-more'))
    })

    test('of credentials those are alive that are neither deleted nor expired', async () => {
      const of = await newOrganization()
      const mesh = await store.createMesh(of.id, { name: 'm', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' })
      const key = (name: string, expiresAtMs: number | null) => store.createApiKey(of.id, { name, hash: `${of.id}-${name}`, role: 'viewer', meshId: null, expiresAtMs })
      const join = (name: string, expiresAtMs: number) => store.createJoinToken(of.id, { meshId: mesh.id, hash: `${of.id}-${name}`, namespace: '*', serviceAccount: '*', expiresAtMs })
      const all = [await key('lasting', null), await key('later', nowMs() + HOUR_MS), await key('over', 1), await key('gone', null), await join('joins', nowMs() + HOUR_MS), await join('joined', 1)]
      await store.deleteApiKey(of.id, all[3]?.id ?? '')
      const alive = await store.liveCredentials([...all.map((one) => one.id), 'no uuid'])
      assert.deepEqual(all.map((one) => alive.has(one.id)), [true, true, false, false, true, false])
      assert.deepEqual(await store.liveCredentials([]), new Set())
    })

    test('the log of attempts is read by who, by what became of it and by when, page by page', async () => {
      const of = await newOrganization()
      const entry = (actor: string, status: number, atMs: number) => ({ meshId: null, atMs, actor, actorId: '', source: '', method: 'POST', path: '/', status, what: {} })
      await store.recordAudit(of.id, [entry('ada', 200, 1000), entry('eve', 403, 2000), entry('ada', 403, 3000), entry('ada', 201, 4000)])
      const read = async (filter: Parameters<Store['listAudit']>[1], limit = 10) => (await store.listAudit(of.id, filter, { limit })).items.map((one) => one.atMs)
      assert.deepEqual(await read({}), [4000, 3000, 2000, 1000])
      assert.deepEqual(await read({ actor: 'ada' }), [4000, 3000, 1000])
      assert.deepEqual(await read({ actor: 'ada', refused: true }), [3000])
      assert.deepEqual(await read({ refused: false }), [4000, 1000])
      assert.deepEqual(await read({ sinceMs: 2000, untilMs: 4000 }), [3000, 2000])
      const first = await store.listAudit(of.id, { actor: 'ada' }, { limit: 2 })
      assert.deepEqual((await store.listAudit(of.id, { actor: 'ada' }, { limit: 2, ...(first.next === undefined ? {} : { cursor: first.next }) })).items.map((one) => one.atMs), [1000])
      assert.deepEqual((await store.listAudit((await newOrganization()).id, {}, { limit: 2, ...(first.next === undefined ? {} : { cursor: first.next }) })).items, [], 'a cursor of another tenant leads nowhere')
    })
  })
