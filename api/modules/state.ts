import { MODULES } from '#api/model/modules.ts'
import type { ModuleState } from '#api/model/modules.ts'
import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { type Mesh, type ResourceKey, type Store, StoreConflict } from '#db/store.ts'

const AUTHOR = 'weft/modules'
const TRIES = 20

type States = Pick<Store, 'getResource' | 'applyResources'>

/**
 * Changes one member of a namespace's states as it is by now, and drops those of objects that are gone: `change` answers what becomes of it, or undefined to leave it. Of two replicas at once neither
 * loses what the other wrote. Answers whether it was written.
 */
export async function changeState(store: States, mesh: Pick<Mesh, 'id' | 'organizationId'>, namespace: string, member: string, change: (map: ConfigMapFields | undefined) => ModuleState | undefined, isThere: (member: string) => boolean): Promise<boolean> {
  const key: ResourceKey = { group: '', kind: 'ConfigMap', namespace, name: MODULES }
  for (let tries = 1; ; tries++) {
    const stored = await store.getResource(mesh.organizationId, mesh.id, key)
    const map = stored?.object as ConfigMapFields | undefined
    const state = change(map)
    if (state === undefined) return false
    const others = Object.entries(map?.data ?? {}).filter(([name]) => name !== member && isThere(name))
    const metadata = { name: MODULES, namespace, labels: { 'app.kubernetes.io/managed-by': 'weft' } }
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: Object.fromEntries([...others, [member, JSON.stringify(state)]]) } as ResourceObject
    try {
      await store.applyResources(mesh.organizationId, mesh.id, [{ key, object, expectedVersion: stored === undefined ? '' : String(stored.revision) }], { author: AUTHOR, message: `the module of ${member}: ${state.error ?? 'fetched'}` })
      return true
    } catch (error) {
      if (!(error instanceof StoreConflict) || tries >= TRIES) throw error
    }
  }
}
