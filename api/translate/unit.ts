import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { Fault } from '#core/fault/fault.ts'

/** What a unit makes: the resources of one scope and subject, and what stood in the way of more. */
export interface Built {
  readonly resources: readonly Resource[]
  readonly faults: readonly Fault[]
}

/**
 * A memoised derivation: the resources of one subject (a host, a workload, a gateway server) for all proxies of one scope.
 * `build` may depend on the reader and on what the key names, and on nothing else; it is run again when a key that it read is touched.
 */
export interface UnitSpec {
  readonly key: string
  build(reader: MeshReader): Built
}

/** Units that equal scopes share: a fixed few, or one for each member of the model's indices named. */
export type LayerSpec = { readonly key: string; readonly units: readonly UnitSpec[] } | MemberLayerSpec | NamespaceLayerSpec

export interface MemberLayerSpec {
  readonly key: string
  readonly indices: readonly string[]
  unit(member: string): UnitSpec
}

/**
 * Units for the clients of one namespace. Most subjects look the same from everywhere, so `elsewhere` makes them once, for a client whose namespace nothing names;
 * this layer holds only those of which something that was read names its namespace.
 */
interface NamespaceLayerSpec extends MemberLayerSpec {
  readonly namespace: string
  readonly elsewhere: MemberLayerSpec
}

export const built = (...resources: readonly Resource[]): Built => ({ resources, faults: [] })
