import type { DescMessage, JsonValue } from '@bufbuild/protobuf'
import { resourceOf } from '#api/translate/resource.ts'
import type { Resource } from '#api/serve/resource.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { TypedExtensionConfigSchema } from '#core/wire/gen/envoy/config/core/v3/extension_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { ScopedRouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'

const fromAds = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' }

const fromPolling = {
  resource_api_version: 'V3',
  initial_fetch_timeout: '0s',
  api_config_source: { api_type: 'REST', transport_api_version: 'V3', cluster_names: ['xds'], refresh_delay: '0.1s', request_timeout: '30s' },
}

const made = (schema: DescMessage, name: string, json: JsonValue): Resource => resourceOf(schema, name, messageFromJson(schema, json), [])

/** An EDS cluster over ADS. */
export const cluster = (name: string, connectTimeout = '1s', from: JsonValue = fromAds): Resource =>
  made(ClusterSchema, name, { name, type: 'EDS', connect_timeout: connectTimeout, eds_cluster_config: { eds_config: from }, common_lb_config: { healthy_panic_threshold: { value: 0 } } })

/** The same for an Envoy that polls. */
export const polledCluster = (name: string): Resource => cluster(name, '1s', fromPolling)

/** Endpoints at `ADDRESS:PORT`. */
export const endpoints = (name: string, ...addresses: readonly string[]): Resource =>
  made(ClusterLoadAssignmentSchema, name, {
    cluster_name: name,
    endpoints: addresses.length === 0 ? [] : [{ locality: { region: 'r' }, load_balancing_weight: addresses.length, lb_endpoints: addresses.map((one) => ({ endpoint: { address: socketAddress(one) } })) }],
  })

/** One route for everything, split by weight among clusters. */
export const routes = (name: string, weights: Readonly<Record<string, number>>): Resource =>
  made(RouteConfigurationSchema, name, {
    name,
    virtual_hosts: [
      {
        name: '*',
        domains: ['*'],
        routes: [{ match: { prefix: '/' }, route: { weighted_clusters: { clusters: Object.entries(weights).map(([cluster, weight]) => ({ name: cluster, weight })) } } }],
      },
    ],
  })

const ROUTER: JsonValue = { name: 'envoy.filters.http.router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }

/** A plain HTTP listener on a free port of loopback: `routes` says where its routes are. */
const httpListener = (name: string, routes: { readonly [field: string]: JsonValue }, filters: readonly JsonValue[] = []): Resource =>
  made(ListenerSchema, name, {
    name,
    address: socketAddress('127.0.0.1:0'),
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: name,
              ...routes,
              http_filters: [...filters, ROUTER],
            },
          },
        ],
      },
    ],
  })

/** One whose routes come by RDS; the fetch timeout is off, as in a bootstrap of ours. */
export const listener = (name: string, routeName: string, from: JsonValue = fromAds, filters: readonly JsonValue[] = []): Resource =>
  httpListener(name, { rds: { route_config_name: routeName, config_source: from } }, filters)

/**
 * Its own stream of virtual hosts: Envoy 1.36 takes them from no other. An answer that names none is no answer to Envoy, and its listener waits for one
 * until this time is over, so it is short.
 */
const ownStream = (fetchTimeout: string): JsonValue => ({
  resource_api_version: 'V3',
  initial_fetch_timeout: fetchTimeout,
  api_config_source: { api_type: 'DELTA_GRPC', transport_api_version: 'V3', set_node_on_first_message_only: true, grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] },
})
const fromOwnStream = ownStream('0.05s')

/** A listener that waits for what a request needs and fetches it: the filter `on_demand` before the router. */
export const onDemandListener = (name: string, routeName: string): Resource =>
  listener(name, routeName, fromAds, [{ name: 'envoy.filters.http.on_demand', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand' } }])

/** A listener that sends each request to the cluster that its header `x-cluster` names, and fetches that when it has not got it (ODCDS), over a stream of clusters of its own or over ADS. Its patience is long. */
export const anyClusterListener = (name: string, over: 'own-stream' | 'ads'): Resource => {
  const source = over === 'ads' ? fromAds : ownStream('0s')
  return httpListener(
    name,
    { route_config: { name, virtual_hosts: [{ name: '*', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster_header: 'x-cluster' } }] }] } },
    [{ name: 'envoy.filters.http.on_demand', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand', odcds: { source, timeout: '300s' } } }],
  )
}

/** A listener with a filter whose configuration comes by ECDS. It waits for the first one. */
export const extendedListener = (name: string, routeName: string, filter: string): Resource =>
  listener(name, routeName, fromAds, [{ name: filter, config_discovery: { config_source: fromAds, type_urls: [`type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`] } }])

/** The configuration of a filter that puts a header on each answer. */
export const answerHeader = (filter: string, key: string, value: string): Resource =>
  made(TypedExtensionConfigSchema, filter, {
    name: filter,
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
      mutations: { response_mutations: [{ append: { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } }] },
    },
  })

/** A listener that finds its routes by scope (SRDS): the header `x-scope` is the key. */
export const scopedListener = (name: string): Resource =>
  httpListener(name, {
    scoped_routes: {
      name,
      scope_key_builder: { fragments: [{ header_value_extractor: { name: 'x-scope', element_separator: ':', index: 0 } }] },
      rds_config_source: fromAds,
      scoped_rds: { scoped_rds_config_source: fromAds },
    },
  })

/** Which routes a key leads to. */
export const scope = (key: string, routeName: string): Resource =>
  made(ScopedRouteConfigurationSchema, key, { name: key, route_configuration_name: routeName, key: { fragments: [{ string_key: key }] } })

/** Routes without a virtual host of their own: each is asked for when a request comes that needs it. */
export const onDemandRoutes = (name: string): Resource => made(RouteConfigurationSchema, name, { name, vhds: { config_source: fromOwnStream } })

/** One host, named and asked for as `ROUTES/HOST`, with all of it sent to a cluster. */
export const virtualHost = (routeName: string, host: string, cluster: string): Resource => ({
  ...made(VirtualHostSchema, `${routeName}/${host}`, { name: `${routeName}/${host}`, domains: [host], routes: [{ match: { prefix: '/' }, route: { cluster } }] }),
  aliases: [`${routeName}/${host}`],
})

export const polledListener = (name: string, routeName: string): Resource => listener(name, routeName, fromPolling)

function socketAddress(at: string): JsonValue {
  const [address = '', port = ''] = at.split(':')
  return { socket_address: { address, port_value: Number(port) } }
}
