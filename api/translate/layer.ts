import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import { fault } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { LayerSpec, UnitSpec } from './unit.ts'

/** Whoever must act when a key it read is touched. */
export interface Dependent {
  /** Keys of the latest reading. */
  reads: Set<string>
}

/** Which dependents read a key. */
export class Dependencies {
  readonly #readers = new Map<string, Set<Dependent>>()

  of(key: string): Iterable<Dependent> {
    return this.#readers.get(key) ?? []
  }

  /** Replaces what `dependent` reads. */
  settle(dependent: Dependent, reads: Set<string>): void {
    for (const key of dependent.reads) {
      if (reads.has(key)) continue
      const readers = this.#readers.get(key)
      readers?.delete(dependent)
      if (readers?.size === 0) this.#readers.delete(key)
    }
    for (const key of reads) {
      if (dependent.reads.has(key)) continue
      const readers = this.#readers.get(key)
      if (readers === undefined) this.#readers.set(key, new Set([dependent]))
      else readers.add(dependent)
    }
    dependent.reads = reads
  }
}

export interface Unit extends Dependent {
  readonly spec: UnitSpec
  readonly layer: Layer
  readonly member: string
  resources: readonly Resource[]
  faults: readonly Fault[]
  /** Namespaces that the objects it read name. */
  named: ReadonlySet<string>
}

export interface Engine {
  readonly dependencies: Dependencies
  read(record: (key: string) => void): MeshReader
  /** One object for one text. */
  named(text: string): object
  /** Called with each name whose resource came, changed or went. */
  changed(layer: Layer, type: string, name: string): void
  computed(unit: Unit): void
}

interface Held {
  readonly resource: Resource
  readonly unit: Unit
}

const NOBODY: ReadonlySet<string> = new Set()

/**
 * The resources of one scope, held as long as a view includes it.
 * A layer with a base shows the base's units, and its own in the place of those whose reading names its namespace.
 */
export class Layer {
  readonly spec: LayerSpec
  readonly base: Layer | undefined
  readonly units = new Map<string, Unit>()
  /** Layers that show this one's units, by their namespace. */
  readonly #over = new Map<string, Layer>()
  readonly #resources = new Map<string, Map<string, Held>>()
  /** By type: an object that stands for what is shown of it, until that changes. */
  readonly #shown = new Map<string, object>()
  readonly #engine: Engine

  constructor(spec: LayerSpec, engine: Engine, base?: Layer) {
    this.spec = spec
    this.base = base
    this.#engine = engine
  }

  get(type: string, name: string): Resource | undefined {
    const own = this.#resources.get(type)?.get(name)
    if (own !== undefined || this.base === undefined) return own?.resource
    const shown = this.base.held(type)?.get(name)
    return shown === undefined || this.units.has(shown.unit.member) ? undefined : shown.resource
  }

  /** Whether there is anything of a type, perhaps hidden. */
  has(type: string): boolean {
    return (this.#resources.get(type)?.size ?? 0) > 0 || this.base?.has(type) === true
  }

  *list(type: string): Iterable<Resource> {
    const own = this.#resources.get(type)
    const shown = this.base?.held(type)
    if (own === undefined && this.units.size === 0) {
      for (const { resource } of shown?.values() ?? []) yield resource
      return
    }
    // In the base's order, so that namespaces which see the same list it the same, and their answers are the same to the last byte.
    for (const { resource, unit } of shown?.values() ?? []) {
      const instead = own?.get(resource.name)?.resource
      if (instead !== undefined) yield instead
      else if (!this.units.has(unit.member)) yield resource
    }
    for (const { resource } of own?.values() ?? []) if (shown?.has(resource.name) !== true) yield resource
  }

  /** Stands for what it shows of a type, now: the base's where it has nothing of its own to show, and where that is but a few resources, what they are: other scopes may show just these. */
  shown(type: string): object {
    let shown = this.#shown.get(type)
    if (shown === undefined) this.#shown.set(type, (shown = this.base !== undefined && this.#isLike(this.base, type) ? this.base.shown(type) : 'units' in this.spec ? this.#engine.named(this.#contentOf(type)) : {}))
    return shown
  }

  #contentOf(type: string): string {
    return [...this.list(type)].map(({ name, version, origins }) => `${type} ${name} ${version} ${origins.join()}`).join('\n')
  }

  /** Most namespaces that objects name see the same as all others: their units made the very resources of the base's. */
  #isLike(base: Layer, type: string): boolean {
    const of = (unit: Unit | undefined): readonly Resource[] => unit?.resources.filter((resource) => resource.type === type) ?? []
    for (const unit of this.units.values()) {
      const below = of(base.units.get(unit.member))
      const own = of(unit)
      if (own.length !== below.length || own.some((resource, at) => resource !== below[at])) return false
    }
    return true
  }

  /** All that it shows. */
  *all(): Iterable<Resource> {
    for (const type of new Set([...this.#resources.keys(), ...(this.base?.types() ?? [])])) yield* this.list(type)
  }

  /** What its own units made of a type, by name. */
  held(type: string): ReadonlyMap<string, Held> | undefined {
    return this.#resources.get(type)
  }

  types(): Iterable<string> {
    return this.#resources.keys()
  }

  /** Makes sure that the unit of a member is there or gone, as the member is. */
  settle(member: string, present: boolean): void {
    if ('units' in this.spec) return
    const unit = this.units.get(member)
    if (present && unit === undefined) this.add(member, this.spec.unit(member))
    if (!present && unit !== undefined) this.drop(member, unit)
  }

  add(member: string, spec: UnitSpec): void {
    const unit: Unit = { spec, layer: this, member, reads: new Set(), resources: [], faults: [], named: NOBODY }
    this.units.set(member, unit)
    // What it shows is another layer's no more, or no more only that.
    if (this.base !== undefined) this.#shown.clear()
    this.#coverChanged(member)
    this.compute(unit)
  }

  /** Runs a unit and puts its resources in the place of those before. What it throws concerns its subject alone: it becomes a fault, and the others flow. */
  compute(unit: Unit): void {
    // Its member may have gone in the step that touched what it read.
    if (this.units.get(unit.member) !== unit) return
    this.#engine.computed(unit)
    const reads = new Set<string>()
    const reader = this.#engine.read((key) => reads.add(key))
    let resources: readonly Resource[] = []
    try {
      const made = unit.spec.build(reader)
      resources = made.resources
      unit.faults = made.faults
    } catch (error) {
      unit.faults = [fault('xds.invalid', { path: '', rule: `${unit.spec.key} cannot be translated: ${error instanceof Error ? error.message : String(error)}` })]
    }
    this.#engine.dependencies.settle(unit, reads)
    this.#replace(unit, resources)
    this.#settleOver(unit, reader.named)
  }

  drop(member: string, unit: Unit): void {
    this.units.delete(member)
    this.#engine.dependencies.settle(unit, new Set())
    this.#replace(unit, [])
    this.#settleOver(unit, NOBODY)
    if (this.base !== undefined) this.#shown.clear()
    this.#coverChanged(member)
  }

  /** Shows this layer's units to the clients of a namespace. */
  showTo(namespace: string, layer: Layer): void {
    this.#over.set(namespace, layer)
    for (const unit of this.units.values()) if (unit.named.has(namespace)) layer.settle(unit.member, true)
  }

  /** Whether another layer shows its units. */
  get isShown(): boolean {
    return this.#over.size > 0
  }

  /** Answers whether anyone is left to whom it is shown. */
  hideFrom(namespace: string): boolean {
    this.#over.delete(namespace)
    return this.#over.size > 0
  }

  /** Lets go of all that the units read; for a layer that no view includes any more. */
  close(): void {
    for (const unit of this.units.values()) this.#engine.dependencies.settle(unit, new Set())
  }

  /** A unit of its own came between its clients and the base's, or went. */
  #coverChanged(member: string): void {
    for (const { type, name } of this.base?.units.get(member)?.resources ?? []) this.#engine.changed(this, type, name)
  }

  /** Namespaces that a unit's reading names now, and those that it no longer does: their clients get a unit of their own, or lose it. */
  #settleOver(unit: Unit, named: ReadonlySet<string>): void {
    const before = unit.named
    unit.named = named
    if (this.#over.size === 0) return
    for (const namespace of before) if (!named.has(namespace)) this.#over.get(namespace)?.settle(unit.member, false)
    for (const namespace of named) this.#over.get(namespace)?.settle(unit.member, true)
  }

  #changed(unit: Unit, type: string, name: string): void {
    this.#shown.delete(type)
    this.#engine.changed(this, type, name)
    for (const layer of this.#over.values()) {
      layer.#shown.delete(type)
      if (!layer.units.has(unit.member)) this.#engine.changed(layer, type, name)
    }
  }

  #replace(unit: Unit, resources: readonly Resource[]): void {
    const before = unit.resources
    const kept = new Set<string>()
    unit.resources = resources.map((resource) => {
      kept.add(`${resource.type}\n${resource.name}`)
      let ofType = this.#resources.get(resource.type)
      if (ofType === undefined) this.#resources.set(resource.type, (ofType = new Map()))
      const now = ofType.get(resource.name)?.resource
      const same = now !== undefined && now.version === resource.version
      const put = shared(resource, now ?? this.base?.held(resource.type)?.get(resource.name)?.resource)
      ofType.set(resource.name, { resource: put, unit })
      if (!same) this.#changed(unit, resource.type, resource.name)
      return put
    })
    for (const resource of before) {
      if (kept.has(`${resource.type}\n${resource.name}`)) continue
      const ofType = this.#resources.get(resource.type)
      // Another unit may have taken the name over in the meantime.
      if (ofType?.get(resource.name)?.unit !== unit) continue
      ofType.delete(resource.name)
      this.#changed(unit, resource.type, resource.name)
    }
  }
}

/** The same content keeps its bytes, and with the same origins the very resource, so that all streams go on sharing them. */
function shared(resource: Resource, known: Resource | undefined): Resource {
  if (known === undefined || known.version !== resource.version) return resource
  const sameOrigins = known.origins.length === resource.origins.length && known.origins.every((origin, at) => origin === resource.origins[at])
  return sameOrigins ? known : { ...resource, bytes: known.bytes }
}
