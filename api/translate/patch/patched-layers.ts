import { fromBinary } from '@bufbuild/protobuf'
import type { DescMessage, MessageShape } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import { describeFault, warning } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readListener } from '#core/plan/read-listener.ts'
import { readRoute } from '#core/plan/read-route.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { TypedExtensionConfigSchema } from '#core/wire/gen/envoy/config/core/v3/extension_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { CLUSTER, LISTENER, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { resourceOf } from '../resource.ts'
import type { Built, LayerSpec, UnitSpec } from '../unit.ts'
import { parseMessage } from './merge.ts'
import { clusterComplaint, patchCluster } from './patch-cluster.ts'
import { listenerComplaint, patchListener } from './patch-listener.ts'
import { patchRoutes, routesComplaint } from './patch-route.ts'
import { hasPatches, patchesFor } from './patches.ts'
import { missingModules, moduleClusters } from './extension.ts'
import type { PatchedProxy, ScopedPatch } from './patches.ts'

/**
 * Layers as EnvoyFilters change them for one proxy, and one more with what they add. Where no EnvoyFilter could be meant, the layers as they are: shared, and at no cost.
 * A patch that cannot be applied, or would make what Envoy (or, for Weft's own proxies, their reader) refuses, is left out for that resource and named; all others count.
 */
export function patchedLayers(reader: MeshReader, proxy: PatchedProxy, layers: readonly LayerSpec[], keyOf: (...parts: readonly unknown[]) => string): readonly LayerSpec[] {
  if (!hasPatches(reader, proxy)) return layers
  const key = keyOf('patched', proxy)
  const patched = (unit: UnitSpec): UnitSpec => ({ key: keyOf(key, unit.key), build: (at) => patchAll(at, proxy, unit.build(at)) })
  const added: UnitSpec = { key: keyOf(key, 'added'), build: (at) => addedBy(at, proxy) }
  return [
    ...layers.map((layer): LayerSpec =>
      'units' in layer ? { key: keyOf(key, layer.key), units: layer.units.map(patched) } : { key: keyOf(key, layer.key), indices: layer.indices, unit: (member) => patched(layer.unit(member)) },
    ),
    { key: added.key, units: [added] },
  ]
}

function patchAll(reader: MeshReader, proxy: PatchedProxy, made: Built): Built {
  const patches = patchesFor(reader, proxy)
  const faults: Fault[] = []
  const resources = made.resources.flatMap((one) => patchResource(one, patches, proxy, faults) ?? [])
  return { resources, faults: [...made.faults, ...faults] }
}

/** How a type of resource is patched and judged. */
interface Patching<Desc extends DescMessage> {
  readonly schema: Desc
  change(message: MessageShape<Desc>, patch: ScopedPatch, proxy: PatchedProxy, origins: readonly string[]): MessageShape<Desc> | undefined
  complaint(message: MessageShape<Desc>): string | undefined
  /** As Weft's own proxies read it. */
  read(bytes: Uint8Array, version: string): { readonly ok: true } | { readonly ok: false; readonly faults: readonly Fault[] }
}

const LISTENERS: Patching<typeof ListenerSchema> = { schema: ListenerSchema, change: patchListener, complaint: listenerComplaint, read: readListener }
const CLUSTERS: Patching<typeof ClusterSchema> = { schema: ClusterSchema, change: patchCluster, complaint: clusterComplaint, read: readCluster }
const ROUTES: Patching<typeof RouteConfigurationSchema> = {
  schema: RouteConfigurationSchema,
  change: (message, patch, proxy, origins) => patchRoutes(message, patch, proxy.type === 'router' ? 'GATEWAY' : 'SIDECAR_OUTBOUND', undefined, origins),
  complaint: routesComplaint,
  read: readRoute,
}

function patchResource(resource: Resource, patches: readonly ScopedPatch[], proxy: PatchedProxy, faults: Fault[]): Resource | undefined {
  switch (resource.type) {
    case LISTENER:
      return patchAs(LISTENERS, resource, patches, proxy, faults)
    case CLUSTER:
      return patchAs(CLUSTERS, resource, patches, proxy, faults)
    case ROUTE_CONFIGURATION:
      return patchAs(ROUTES, resource, patches, proxy, faults)
    default:
      return resource
  }
}

function patchAs<Desc extends DescMessage>(how: Patching<Desc>, resource: Resource, patches: readonly ScopedPatch[], proxy: PatchedProxy, faults: Fault[]): Resource | undefined {
  let now = resource
  let message = fromBinary(how.schema, resource.bytes)
  for (const patch of patches) {
    const outcome = attempt(() => how.change(message, patch, proxy, now.origins))
    if ('problem' in outcome) {
      faults.push(notApplied(patch, resource.name, outcome.problem))
      continue
    }
    const changed = outcome.value
    if (changed === undefined) return undefined
    if (changed === message) continue
    const complaint = how.complaint(changed)
    const next = complaint === undefined ? resourceOf(how.schema, resource.name, changed, [...now.origins, patch.id]) : undefined
    if (next === undefined) {
      faults.push(notApplied(patch, resource.name, complaint ?? ''))
      continue
    }
    if (next.version === now.version) continue
    const refused = proxy.engine === 'weft' ? how.read(next.bytes, next.version) : undefined
    if (refused?.ok === false) {
      faults.push(notApplied(patch, resource.name, refused.faults.map(describeFault).join('; ')))
      continue
    }
    message = changed
    now = next
  }
  return now
}

const notApplied = (patch: ScopedPatch, name: string, problem: string): Fault => warning('envoy-filter.not-applied', { resource: patch.id, path: patch.path, rule: problem, hint: `${name} stays as it is without it` })

function attempt<T>(make: () => T): { readonly value: T } | { readonly problem: string } {
  try {
    return { value: make() }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}

const ADDED = { LISTENER: ListenerSchema, CLUSTER: ClusterSchema, EXTENSION_CONFIG: TypedExtensionConfigSchema, ROUTE_CONFIGURATION: RouteConfigurationSchema } as const
const isAdded = (applyTo: string): applyTo is keyof typeof ADDED => Object.hasOwn(ADDED, applyTo)

/** Whole resources that patches add. */
function addedBy(reader: MeshReader, proxy: PatchedProxy): Built {
  const resources = moduleClusters(reader, proxy)
  const faults: Fault[] = [...missingModules(reader, proxy)]
  for (const patch of patchesFor(reader, proxy)) {
    if (patch.operation !== 'ADD' || !isAdded(patch.applyTo)) continue
    const { applyTo, value } = patch
    const outcome = attempt(() => resourceFrom(applyTo, value, patch.id))
    if ('problem' in outcome) faults.push(notApplied(patch, applyTo, outcome.problem))
    else if (proxy.engine === 'weft' && !isReadable(outcome.value)) faults.push(notApplied(patch, outcome.value.name, 'what Weft’s own proxies can carry out'))
    else resources.push(outcome.value)
  }
  return { resources, faults }
}

/** @throws when the value is no such message, or one that Envoy refuses */
function resourceFrom(applyTo: keyof typeof ADDED, value: unknown, id: string): Resource {
  switch (applyTo) {
    case 'LISTENER': {
      const message = parseMessage(ListenerSchema, value)
      refuseIf(listenerComplaint(message))
      return resourceOf(ListenerSchema, message.name, message, [id])
    }
    case 'CLUSTER': {
      const message = parseMessage(ClusterSchema, value)
      refuseIf(clusterComplaint(message))
      return resourceOf(ClusterSchema, message.name, message, [id])
    }
    case 'ROUTE_CONFIGURATION': {
      const message = parseMessage(RouteConfigurationSchema, value)
      refuseIf(routesComplaint(message))
      return resourceOf(RouteConfigurationSchema, message.name, message, [id])
    }
    case 'EXTENSION_CONFIG': {
      const message = parseMessage(TypedExtensionConfigSchema, value)
      refuseIf(message.name === '' || message.typedConfig === undefined ? 'an extension with name and typed_config' : undefined)
      return resourceOf(TypedExtensionConfigSchema, message.name, message, [id])
    }
  }
}

function refuseIf(complaint: string | undefined): void {
  if (complaint !== undefined) throw new Error(complaint)
}

const isReadable = ({ type, bytes, version }: Resource): boolean => (type === LISTENER ? readListener(bytes, version).ok : type === CLUSTER ? readCluster(bytes, version).ok : type === ROUTE_CONFIGURATION && readRoute(bytes, version).ok)
