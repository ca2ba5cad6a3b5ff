import type { Resource, ResourceView, Shown, ViewChange } from '#api/serve/resource.ts'
import { SECRET } from '#core/wire/type-url.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Dependent, Layer } from './layer.ts'
import { placeholderFor } from './resource.ts'

/** What a view asks of the mesh that it is of. */
interface ViewOwner {
  /** How far a view has heard. */
  revisionOf(view: ProxyView): number
  /** Whether another view may include a layer as well. */
  isShared(layer: Layer): boolean
  /** One object for one text. */
  named(text: string): object
  /** One object for layers that are shown together. */
  together(a: object, b: object): object
  release(view: ProxyView): void
}

const NOTHING_SHOWN = {}
/** More resources of its own, and a view is said to share nothing of a type. */
const OWN_MAX = 32

/** What one node may be sent: the layers that it includes, one after the other. */
export class ProxyView implements ResourceView, Dependent {
  readonly node: ProxyNode
  reads = new Set<string>()
  layers: readonly Layer[] = []
  readonly #mesh: ViewOwner
  readonly #listeners = new Set<(change: ViewChange) => void>()

  constructor(node: ProxyNode, mesh: ViewOwner) {
    this.node = node
    this.#mesh = mesh
  }

  get revision(): number {
    return this.#mesh.revisionOf(this)
  }

  get(type: string, name: string): Resource | undefined {
    for (const layer of this.layers) {
      const found = layer.get(type, name)
      if (found !== undefined) return found
    }
    return undefined
  }

  *list(type: string): Iterable<Resource> {
    if (type === SECRET) return
    const [first, ...others] = this.layers.filter((layer) => layer.has(type))
    if (first !== undefined) yield* first.list(type)
    for (const [at, layer] of others.entries()) {
      for (const resource of layer.list(type)) if (first?.get(type, resource.name) === undefined && !others.slice(0, at).some((before) => before.get(type, resource.name) !== undefined)) yield resource
    }
  }

  subscribe(listener: (change: ViewChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  placeholder(type: string, name: string): Resource | undefined {
    // A client of gRPC takes an absence for what it is; Envoy would wait for ever (xds-rules 19).
    return this.node.type === 'grpc' ? undefined : placeholderFor(type, name)
  }

  sharing(type: string): Shown | undefined {
    // Placeholders of theirs are others; secrets are one client's own.
    if (this.node.type === 'grpc' || type === SECRET) return undefined
    let as: object = NOTHING_SHOWN
    const own: string[] = []
    for (const layer of this.layers) {
      if (!layer.has(type)) continue
      if (this.#mesh.isShared(layer)) as = this.#mesh.together(as, layer.shown(type))
      else for (const { name } of layer.list(type)) if (own.push(name) > OWN_MAX) return undefined
    }
    if (as === NOTHING_SHOWN) return undefined
    return { as: own.length === 0 ? as : this.#mesh.together(as, this.#mesh.named(own.join('\n'))), own }
  }

  release(): void {
    this.#listeners.clear()
    this.#mesh.release(this)
  }

  /** Turns names that changed into what is there now. */
  tell(revision: number, names: ReadonlyMap<string, ReadonlySet<string>>): void {
    const changed: Resource[] = []
    const removed: { type: string; name: string }[] = []
    for (const [type, ofType] of names) {
      for (const name of ofType) {
        const now = this.get(type, name)
        if (now === undefined) removed.push({ type, name })
        else changed.push(now)
      }
    }
    for (const listener of this.#listeners) listener({ revision, changed, removed })
  }
}

