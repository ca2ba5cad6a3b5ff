import { explainRequest, explainResponse } from '#core/contract/explain.ts'
import { MESH, meshTarget } from './meshes.ts'
import type { Route } from './route.ts'

export const explainRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: `${MESH}/explain`,
    summary: 'What becomes of a request that nobody has to send: every rule that it would meet, and the object that decides.',
    body: explainRequest,
    answers: { status: 200, schema: explainResponse },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'read')
      return { json: await request.doors.explain(mesh.id, await request.body(explainRequest)) }
    },
  },
]
