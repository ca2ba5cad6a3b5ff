import { create } from '@bufbuild/protobuf'
import { Cluster_DnsLookupFamily, Cluster_LbPolicy, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { Route, VirtualHost } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { ClusterConfigSchema } from '#core/wire/gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts'
import { FilterConfigSchema } from '#core/wire/gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts'
import type { Resource } from '#api/serve/resource.ts'
import { httpFilter } from './http-connection.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { anyOf, duration } from './message.ts'
import { resourceOf } from './resource.ts'

/** Where requests for unknown hosts go in mode ALLOW_ANY_DYNAMIC_DNS: to what their own name resolves to, whatever address they were sent to. */
export const DYNAMIC_DNS = 'DynamicDnsCluster'

/** Cluster and filter share one cache, by its name and equal settings. */
const dnsCacheConfig = { name: 'dynamic-dns', dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED }

export function dynamicDnsCluster(): Resource {
  const message = create(ClusterSchema, {
    name: DYNAMIC_DNS,
    clusterDiscoveryType: { case: 'clusterType', value: { name: 'envoy.clusters.dynamic_forward_proxy', typedConfig: anyOf(ClusterConfigSchema, { clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: dnsCacheConfig } }) } },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: duration(10_000),
  })
  return resourceOf(ClusterSchema, DYNAMIC_DNS, message, [])
}

/** Resolves the name before the router connects; it touches no request that goes elsewhere. */
export const dynamicDnsFilter = (): HttpFilterInit => httpFilter('envoy.filters.http.dynamic_forward_proxy', anyOf(FilterConfigSchema, { implementationSpecifier: { case: 'dnsCacheConfig', value: dnsCacheConfig } }))

/** `more`: routes beside the one for requests. */
export const dynamicDnsHost = (more: readonly Route[] = []): VirtualHost =>
  create(VirtualHostSchema, {
    name: 'allow_any_dynamic_dns',
    domains: ['*'],
    routes: [{ name: 'allow_any_dynamic_dns', match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: DYNAMIC_DNS }, timeout: duration(0) } } }, ...more],
  })
