import type { MeshModel, Touched } from '#api/model/mesh-model.ts'
import type { Resource, ResourceView } from '#api/serve/resource.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { SpiffeId } from '#core/identity/spiffe.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Change } from '#db/store.ts'
import { HeldLayers } from './held-layers.ts'
import { Dependencies } from './layer.ts'
import type { Engine, Layer, Unit } from './layer.ts'
import { layersFor } from './layers-for.ts'
import { ProxyView } from './proxy-view.ts'
import type { LayerSpec } from './unit.ts'

/** How work is cut into turns of the event loop. */
export interface Turns {
  /** This turn has taken as long as it may. */
  isOver(): boolean
  /** Begins another, after all that waits. */
  next(): Promise<void>
}

/**
 * The views of a mesh's proxies. Views are made of layers, layers of units; equal scopes share a layer, and so its bytes.
 * A change goes from touched keys to the units that read them, and from changed resources to the views that include their layer: the rest is not looked at.
 */
export class MeshViews {
  /** Units computed since the start, for the test that holds cost to the change. */
  computed = 0
  readonly #model: MeshModel
  readonly #dependencies = new Dependencies()
  readonly #layers: HeldLayers
  /** Units computed at the revision that is being applied: they have seen all of it. */
  readonly #fresh = new Set<Unit>()
  readonly #named = new Map<string, object>()
  readonly #together = new WeakMap<object, WeakMap<object, object>>()
  /** Names that changed, by view; empty outside of `apply`. */
  readonly #pending = new Map<ProxyView, Map<string, Set<string>>>()
  /** Views that have not heard of the newest changes, while they are told; they stand at the revision before. */
  readonly #untold = new Map<ProxyView, Map<string, Set<string>>>()
  /** Units of few views that the newest changes touched, by layer: computed before one of these views is told. */
  readonly #stale = new Map<Layer, Set<Unit>>()
  #toldRevision = 0
  readonly #toldAtOnce: number

  /** @param toldAtOnce of so many views in one step by `applying`; of fewer where much is to be computed for each */
  constructor(model: MeshModel, toldAtOnce = 128) {
    this.#model = model
    this.#toldAtOnce = toldAtOnce
    const engine: Engine = {
      dependencies: this.#dependencies,
      named: (text) => this.named(text),
      read: (record) => model.read(record),
      changed: (layer, type, name) => {
        for (const view of this.#layers.viewsOf(layer)) this.#note(view, type, name)
      },
      computed: (unit) => {
        this.computed++
        this.#fresh.add(unit)
      },
    }
    this.#layers = new HeldLayers(model, engine, (layer) => this.#stale.delete(layer))
  }

  /** The newest revision that was applied. */
  get revision(): number {
    return this.#model.revision
  }

  /** What one node may be sent. Its identity, where it has proved one, decides over what it says of itself. */
  viewFor(node: ProxyNode, identity: SpiffeId | undefined): ResourceView {
    const proven = identity === undefined ? node : { ...node, namespace: identity.namespace, serviceAccount: identity.serviceAccount }
    const view = new ProxyView(proven, this)
    this.#arrange(view, true)
    this.#settled()
    return view
  }

  /**
   * The same for the first of a large mesh, whose layers are yet to be made: in turns, so that nobody else waits for them.
   * What changes meanwhile is taken in: a layer that is being made follows the mesh like any other.
   */
  async viewInTurns(node: ProxyNode, identity: SpiffeId | undefined, turns: Turns): Promise<ResourceView> {
    const proven = identity === undefined ? node : { ...node, namespace: identity.namespace, serviceAccount: identity.serviceAccount }
    const made = new Set<string>()
    for (const spec of layersFor(proven, this.#model.read(() => {}))) {
      const wide = 'elsewhere' in spec ? spec.elsewhere : spec
      if (!('indices' in wide) || this.#layers.isWhole(wide.key)) continue
      made.add(wide.key)
      // Others that want it wait with us, or fill the rest at once.
      const held = this.#layers.get(wide.key) ?? this.#layers.begin(wide)
      for (const index of wide.indices) {
        for (const member of [...this.#model.members(index)]) {
          if (turns.isOver()) {
            this.#settled()
            await turns.next()
            // All that wanted it have gone, and it with them.
            if (this.#layers.get(wide.key) !== held) break
          }
          if (this.#model.hasMember(index, member)) held.layer.settle(member, true)
        }
      }
      this.#layers.filled(wide.key)
    }
    this.#settled()
    const view = this.viewFor(node, identity)
    for (const key of made) {
      const held = this.#layers.get(key)
      if (held !== undefined && held.views.size === 0 && !held.layer.isShown) this.#layers.drop(held)
    }
    return view
  }

  /** Takes changes in, and tells the views that are concerned, synchronously. */
  apply(changes: Iterable<Change>, revision: number): Touched {
    const steps = this.applying(changes, revision)
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
    }
  }

  /**
   * The same in steps, each of which tells some of the views: a turn of the event loop may pass between two, so that the first need not wait for all. The model is the new one after the first step.
   * Until a view is told, it says that it is at the revision before. One series of steps at a time.
   */
  *applying(changes: Iterable<Change>, revision: number): Generator<void, Touched> {
    const before = this.#model.revision
    // What is left of steps that somebody gave up is told with this.
    this.#freshen([...this.#stale.keys()])
    const touched = this.#take(changes, revision, true)
    for (const layer of this.#stale.keys()) for (const view of this.#layers.viewsOf(layer)) this.#newsOf(view)
    this.#keepNews()
    this.#settled()
    this.#toldRevision = before
    let work = 0
    for (const view of this.#untold.keys()) {
      if (work >= this.#toldAtOnce) {
        work = 0
        yield
      }
      // It may have been released meanwhile.
      if (!this.#untold.has(view)) continue
      work += 1 + UNIT_WORK * this.#freshen(view.layers)
      const names = this.#untold.get(view)
      this.#untold.delete(view)
      if (names !== undefined && names.size > 0) view.tell(revision, names)
    }
    return touched
  }

  /** Every view has heard of all that was applied. */
  get isTold(): boolean {
    return this.#untold.size === 0
  }

  /** How far a view has heard. */
  revisionOf(view: ProxyView): number {
    return this.#untold.has(view) ? this.#toldRevision : this.#model.revision
  }

  /**
   * Takes changes in, lets `look` see the mesh as it would be, and takes them back by `back`: what each view that is held now would be sent anew or lose.
   * It is over before anything else runs, no follower hears of it, and its cost is twice that of the change.
   */
  rehearse<T>(changes: readonly Change[], back: readonly Change[], look: (views: ReadonlySet<ProxyNode>) => T): { readonly differences: readonly ViewDifference[]; readonly seen: T } {
    const { revision } = this.#model
    this.#freshen([...this.#stale.keys()])
    const found: { readonly view: ProxyView; readonly type: string; readonly name: string; readonly after: Resource | undefined }[] = []
    let seen: T
    try {
      this.#take(changes, revision)
      for (const [view, types] of this.#pending) for (const [type, names] of types) for (const name of names) found.push({ view, type, name, after: view.get(type, name) })
      this.#settled()
      seen = look(new Set(found.map(({ view }) => view.node)))
    } finally {
      this.#take(back, revision)
      this.#settled()
    }
    const differences = found
      .map(({ view, type, name, after }): ViewDifference => ({ node: view.node, type, name, before: view.get(type, name), after }))
      .filter(({ before, after }) => before?.version !== after?.version)
    return { differences, seen }
  }

  /** @param putsOff what is of few views is computed later, by `#freshen` */
  #take(changes: Iterable<Change>, revision: number, putsOff = false): Touched {
    const touched = this.#model.apply(changes, revision)
    this.#layers.settleMembers(touched)
    this.#recompute(touched, putsOff)
    return touched
  }

  /** Computes what was put off of these layers; what changes by it, their views are yet to hear. Answers how many units that were. */
  #freshen(layers: Iterable<Layer>): number {
    let computed = 0
    for (const layer of layers) {
      const units = this.#stale.get(layer)
      if (units === undefined) continue
      this.#stale.delete(layer)
      for (const unit of units) layer.compute(unit)
      computed += units.size
    }
    if (computed > 0) {
      this.#keepNews()
      this.#settled()
    }
    return computed
  }

  /** What was noted is told by the next steps. */
  #keepNews(): void {
    for (const [view, types] of this.#pending) {
      const untold = this.#untold.get(view)
      if (untold === undefined) {
        this.#untold.set(view, types)
        continue
      }
      for (const [type, names] of types) untold.set(type, new Set([...(untold.get(type) ?? []), ...names]))
    }
    this.#pending.clear()
  }

  /** The nodes that views are held for now. */
  nodes(): ProxyNode[] {
    return [...new Set([...this.#layers.all()].flatMap(({ views }) => [...views].map((view) => view.node)))]
  }

  /** What could not be translated, by unit. */
  faults(): { readonly unit: string; readonly faults: readonly Fault[] }[] {
    this.#freshen([...this.#stale.keys()])
    const found: { unit: string; faults: readonly Fault[] }[] = []
    for (const { layer } of this.#layers.all()) {
      for (const { spec, member, faults } of layer.units.values()) {
        // What goes wrong for everyone is told once.
        if (faults.length > 0 && (layer.base?.units.get(member)?.faults.length ?? 0) === 0) found.push({ unit: spec.key, faults })
      }
    }
    return found
  }

  /** Layers and units held now: what the views in use pay for. */
  size(): { readonly layers: number; readonly units: number } {
    return { layers: this.#layers.size, units: [...this.#layers.all()].reduce((sum, one) => sum + one.layer.units.size, 0) }
  }

  release(view: ProxyView): void {
    this.#untold.delete(view)
    this.#dependencies.settle(view, new Set())
    for (const layer of view.layers) this.#layers.leave(view, layer.spec.key)
    view.layers = []
  }

  #settled(): void {
    this.#pending.clear()
    this.#fresh.clear()
  }

  #recompute(touched: Touched, putsOff: boolean): void {
    const units = new Set<Unit>()
    const views = new Set<ProxyView>()
    for (const key of touched.keys) {
      for (const dependent of this.#dependencies.of(key)) {
        if (dependent instanceof ProxyView) views.add(dependent)
        else units.add(dependent as Unit)
      }
    }
    for (const unit of units) {
      const { layer } = unit
      if (this.#fresh.has(unit)) continue
      if (!putsOff || !('units' in layer.spec) || this.#layers.viewsOf(layer).size > FEW_VIEWS) layer.compute(unit)
      else {
        const stale = this.#stale.get(layer)
        if (stale === undefined) this.#stale.set(layer, new Set([unit]))
        else stale.add(unit)
      }
    }
    for (const view of views) this.#arrange(view)
  }

  /** Whether another view may include a layer as well. */
  isShared(layer: Layer): boolean {
    return layer.base !== undefined || this.#layers.viewsOf(layer).size > 1
  }

  /** One object for one text. */
  named(text: string): object {
    let named = this.#named.get(text)
    if (named === undefined) {
      if (this.#named.size >= NAMED_MAX) this.#named.clear()
      this.#named.set(text, (named = {}))
    }
    return named
  }

  /** One object for layers that are shown together. */
  together(a: object, b: object): object {
    let ofA = this.#together.get(a)
    if (ofA === undefined) this.#together.set(a, (ofA = new WeakMap()))
    let both = ofA.get(b)
    if (both === undefined) ofA.set(b, (both = {}))
    return both
  }

  /** Gives a view the layers that its node has now, and notes what came and went with them. */
  #arrange(view: ProxyView, isNew = false): void {
    const reads = new Set<string>()
    const specs = layersFor(view.node, this.#model.read((key) => reads.add(key)))
    this.#dependencies.settle(view, reads)
    const before = new Map(view.layers.map((layer) => [layer.spec.key, layer]))
    view.layers = specs.map((spec) => {
      const kept = before.get(spec.key)
      if (kept !== undefined) return kept
      const joined = this.#join(view, spec)
      // Whoever begins takes what there is; nothing of it is news.
      if (!isNew) this.#noteAll(view, joined)
      return joined
    })
    const after = new Set(specs.map((spec) => spec.key))
    for (const [key, layer] of before) {
      if (after.has(key)) continue
      this.#noteAll(view, layer)
      this.#layers.leave(view, key)
    }
  }

  #join(view: ProxyView, spec: LayerSpec): Layer {
    const known = this.#layers.get(spec.key)
    if (known !== undefined) this.#freshen([known.layer])
    const held = this.#layers.hold(spec)
    held.views.add(view)
    return held.layer
  }

  #noteAll(view: ProxyView, layer: Layer): void {
    for (const { type, name } of layer.all()) this.#note(view, type, name)
  }

  #note(view: ProxyView, type: string, name: string): void {
    const types = this.#newsOf(view)
    const names = types.get(type)
    if (names === undefined) types.set(type, new Set([name]))
    else names.add(name)
  }

  #newsOf(view: ProxyView): Map<string, Set<string>> {
    const known = this.#pending.get(view)
    if (known !== undefined) return known
    const made = new Map<string, Set<string>>()
    this.#pending.set(view, made)
    return made
  }
}

/** One resource of one view, before and after a rehearsed change; undefined: it is not there. */
export interface ViewDifference {
  readonly node: ProxyNode
  readonly type: string
  readonly name: string
  readonly before: Resource | undefined
  readonly after: Resource | undefined
}

/** A layer of more views is computed for all of them before the first is told. */
const FEW_VIEWS = 16
/** To compute a unit of few views, a listener of one proxy most often, takes as long as to tell so many. */
const UNIT_WORK = 8
/** Lists of such names, and of resources of small layers, that are told apart. */
const NAMED_MAX = 10_000
