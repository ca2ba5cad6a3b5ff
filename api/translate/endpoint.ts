import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { selects } from '#api/model/labels.ts'
import { isProxied } from '#api/model/mesh-model.ts'
import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService, ServicePort } from '#api/model/mesh-service.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { Workload, WorkloadPort } from '#core/workload/workload.ts'
import { reachedAddresses, triedBy } from '#core/workload/reached.ts'
import type { Families } from '#core/workload/families.ts'
import { isAddress } from '#core/match/cidr.ts'
import { type Address, AddressSchema } from '#core/wire/gen/envoy/config/core/v3/address_pb.ts'
import { HealthStatus } from '#core/wire/gen/envoy/config/core/v3/health_check_pb.ts'
import type { LbEndpointSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_components_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import type { ClusterLoadAssignment } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { metadataOf, socketAddress } from './message.ts'
import { clusterDefaults, withDefaults } from './mesh-defaults.ts'
import { outboundCluster } from './naming.ts'
import { mutualTlsFor } from './peer-authentication.ts'
import { resourceOf } from './resource.ts'
import { placeLabels, ranked, rankingOf } from './locality.ts'
import type { Ranking } from './locality.ts'
import { destinationPolicy, policyFor } from './traffic-policy.ts'
import type { Policy } from './traffic-policy.ts'

/** An endpoint of a service's port, settled. */
interface ScopedEndpoint {
  readonly address: string
  /** Of the other family, tried where the first fails. */
  readonly other?: string
  readonly port: number
  readonly locality: string
  readonly weight: number
  readonly labels: Labels
  readonly mutualTls: boolean
  /** Istio's `name;namespace;service;version;cluster`, by which telemetry names the peer. */
  readonly workload: string
}

/** All that one ClusterLoadAssignment depends on. */
export interface EndpointScope {
  readonly cluster: string
  readonly endpoints: readonly ScopedEndpoint[]
  readonly ranking: Ranking
  readonly origins: readonly string[]
}

export interface ClientPlace {
  readonly namespace: string
  /** `region/zone/subzone` */
  readonly locality: string
  /** Those by which a rule may rank endpoints; absent where no rule does. */
  readonly labels?: Labels
  /** Of its addresses; absent: IPv4. */
  readonly families?: Families
}

/** The assignments of a service's clusters as a client in that place sees them. */
export function endpointScopes(reader: MeshReader, client: ClientPlace, host: string): EndpointScope[] {
  const service = reader.service(host, client.namespace)
  if (service === undefined || service.resolution !== 'eds') return []
  const destination = destinationPolicy(reader, service, client.namespace)
  const workloads = reader.workloadsOf(service)
  const defaults = clusterDefaults(reader)
  const scopes: EndpointScope[] = []
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue
    // Discovery carries no names to look up: an entry that has one would have the whole assignment refused.
    const endpoints = [...workloads.flatMap((one) => workloadEndpoint(reader, service, port, one, client.families)), ...declaredEndpoints(service, port)].filter((one) => isAddress(one.address) || one.address.startsWith(SOCKET))
    const of = (subset: string, members: readonly ScopedEndpoint[], policy: Policy): EndpointScope => ({
      cluster: outboundCluster(port.port, subset, host),
      endpoints: members,
      ranking: rankingOf(withDefaults(policy, defaults), client),
      origins: [service.source],
    })
    scopes.push(of('', endpoints, policyFor(destination.trafficPolicy, undefined, port.port)))
    for (const subset of destination.subsets) {
      const members = endpoints.filter((one) => selects(subset.labels, one.labels))
      scopes.push(of(subset.name, members, policyFor(destination.trafficPolicy, subset.trafficPolicy, port.port)))
    }
  }
  return scopes
}

/** Where peers reach a workload's port; none when it is not healthy or has no such port. An endpoint that drains is left out: that is how callers learn of it before it goes. */
function workloadEndpoint(reader: MeshReader, service: MeshService, port: ServicePort, workload: Workload, families: Families = 'IPv4'): ScopedEndpoint[] {
  if (workload.health !== 'healthy') return []
  const target = targetOf(port, workload)
  if (target === undefined) return []
  const tried = triedBy(families, reachedAddresses(workload, target))
  const mutualTls = workload.mutualTls && mutualTlsFor(reader, workload.namespace, workload.labels, target.port).mode !== 'DISABLE'
  const version = workload.labels['version'] ?? workload.labels['app.kubernetes.io/version'] ?? ''
  return [
    {
      ...tried,
      port: target.listen.port,
      locality: workload.locality,
      weight: workload.weight ?? 1,
      labels: { ...placeLabels(workload.locality, workload), ...workload.labels },
      mutualTls,
      workload: [workload.name, workload.namespace, service.name, version, workload.cluster].join(';'),
    },
  ]
}

/** A workload that names no ports is a plain address: the service's number is taken at its word. */
function targetOf(port: ServicePort, workload: Workload): Pick<WorkloadPort, 'port' | 'listen'> | undefined {
  const { targetPort } = port
  const moved = workload.portsByName?.[port.name]
  if (moved !== undefined) return workload.ports.find((one) => one.port === moved) ?? { port: moved, listen: { address: workload.address, port: moved } }
  const named = workload.ports.find((one) => (typeof targetPort === 'number' ? one.port === targetPort : one.name === targetPort))
  if (named !== undefined) return named
  return workload.ports.length === 0 && typeof targetPort === 'number' ? { port: targetPort, listen: { address: workload.address, port: targetPort } } : undefined
}

function declaredEndpoints(service: MeshService, port: ServicePort): ScopedEndpoint[] {
  const targets = service.endpoints.length > 0 || service.selector !== undefined ? service.endpoints : service.addresses.map((address) => ({ address }) as MeshService['endpoints'][number])
  return targets.flatMap((one) =>
    one.address === undefined
      ? []
      : [{ address: one.address, port: one.ports?.[port.name] ?? Number(port.targetPort), locality: one.locality ?? '', weight: one.weight || 1, labels: { ...placeLabels(one.locality ?? '', {}), ...one.labels }, mutualTls: !service.external && isProxied(one), workload: '' }],
  )
}

export function endpointResource(scope: EndpointScope): Resource {
  return resourceOf(ClusterLoadAssignmentSchema, scope.cluster, translateEndpoints(scope), scope.origins)
}

/** envoy.config.endpoint.v3.ClusterLoadAssignment: endpoints by locality, in order of name, at the priorities and with the shares that their places give them. */
const translateEndpoints = ({ cluster, endpoints, ranking }: EndpointScope): ClusterLoadAssignment =>
  create(ClusterLoadAssignmentSchema, {
    clusterName: cluster,
    endpoints: ranked(endpoints, ranking).map((group) => {
      const [region = '', zone = '', subZone = ''] = group.locality.split('/')
      return {
        locality: { region, zone, subZone },
        priority: group.priority,
        loadBalancingWeight: group.share,
        lbEndpoints: group.endpoints.map(lbEndpoint).sort((a, b) => (a.key < b.key ? -1 : 1)).map((one) => one.message),
      }
    }),
  })

/** What a Unix socket's address begins with; `unix://@name` is in the abstract namespace. */
const SOCKET = 'unix://'

const reachedAt = ({ address, port }: ScopedEndpoint): Address => (address.startsWith(SOCKET) ? create(AddressSchema, { address: { case: 'pipe', value: { path: address.slice(SOCKET.length) } } }) : socketAddress(address, port))

function lbEndpoint(one: ScopedEndpoint): { key: string; message: MessageInitShape<typeof LbEndpointSchema> } {
  const metadata = metadataOf(undefined, one.workload === '' ? undefined : { workload: one.workload })
  if (one.mutualTls) metadata.filterMetadata['envoy.transport_socket_match'] = { tlsMode: 'istio' }
  return {
    key: `${one.address}:${one.port}`,
    message: {
      hostIdentifier: { case: 'endpoint', value: { address: reachedAt(one), ...(one.other === undefined ? {} : { additionalAddresses: [{ address: socketAddress(one.other, one.port) }] }) } },
      healthStatus: HealthStatus.HEALTHY,
      loadBalancingWeight: one.weight,
      ...(Object.keys(metadata.filterMetadata).length === 0 ? {} : { metadata }),
    },
  }
}
