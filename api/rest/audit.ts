import { auditEntry, page, quota } from '#core/contract/tenancy.ts'
import { pageQuery } from '#core/contract/history.ts'
import { authenticate } from '../access/check.ts'
import { credentialOf } from '../apply/target.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import { quotaOf } from '../access/quota.ts'
import { administered, isBootstrap, meshesOf, organizationNotFound } from './organizations.ts'
import type { Route } from './route.ts'

const ORGANIZATION = '/api/v1/organizations/{organization}'
const PAGE_DEFAULT = 100

export const auditRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${ORGANIZATION}/audit`,
    summary: 'Who wrote what, from where, and what was refused; the newest first.',
    query: pageQuery,
    answers: { status: 200, schema: page(auditEntry) },
    async handle(request) {
      const { organization: of } = await administered(request, 'admin')
      const { limit, cursor } = request.query(pageQuery)
      await request.doors.audit?.settled()
      const meshes = await meshesOf(request.doors, of.id)
      const found = await request.doors.store.listAudit(of.id, {}, { limit: limit ?? PAGE_DEFAULT, ...(cursor === undefined ? {} : { cursor }) })
      const items = found.items.map(({ atMs, meshId, ...one }) => ({ ...one, mesh: meshId === null ? null : (meshes.find((mesh) => mesh.id === meshId)?.name ?? meshId), at: new Date(atMs).toISOString() }))
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
      if (!isBootstrap(request)) {
        const actor = await authenticate(request.doors.store, credentialOf(request.authorization))
        if (found === undefined || found.id !== actor.organizationId) throw organizationNotFound()
        throw new Faults([fault('access.forbidden', { path: '', rule: 'only the bootstrap key sets quotas' })])
      }
      if (found === undefined) throw organizationNotFound()
      const wanted = await request.body(quota)
      const next = { ...found.quota, ...wanted }
      await request.doors.store.setQuota(found.id, next)
      return { json: quotaOf({ quota: next }) }
    },
  },
]
