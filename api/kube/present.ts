import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { redact } from '#core/resource/redact.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import type { Mesh, StoredResource } from '#db/store.ts'
import type { ApiDoors } from '../rest/doors.ts'

/** An object without what changes while it does not, and its text once that was wanted. */
interface Still {
  readonly object: ResourceObject
  text: string | undefined
}

/** By version that is served. Objects in memory are listed many times between two changes. */
const known = new WeakMap<StoredResource, Map<string, Still>>()

/** An object as readers get it: what the author wrote, what the store knows of it, computed status; secrets hidden. Nobody may change it: others are given the same one. */
export function present(doors: Pick<ApiDoors, 'statusOf'>, mesh: Mesh, kind: ResourceKind, stored: StoredResource, version: string = kind.versions[0]): ResourceObject {
  const { object } = stillOf(kind, stored, version)
  const status = statusFor(doors, mesh, kind, object)
  return status === undefined ? object : { ...object, status }
}

/** The same as JSON. */
export function presentText(doors: Pick<ApiDoors, 'statusOf'>, mesh: Mesh, kind: ResourceKind, stored: StoredResource, version: string): string {
  const still = stillOf(kind, stored, version)
  const text = (still.text ??= JSON.stringify(still.object))
  const status = statusFor(doors, mesh, kind, still.object)
  if (status === undefined) return text
  return 'status' in still.object ? JSON.stringify({ ...still.object, status }) : `${text.slice(0, -1)},"status":${JSON.stringify(status)}}`
}

const statusFor = (doors: Pick<ApiDoors, 'statusOf'>, mesh: Mesh, kind: ResourceKind, object: ResourceObject): ResourceObject['status'] =>
  kind.kind === 'Namespace' && kind.group === '' ? { phase: 'Active' } : doors.statusOf(mesh.id, object)

function stillOf(kind: ResourceKind, stored: StoredResource, version: string): Still {
  const versions = known.get(stored) ?? new Map<string, Still>()
  known.set(stored, versions)
  const found = versions.get(version)
  if (found !== undefined) return found
  const still = { object: withoutStatus(kind, stored, version), text: undefined }
  versions.set(version, still)
  return still
}

function withoutStatus(kind: ResourceKind, stored: StoredResource, version: string): ResourceObject {
  const { apiVersion: _, kind: __, metadata, ...fields } = stored.object
  return redact({
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
}
