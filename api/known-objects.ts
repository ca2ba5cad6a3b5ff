import type { Mesh, ResourceKey, StoredResource } from '#db/store.ts'
import type { Meshes } from './meshes.ts'
import { objectId } from './model/mesh-model.ts'
import type { MeshModel } from './model/mesh-model.ts'

/** The objects of a mesh as they stand at one revision, without a question to the database. */
export interface KnownObjects {
  readonly revision: number
  object(key: ResourceKey): StoredResource | undefined
  /** In order of namespace and name. */
  list(group: string, kind: string): readonly StoredResource[]
}

const lists = new WeakMap<MeshModel, { readonly revision: number; readonly byKind: ReadonlyMap<string, readonly StoredResource[]> }>()

/**
 * What the model in memory knows of a mesh, where it is at least as new as `mesh` was read from the database for the same request: whoever has written before, at whichever replica, finds it.
 * Undefined where it is not, or not in memory.
 */
export function knownObjects(meshes: Meshes, mesh: Mesh): KnownObjects | undefined {
  const model = meshes.loaded(mesh.id)?.model
  if (model === undefined || model.revision < mesh.revision) return undefined
  return {
    revision: model.revision,
    object: (key) => {
      const found = model.written(objectId(key))
      return found?.key.group === key.group ? found : undefined
    },
    list: (group, kind) => listsOf(model).get(kindText(group, kind)) ?? [],
  }
}

/** All kinds at once: a client that lists one lists others, and one look over the mesh serves until the next revision. */
function listsOf(model: MeshModel): ReadonlyMap<string, readonly StoredResource[]> {
  const known = lists.get(model)
  if (known?.revision === model.revision) return known.byKind
  const byKind = new Map<string, StoredResource[]>()
  for (const stored of model.objects()) {
    const place = kindText(stored.key.group, stored.key.kind)
    const list = byKind.get(place)
    if (list === undefined) byKind.set(place, [stored])
    else list.push(stored)
  }
  for (const list of byKind.values()) list.sort((a, b) => order(a.key.namespace, b.key.namespace) || order(a.key.name, b.key.name))
  lists.set(model, { revision: model.revision, byKind })
  return byKind
}

const kindText = (group: string, kind: string): string => `${group}/${kind}`
/** As the database's, whose collation is C: names are ASCII. */
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
