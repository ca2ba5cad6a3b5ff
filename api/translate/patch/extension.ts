import type { MeshReader } from '#api/model/mesh-reader.ts'
import { askedOf, isFetchedHere, isOwnFile, MODULES, moduleMember, moduleState } from '#api/model/modules.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { appliesTo } from '#api/model/targets.ts'
import type { Where } from '#api/model/targets.ts'
import type { Resource } from '#api/serve/resource.ts'
import { fault, warning } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { TrafficExtensionSpec } from '#core/resource/traffic-extension.ts'
import type { WasmModule } from '#core/resource/wasm.ts'
import type { WasmPluginSpec } from '#core/resource/wasm-plugin.ts'
import type { PatchedProxy, ScopedPatch } from './patches.ts'
import { moduleCluster, wasmConfig, wasmType } from './wasm.ts'
import type { FetchedModule } from './wasm.ts'

/** A filter that operators bring: a WasmPlugin, or a TrafficExtension with a module or a script. */
interface Extension {
  /** `WasmPlugin/prod/sign-in` */
  readonly id: string
  readonly namespace: string
  readonly uid: string
  /** In the states of modules. */
  readonly member: string
  /** The filter's. */
  readonly filter: string
  readonly where: Where
  readonly phase: string
  readonly priority: number
  readonly match: WasmPluginSpec['match']
  readonly runs: { readonly module: WasmModule } | { readonly script: string }
}

/** What the names of extensions' filters begin with. */
export const EXTENSION_PREFIX = 'extensions.istio.io/'

/** Phases in the order in which their filters stand. */
const PHASES: readonly string[] = ['AUTHN', 'AUTHZ', 'STATS', 'UNSPECIFIED']

const ofPlugin = ({ id, namespace, name, stored, spec }: Typed<WasmPluginSpec>): Extension => ({
  id,
  namespace,
  uid: stored.uid,
  member: moduleMember('WasmPlugin', name),
  filter: `${EXTENSION_PREFIX}wasmplugin/${namespace}.${name}`,
  where: spec,
  phase: spec.phase === undefined || spec.phase === 'UNSPECIFIED_PHASE' ? 'UNSPECIFIED' : spec.phase,
  priority: spec.priority ?? 0,
  match: spec.match,
  runs: { module: spec },
})

function ofTraffic({ id, namespace, name, stored, spec }: Typed<TrafficExtensionSpec>): Extension[] {
  const runs = spec.lua !== undefined ? { script: spec.lua.inlineCode } : spec.wasm !== undefined ? { module: spec.wasm } : undefined
  if (runs === undefined) return []
  return [{ id, namespace, uid: stored.uid, member: moduleMember('TrafficExtension', name), filter: `${EXTENSION_PREFIX}trafficextension/${namespace}.${name}`, where: spec, phase: spec.phase ?? 'UNSPECIFIED', priority: spec.priority ?? 0, match: spec.match, runs }]
}

/** The extensions for a proxy, by phase, then by priority, the higher first, then by age. Weft's own proxies run none. */
export function extensionsFor(reader: MeshReader, proxy: PatchedProxy): Extension[] {
  if (proxy.engine === 'weft') return []
  const { namespace, labels } = proxy
  const inNamespace = (of: string): Extension[] => [...reader.wasmPlugins(of).map(ofPlugin), ...reader.trafficExtensions(of).flatMap(ofTraffic)]
  const wide = namespace === reader.rootNamespace ? [] : inNamespace(reader.rootNamespace)
  return [...wide, ...inNamespace(namespace)]
    .filter((one) => appliesTo(one.where, labels, one.namespace === namespace))
    .sort((a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase) || b.priority - a.priority)
}

/** What of a WasmPlugin does nothing: what no proxy here runs or fetches. */
export function* pluginFindings({ id: resource }: Typed<WasmPluginSpec>): Iterable<Fault> {
  yield warning('object.field-inert', { resource, path: 'spec', rule: 'stock Envoys run Wasm modules; Weft’s own proxies do not' })
}

/** The same of a TrafficExtension. */
export function* trafficExtensionFindings({ id: resource }: Typed<TrafficExtensionSpec>): Iterable<Fault> {
  yield warning('object.field-inert', { resource, path: 'spec', rule: 'stock Envoys run Wasm modules and Lua scripts; Weft’s own proxies do not' })
}

/** What of the modules that are fetched for a proxy could not be had. */
export function* missingModules(reader: MeshReader, proxy: PatchedProxy): Iterable<Fault> {
  for (const one of extensionsFor(reader, proxy)) {
    if ('script' in one.runs || !isFetchedHere(one.runs.module)) continue
    const { module } = one.runs
    const { state } = fetchedOf(reader, one)
    const about = { resource: one.id, path: one.id.startsWith('WasmPlugin/') ? 'spec.url' : 'spec.wasm.url', value: module.url }
    const meanwhile = module.failStrategy === 'FAIL_OPEN' ? 'traffic passes without it' : 'what would pass it is refused'
    if (state?.of !== askedOf(module)) yield warning('wasm.module', { ...about, rule: 'a module, which is being fetched', hint: `until it is here, ${state?.sha256 === undefined ? meanwhile : 'the one before is run'}` })
    else if (state.error !== undefined && state.sha256 === undefined) yield fault('wasm.module', { ...about, rule: `a module that can be had: ${state.error}`, hint: `${meanwhile}; it is asked for again` })
    else if (state.error !== undefined) yield warning('wasm.module', { ...about, rule: `a module that can be had anew: ${state.error}`, hint: 'the one before is run; it is asked for again' })
  }
}

const fetchedOf = (reader: MeshReader, { namespace, uid, member, runs }: Extension): FetchedModule => ({
  namespace,
  member,
  state: 'module' in runs && isFetchedHere(runs.module) ? moduleState(reader.configMap(namespace, MODULES), member, uid) : undefined,
})

/**
 * Extensions as patches. A module in a file of the proxy's own comes by discovery, so that one which is not there leaves its listener alone, and a filter refers to it; a script stands in
 * its filter, and so does a module that is fetched, by whomever: an Envoy takes a discovered one at once and lets all pass while it fetches, whereas a listener waits, and the one before it goes on.
 */
export const extensionPatches = (reader: MeshReader, proxy: PatchedProxy): ScopedPatch[] =>
  extensionsFor(reader, proxy).flatMap((one) => {
    const { runs, filter: name } = one
    if ('script' in runs) return filterPatches(one, 'HTTP_FILTER', { name, typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua', default_source_code: { inline_string: runs.script } } })
    const { module } = runs
    const applyTo = module.type === 'NETWORK' ? 'NETWORK_FILTER' : 'HTTP_FILTER'
    const config = wasmConfig(reader, proxy.namespace, name, module, fetchedOf(reader, one))
    if (!isOwnFile(module)) return config === undefined ? [] : filterPatches(one, applyTo, { name, typed_config: config })
    const extension = patchOf(one, 'EXTENSION_CONFIG', {}, { name, typed_config: config }, 'ADD')
    const filter = { name, config_discovery: { config_source: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' }, type_urls: [wasmType(module)] } }
    return [extension, ...filterPatches(one, applyTo, filter)]
  })

const filterPatches = (extension: Extension, applyTo: 'NETWORK_FILTER' | 'HTTP_FILTER', value: unknown): ScopedPatch[] =>
  matchesOf(extension.match).map((match) => patchOf(extension, applyTo, match, value, applyTo === 'NETWORK_FILTER' ? 'INSERT_FIRST' : 'ADD'))

/** Where an extension's filter goes, as the match of a patch: a gateway is its clients' side. */
function matchesOf(match: WasmPluginSpec['match']): ScopedPatch['match'][] {
  const selectors = match === undefined || match.length === 0 ? [{}] : match
  return selectors.flatMap(({ mode = 'CLIENT_AND_SERVER', ports = [] }: { mode?: string | undefined; ports?: readonly { readonly number: number }[] | undefined }) => {
    const contexts = mode === 'CLIENT' ? (['SIDECAR_OUTBOUND', 'GATEWAY'] as const) : mode === 'SERVER' ? (['SIDECAR_INBOUND'] as const) : (['ANY'] as const)
    const numbers = ports.length === 0 ? [undefined] : ports.map((one) => one.number)
    return contexts.flatMap((context) => numbers.map((portNumber) => ({ context, ...(portNumber === undefined ? {} : { listener: { portNumber } }) })))
  })
}

const patchOf = ({ id, phase }: Extension, applyTo: ScopedPatch['applyTo'], match: ScopedPatch['match'], value: unknown, operation: string): ScopedPatch => ({ id, path: 'spec', applyTo, match, operation, value, filterClass: `PLUGIN_${phase}` })

/** Clusters of the servers that modules are fetched from. */
export function moduleClusters(reader: MeshReader, proxy: PatchedProxy): Resource[] {
  const found = new Map<string, Resource>()
  for (const one of extensionsFor(reader, proxy)) {
    const cluster = 'module' in one.runs ? moduleCluster(reader, proxy.namespace, one.id, one.runs.module, fetchedOf(reader, one)) : undefined
    if (cluster !== undefined && !found.has(cluster.name)) found.set(cluster.name, cluster)
  }
  return [...found.values()]
}
