import { create } from '@bufbuild/protobuf'
import { selects } from '#api/model/labels.ts'
import type { Labels } from '#api/model/labels.ts'
import { isProxied } from '#api/model/mesh-model.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService, ServicePort } from '#api/model/mesh-service.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import type { ClusterLoadAssignment } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { socketAddress } from './message.ts'

/** An endpoint whose name the proxy resolves. */
export interface NamedEndpoint {
  readonly address: string
  readonly port: number
  readonly weight: number
  /** A proxy of the mesh is in front of it. */
  readonly mutualTls: boolean
}

/**
 * Where the port of a service with `resolution: DNS` is: at its endpoints, at the workloads that it selects, or else at its own host; of a subset, at those that bear its labels.
 * istio.io/latest/docs/reference/config/networking/service-entry/#ServiceEntry-Resolution
 */
export function namedEndpoints(reader: MeshReader, service: MeshService, port: ServicePort, labels: Labels = {}): NamedEndpoint[] {
  const declared: readonly MeshService['endpoints'][number][] = service.endpoints.length > 0 || service.selector !== undefined ? service.endpoints : [{ address: service.host }]
  const selected = reader.workloadsOf(service).filter((one) => one.health === 'healthy')
  return [
    ...declared
      .filter((one) => selects(labels, one.labels ?? {}))
      .map((one) => ({ address: one.address ?? service.host, port: one.ports?.[port.name] ?? Number(port.targetPort), weight: one.weight || 1, mutualTls: !service.external && isProxied(one) })),
    ...selected
      .filter((one) => selects(labels, one.labels))
      .map((one) => ({ address: one.address, port: one.portsByName?.[port.name] ?? Number(port.targetPort), weight: one.weight || 1, mutualTls: !service.external && one.mutualTls })),
  ]
}

export const namedAssignment = (clusterName: string, endpoints: readonly NamedEndpoint[]): ClusterLoadAssignment =>
  create(ClusterLoadAssignmentSchema, {
    clusterName,
    endpoints: [
      {
        lbEndpoints: endpoints.map(({ address, port, weight, mutualTls }) => ({
          hostIdentifier: { case: 'endpoint' as const, value: { address: socketAddress(address, port), hostname: address } },
          loadBalancingWeight: weight,
          ...(mutualTls ? { metadata: { filterMetadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } } } } : {}),
        })),
      },
    ],
  })
