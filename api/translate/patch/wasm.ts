import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { WasmModule } from '#core/resource/wasm.ts'
import { outboundCluster } from '../naming.ts'
import { outsideCluster, outsideClusterName, outsideServer } from '../outside-cluster.ts'
import type { OutsideServer } from '../outside-cluster.ts'

/** Where a module is had: a file of the proxy, or a server that it can ask and whose answer can be told from another by its digest. */
type ModuleSource = { readonly file: string } | { readonly url: string; readonly sha256: string }

/** Undefined: a stock Envoy cannot fetch it. */
export function sourceOf({ url, sha256 }: WasmModule): ModuleSource | undefined {
  if (url.startsWith('file://')) return { file: url.slice('file://'.length) }
  if (/^https?:\/\//.test(url) && URL.canParse(url) && sha256) return { url, sha256 }
  return undefined
}

const TYPES = { http: 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm', network: 'type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm' }

export const wasmType = ({ type }: WasmModule): string => (type === 'NETWORK' ? TYPES.network : TYPES.http)

/** The server that a module is fetched from, and its cluster: a service's of the mesh that a proxy of the namespace sees, else one of its own. */
function clusterOf(reader: MeshReader, namespace: string, url: string): { readonly name: string; readonly outside: OutsideServer | undefined } {
  const server = outsideServer(url)
  const service = reader.service(server.host, namespace)
  if (service?.ports.some((one) => one.port === server.port) === true) return { name: outboundCluster(server.port, '', service.host), outside: undefined }
  return { name: outsideClusterName('wasm', server), outside: server }
}

/** The filter's configuration, as JSON of its message (envoy.extensions.wasm.v3.PluginConfig). `namespace`: the proxy's. */
export function wasmConfig(reader: MeshReader, namespace: string, name: string, module: WasmModule): unknown {
  const source = sourceOf(module)
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
        ...(source === undefined
          ? {}
          : 'file' in source
            ? { code: { local: { filename: source.file } } }
            : { code: { remote: { http_uri: { uri: source.url, cluster: clusterOf(reader, namespace, source.url).name, timeout: '30s' }, sha256: source.sha256 } } }),
      },
    },
  }
}

/** The cluster of a server outside the mesh that a module is fetched from. */
export function moduleCluster(reader: MeshReader, namespace: string, id: string, module: WasmModule): Resource | undefined {
  const source = sourceOf(module)
  if (source === undefined || 'file' in source) return undefined
  const { name, outside } = clusterOf(reader, namespace, source.url)
  return outside && outsideCluster(name, outside, [id])
}
