import { isIP } from 'node:net'
import { type JsonObject, toJson } from '@bufbuild/protobuf'
import { NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import { noLimits } from '../overload/limits.ts'
import type { Limits } from '../overload/limits.ts'
import { writeNode } from '#core/workload/node-message.ts'
import type { ControlPlane } from '../ads/control-plane.ts'

export interface EnvoyBootstrap {
  readonly node: ProxyNode
  readonly controlPlane: ControlPlane
  readonly admin: SocketAddress
  /** The unix socket on which the agent beside Envoy serves its certificate. */
  readonly sdsSocket: string
  readonly limits?: Limits
  /** The agent takes the discovery stream too, on the same socket, and passes it on. */
  readonly agentRelays?: boolean
}

const XDS_CLUSTER = 'xds-grpc'
/** The name by which listeners and clusters from the control plane ask for a workload's own secrets, as in Istio. */
const SDS_CLUSTER = 'sds-grpc'
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

const http2 = {
  typed_extension_protocol_options: {
    [HTTP_OPTIONS]: {
      '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
      explicit_http_config: { http2_protocol_options: { connection_keepalive: { interval: '30s', timeout: '10s' } } },
    },
  },
}

const grpcService = (cluster: string): JsonObject => ({ envoy_grpc: { cluster_name: cluster } })

/** Secrets from the agent, by name. */
const fromAgent = (name: string): JsonObject => ({
  name,
  sds_config: { resource_api_version: 'V3', api_config_source: { api_type: 'GRPC', transport_api_version: 'V3', set_node_on_first_message_only: true, grpc_services: [grpcService(SDS_CLUSTER)] } },
})

/**
 * A stock Envoy's bootstrap (envoy.config.bootstrap.v3.Bootstrap in JSON): incremental ADS and load reports over mTLS, with the certificate that the agent serves on a socket.
 * Node id and metadata are a sidecar's, so the control plane needs no new words. No key is in it.
 */
export function envoyBootstrap({ node, controlPlane, admin, sdsSocket, limits, agentRelays = false }: EnvoyBootstrap): JsonObject {
  const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' }
  return {
    node: nodeJson(node),
    admin: { address: socketAddress(admin.address, admin.port) },
    dynamic_resources: {
      ads_config: { api_type: 'DELTA_GRPC', transport_api_version: 'V3', set_node_on_first_message_only: true, grpc_services: [grpcService(agentRelays ? SDS_CLUSTER : XDS_CLUSTER)] },
      cds_config: ads,
      lds_config: ads,
    },
    cluster_manager: { load_stats_config: { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: [grpcService(XDS_CLUSTER)] } },
    stats_config: { use_all_default_tags: true },
    overload_manager: overloadManager(limits),
    static_resources: { clusters: [xdsCluster(controlPlane), sdsCluster(sdsSocket)] },
  }
}

const monitor = (name: string, type: string, config: JsonObject): JsonObject => ({ name: `envoy.resource_monitors.${name}`, typed_config: { '@type': `type.googleapis.com/envoy.extensions.resource_monitors.${type}`, ...config } })
const at = (value: number): JsonObject => ({ name: 'envoy.resource_monitors.fixed_heap', threshold: { value } })

/** The proxy's bounds in Envoy's words. Without one on connections it warns at each start; it knows none on requests under way, nor on one client's connections. */
function overloadManager({ connectionsMax, memoryBytesMax }: Pick<Limits, 'connectionsMax' | 'memoryBytesMax'> = noLimits): JsonObject {
  const connections = monitor('global_downstream_max_connections', 'downstream_connections.v3.DownstreamConnectionsConfig', { max_active_downstream_connections: String(connectionsMax > 0 ? connectionsMax : 50_000) })
  if (memoryBytesMax === 0) return { resource_monitors: [connections] }
  return {
    refresh_interval: '1s',
    resource_monitors: [connections, monitor('fixed_heap', 'fixed_heap.v3.FixedHeapConfig', { max_heap_size_bytes: String(memoryBytesMax) })],
    actions: [
      { name: 'envoy.overload_actions.shrink_heap', triggers: [at(0.95)] },
      { name: 'envoy.overload_actions.disable_http_keepalive', triggers: [at(0.98)] },
      { name: 'envoy.overload_actions.stop_accepting_requests', triggers: [at(1)] },
    ],
  }
}

/** Envoy fills in its own name and version. */
function nodeJson(node: ProxyNode): JsonObject {
  const json = toJson(NodeSchema, writeNode(node), { useProtoFieldName: true })
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('a message is a JSON object')
  const { user_agent_name: _name, user_agent_version: _version, user_agent_build_version: _build, ...rest } = json
  return { cluster: `${node.labels['app'] ?? node.name}.${node.namespace}`, ...rest }
}

function xdsCluster({ target, rootsPem, serverName }: ControlPlane): JsonObject {
  const colon = target.lastIndexOf(':')
  const host = target.slice(0, colon).replace(/^\[|\]$/g, '')
  const port = Number(target.slice(colon + 1))
  return {
    name: XDS_CLUSTER,
    type: isIP(host) === 0 ? 'STRICT_DNS' : 'STATIC',
    connect_timeout: '5s',
    ...http2,
    load_assignment: { cluster_name: XDS_CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host, port) } }] }] },
    ...(rootsPem !== undefined && { transport_socket: controlPlaneTls(rootsPem, serverName ?? host) }),
  }
}

function controlPlaneTls(rootsPem: string, name: string): JsonObject {
  const address = isIP(name) !== 0
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      ...(!address && { sni: name }),
      common_tls_context: {
        tls_certificate_sds_secret_configs: [fromAgent('default')],
        validation_context: {
          trusted_ca: { inline_string: rootsPem },
          match_typed_subject_alt_names: [{ san_type: address ? 'IP_ADDRESS' : 'DNS', matcher: { exact: name } }],
        },
      },
    },
  }
}

function sdsCluster(path: string): JsonObject {
  return {
    name: SDS_CLUSTER,
    type: 'STATIC',
    connect_timeout: '1s',
    ...http2,
    load_assignment: { cluster_name: SDS_CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }] },
  }
}

const socketAddress = (address: string, port: number): JsonObject => ({ socket_address: { address, port_value: port } })
