import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { redact } from '#core/resource/redact.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import type { Mesh, StoredResource } from '#db/store.ts'
import type { ApiDoors } from '../rest/doors.ts'

/** An object as readers get it: what the author wrote, what the store knows of it, computed status; secrets hidden. */
export function present(doors: Pick<ApiDoors, 'statusOf'>, mesh: Mesh, kind: ResourceKind, stored: StoredResource, version: string = kind.versions[0]): ResourceObject {
  const { apiVersion: _, kind: __, metadata, ...fields } = stored.object
  const shown = redact({
    apiVersion: apiVersionOf(kind, version),
    kind: kind.kind,
    metadata: {
      ...metadata,
      ...(kind.namespaced ? { namespace: stored.key.namespace } : {}),
      uid: stored.uid,
      resourceVersion: String(stored.revision),
      generation: stored.generation,
      creationTimestamp: new Date(stored.createdAtMs).toISOString().replace(/\.\d{3}Z$/, 'Z'),
    },
    ...fields,
  })
  const status = kind.kind === 'Namespace' && kind.group === '' ? { phase: 'Active' } : doors.statusOf(mesh.id, shown)
  return status === undefined ? shown : { ...shown, status }
}
