import { fault, Faults } from '#core/fault/fault.ts'
import type { Store } from '#db/store.ts'
import { authenticate, meshNotFound, permit, permitNamespace } from './check.ts'

/**
 * The id of the mesh that an operator looks at by other ways than REST: by API key, and by `MESH` or `ORGANIZATION/MESH` where the key is not bound to one.
 * @throws Faults 'access.unauthenticated', 'access.forbidden', 'object.not-found', 'request.invalid'
 */
export async function meshOfOperator(store: Store, bearer: string | undefined, name: string | undefined): Promise<string> {
  const actor = await authenticate(store, bearer)
  // What proxies were sent spans all namespaces.
  permitNamespace(actor, undefined)
  if (name === undefined) {
    if (actor.meshId === null) throw new Faults([fault('request.invalid', { path: 'x-weft-mesh', rule: 'the mesh that is meant, for a key of a whole organization' })])
    return actor.meshId
  }
  const [first = '', second] = name.split('/')
  if (second !== undefined && (await store.organizationByName(first))?.id !== actor.organizationId) throw meshNotFound()
  const mesh = await store.meshByName(actor.organizationId, second ?? first)
  if (mesh === undefined) throw meshNotFound()
  permit(actor, 'read', mesh)
  return mesh.id
}
