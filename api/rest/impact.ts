import type { ApplyResponse } from '#core/contract/apply.ts'
import { type Impact, impactRequest, impactResponse } from '#core/contract/impact.ts'
import { quotaOf } from '../access/quota.ts'
import { applyChange } from '../apply/apply.ts'
import { DEFAULT_NAMESPACE, proposalsOf, skippedResult, wordOf } from './configuration.ts'
import { MESH, meshTarget } from './meshes.ts'
import type { Route } from './route.ts'

export const impactRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: `${MESH}/impact`,
    summary: 'What storing these objects would change: which resources of which proxies, and which of the calls that the mesh has seen would be routed or authorised differently. Nothing is stored.',
    body: impactRequest,
    answers: { status: 200, schema: impactResponse },
    async handle(request) {
      const { actor, mesh, organization } = await meshTarget(request, 'read')
      const wanted = await request.body(impactRequest)
      const proposals = proposalsOf(wanted)
      const applied = await applyChange(request.doors, mesh, {
        puts: proposals,
        removals: (wanted.removals ?? []).map((key) => ({ key })),
        by: { author: actor.name, message: '' },
        dryRun: true,
        quota: quotaOf(organization),
        defaultNamespace: DEFAULT_NAMESPACE,
      })
      const objects: ApplyResponse['results'] = [
        ...applied.results.map(({ key, verdict }) => ({ name: wordOf(key), kind: key.kind, namespace: key.namespace, verdict })),
        ...proposals.flatMap(skippedResult),
      ]
      const answer: Impact = { ...(await request.doors.impact(mesh, applied.results)), objects, warnings: [...applied.warnings] }
      return { json: answer }
    },
  },
]
