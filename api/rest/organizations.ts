import { timingSafeEqual } from 'node:crypto'
import { key, keyCreated, keyRequest, organization, organizationRequest, page } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { ApiKey, Mesh, Organization } from '#db/store.ts'
import type { Actor } from '../access/actor.ts'
import { authenticate, permit } from '../access/check.ts'
import type { Verb } from '../access/check.ts'
import { hashCredential, makeCredential } from '../access/credential.ts'
import { credentialOf } from '../apply/target.ts'
import type { ApiDoors } from './doors.ts'
import type { RestRequest, Route } from './route.ts'

const PAGE_MAX = 1000

/** The one credential that may make organizations, and their first keys. */
export function isBootstrap({ doors, authorization }: RestRequest): boolean {
  const secret = credentialOf(authorization)
  const hash = secret === undefined ? undefined : hashCredential('key', secret)
  const known = doors.bootstrapKeyHash
  return hash !== undefined && known !== undefined && hash.length === known.length && timingSafeEqual(Buffer.from(hash), Buffer.from(known))
}

export const organizationNotFound = (): Faults => new Faults([fault('object.not-found', { path: '', rule: 'there is no such organization' })])

/** Who asks, and the organization of the path, which must be theirs. */
export async function organizationOf(request: RestRequest): Promise<{ actor: Actor; organization: Organization }> {
  const actor = await authenticate(request.doors.store, credentialOf(request.authorization))
  request.proven({ actor })
  const found = await request.doors.store.organizationByName(request.param('organization'))
  if (found === undefined || found.id !== actor.organizationId) throw organizationNotFound()
  return { actor, organization: found }
}

/** An owner of the organization, or the bootstrap key. */
export async function administered(request: RestRequest, verb: Verb): Promise<{ organization: Organization }> {
  if (isBootstrap(request)) {
    const found = await request.doors.store.organizationByName(request.param('organization'))
    if (found === undefined) throw organizationNotFound()
    return { organization: found }
  }
  const { actor, organization: found } = await organizationOf(request)
  permit(actor, verb)
  return { organization: found }
}

const shown = (of: Organization) => ({ name: of.name, createdAt: new Date(of.createdAtMs).toISOString() })

export async function meshesOf(doors: Pick<ApiDoors, 'store'>, organizationId: string): Promise<Mesh[]> {
  const meshes: Mesh[] = []
  let cursor: string | undefined
  do {
    const next = await doors.store.listMeshes(organizationId, { limit: PAGE_MAX, ...(cursor === undefined ? {} : { cursor }) })
    meshes.push(...next.items)
    cursor = next.next
  } while (cursor !== undefined)
  return meshes
}

const shownKey = (of: ApiKey, meshes: readonly Mesh[]) => ({
  id: of.id,
  name: of.name,
  role: of.role,
  mesh: of.meshId === null ? null : (meshes.find((mesh) => mesh.id === of.meshId)?.name ?? of.meshId),
  namespaces: of.namespaces,
  expiresAt: of.expiresAtMs === null ? null : new Date(of.expiresAtMs).toISOString(),
  createdAt: new Date(of.createdAtMs).toISOString(),
})

export const organizationRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/api/v1/organizations',
    summary: 'Makes an organization. Only the bootstrap key may.',
    body: organizationRequest,
    answers: { status: 201, schema: organization },
    async handle(request) {
      if (!isBootstrap(request)) {
        await authenticate(request.doors.store, credentialOf(request.authorization))
        throw new Faults([fault('access.forbidden', { path: '', rule: 'only the bootstrap key makes organizations' })])
      }
      const { name } = await request.body(organizationRequest)
      return { status: 201, json: shown(await request.doors.store.createOrganization(name)) }
    },
  },
  {
    method: 'GET',
    path: '/api/v1/organizations',
    summary: 'The organizations that the key sees: its own.',
    answers: { status: 200, schema: page(organization) },
    async handle(request) {
      const all = await request.doors.store.listOrganizations()
      if (isBootstrap(request)) return { json: { items: all.map(shown), next: null } }
      const actor = await authenticate(request.doors.store, credentialOf(request.authorization))
      return { json: { items: all.filter((one) => one.id === actor.organizationId).map(shown), next: null } }
    },
  },
  {
    method: 'GET',
    path: '/api/v1/organizations/{organization}',
    summary: 'One organization.',
    answers: { status: 200, schema: organization },
    handle: async (request) => ({ json: shown((await organizationOf(request)).organization) }),
  },
  {
    method: 'GET',
    path: '/api/v1/organizations/{organization}/keys',
    summary: 'The API keys of the organization, without their secrets.',
    answers: { status: 200, schema: page(key) },
    async handle(request) {
      const { organization: of } = await administered(request, 'admin')
      const [keys, meshes] = await Promise.all([request.doors.store.listApiKeys(of.id), meshesOf(request.doors, of.id)])
      return { json: { items: keys.map((one) => shownKey(one, meshes)), next: null } }
    },
  },
  {
    method: 'POST',
    path: '/api/v1/organizations/{organization}/keys',
    summary: 'Makes an API key. Its secret is in this answer and in no other.',
    body: keyRequest,
    answers: { status: 201, schema: keyCreated },
    async handle(request) {
      const { organization: of } = await administered(request, 'admin')
      const wanted = await request.body(keyRequest)
      const { store } = request.doors
      const mesh = wanted.mesh === undefined ? undefined : await store.meshByName(of.id, wanted.mesh)
      if (wanted.mesh !== undefined && mesh === undefined) throw new Faults([fault('request.invalid', { path: 'mesh', value: wanted.mesh, rule: 'the name of a mesh of the organization' })])
      const { secret, hash } = makeCredential('key')
      const made = await store.createApiKey(of.id, { name: wanted.name, hash, role: wanted.role, meshId: mesh?.id ?? null, namespaces: wanted.namespaces ?? null, expiresAtMs: wanted.expiresAt === undefined ? null : Date.parse(wanted.expiresAt) })
      return { status: 201, json: { ...shownKey(made, mesh ? [mesh] : []), secret } }
    },
  },
  {
    method: 'DELETE',
    path: '/api/v1/organizations/{organization}/keys/{key}',
    summary: 'Deletes an API key; whoever holds it is refused from now on.',
    answers: { status: 204 },
    async handle(request) {
      const { organization: of } = await administered(request, 'admin')
      if (!(await request.doors.store.deleteApiKey(of.id, request.param('key')))) throw new Faults([fault('object.not-found', { path: '', rule: 'there is no such key' })])
      return new Response(null, { status: 204 })
    },
  },
]
