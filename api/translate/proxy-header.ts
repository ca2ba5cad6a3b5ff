import { create } from '@bufbuild/protobuf'
import type { TrafficPolicy } from '#core/resource/traffic-policy.ts'
import type { Cluster } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { type TransportSocket, TransportSocketSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { ProxyProtocolConfig_Version as Version } from '#core/wire/gen/envoy/config/core/v3/proxy_protocol_pb.ts'
import { ProxyProtocolUpstreamTransportSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts'
import { anyOf } from './message.ts'
import { plaintextSocket } from './tls.ts'

/** Puts every transport of a cluster inside one that writes the PROXY protocol's header first (istio.io, TrafficPolicy.proxyProtocol). */
export function putProxyHeaderFirst(cluster: Cluster, policy: TrafficPolicy['proxyProtocol']): void {
  if (policy === undefined) return
  const config = { version: policy.version === 'V2' ? Version.V2 : Version.V1 }
  const behind = (transportSocket: TransportSocket = plaintextSocket()): TransportSocket =>
    create(TransportSocketSchema, {
      name: 'envoy.transport_sockets.upstream_proxy_protocol',
      configType: { case: 'typedConfig', value: anyOf(ProxyProtocolUpstreamTransportSchema, { config, transportSocket }) },
    })
  if (cluster.transportSocketMatches.length === 0) cluster.transportSocket = behind(cluster.transportSocket)
  for (const one of cluster.transportSocketMatches) one.transportSocket = behind(one.transportSocket)
}
