import { LRUCache } from 'lru-cache'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { Mesh, Organization, Quota, Store } from '#db/store.ts'

/** What an organization may have unless it was given other bounds. */
export const QUOTA_DEFAULT: Required<Quota> = { meshes: 100, resourcesPerMesh: 50_000, objectBytes: 1024 * 1024 }

export const quotaOf = (organization: Pick<Organization, 'quota'>): Required<Quota> => ({ ...QUOTA_DEFAULT, ...organization.quota })

const beyond = (path: string, value: number, rule: string): Fault => fault('access.quota', { path, value, rule, hint: 'whoever runs this control plane can raise it' })

/** @throws Faults 'access.quota' when one more mesh would be too many */
export function permitMesh(organization: Organization, meshes: number): void {
  const { meshes: most } = quotaOf(organization)
  if (meshes >= most) throw new Faults([beyond('', meshes, `at most ${most} meshes`)])
}

/** Faults of objects that are larger than allowed, as JSON in UTF-16 units. */
export function sizeFaults(quota: Required<Quota>, objects: readonly { readonly path: string; readonly value: unknown; readonly resource: string }[]): Fault[] {
  return objects.flatMap(({ path, value, resource }) => {
    const size = JSON.stringify(value).length
    return size > quota.objectBytes ? [{ ...beyond(path, size, `at most ${quota.objectBytes} bytes an object`), resource }] : []
  })
}

/** How many objects a mesh has, counted anew only as it nears its bound: counting costs what the mesh holds. */
export class ResourceCounts {
  readonly #store: Pick<Store, 'countResources'>
  readonly #known = new LRUCache<string, number>({ max: 10_000 })

  constructor(store: Pick<Store, 'countResources'>) {
    this.#store = store
  }

  /** The fault of a change that would bring `added` more objects than the mesh may have. */
  async fault(quota: Required<Quota>, mesh: Mesh, added: number): Promise<Fault | undefined> {
    if (added === 0) return undefined
    // Never below the truth: every write is counted as if it made an object.
    const atMost = (this.#known.get(mesh.id) ?? Number.POSITIVE_INFINITY) + added
    if (atMost <= quota.resourcesPerMesh) {
      this.#known.set(mesh.id, atMost)
      return undefined
    }
    const count = await this.#store.countResources(mesh.organizationId, mesh.id)
    if (count + added > quota.resourcesPerMesh) return beyond('', count + added, `at most ${quota.resourcesPerMesh} objects in a mesh`)
    this.#known.set(mesh.id, count + added)
    return undefined
  }
}
