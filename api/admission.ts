import type { Fault } from '#core/fault/fault.ts'
import type { Change, Mesh, ResourceWrite, StoredResource } from '#db/store.ts'
import type { LoadedMesh, Meshes } from './meshes.ts'
import { objectId } from './model/mesh-model.ts'
import { namespaceKey } from './apply/namespaces.ts'
import { admissionFindings } from './translate/check.ts'

/**
 * Judges writes by the mesh as it would be with them: dangling references, hosts that two objects claim, what cannot be translated.
 * The model in memory takes the writes in, is looked at, and takes them back, all in one turn of the event loop: no view hears of it, and the cost is that of the change.
 */
export class MeshAdmission {
  readonly #meshes: Meshes

  constructor(meshes: Meshes) {
    this.#meshes = meshes
  }

  /** Whether a namespace is there, by a model at least as new as `mesh` was read; false also where that is not known. */
  hasNamespace(mesh: Mesh, name: string): boolean {
    const model = this.#meshes.loaded(mesh.id)?.model
    return model !== undefined && model.revision >= mesh.revision && model.object(objectId(namespaceKey(name))) !== undefined
  }

  async judge(mesh: Mesh, writes: readonly ResourceWrite[]): Promise<Fault[]> {
    const loaded = await this.#meshes.get(mesh.id)
    return loaded ? judgeWith(loaded, writes) : []
  }
}

function judgeWith({ model }: LoadedMesh, writes: readonly ResourceWrite[]): Fault[] {
  const { revision } = model
  const now = new Map(writes.map((write) => [objectId(write.key), { key: write.key, stored: model.object(objectId(write.key)) }]))
  model.apply(writes.map((write) => asChange(write, model.object(objectId(write.key)), revision)), revision)
  try {
    return admissionFindings(model, writes.map((write) => write.key))
  } finally {
    const back: Change[] = [...now.values()].map(({ key, stored }) => ({ of: 'resource', revision, key, stored }))
    model.apply(back, revision)
  }
}

/** A write as the change that it will be, with what the store would add. */
function asChange(write: ResourceWrite, before: StoredResource | undefined, revision: number): Change {
  if (write.object === null) return { of: 'resource', revision, key: write.key, stored: undefined }
  const stored: StoredResource = {
    key: write.key,
    uid: before?.uid ?? '',
    revision: revision + 1,
    generation: (before?.generation ?? 0) + 1,
    // Where age decides, a new object is younger than all that are stored.
    createdAtMs: before?.createdAtMs ?? Number.MAX_SAFE_INTEGER,
    object: write.object,
  }
  return { of: 'resource', revision, key: write.key, stored }
}
