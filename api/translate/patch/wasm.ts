import type { MeshReader, Typed } from '#api/model/mesh-reader.ts'
import { appliesTo } from '#api/model/targets.ts'
import type { Resource } from '#api/serve/resource.ts'
import { warning } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { WasmPluginSpec } from '#core/resource/wasm-plugin.ts'
import { outsideCluster, outsideClusterName, outsideServer } from '../outside-cluster.ts'
import type { PatchedProxy, ScopedPatch } from './patches.ts'

type Plugin = Typed<WasmPluginSpec>

/** Phases in the order in which their filters stand. */
const PHASES: readonly string[] = ['AUTHN', 'AUTHZ', 'STATS', 'UNSPECIFIED_PHASE']

/** The plugins for a proxy, by phase, then by priority, the higher first, then by age. Weft's own proxies run none. */
export function pluginsFor(reader: MeshReader, proxy: PatchedProxy): Plugin[] {
  if (proxy.engine === 'weft') return []
  const { namespace, labels } = proxy
  const wide = namespace === reader.rootNamespace ? [] : reader.wasmPlugins(reader.rootNamespace)
  return [...wide, ...reader.wasmPlugins(namespace)]
    .filter((one) => appliesTo(one.spec, labels, one.namespace === namespace) && codeOf(one.spec) !== undefined)
    .sort((a, b) => phaseOf(a.spec) - phaseOf(b.spec) || (b.spec.priority ?? 0) - (a.spec.priority ?? 0))
}

const phaseOf = (spec: WasmPluginSpec): number => PHASES.indexOf(spec.phase ?? 'UNSPECIFIED_PHASE')

/** Where a module is had: a file of the proxy, or a server that it can ask and whose answer can be told from another by its digest. Undefined: a stock Envoy cannot fetch it. */
function codeOf({ url, sha256 }: WasmPluginSpec): { readonly file: string } | { readonly url: string; readonly sha256: string } | undefined {
  if (url.startsWith('file://')) return { file: url.slice('file://'.length) }
  if (/^https?:\/\//.test(url) && URL.canParse(url) && sha256) return { url, sha256 }
  return undefined
}

/** What of a plugin does nothing: what no proxy here runs or fetches. */
export function* pluginFindings({ id: resource, spec }: Plugin): Iterable<Fault> {
  yield warning('object.field-inert', { resource, path: 'spec', rule: 'stock Envoys run Wasm modules; Weft’s own proxies do not' })
  if (codeOf(spec) !== undefined) return
  if (/^https?:\/\//.test(spec.url)) yield warning('object.field-inert', { resource, path: 'spec.sha256', rule: 'the digest of the module, without which Envoy does not fetch it' })
  else yield warning('object.field-inert', { resource, path: 'spec.url', value: spec.url, rule: 'file://, http:// or https://: stock Envoys do not fetch images' })
}

const TYPES = { http: 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm', network: 'type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm' }

/** What the names of plugins' filters begin with. */
export const PLUGIN_PREFIX = 'extensions.istio.io/wasmplugin/'

const nameOf = ({ namespace, name }: Plugin): string => `${PLUGIN_PREFIX}${namespace}.${name}`

/** Plugins as patches: each is an extension that comes by discovery, so that a module which cannot be had leaves its listener alone, and a filter that refers to it. */
export const pluginPatches = (plugins: readonly Plugin[]): ScopedPatch[] => plugins.flatMap((plugin) => [extensionPatch(plugin), ...filterPatches(plugin)])

function extensionPatch(plugin: Plugin): ScopedPatch {
  const { spec } = plugin
  const code = codeOf(spec)
  const environment = spec.vmConfig?.env ?? []
  const fixed = Object.fromEntries(environment.filter((one) => one.valueFrom !== 'HOST').map((one) => [one.name, one.value ?? '']))
  const host = environment.filter((one) => one.valueFrom === 'HOST').map((one) => one.name)
  const typed = {
    '@type': spec.type === 'NETWORK' ? TYPES.network : TYPES.http,
    config: {
      name: nameOf(plugin),
      root_id: spec.pluginName ?? '',
      failure_policy: { FAIL_OPEN: 'FAIL_OPEN', FAIL_RELOAD: 'FAIL_RELOAD', FAIL_CLOSE: 'FAIL_CLOSED' }[spec.failStrategy ?? 'FAIL_CLOSE'],
      ...(spec.pluginConfig === undefined ? {} : { configuration: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: JSON.stringify(spec.pluginConfig) } }),
      vm_config: {
        runtime: 'envoy.wasm.runtime.v8',
        ...(environment.length === 0 ? {} : { environment_variables: { key_values: fixed, host_env_keys: host } }),
        ...(code === undefined
          ? {}
          : 'file' in code
            ? { code: { local: { filename: code.file } } }
            : { code: { remote: { http_uri: { uri: code.url, cluster: outsideClusterName('wasm', outsideServer(code.url)), timeout: '30s' }, sha256: code.sha256 } } }),
      },
    },
  }
  return patchOf(plugin, 'EXTENSION_CONFIG', {}, { name: nameOf(plugin), typed_config: typed }, 'ADD')
}

function filterPatches(plugin: Plugin): ScopedPatch[] {
  const { spec } = plugin
  const network = spec.type === 'NETWORK'
  const value = {
    name: nameOf(plugin),
    config_discovery: { config_source: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' }, type_urls: [network ? TYPES.network : TYPES.http] },
  }
  return matchesOf(spec).map((match) => patchOf(plugin, network ? 'NETWORK_FILTER' : 'HTTP_FILTER', match, value, network ? 'INSERT_FIRST' : 'ADD'))
}

/** Where a plugin's filter goes, as the match of a patch: a gateway is its clients' side. */
function matchesOf(spec: WasmPluginSpec): ScopedPatch['match'][] {
  const selectors = spec.match === undefined || spec.match.length === 0 ? [{}] : spec.match
  return selectors.flatMap(({ mode = 'CLIENT_AND_SERVER', ports = [] }: { mode?: string | undefined; ports?: readonly { readonly number: number }[] | undefined }) => {
    const contexts = mode === 'CLIENT' ? (['SIDECAR_OUTBOUND', 'GATEWAY'] as const) : mode === 'SERVER' ? (['SIDECAR_INBOUND'] as const) : (['ANY'] as const)
    const numbers = ports.length === 0 ? [undefined] : ports.map((one) => one.number)
    return contexts.flatMap((context) => numbers.map((portNumber) => ({ context, ...(portNumber === undefined ? {} : { listener: { portNumber } }) })))
  })
}

const patchOf = ({ id, spec }: Plugin, applyTo: ScopedPatch['applyTo'], match: ScopedPatch['match'], value: unknown, operation: string): ScopedPatch => ({
  id,
  path: 'spec',
  applyTo,
  match,
  operation,
  value,
  filterClass: `PLUGIN_${spec.phase ?? 'UNSPECIFIED_PHASE'}`,
})

/** Clusters of the servers that modules are fetched from. */
export function pluginClusters(plugins: readonly Plugin[]): Resource[] {
  const found = new Map<string, Resource>()
  for (const { id, spec } of plugins) {
    const code = codeOf(spec)
    if (code === undefined || 'file' in code) continue
    const server = outsideServer(code.url)
    const name = outsideClusterName('wasm', server)
    if (!found.has(name)) found.set(name, outsideCluster(name, server, [id]))
  }
  return [...found.values()]
}
