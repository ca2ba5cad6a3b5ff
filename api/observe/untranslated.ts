import type { Fault } from '#core/fault/fault.ts'
import type { LoadedMesh, Meshes } from '../meshes.ts'

/** Objects that could not be translated and are kept from the proxies while all others flow, by mesh: looked up once a revision. */
export class Untranslated {
  readonly #meshes: Meshes
  readonly #known = new WeakMap<LoadedMesh, { readonly revision: number; readonly byObject: ReadonlyMap<string, readonly Fault[]> }>()

  constructor(meshes: Meshes) {
    this.#meshes = meshes
  }

  /** @param object `VirtualService/prod/orders` */
  of(meshId: string, object: string): readonly Fault[] {
    return this.#read(meshId).get(object) ?? []
  }

  all(meshId: string): { readonly object: string; readonly faults: readonly Fault[] }[] {
    return [...this.#read(meshId)].map(([object, faults]) => ({ object, faults }))
  }

  /** Empty while the mesh is not in memory: nobody is served from it then. */
  #read(meshId: string): ReadonlyMap<string, readonly Fault[]> {
    const mesh = this.#meshes.loaded(meshId)
    if (mesh === undefined) return new Map()
    const known = this.#known.get(mesh)
    if (known?.revision === mesh.model.revision) return known.byObject
    const byObject = new Map<string, Fault[]>()
    for (const { unit, faults } of mesh.views.faults()) {
      for (const one of faults) {
        const object = one.resource ?? unit
        const list = byObject.get(object)
        if (list === undefined) byObject.set(object, [one])
        else list.push(one)
      }
    }
    this.#known.set(mesh, { revision: mesh.model.revision, byObject })
    return byObject
  }
}
