import { fault, Faults } from '#core/fault/fault.ts'
import { kubeconfigText } from '#core/contract/kubeconfig.ts'
import { joinToken, joinTokenCreated, joinTokenRequest, mesh as meshBody, meshRequest, meshSettings, page } from '#core/contract/tenancy.ts'
import { topology } from '#core/contract/topology.ts'
import type { Mesh } from '#db/store.ts'
import { permit, permitNamespace, sees } from '../access/check.ts'
import { quotaOf } from '../access/quota.ts'
import type { Verb } from '../access/check.ts'
import { makeCredential } from '../access/credential.ts'
import { credentialOf, targetOf } from '../apply/target.ts'
import type { Target } from '../apply/target.ts'
import { pageQuery } from '#core/contract/history.ts'
import { actorOf, meshesOf, organizationOf } from './organizations.ts'
import { pageOf } from './page.ts'
import { ifMatch } from './precondition.ts'
import type { RestRequest, Route } from './route.ts'

const HOUR_S = 3600
export const MESH = '/api/v1/organizations/{organization}/meshes/{mesh}'

/** `within`: the namespace that the request keeps to; the whole mesh unless told, which a key of some namespaces may not see; 'any' where the route itself looks. */
export async function meshTarget(request: RestRequest, verb: Verb, within: { readonly namespace?: string } | 'any' = {}): Promise<Target> {
  const target = await targetOf(request.doors.store, actorOf(request), { organization: request.param('organization'), mesh: request.param('mesh') }, verb, request.proven)
  if (within !== 'any') permitNamespace(target.actor, within.namespace)
  return target
}

const shown = (of: Mesh) => ({ name: of.name, trustDomain: of.trustDomain, revision: of.revision, settings: of.settings, createdAt: new Date(of.createdAtMs).toISOString() })

export const meshRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/organizations/{organization}/meshes',
    summary: 'The meshes that the key sees.',
    query: pageQuery,
    answers: { status: 200, schema: page(meshBody) },
    async handle(request) {
      const { actor, organization } = await organizationOf(request)
      const meshes = await meshesOf(request.doors, organization.id)
      const { items, next } = pageOf(meshes.filter((one) => sees(actor, one)), request.query(pageQuery), (one) => [one.name])
      return { json: { items: items.map(shown), next } }
    },
  },
  {
    method: 'POST',
    path: '/api/v1/organizations/{organization}/meshes',
    summary: 'Makes a mesh with a root certificate of its own.',
    body: meshRequest,
    answers: { status: 201, schema: meshBody },
    idempotent: true,
    async handle(request) {
      const { actor, organization } = await organizationOf(request)
      permit(actor, 'admin')
      const wanted = await request.body(meshRequest)
      const made = shown(await request.doors.createMesh(organization.id, wanted.name, wanted.trustDomain ?? 'cluster.local', quotaOf(organization).meshes))
      request.changed(`Mesh/${made.name}`, undefined, made)
      return { status: 201, json: made }
    },
  },
  { method: 'GET', path: MESH, summary: 'One mesh.', answers: { status: 200, schema: meshBody }, handle: async (request) => ({ json: shown((await meshTarget(request, 'read', 'any')).mesh) }) },
  {
    method: 'PATCH',
    path: MESH,
    summary: 'Changes settings of the mesh; those not named stay.',
    body: meshSettings,
    answers: { status: 200, schema: meshBody },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'admin')
      const { strict, outboundTrafficPolicy, otlp } = await request.body(meshSettings)
      const changes = { ...(strict === undefined ? {} : { strict }), ...(outboundTrafficPolicy === undefined ? {} : { outboundTrafficPolicy }), ...(otlp === undefined ? {} : { otlp }) }
      const after = await request.doors.store.setMeshSettings(mesh.organizationId, mesh.id, (before) => {
        ifMatch(request, shown(before))
        const settings = { ...before.settings, ...changes }
        request.changed(`Mesh/${mesh.name}`, { settings: before.settings }, { settings })
        return settings
      })
      return { json: shown(after) }
    },
  },
  {
    method: 'POST',
    path: `${MESH}/join-tokens`,
    summary: 'Makes a token with which a proxy asks for its first certificate. Its secret is in this answer and in no other.',
    body: joinTokenRequest,
    answers: { status: 201, schema: joinTokenCreated },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'admin')
      const { namespace, serviceAccount, ttlSeconds } = await request.body(joinTokenRequest)
      const { secret, hash } = makeCredential('join')
      const expiresAtMs = request.doors.wallMs() + (ttlSeconds ?? HOUR_S) * 1000
      const { id } = await request.doors.store.createJoinToken(mesh.organizationId, { meshId: mesh.id, namespace, serviceAccount, expiresAtMs, hash })
      const told = { id, namespace, serviceAccount, expiresAt: new Date(expiresAtMs).toISOString() }
      request.changed(`JoinToken/${id}`, undefined, told)
      return { status: 201, json: { secret, ...told } }
    },
  },
  {
    method: 'GET',
    path: `${MESH}/join-tokens`,
    summary: 'The join tokens of the mesh, without their secrets.',
    query: pageQuery,
    answers: { status: 200, schema: page(joinToken) },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'admin')
      const { items, next } = pageOf(await request.doors.store.listJoinTokens(mesh.organizationId, mesh.id), request.query(pageQuery), (one) => [one.createdAtMs, one.id])
      return { json: { items: items.map(({ id, namespace, serviceAccount, expiresAtMs, createdAtMs }) => ({ id, namespace, serviceAccount, expiresAt: new Date(expiresAtMs).toISOString(), createdAt: new Date(createdAtMs).toISOString() })), next } }
    },
  },
  {
    method: 'DELETE',
    path: `${MESH}/join-tokens/{token}`,
    summary: 'Deletes a join token. Proxies that have a certificate by now stay; streams that were opened with the token end.',
    answers: { status: 204 },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'admin')
      if (!(await request.doors.store.deleteJoinToken(mesh.organizationId, mesh.id, request.param('token')))) throw new Faults([fault('object.not-found', { path: '', rule: 'there is no such join token' })])
      return new Response(null, { status: 204 })
    },
  },
  {
    method: 'GET',
    path: `${MESH}/topology`,
    summary: 'The mesh as it moves: services, versions, and the traffic between them over the last window.',
    answers: { status: 200, schema: topology },
    handle: async (request) => ({ json: await request.doors.topology((await meshTarget(request, 'read')).mesh.id) }),
  },
  {
    method: 'GET',
    path: `${MESH}/root.pem`,
    summary: 'The root certificate of the mesh.',
    answers: { status: 200, type: 'application/x-pem-file' },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'read', 'any')
      return new Response(mesh.rootCertificate, { headers: { 'content-type': 'application/x-pem-file' } })
    },
  },
  {
    method: 'GET',
    path: `${MESH}/kubeconfig`,
    summary: 'A kubeconfig for the mesh, with the key that asked for it.',
    answers: { status: 200, type: 'application/yaml' },
    async handle(request) {
      const { organization, mesh } = await meshTarget(request, 'read', 'any')
      const text = kubeconfigText(request.doors.publicUrl(), organization.name, mesh.name, credentialOf(request.authorization) ?? '')
      return new Response(text, { headers: { 'content-type': 'application/yaml' } })
    },
  },
]
