import { HealthStatus } from '../wire/gen/envoy/config/core/v3/health_check_pb.ts'
import { type ClusterLoadAssignment, ClusterLoadAssignment_PolicySchema, ClusterLoadAssignmentSchema } from '../wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { Endpoint_AdditionalAddressSchema, EndpointSchema, type LbEndpoint, LbEndpointSchema, type LocalityLbEndpoints, LocalityLbEndpointsSchema } from '../wire/gen/envoy/config/endpoint/v3/endpoint_components_pb.ts'
import { isAddress } from '../match/cidr.ts'
import type { EndpointPlan, EndpointsPlan } from './endpoints.ts'
import { at, type Read, type Reading, readResource } from './read.ts'
import { readSocketAddress, readTexts, textIn } from './read-value.ts'

/** ClusterLoadAssignment → EndpointsPlan. */
export function readEndpoints(bytes: Uint8Array, version: string): Read<EndpointsPlan> {
  return readResource(ClusterLoadAssignmentSchema, bytes, (reading, message) => readAssignment(reading, '', message, version, 'address'))
}

/** An assignment by itself or inside a cluster; `hosts` says whether its addresses are IP addresses or names to resolve. */
export function readAssignment(reading: Reading, path: string, message: ClusterLoadAssignment, version: string, hosts: 'address' | 'name'): EndpointsPlan {
  reading.only(path, ClusterLoadAssignmentSchema, message, ['cluster_name', 'endpoints', 'policy'])
  if (message.clusterName === '') reading.invalid(at(path, 'cluster_name'), 'is missing')
  const { policy } = message
  if (policy !== undefined) {
    reading.only(at(path, 'policy'), ClusterLoadAssignment_PolicySchema, policy, ['overprovisioning_factor'])
    const factor = policy.overprovisioningFactor ?? 140
    if (factor !== 140) reading.unsupported(at(path, 'policy.overprovisioning_factor'), 'only 140 is supported', factor)
  }
  // Envoy keeps the first of endpoints with one address.
  const seen = new Set<string>()
  const localities = message.endpoints.map((one, index) => readLocality(reading, at(path, 'endpoints', index), one, hosts, seen))
  return { name: message.clusterName, version, localities: localities.sort((a, b) => a.priority - b.priority) }
}

type Locality = EndpointsPlan['localities'][number]

function readLocality(reading: Reading, path: string, wire: LocalityLbEndpoints, hosts: 'address' | 'name', seen: Set<string>): Locality {
  reading.only(path, LocalityLbEndpointsSchema, wire, ['locality', 'metadata', 'lb_endpoints', 'load_balancer_endpoints', 'load_balancing_weight', 'priority', 'proximity'])
  const listed = wire.lbConfig.case === 'loadBalancerEndpoints' ? wire.lbConfig.value.lbEndpoints : []
  const endpoints: EndpointPlan[] = []
  for (const [index, one] of [...wire.lbEndpoints, ...listed].entries()) {
    const endpoint = readEndpoint(reading, at(path, 'lb_endpoints', index), one, hosts)
    if (endpoint === undefined || seen.has(endpoint.key)) continue
    seen.add(endpoint.key)
    endpoints.push(endpoint)
  }
  const { region = '', zone = '', subZone = '' } = wire.locality ?? {}
  const locality = [region, zone, subZone].join('/').replace(/\/+$/, '')
  return { locality, weight: wire.loadBalancingWeight ?? 0, priority: wire.priority, endpoints }
}

/** A Unix socket has the address `unix:/path` and port 0. */
function readEndpoint(reading: Reading, path: string, wire: LbEndpoint, hosts: 'address' | 'name'): EndpointPlan | undefined {
  reading.only(path, LbEndpointSchema, wire, ['endpoint', 'health_status', 'metadata', 'load_balancing_weight'])
  if (wire.hostIdentifier.case !== 'endpoint') return undefined
  const endpoint = wire.hostIdentifier.value
  reading.only(at(path, 'endpoint'), EndpointSchema, endpoint, ['address', 'hostname', 'health_check_config', 'additional_addresses'])
  const pipe = endpoint.address?.address.case === 'pipe' ? endpoint.address.address.value.path : undefined
  if (pipe === '') reading.invalid(at(path, 'endpoint.address.pipe.path'), 'is missing')
  const socket = pipe === undefined ? readSocketAddress(reading, at(path, 'endpoint.address'), endpoint.address) : { address: `unix:${pipe}`, port: 0 }
  if (socket === undefined) return undefined
  if (hosts === 'address' && pipe === undefined && !isAddress(socket.address)) reading.invalid(at(path, 'endpoint.address.socket_address.address'), 'is no IP address', socket.address)
  const further = endpoint.additionalAddresses.flatMap((one, index) => {
    const place = at(path, 'endpoint.additional_addresses', index)
    reading.only(place, Endpoint_AdditionalAddressSchema, one, ['address'])
    const other = readSocketAddress(reading, at(place, 'address'), one.address)
    if (other === undefined) return []
    if (!isAddress(other.address)) reading.invalid(at(place, 'address.socket_address.address'), 'is no IP address', other.address)
    if (other.port !== socket.port) reading.unsupported(at(place, 'address.socket_address.port_value'), `only that of the first address, ${socket.port}, is supported`, other.port)
    return [other.address]
  })
  if (wire.loadBalancingWeight === 0) reading.invalid(at(path, 'load_balancing_weight'), '1 or more', 0)
  const metadata = wire.metadata?.filterMetadata
  return {
    key: pipe !== undefined ? socket.address : socket.address.includes(':') ? `[${socket.address}]:${socket.port}` : `${socket.address}:${socket.port}`,
    address: socket.address,
    port: socket.port,
    ...(further.length === 0 ? {} : { further }),
    weight: wire.loadBalancingWeight ?? 1,
    health: healthOf(wire.healthStatus),
    hostname: endpoint.hostname,
    transport: readTexts(reading, at(path, 'metadata.filter_metadata[envoy.transport_socket_match]'), metadata?.['envoy.transport_socket_match']),
    workload: workloadOf(textIn(metadata?.['istio'], 'workload')),
  }
}

/** DEGRADED counts as healthy: it may be used, and Weft has no second class of hosts. */
function healthOf(status: HealthStatus): EndpointPlan['health'] {
  switch (status) {
    case HealthStatus.UNHEALTHY:
    case HealthStatus.TIMEOUT:
      return 'unhealthy'
    case HealthStatus.DRAINING:
      return 'draining'
    default:
      return 'healthy'
  }
}

/** Istio's `name;namespace;service;version;cluster`. */
function workloadOf(text: string | undefined): EndpointPlan['workload'] {
  if (text === undefined) return undefined
  const [name = '', namespace = '', service = '', version = '', cluster = ''] = text.split(';')
  return { name, namespace, service, version, cluster }
}
