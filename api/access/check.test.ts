import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Faults } from '#core/fault/fault.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Mesh, Organization, Role, Store } from '#db/store.ts'
import { startStore } from '#test/parts/store.ts'
import type { TestStore } from '#test/parts/store.ts'
import type { Actor } from './actor.ts'
import { authenticate, bearerOf, meshNotFound, permit } from './check.ts'
import type { Verb } from './check.ts'
import { hashCredential, makeCredential } from './credential.ts'

let part: TestStore
let store: Store
let organization: Organization
let mesh: Mesh

before(async () => {
  part = await startStore()
  store = part.store
  organization = await store.createOrganization('demo')
  mesh = await store.createMesh(organization.id, { name: 'shop', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' })
})
after(() => part.end())

const withCode = (code: string) => (error: unknown) => error instanceof Faults && error.faults.length === 1 && error.faults[0]?.code === code
const verdict = (actor: Actor, verb: Verb, of?: { id: string; organizationId: string }): string => {
  try {
    permit(actor, verb, of)
    return 'allowed'
  } catch (error) {
    assert.ok(error instanceof Faults)
    return error.faults[0]?.code ?? ''
  }
}

test('a credential bears its kind, differs each time, and one wrong character is seen without a lookup', () => {
  const { secret, hash } = makeCredential('key')
  assert.match(secret, /^weft_key_[A-Za-z0-9_-]{49}$/)
  assert.match(makeCredential('join').secret, /^weft_join_/)
  assert.notEqual(makeCredential('key').secret, secret)
  assert.match(hash, /^[0-9a-f]{64}$/)
  assert.equal(hashCredential('key', secret), hash)
  assert.equal(hashCredential('join', secret), undefined)
  for (let at = 'weft_key_'.length; at < secret.length; at++) {
    const mistyped = `${secret.slice(0, at)}${secret[at] === 'A' ? 'B' : 'A'}${secret.slice(at + 1)}`
    assert.equal(hashCredential('key', mistyped), undefined)
  }
})

test('a bearer is read from its header, whatever the case of the scheme', () => {
  assert.equal(bearerOf('Bearer weft_key_x'), 'weft_key_x')
  assert.equal(bearerOf('bearer weft_key_x'), 'weft_key_x')
  for (const other of [undefined, '', 'Bearer', 'Basic dTpw', 'Bearer a b']) assert.equal(bearerOf(other), undefined)
})

test('a valid key says who asks; every other bearer is refused in the same words', async () => {
  const { secret, hash } = makeCredential('key')
  const key = await store.createApiKey(organization.id, { name: 'ci', hash, role: 'editor', meshId: mesh.id, expiresAtMs: null })
  assert.deepEqual(await authenticate(store, secret), { kind: 'key', organizationId: organization.id, role: 'editor', meshId: mesh.id, namespaces: null, id: key.id, memberId: null, name: 'ci' })
  const expired = makeCredential('key')
  await store.createApiKey(organization.id, { name: 'old', hash: expired.hash, role: 'owner', meshId: null, expiresAtMs: systemDoors.clock.wallMs() - 1 })
  await store.deleteApiKey(organization.id, key.id)
  const join = makeCredential('join')
  await store.createJoinToken(organization.id, { meshId: mesh.id, hash: join.hash, namespace: '*', serviceAccount: '*', expiresAtMs: systemDoors.clock.wallMs() + 60_000 })
  const words = new Set<string>()
  for (const bearer of [undefined, '', 'x', secret, expired.secret, join.secret, makeCredential('key').secret]) {
    await assert.rejects(authenticate(store, bearer), (error: Error) => withCode('access.unauthenticated')(error) && Boolean(words.add(error.message)))
  }
  assert.equal(words.size, 1)
})

test('roles allow what they say, to a mesh and to the organization alike', () => {
  const verbs: Verb[] = ['read', 'write', 'admin']
  const allowed: Record<Role, Verb[]> = { viewer: ['read'], editor: ['read', 'write'], owner: ['read', 'write', 'admin'] }
  for (const role of ['viewer', 'editor', 'owner'] as const)
    for (const target of [mesh, undefined])
      for (const verb of verbs) {
        const actor: Actor = { kind: 'key', organizationId: organization.id, role, meshId: null, namespaces: null, id: '', memberId: null, name: 'k' }
        assert.equal(verdict(actor, verb, target), allowed[role].includes(verb) ? 'allowed' : 'access.forbidden', `${role} ${verb}`)
      }
})

test('what a key may not see is not found, and not forbidden', async () => {
  const other = await store.createMesh(organization.id, { name: 'other', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' })
  const stranger = await store.createOrganization('stranger')
  const bound: Actor = { kind: 'key', organizationId: organization.id, role: 'owner', meshId: mesh.id, namespaces: null, id: '', memberId: null, name: 'bound' }
  const foreign: Actor = { kind: 'key', organizationId: stranger.id, role: 'owner', meshId: null, namespaces: null, id: '', memberId: null, name: 'foreign' }
  assert.equal(verdict(bound, 'admin', mesh), 'allowed')
  assert.equal(verdict(bound, 'read', other), 'object.not-found')
  assert.equal(verdict(bound, 'read'), 'access.forbidden')
  for (const verb of ['read', 'write', 'admin'] as const) assert.equal(verdict(foreign, verb, mesh), 'object.not-found')
  assert.throws(() => permit(foreign, 'read', mesh), { message: meshNotFound().message })
})
