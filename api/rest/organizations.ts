import { key, keyCreated, keyRequest, organization, organizationRequest, page } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { ApiKey, Mesh, Organization } from '#db/store.ts'
import type { Actor } from '../access/actor.ts'
import { permit, unauthenticated } from '../access/check.ts'
import type { Verb } from '../access/check.ts'
import { makeCredential } from '../access/credential.ts'
import { pageQuery } from '#core/contract/history.ts'
import type { ApiDoors } from './doors.ts'
import { pageOf } from './page.ts'
import type { RestRequest, Route } from './route.ts'

const PAGE_MAX = 1000
/** The bootstrap key’s holder, in logs. */
export const BOOTSTRAP = 'bootstrap key'

/** Who asks, by a key of an organization. @throws Faults 'access.unauthenticated' for the bootstrap key, which opens nothing here */
export function actorOf({ actor }: RestRequest): Actor {
  if (actor === undefined) throw unauthenticated()
  return actor
}

export const organizationNotFound = (): Faults => new Faults([fault('object.not-found', { path: '', rule: 'there is no such organization' })])

/** Who asks, and the organization of the path, which must be theirs. */
export async function organizationOf(request: RestRequest): Promise<{ actor: Actor; organization: Organization }> {
  const actor = actorOf(request)
  const found = await request.doors.store.organizationByName(request.param('organization'))
  if (found === undefined || found.id !== actor.organizationId) throw organizationNotFound()
  return { actor, organization: found }
}

/** An owner of the organization, or the bootstrap key. */
export async function administered(request: RestRequest, verb: Verb): Promise<{ organization: Organization }> {
  if (request.isBootstrap) {
    const found = await request.doors.store.organizationByName(request.param('organization'))
    if (found === undefined) throw organizationNotFound()
    request.attempted({ organizationId: found.id, name: BOOTSTRAP })
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
  session: of.memberId !== null,
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
      if (!request.isBootstrap) throw new Faults([fault('access.forbidden', { path: '', rule: 'only the bootstrap key makes organizations' })])
      const { name } = await request.body(organizationRequest)
      const made = await request.doors.store.createOrganization(name)
      request.attempted({ organizationId: made.id, name: BOOTSTRAP })
      return { status: 201, json: shown(made) }
    },
  },
  {
    method: 'GET',
    path: '/api/v1/organizations',
    summary: 'The organizations that the key sees: its own.',
    query: pageQuery,
    answers: { status: 200, schema: page(organization) },
    async handle(request) {
      const { store } = request.doors
      const seen = request.isBootstrap ? await store.listOrganizations() : [await store.organizationById(actorOf(request).organizationId)]
      const { items, next } = pageOf(seen.filter((one) => one !== undefined), request.query(pageQuery), (one) => [one.name])
      return { json: { items: items.map(shown), next } }
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
    query: pageQuery,
    answers: { status: 200, schema: page(key) },
    async handle(request) {
      const { organization: of } = await administered(request, 'admin')
      const [keys, meshes] = await Promise.all([request.doors.store.listApiKeys(of.id), meshesOf(request.doors, of.id)])
      const { items, next } = pageOf(keys, request.query(pageQuery), (one) => [one.createdAtMs, one.id])
      return { json: { items: items.map((one) => shownKey(one, meshes)), next } }
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
      const told = shownKey(made, mesh ? [mesh] : [])
      request.changed(`Key/${made.name}`, undefined, told)
      return { status: 201, json: { ...told, secret } }
    },
  },
  {
    method: 'DELETE',
    path: '/api/v1/organizations/{organization}/keys/{key}',
    summary: 'Deletes an API key; whoever holds it is refused from now on.',
    answers: { status: 204 },
    async handle(request) {
      const { organization: of } = await administered(request, 'admin')
      const gone = (await request.doors.store.listApiKeys(of.id)).find((one) => one.id === request.param('key'))
      if (gone !== undefined) request.changed(`Key/${gone.name}`, shownKey(gone, []), undefined)
      if (!(await request.doors.store.deleteApiKey(of.id, request.param('key')))) throw new Faults([fault('object.not-found', { path: '', rule: 'there is no such key' })])
      return new Response(null, { status: 204 })
    },
  },
]
