import type { ResourceView } from '#api/serve/resource.ts'
import { listed, readable } from './mesh-case.ts'

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
type JsonObject = { [name: string]: Json }

/**
 * All that a view lists as one static bootstrap, so that `envoy --mode validate` judges every message: scopes hold their routes inline, and each ClusterLoadAssignment
 * stands in a cluster of its own. What comes over ADS and SDS stays a reference.
 */
export function validationBootstrap(view: ResourceView): string {
  const of = Object.fromEntries(Object.entries(listed(view)).map(([file, resources]) => [file, resources.map((one) => readable(one) as JsonObject)]))
  const routes = new Map((of['routes'] ?? []).map((one) => [one['name'], one]))
  const scopes = (of['scopes'] ?? []).map((scope): JsonObject => {
    const { route_configuration_name: name, ...rest } = scope
    const configuration = routes.get(name ?? '')
    if (configuration === undefined) throw new Error(`scope ${String(scope['name'])} leads to ${String(name)}, which is not there`)
    return { ...rest, route_configuration: configuration }
  })
  const listeners = replace(of['listeners'] ?? [], scopes) as Json[]
  const assignments = (of['endpoints'] ?? []).map((one): JsonObject => ({ name: `check ${String(one['cluster_name'])}`, type: 'STATIC', connect_timeout: '1s', load_assignment: one }))
  return JSON.stringify({
    node: { id: 'test', cluster: 'test' },
    dynamic_resources: { ads_config: { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }] } },
    static_resources: { listeners, clusters: [...(of['clusters'] ?? []), ...assignments, localGrpc('xds-grpc'), localGrpc('sds-grpc')] },
  })
}

const localGrpc = (name: string): JsonObject => ({
  name,
  type: 'STATIC',
  connect_timeout: '1s',
  typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', explicit_http_config: { http2_protocol_options: {} } } },
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: 1 } } } }] }] },
})

/** Puts scopes inline wherever a connection manager asks for them by SRDS: those of its own port. */
function replace(value: Json, scopes: readonly JsonObject[]): Json {
  if (Array.isArray(value)) return value.map((one) => replace(one, scopes))
  if (value === null || typeof value !== 'object') return value
  const copy: JsonObject = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, replace(one, scopes)]))
  if (copy['scoped_rds'] === undefined) return copy
  const { scoped_rds: _, rds_config_source: _source, ...rest } = copy
  return { ...rest, scoped_route_configurations_list: { scoped_route_configurations: [...scopes] } }
}
