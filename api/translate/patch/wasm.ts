import type { MeshReader } from '#api/model/mesh-reader.ts'
import { isFetchedHere, isOwnFile, MODULES_PATH } from '#api/model/modules.ts'
import type { ModuleState } from '#api/model/modules.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { WasmModule } from '#core/resource/wasm.ts'
import { outboundCluster } from '../naming.ts'
import { outsideCluster, outsideClusterName, outsideServer } from '../outside-cluster.ts'
import type { OutsideServer } from '../outside-cluster.ts'

/** Where a proxy has a module: in a file of its own, or from a server whose answer is told from another by its digest; `cluster` is undefined where it is one of the module's URL. */
type ModuleSource = { readonly file: string } | { readonly url: string; readonly sha256: string; readonly cluster?: string }

/** What the control plane knows of a module that it fetches for the proxies. */
export interface FetchedModule {
  readonly namespace: string
  readonly member: string
  /** Undefined: it has not been asked for yet. */
  readonly state: ModuleState | undefined
}

/** The cluster of the control plane, in the bootstrap of every Envoy. */
const CONTROL_PLANE = 'xds-grpc'

/** Undefined: it is not to be had, or not yet. */
function sourceOf({ url, sha256 }: WasmModule, fetched: FetchedModule | undefined): ModuleSource | undefined {
  if (isOwnFile({ url })) return { file: url.slice('file://'.length) }
  if (!isFetchedHere({ url, sha256 })) return { url, sha256: sha256 ?? '' }
  if (fetched?.state?.sha256 === undefined) return undefined
  const { namespace, member, state } = fetched
  return { url: `https://weft${MODULES_PATH}${namespace}/${member}/${state.sha256}`, sha256: fetched.state.sha256, cluster: CONTROL_PLANE }
}

const TYPES = { http: 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm', network: 'type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm' }

export const wasmType = ({ type }: WasmModule): string => (type === 'NETWORK' ? TYPES.network : TYPES.http)

const RBAC = { http: 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC', network: 'type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC' }

const rbacType = ({ type }: WasmModule): string => (type === 'NETWORK' ? RBAC.network : RBAC.http)

/** Stands in for a module that cannot be had: nobody passes empty rules (envoy.config.rbac.v3.RBAC). Undefined: all may pass. */
const standIn = (module: WasmModule): unknown =>
  module.failStrategy === 'FAIL_OPEN' ? undefined : { '@type': rbacType(module), ...(module.type === 'NETWORK' ? { stat_prefix: 'wasm_missing_' } : {}), rules: {} }

/** The server that a module is fetched from, and its cluster: a service's of the mesh that a proxy of the namespace sees, else one of its own. */
function clusterOf(reader: MeshReader, namespace: string, url: string): { readonly name: string; readonly outside: OutsideServer | undefined } {
  const server = outsideServer(url)
  const service = reader.service(server.host, namespace)
  if (service?.ports.some((one) => one.port === server.port) === true) return { name: outboundCluster(server.port, '', service.host), outside: undefined }
  return { name: outsideClusterName('wasm', server), outside: server }
}

/** The filter's configuration, as JSON of its message (envoy.extensions.wasm.v3.PluginConfig); undefined: there is to be none. `namespace`: the proxy's. */
export function wasmConfig(reader: MeshReader, namespace: string, name: string, module: WasmModule, fetched?: FetchedModule): unknown {
  const source = sourceOf(module, fetched)
  if (source === undefined) return standIn(module)
  const environment = module.vmConfig?.env ?? []
  const fixed = Object.fromEntries(environment.filter((one) => one.valueFrom !== 'HOST').map((one) => [one.name, one.value ?? '']))
  const host = environment.filter((one) => one.valueFrom === 'HOST').map((one) => one.name)
  return {
    '@type': wasmType(module),
    config: {
      name,
      root_id: module.pluginName ?? '',
      failure_policy: { FAIL_OPEN: 'FAIL_OPEN', FAIL_RELOAD: 'FAIL_RELOAD', FAIL_CLOSE: 'FAIL_CLOSED' }[module.failStrategy ?? 'FAIL_CLOSE'],
      ...(module.pluginConfig === undefined ? {} : { configuration: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: JSON.stringify(module.pluginConfig) } }),
      vm_config: {
        // Envoys run plugins of one module in one machine, which would have the first one's environment, and end for all when it fails for one.
        vm_id: name,
        runtime: 'envoy.wasm.runtime.v8',
        ...(environment.length === 0 ? {} : { environment_variables: { key_values: fixed, host_env_keys: host } }),
        code:
          'file' in source
            ? { local: { filename: source.file } }
            : { remote: { http_uri: { uri: source.url, cluster: source.cluster ?? clusterOf(reader, namespace, source.url).name, timeout: '30s' }, sha256: source.sha256, retry_policy: retriesOf(module) } },
      },
    },
  }
}

/** An Envoy that has given up begins anew with the next change alone. So it goes on where nothing is to pass without the module; where all may, they are not to wait for it. */
const retriesOf = ({ failStrategy }: WasmModule): unknown => ({ num_retries: failStrategy === 'FAIL_OPEN' ? 3 : 100_000, retry_back_off: { base_interval: '1s', max_interval: '30s' } })

/** The cluster of a server outside the mesh that a module is fetched from. */
export function moduleCluster(reader: MeshReader, namespace: string, id: string, module: WasmModule, fetched: FetchedModule): Resource | undefined {
  const source = sourceOf(module, fetched)
  if (source === undefined || 'file' in source || source.cluster !== undefined) return undefined
  const { name, outside } = clusterOf(reader, namespace, source.url)
  return outside && outsideCluster(name, outside, [id])
}
