import { z } from 'zod'
import { applyResponse } from '#core/contract/apply.ts'
import type { ApplyResponse } from '#core/contract/apply.ts'
import { revisionDifference, rollbackRequest } from '#core/contract/rollback.ts'
import { page } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import { redact } from '#core/resource/redact.ts'
import type { Mesh, ResourceKey } from '#db/store.ts'
import { permitNamespace } from '../access/check.ts'
import { applyChange } from '../apply/apply.ts'
import { quotaOf } from '../access/quota.ts'
import { wordOf } from './configuration.ts'
import { MESH, meshTarget } from './meshes.ts'
import type { Route } from './route.ts'

const revisionOf = (mesh: Mesh, revision: number): number => {
  if (revision <= mesh.revision) return revision
  throw new Faults([fault('request.invalid', { path: 'revision', value: revision, rule: `at most ${mesh.revision}, where the mesh is` })])
}

export const rollbackRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: `${MESH}/rollback`,
    summary: 'Brings the mesh, or one object, back to what it was at a revision. That is a new revision, checked as any other.',
    body: rollbackRequest,
    idempotent: true,
    answers: { status: 200, schema: applyResponse },
    async handle(request) {
      const { actor, mesh, organization } = await meshTarget(request, 'write', 'any')
      const wanted = await request.body(rollbackRequest)
      const key: ResourceKey | undefined = wanted.object
      permitNamespace(actor, key?.namespace)
      const then = await request.doors.store.objectsAt(mesh.organizationId, mesh.id, revisionOf(mesh, wanted.revision), key)
      const applied = await applyChange(request.doors, mesh, {
        puts: then.flatMap(({ object }) => (object === null ? [] : [{ value: object }])),
        removals: then.flatMap((one) => (one.object === null ? [{ key: one.key }] : [])),
        by: { author: actor.name, message: wanted.message ?? `rollback to ${wanted.revision}` },
        dryRun: wanted.dryRun ?? false,
        namespaces: actor.namespaces,
        quota: quotaOf(organization),
      })
      const results = applied.results.map(({ key: of, verdict }) => ({ name: wordOf(of), kind: of.kind, namespace: of.namespace, verdict }))
      const answer: ApplyResponse = { revision: applied.revision, results, warnings: [...applied.warnings] }
      return { json: answer }
    },
  },
  {
    method: 'GET',
    path: `${MESH}/revisions/{revision}/differences`,
    summary: 'What has changed since a revision: each object as it was then and as it is now, secrets hidden.',
    answers: { status: 200, schema: page(revisionDifference) },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'read')
      const asked = z.coerce.number().int().min(0).safeParse(request.param('revision'))
      if (!asked.success) throw new Faults([fault('request.invalid', { path: 'revision', value: request.param('revision'), rule: 'a whole number' })])
      const then = await request.doors.store.objectsAt(mesh.organizationId, mesh.id, revisionOf(mesh, asked.data))
      const items = await Promise.all(
        then.map(async ({ key, object }) => {
          const now = await request.doors.store.getResource(mesh.organizationId, mesh.id, key)
          return { ...key, before: object === null ? null : redact(object), after: now === undefined ? null : redact(now.object) }
        }),
      )
      return { json: { items, next: null } }
    },
  },
]
