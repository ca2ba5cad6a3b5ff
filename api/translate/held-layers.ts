import type { MeshModel, Touched } from '#api/model/mesh-model.ts'
import { Layer } from './layer.ts'
import type { Engine } from './layer.ts'
import type { ProxyView } from './proxy-view.ts'
import type { LayerSpec, MemberLayerSpec } from './unit.ts'

/** A layer with the views that include it. */
export interface HeldLayer {
  readonly layer: Layer
  readonly views: Set<ProxyView>
}

/**
 * The layers of a mesh that views include, one for all that see the same: made for the first view and dropped with the last. Layers of an index's members follow the index.
 */
export class HeldLayers {
  readonly #model: MeshModel
  readonly #engine: Engine
  readonly #dropped: (layer: Layer) => void
  readonly #byKey = new Map<string, HeldLayer>()
  /** Layers that are not whole yet, by key. */
  readonly #beginning = new Set<string>()
  readonly #byIndex = new Map<string, Set<HeldLayer>>()

  /** @param dropped hears of each layer that nobody includes any more */
  constructor(model: MeshModel, engine: Engine, dropped: (layer: Layer) => void) {
    this.#model = model
    this.#engine = engine
    this.#dropped = dropped
  }

  get size(): number {
    return this.#byKey.size
  }

  all(): IterableIterator<HeldLayer> {
    return this.#byKey.values()
  }

  get(key: string): HeldLayer | undefined {
    return this.#byKey.get(key)
  }

  /** The views that include a layer. */
  viewsOf({ spec }: Layer): ReadonlySet<ProxyView> {
    return this.#byKey.get(spec.key)?.views ?? NOBODY
  }

  /** Whether a layer is there, with all that belongs in it. */
  isWhole(key: string): boolean {
    return this.#byKey.has(key) && !this.#beginning.has(key)
  }

  /** A layer that is filled bit by bit, by whoever begins it: until then it is not whole. */
  begin(spec: MemberLayerSpec): HeldLayer {
    const held: HeldLayer = { layer: new Layer(spec, this.#engine), views: new Set() }
    this.#byKey.set(spec.key, held)
    this.#beginning.add(spec.key)
    this.#index(held, spec)
    return held
  }

  /** What was begun is whole. */
  filled(key: string): void {
    this.#beginning.delete(key)
  }

  /** The layer of a specification, whole: the one that others hold, or a new one. */
  hold(spec: LayerSpec): HeldLayer {
    const known = this.#byKey.get(spec.key)
    if (known !== undefined) {
      // Whoever cannot wait has the rest of it made now.
      if (this.#beginning.delete(spec.key) && 'indices' in spec) this.#settleAll(known.layer, spec)
      return known
    }
    const base = 'elsewhere' in spec ? this.hold(spec.elsewhere).layer : undefined
    const held: HeldLayer = { layer: new Layer(spec, this.#engine, base), views: new Set() }
    this.#byKey.set(spec.key, held)
    if ('elsewhere' in spec) base?.showTo(spec.namespace, held.layer)
    else this.#fill(held)
    return held
  }

  /** A view goes, and the layer with it where it was the last. */
  leave(view: ProxyView, key: string): void {
    const held = this.#byKey.get(key)
    if (held === undefined) return
    held.views.delete(view)
    if (held.views.size === 0) this.drop(held)
  }

  drop(held: HeldLayer): void {
    const { layer } = held
    const { spec, base } = layer
    layer.close()
    this.#dropped(layer)
    this.#byKey.delete(spec.key)
    this.#beginning.delete(spec.key)
    if ('indices' in spec) for (const index of spec.indices) this.#byIndex.get(index)?.delete(held)
    if (base === undefined || !('elsewhere' in spec) || base.hideFrom(spec.namespace)) return
    const below = this.#byKey.get(base.spec.key)
    if (below !== undefined) this.drop(below)
  }

  /** Has the layers of touched indices gain and lose members. */
  settleMembers(touched: Touched): void {
    for (const [index, entries] of touched.members) {
      for (const { layer } of this.#byIndex.get(index) ?? []) {
        if ('units' in layer.spec) continue
        const { indices } = layer.spec
        for (const entry of entries) layer.settle(entry, indices.some((one) => this.#model.hasMember(one, entry)))
      }
    }
  }

  #fill(held: HeldLayer): void {
    const { layer } = held
    if ('units' in layer.spec) {
      for (const unit of layer.spec.units) layer.add(unit.key, unit)
      return
    }
    this.#settleAll(layer, layer.spec)
    this.#index(held, layer.spec)
  }

  #settleAll(layer: Layer, { indices }: MemberLayerSpec): void {
    for (const index of indices) for (const member of this.#model.members(index)) layer.settle(member, true)
  }

  #index(held: HeldLayer, { indices }: MemberLayerSpec): void {
    for (const index of indices) {
      const layers = this.#byIndex.get(index)
      if (layers === undefined) this.#byIndex.set(index, new Set([held]))
      else layers.add(held)
    }
  }
}

const NOBODY: ReadonlySet<ProxyView> = new Set()
