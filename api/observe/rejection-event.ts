import type { Store } from '#db/store.ts'
import { readNodeId } from '#core/workload/node-message.ts'
import type { LoadedMesh } from '../meshes.ts'
import type { RejectionEvent } from '../rest/doors.ts'
import type { RejectionNews } from '../serve/ledger.ts'

/** Objects whose author is looked up. */
const objectsMax = 10

/** A refusal with the authors of the objects behind it: whoever wrote each of them last, by its history. */
export async function rejectionEvent(store: Store, mesh: LoadedMesh | undefined, { node, type, rejection }: RejectionNews): Promise<RejectionEvent> {
  const { name, namespace } = readNodeId(node)
  const { message, resources, revision, origins, atMs } = rejection
  const objects = await Promise.all(
    origins.slice(0, objectsMax).map(async (object) => ({ object, author: mesh ? await authorOf(store, mesh, object) : '' })),
  )
  return { atMs, proxy: namespace === '' ? node : `${name}.${namespace}`, type, resources, objects, revision, message }
}

/** @param id `VirtualService/prod/order-service` */
async function authorOf(store: Store, mesh: LoadedMesh, id: string): Promise<string> {
  const key = mesh.model.object(id)?.key
  if (key === undefined) return ''
  const { items } = await store.history(mesh.organizationId, mesh.id, { key }, { limit: 1 })
  return items[0]?.author ?? ''
}
