/** A sidecar's data path for the capture test: `UID`, with the listeners that captured traffic needs, read from Envoy's API as it comes over xDS. */
import { toBinary, type DescMessage, type JsonValue } from '@bufbuild/protobuf'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readListener } from '#core/plan/read-listener.ts'
import type { Read } from '#core/plan/read.ts'
import { systemDoors } from '#core/time/system.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { Runtime } from '#proxy/runtime.ts'
import { noSecrets, TestPlans, testNode } from '#proxy/testing/plan.ts'

const [uid = '1337'] = process.argv.slice(2)
const type = 'type.googleapis.com/envoy.extensions.filters'

const tcp = (cluster: string): JsonValue => ({ name: 'tcp', typed_config: { '@type': `${type}.network.tcp_proxy.v3.TcpProxy`, stat_prefix: cluster, cluster } })
const http = (mark: string, cluster: string): JsonValue => ({
  name: 'http',
  typed_config: {
    '@type': `${type}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: mark,
    route_config: { name: mark, virtual_hosts: [{ name: 'all', domains: ['*'], response_headers_to_add: [{ header: { key: 'x-captured', value: mark } }], routes: [{ match: { prefix: '/' }, route: { cluster } }] }] },
    http_filters: [{ name: 'router', typed_config: { '@type': `${type}.http.router.v3.Router` } }],
  },
})
const bound = (address: string, port_value: number): JsonValue => ({ socket_address: { address, port_value } })
const originalDst: JsonValue = { name: 'original_dst', typed_config: { '@type': `${type}.listener.original_dst.v3.OriginalDst` } }

const listeners: JsonValue[] = [
  { name: 'virtualOutbound', address: bound('0.0.0.0', 15001), additional_addresses: [{ address: bound('::', 15001) }], use_original_dst: true, filter_chains: [{ filters: [tcp('Passthrough')] }] },
  { name: '0.0.0.0_8080', address: bound('0.0.0.0', 8080), additional_addresses: [{ address: bound('::', 8080) }], bind_to_port: false, traffic_direction: 'OUTBOUND', filter_chains: [{ filters: [http('outbound-8080', 'Passthrough')] }] },
  { name: '10.251.0.2_8081', address: bound('10.251.0.2', 8081), bind_to_port: false, traffic_direction: 'OUTBOUND', filter_chains: [{ filters: [http('outbound-one-address', 'Passthrough')] }] },
  {
    name: 'virtualInbound',
    // As a listener says it that stands for both families by one address.
    address: { socket_address: { address: '::', port_value: 15006, ipv4_compat: true } },
    listener_filters: [originalDst],
    traffic_direction: 'INBOUND',
    filter_chains: [
      { filter_chain_match: { destination_port: 8000 }, filters: [http('inbound-8000', 'inbound|8000||')] },
      { filter_chain_match: { destination_port: 8001, prefix_ranges: [{ address_prefix: '10.251.0.0', prefix_len: 24 }] }, filters: [http('inbound-8001', 'inbound|8000||')] },
    ],
    default_filter_chain: { filters: [tcp('Passthrough')] },
  },
]
const clusters: JsonValue[] = [
  { name: 'Passthrough', type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', connect_timeout: '2s' },
  { name: 'inbound|8000||', type: 'STATIC', load_assignment: { cluster_name: 'inbound|8000||', endpoints: [{ lb_endpoints: [{ endpoint: { address: bound('127.0.0.1', 8000) } }] }] } },
]

function planOf<Plan>(schema: DescMessage, json: JsonValue, read: (bytes: Uint8Array, version: string) => Read<Plan>): Plan {
  const result = read(toBinary(schema, messageFromJson(schema, json)), '1')
  if (!result.ok) throw new Error(result.faults.map((one) => `${one.path} ${one.rule}`).join('; '))
  return result.plan
}

const plans = new TestPlans()
for (const json of clusters) {
  const plan = planOf(ClusterSchema, json, readCluster)
  plans.clusters.set(plan.name, plan)
}
for (const json of listeners) {
  const plan = planOf(ListenerSchema, json, readListener)
  plans.listeners.set(plan.name, plan)
}
const runtime = new Runtime(systemDoors, plans, noSecrets, { node: testNode, accessLog: { write() {} } })
for (const name of plans.clusters.keys()) runtime.applyCluster(name)
for (const name of plans.listeners.keys()) {
  const failure = await runtime.applyListener(name)
  if (failure !== '') throw new Error(`${name}: ${failure}`)
}
process.setuid?.(Number(uid))
process.stdout.write('listening\n')
