import type { Labels } from '#api/model/labels.ts'
import { selects } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { appliesTo } from '#api/model/targets.ts'
import type { EnvoyConfigPatch, EnvoyFilterSpec } from '#core/resource/envoy-filter.ts'
import type { Engine } from '../engine.ts'
import { extensionPatches, extensionsFor } from './extension.ts'

/** A proxy as far as EnvoyFilters can tell it from others. */
export interface PatchedProxy {
  readonly type: 'sidecar' | 'router' | 'grpc'
  readonly namespace: string
  readonly labels: Labels
  readonly engine: Engine
  readonly version: string
  /** What it says of itself, by Istio's keys. */
  readonly metadata: Readonly<Record<string, string>>
}

/** One patch that is meant for a proxy. */
export interface ScopedPatch {
  /** `EnvoyFilter/prod/shorter-connect` */
  readonly id: string
  /** `spec.configPatches[0]` */
  readonly path: string
  readonly applyTo: NonNullable<EnvoyConfigPatch['applyTo']>
  readonly match: NonNullable<EnvoyConfigPatch['match']>
  readonly operation: string
  readonly value: unknown
  readonly filterClass: string
}

/** Whether any EnvoyFilter, WasmPlugin or TrafficExtension could concern a proxy. */
export const hasPatches = (reader: MeshReader, proxy: PatchedProxy): boolean => filtersOf(reader, proxy.namespace).length > 0 || extensionsFor(reader, proxy).length > 0

/**
 * The patches for a proxy in their order: its extensions, then those of the root namespace first, then by priority, then by age.
 * istio.io/latest/docs/reference/config/networking/envoy-filter
 */
export function patchesFor(reader: MeshReader, proxy: PatchedProxy): ScopedPatch[] {
  const { namespace, labels } = proxy
  const extensions = extensionPatches(reader, proxy)
  const patches = filtersOf(reader, namespace)
    .filter(({ spec, namespace: of }) => ((spec.targetRefs ?? []).length > 0 ? appliesTo({ targetRefs: spec.targetRefs }, labels, of === namespace) : selects(spec.workloadSelector?.labels, labels)))
    .flatMap(({ id, spec }) =>
      (spec.configPatches ?? []).flatMap((one, index): ScopedPatch[] => {
        const { applyTo, match = {}, patch } = one
        if (applyTo === undefined || patch?.operation === undefined || !meansProxy(match, proxy)) return []
        return [{ id, path: `spec.configPatches[${index}]`, applyTo, match, operation: patch.operation, value: patch.value, filterClass: patch.filterClass ?? 'UNSPECIFIED' }]
      }),
    )
  return [...extensions, ...patches]
}

function filtersOf(reader: MeshReader, namespace: string): Typed<EnvoyFilterSpec>[] {
  const wide = namespace === reader.rootNamespace ? [] : reader.envoyFilters(reader.rootNamespace)
  const byPriority = (of: Typed<EnvoyFilterSpec>[]): Typed<EnvoyFilterSpec>[] => of.toSorted((a, b) => (a.spec.priority ?? 0) - (b.spec.priority ?? 0))
  return [...byPriority(wide), ...byPriority(reader.envoyFilters(namespace))]
}

function meansProxy(match: ScopedPatch['match'], proxy: PatchedProxy): boolean {
  const { context = 'ANY' } = match
  if (context === 'WAYPOINT' || (context !== 'ANY' && (context === 'GATEWAY') !== (proxy.type === 'router'))) return false
  const { proxyVersion, metadata } = match.proxy ?? {}
  if (proxyVersion !== undefined && proxyVersion !== '' && !versionMatches(proxyVersion, proxy.version)) return false
  return Object.entries(metadata ?? {}).every(([name, value]) => proxy.metadata[name] === value)
}

function versionMatches(pattern: string, version: string): boolean {
  try {
    return new RegExp(pattern).test(version)
  } catch {
    // No expression: it matches no version. Admission has said so.
    return false
  }
}

/** Whether a patch is meant for what passes in a direction. */
export const inContext = (patch: ScopedPatch, context: 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY'): boolean => [undefined, 'ANY', context].includes(patch.match.context)
