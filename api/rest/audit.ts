import { auditEntry, auditQuery, page, quota } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import { quotaOf } from '../access/quota.ts'
import { actorOf, administered, BOOTSTRAP, meshesOf, organizationNotFound } from './organizations.ts'
import { ifMatch } from './precondition.ts'
import type { Route } from './route.ts'

const ORGANIZATION = '/api/v1/organizations/{organization}'
const PAGE_DEFAULT = 100

export const auditRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${ORGANIZATION}/audit`,
    summary: 'Who wrote what, from where, and what was refused; the newest first.',
    query: auditQuery,
    answers: { status: 200, schema: page(auditEntry) },
    async handle(request) {
      const { organization: of } = await administered(request, 'admin')
      const { limit, cursor, actor, refused, mesh: named, since, until } = request.query(auditQuery)
      await request.doors.audit?.settled()
      const meshes = await meshesOf(request.doors, of.id)
      const mesh = named === undefined ? undefined : meshes.find((one) => one.name === named)
      // A mesh that is not there has no entries.
      if (named !== undefined && mesh === undefined) return { json: { items: [], next: null } }
      const filter = {
        ...(mesh === undefined ? {} : { meshId: mesh.id }),
        ...(actor === undefined ? {} : { actor }),
        ...(refused === undefined ? {} : { refused: refused === 'true' }),
        ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
        ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
      }
      const found = await request.doors.store.listAudit(of.id, filter, { limit: limit ?? PAGE_DEFAULT, ...(cursor === undefined ? {} : { cursor }) })
      const items = found.items.map(({ atMs, meshId, ...one }) => ({ ...one, mesh: meshId === null ? null : (meshes.find((one) => one.id === meshId)?.name ?? meshId), at: new Date(atMs).toISOString() }))
      return { json: { items, next: found.next ?? null } }
    },
  },
  {
    method: 'GET',
    path: `${ORGANIZATION}/quota`,
    summary: 'What the organization may have.',
    answers: { status: 200, schema: quota.required() },
    handle: async (request) => ({ json: quotaOf((await administered(request, 'admin')).organization) }),
  },
  {
    method: 'PATCH',
    path: `${ORGANIZATION}/quota`,
    summary: 'Sets bounds of the organization; those not named stay. Only the bootstrap key may.',
    body: quota,
    answers: { status: 200, schema: quota.required() },
    async handle(request) {
      const found = await request.doors.store.organizationByName(request.param('organization'))
      if (!request.isBootstrap) {
        if (found === undefined || found.id !== actorOf(request).organizationId) throw organizationNotFound()
        throw new Faults([fault('access.forbidden', { path: '', rule: 'only the bootstrap key sets quotas' })])
      }
      if (found === undefined) throw organizationNotFound()
      request.attempted({ organizationId: found.id, name: BOOTSTRAP })
      const wanted = await request.body(quota)
      const next = await request.doors.store.setQuota(found.id, (before) => {
        ifMatch(request, quotaOf({ quota: before }))
        request.changed('Quota', before, { ...before, ...wanted })
        return { ...before, ...wanted }
      })
      return { json: quotaOf({ quota: next }) }
    },
  },
]
