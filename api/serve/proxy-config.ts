import { create } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { fault, Faults } from '#core/fault/fault.ts'
import { packAny } from '#core/wire/any.ts'
import { type DiscoveryRequest, type DiscoveryResponse, DiscoveryResponseSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { type ProxyConfig, ProxyConfigSchema } from '#core/wire/gen/istio/mesh/v1alpha1/proxy_pb.ts'
import { defineTypedMethod, fetchProxyConfig } from '#core/wire/grpc.ts'
import { typeUrlOf } from '#core/wire/type-url.ts'
import { readNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { type CallerSide, CallRefused, contradiction, identify, refusalBy } from './credentials.ts'
import type { Peer, ServeDoors } from './peer.ts'
import { type CallEnd, type GrpcMethod, unary } from './transport/method.ts'
import type { TrustStore } from './trust.ts'

/** What it asks of the rest of the control plane. */
export interface ProxyConfigDoors {
  readonly serve: Pick<ServeDoors, 'authenticate'>
  /** What a proxy starts with; undefined when its mesh is gone. */
  effective(peer: Peer, node: ProxyNode): Promise<ProxyConfig | undefined>
}

const wrap = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** What agents start their proxies with: hand it to `startXds` among its services. It makes nobody a member of the mesh. */
export function proxyConfigDiscovery(doors: ProxyConfigDoors): (trust: TrustStore | undefined) => readonly GrpcMethod[] {
  return (trust) => [
    unary(defineTypedMethod(fetchProxyConfig, wrap), (call, answer) => {
      answered(doors, trust, call).then(
        (response) => answer(null, response),
        (raised: unknown) => answer(endOf(raised)),
      )
    }),
  ]
}

async function answered(doors: ProxyConfigDoors, trust: TrustStore | undefined, call: CallerSide & { request: DiscoveryRequest }): Promise<DiscoveryResponse> {
  const peer = await identify(call, doors.serve, trust)
  if (call.request.node === undefined) throw new Faults([fault('request.invalid', { path: 'node', rule: 'the node that asks' })])
  const node = readNode(call.request.node)
  const contradicts = contradiction(peer, node)
  if (contradicts !== undefined) throw new CallRefused(status.PERMISSION_DENIED, contradicts)
  const config = await doors.effective(peer, peer.identity === undefined ? node : { ...node, namespace: peer.identity.namespace, serviceAccount: peer.identity.serviceAccount })
  if (config === undefined) throw new CallRefused(status.NOT_FOUND, 'the mesh of this proxy is gone')
  return create(DiscoveryResponseSchema, { typeUrl: typeUrlOf(ProxyConfigSchema), resources: [packAny(ProxyConfigSchema, config)] })
}

function endOf(raised: unknown): CallEnd {
  if (raised instanceof CallRefused) return { code: raised.code, details: raised.message }
  if (raised instanceof Faults) return endOf(refusalBy(raised))
  return { code: status.UNAVAILABLE, details: 'the proxy’s configuration could not be read; ask again' }
}
