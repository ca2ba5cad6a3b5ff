import { ask } from '#api/simulate/ask.ts'
import { World } from '#api/simulate/world.ts'
import type { ExplainRequest } from '#core/contract/explain.ts'
import type { Trail } from '#core/explain/trail.ts'
import type { Meshes } from '../meshes.ts'

/**
 * One question about a mesh, answered from the model in memory by the translation that its proxies are served from.
 * Tokens of the request are judged by what they say and by the time; their signatures are believed, for their keys are the proxies' to fetch.
 * @param nowMs since the epoch
 * @throws Faults 'object.not-found', 'request.invalid'; Error when the mesh is gone
 */
export async function explainIn(meshes: Meshes, meshId: string, asked: ExplainRequest, nowMs: number): Promise<Trail> {
  const mesh = await meshes.get(meshId)
  if (mesh === undefined) throw new Error('the mesh that is asked about is gone')
  return ask(new World(mesh.model, mesh.views), asked, undefined, { nowMs })
}
