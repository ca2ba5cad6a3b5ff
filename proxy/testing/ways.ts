import { create } from '@bufbuild/protobuf'
import { packAny } from '#core/wire/any.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouterSchema } from '#core/wire/gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HttpConnectionManagerSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import type { TestControlPlane } from './control-plane.ts'

const socket = (port: number) => ({ address: { case: 'socketAddress' as const, value: { address: '127.0.0.1', portSpecifier: { case: 'portValue' as const, value: port } } } })

/** A listener that sends all to one port. `direction` as in the proto: 1 inbound, 2 outbound. */
export function putWay(plane: TestControlPlane, name: string, direction: 1 | 2, from: number, to: number): void {
  plane.put(ClusterSchema, name, {
    name,
    clusterDiscoveryType: { case: 'type', value: 0 },
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: socket(to) } } }] }] },
  })
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: { case: 'routeConfig', value: { name, virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: name } } } }] }] } },
    httpFilters: [{ name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: packAny(RouterSchema, create(RouterSchema)) } }],
  })
  plane.put(ListenerSchema, name, {
    name,
    trafficDirection: direction,
    address: socket(from),
    filterChains: [{ filters: [{ name: 'http', configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, manager) } }] }],
  })
}
