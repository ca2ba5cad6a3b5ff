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
  resources: readonly Resource[]
  faults: readonly Fault[]
}

export interface Engine {
  readonly dependencies: Dependencies
  read(record: (key: string) => void): MeshReader
  /** Called with each name whose resource came, changed or went. */
  changed(layer: Layer, type: string, name: string): void
  computed(unit: Unit): void
}

/** The resources of one scope, held as long as a view includes it. */
export class Layer {
  readonly spec: LayerSpec
  readonly resources = new Map<string, Map<string, Resource>>()
  readonly units = new Map<string, Unit>()
  readonly #engine: Engine

  constructor(spec: LayerSpec, engine: Engine) {
    this.spec = spec
    this.#engine = engine
  }

  /** Makes sure that the unit of a member is there or gone, as the member is. */
  settle(member: string, present: boolean): void {
    if ('units' in this.spec) return
    const unit = this.units.get(member)
    if (present && unit === undefined) this.add(member, this.spec.unit(member))
    if (!present && unit !== undefined) this.drop(member, unit)
  }

  add(member: string, spec: UnitSpec): void {
    const unit: Unit = { spec, layer: this, reads: new Set(), resources: [], faults: [] }
    this.units.set(member, unit)
    this.compute(unit)
  }

  /** Runs a unit and puts its resources in the place of those before. What it throws concerns its subject alone: it becomes a fault, and the others flow. */
  compute(unit: Unit): void {
    this.#engine.computed(unit)
    const reads = new Set<string>()
    let resources: readonly Resource[] = []
    try {
      const made = unit.spec.build(this.#engine.read((key) => reads.add(key)))
      resources = made.resources
      unit.faults = made.faults
    } catch (error) {
      unit.faults = [fault('xds.invalid', { path: '', rule: `${unit.spec.key} cannot be translated: ${error instanceof Error ? error.message : String(error)}` })]
    }
    this.#engine.dependencies.settle(unit, reads)
    this.#replace(unit, resources)
  }

  drop(member: string, unit: Unit): void {
    this.units.delete(member)
    this.#engine.dependencies.settle(unit, new Set())
    this.#replace(unit, [])
  }

  /** Lets go of all that the units read; for a layer that no view includes any more. */
  close(): void {
    for (const unit of this.units.values()) this.#engine.dependencies.settle(unit, new Set())
  }

  #replace(unit: Unit, resources: readonly Resource[]): void {
    const before = unit.resources
    const kept = new Set<string>()
    unit.resources = resources.map((resource) => {
      kept.add(`${resource.type}\n${resource.name}`)
      let ofType = this.resources.get(resource.type)
      if (ofType === undefined) this.resources.set(resource.type, (ofType = new Map()))
      const now = ofType.get(resource.name)
      const same = now !== undefined && now.version === resource.version
      // The same content keeps its bytes, so that all streams go on sharing them.
      const put = same ? { ...resource, bytes: now.bytes } : resource
      ofType.set(resource.name, put)
      if (!same) this.#engine.changed(this, resource.type, resource.name)
      return put
    })
    for (const resource of before) {
      if (kept.has(`${resource.type}\n${resource.name}`)) continue
      const ofType = this.resources.get(resource.type)
      // Another unit may have taken the name over in the meantime.
      if (ofType?.get(resource.name) !== resource) continue
      ofType.delete(resource.name)
      this.#engine.changed(this, resource.type, resource.name)
    }
  }
}
