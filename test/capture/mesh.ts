/**
 * A control plane for the test of proofs, and who asks a proxy on its host whether it is ready: `UID`. First prints where it is, then what the proxy says of its health and each change of its readiness, a line of JSON each.
 */
import { request } from 'node:http'
import { messageFromJson } from '#core/wire/registry.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { HEALTH_INFORMATION } from '#core/wire/type-url.ts'
import { TestControlPlane } from '#proxy/testing/control-plane.ts'
import type { JsonValue } from '@bufbuild/protobuf'

const ASK_EVERY_MS = 50

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

const plane = new TestControlPlane()
await plane.start()
const onward: JsonValue = [{ filters: [{ name: 'tcp', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', stat_prefix: 'Passthrough', cluster: 'Passthrough' } }] }]
const bound = (port_value: number): Record<string, JsonValue> => ({ address: { socket_address: { address: '0.0.0.0', port_value } }, additional_addresses: [{ address: { socket_address: { address: '::', port_value } } }], filter_chains: onward })
const originalDst: JsonValue = [{ name: 'original_dst', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst' } }]
plane.put(ClusterSchema, 'Passthrough', messageFromJson(ClusterSchema, { name: 'Passthrough', type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', connect_timeout: '2s' }))
plane.put(ListenerSchema, 'virtualOutbound', messageFromJson(ListenerSchema, { name: 'virtualOutbound', ...bound(15_001), use_original_dst: true, traffic_direction: 'OUTBOUND' }))
plane.put(ListenerSchema, 'virtualInbound', messageFromJson(ListenerSchema, { name: 'virtualInbound', ...bound(15_006), listener_filters: originalDst, traffic_direction: 'INBOUND' }))
say({ target: plane.target, token: plane.token, root: plane.authority.rootPem })

let told = 0
void plane.until(() => {
  for (const { typeUrl, errorDetail } of plane.requests.slice(told)) if (typeUrl === HEALTH_INFORMATION) say({ health: errorDetail?.message ?? '' })
  told = plane.requests.length
  return false
})

let last = ''
const ask = (): void => {
  const call = request({ host: '127.0.0.1', port: 15_021, path: '/healthz/ready', agent: false }, (response) => {
    let body = ''
    response.on('data', (part: Buffer) => (body += part.toString()))
    response.on('end', () => {
      const now = JSON.stringify({ ready: response.statusCode, body })
      if (now !== last) process.stdout.write(`${(last = now)}\n`)
      setTimeout(ask, ASK_EVERY_MS)
    })
  })
  call.on('error', () => setTimeout(ask, ASK_EVERY_MS))
  call.end()
}
ask()
