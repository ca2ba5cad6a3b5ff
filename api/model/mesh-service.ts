import { plainAddress } from '#core/match/cidr.ts'
import { isIp } from '#core/resource/address.ts'
import type { ServiceEntrySpec } from '#core/resource/service-entry.ts'
import type { ServiceSpec } from '#core/resource/service.ts'
import type { StoredResource } from '#db/store.ts'
import { DERIVED } from './gateway-api/listener.ts'
import { serviceHost } from './host.ts'
import type { Labels } from './labels.ts'

export type EntryEndpoint = NonNullable<ServiceEntrySpec['endpoints']>[number]

export type Protocol = 'http' | 'http2' | 'grpc' | 'grpc-web' | 'https' | 'tls' | 'tcp' | 'udp' | 'auto'

export interface ServicePort {
  readonly name: string
  readonly port: number
  /** Number or name of the workload's port. */
  readonly targetPort: number | string
  readonly protocol: Protocol
}

/** A service of the mesh, whether a Kubernetes Service or a host of a ServiceEntry declared it. */
export interface MeshService {
  readonly host: string
  /** Short name, for metrics and telemetry. */
  readonly name: string
  readonly namespace: string
  readonly kind: 'Service' | 'ServiceEntry'
  /** `Service/prod/order-service` */
  readonly source: string
  readonly createdAtMs: number
  readonly ports: readonly ServicePort[]
  readonly addresses: readonly string[]
  /** The addresses that it has from the mesh where it has none of its own, IPv4 and IPv6: known to those whose names the mesh resolves. */
  readonly allocated?: readonly [string, string]
  /** Ranges of addresses that a ServiceEntry claims: `10.0.0.0/8`. */
  readonly ranges: readonly string[]
  /** A Kubernetes Service without an address of its own: callers choose a pod, and connections go where they were going. */
  readonly headless: boolean
  /** Whether gateways behind it listen at its target ports instead of the ports that their Gateways name. */
  readonly translatesGatewayPorts: boolean
  /** The host that an ExternalName Service stands for; undefined: it stands for itself. */
  readonly alias: string | undefined
  readonly exportTo: readonly string[]
  /** `eds`: endpoints are known; `dns`: the proxy resolves names; `none`: connections go where they were going. */
  readonly resolution: 'eds' | 'dns' | 'none'
  /** Of what the name resolves to, only the first address is called (DNS_ROUND_ROBIN). */
  readonly callsFirst?: boolean
  readonly external: boolean
  /** Labels of the workloads behind it; undefined: none are selected. */
  readonly selector: Labels | undefined
  readonly endpoints: readonly EntryEndpoint[]
  readonly subjectAltNames: readonly string[]
}

const HTTP: ReadonlySet<Protocol> = new Set(['http', 'http2', 'grpc', 'grpc-web', 'auto'])

/** Whether requests on such a port are routed one by one. An undeclared protocol is taken for HTTP where nothing can be sniffed. */
export const carriesHttp = (protocol: Protocol): boolean => HTTP.has(protocol)

const OVER_HTTP2: ReadonlySet<Protocol> = new Set(['http2', 'grpc', 'grpc-web'])

/** Whether the application gets HTTP/2 there. What proxies get as gRPC-Web it gets as gRPC. */
export const isOverHttp2 = (protocol: Protocol): boolean => OVER_HTTP2.has(protocol)

/** Ports of protocols in which the server speaks first, or that are no HTTP in any case (SMTP, DNS, MySQL, MongoDB): whoever waited there for a client's first words would wait in vain. */
const SPOKEN_FOR: ReadonlySet<number> = new Set([25, 53, 3306, 27017])

/**
 * Protocol by `appProtocol`, else by the name's first part, else by the port where its number says it (istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection).
 * @param port the service's, where an undeclared protocol may go by it
 */
export function portProtocol(name: string | undefined, appProtocol: string | undefined, transport: string | undefined, port?: number): Protocol {
  if (transport?.toUpperCase() === 'UDP') return 'udp'
  const word = (appProtocol ?? name ?? '').toLowerCase()
  if (word === 'kubernetes.io/h2c') return 'http2'
  if (word === 'kubernetes.io/wss') return 'https'
  if (word.startsWith('grpc-web')) return 'grpc-web'
  switch (word.split('-')[0]) {
    case 'http':
    case 'http1':
    case 'kubernetes.io/ws':
      return 'http'
    case 'http2':
      return 'http2'
    case 'grpc':
      return 'grpc'
    case 'https':
      return 'https'
    case 'tls':
      return 'tls'
    case 'tcp':
    case 'mongo':
    case 'mysql':
    case 'redis':
      return 'tcp'
    case 'udp':
      return 'udp'
    default:
      return port !== undefined && SPOKEN_FOR.has(port) ? 'tcp' : 'auto'
  }
}

/** The services that an object declares: one for a Service, one a host for a ServiceEntry, none for other kinds. */
export function declaredServices(stored: StoredResource): MeshService[] {
  const { object, key } = stored
  if (key.kind === 'Service' && key.group === '') return [fromService(stored, object.spec as ServiceSpec | undefined)]
  if (key.kind === 'ServiceEntry') return fromEntry(stored, object.spec as ServiceEntrySpec)
  return []
}

function fromService(stored: StoredResource, spec: ServiceSpec = {}): MeshService {
  const { name, namespace } = stored.key
  const annotation = stored.object.metadata.annotations?.['networking.istio.io/exportTo']
  return {
    host: serviceHost(name, namespace),
    name,
    namespace,
    kind: 'Service',
    source: `Service/${namespace}/${name}`,
    createdAtMs: stored.createdAtMs,
    ports: (spec.ports ?? []).map((one) => ({ name: one.name ?? '', port: one.port, targetPort: one.targetPort || one.port, protocol: portProtocol(one.name, one.appProtocol, one.protocol, one.port) })),
    addresses: [...new Set([...(spec.clusterIPs ?? []), ...(spec.clusterIP ? [spec.clusterIP] : [])].map(plainAddress))].filter((one) => one !== 'None' && one !== ''),
    ranges: [],
    translatesGatewayPorts: translatesGatewayPorts(stored),
    headless: spec.clusterIP === 'None' || spec.clusterIPs?.includes('None') === true,
    alias: spec.type === 'ExternalName' ? spec.externalName?.toLowerCase() : undefined,
    exportTo: annotation?.split(',').map((one) => one.trim()) ?? [],
    resolution: spec.type === 'ExternalName' ? 'dns' : 'eds',
    external: spec.type === 'ExternalName',
    selector: spec.selector !== undefined && Object.keys(spec.selector).length > 0 ? spec.selector : undefined,
    endpoints: spec.externalName === undefined ? [] : [{ address: spec.externalName }],
    subjectAltNames: [],
  }
}

const translatesGatewayPorts = (stored: StoredResource): boolean => stored.object.metadata.labels?.['experimental.istio.io/disable-gateway-port-translation'] !== 'true'

/** Hosts of a ServiceEntry (`NAMESPACE/HOST`) that the mesh gives an address, as Istio does (istio.io/latest/docs/ops/configuration/traffic-management/dns-proxy). */
export function hostsToAddress({ key, object }: StoredResource): string[] {
  // What a Backend amounts to goes by a name that nobody looks up.
  if (key.kind !== 'ServiceEntry' || key.name.endsWith(`~${DERIVED}`) || object.metadata.labels?.['networking.istio.io/enable-autoallocate-ip'] === 'false') return []
  const { hosts, addresses = [], resolution = 'NONE' } = object.spec as ServiceEntrySpec
  // Without a resolution connections go where they were going, which such an address does not say.
  if (addresses.length > 0 || resolution === 'NONE' || resolution === 'DYNAMIC_DNS') return []
  return [...new Set(hosts.filter((host) => !host.includes('*') && !isIp(host)).map((host) => addressKey(key.namespace, host.toLowerCase())))]
}

/** An address, or a range that holds one alone. */
const isSingle = (address: string): boolean => !address.includes('/') || address.endsWith(address.includes(':') ? '/128' : '/32')

export const addressKey = (namespace: string, host: string): string => `${namespace}/${host}`

function fromEntry(stored: StoredResource, spec: ServiceEntrySpec): MeshService[] {
  const { name, namespace } = stored.key
  const resolution = spec.resolution ?? 'NONE'
  return [...new Set(spec.hosts.map((host) => host.toLowerCase()))].map((host) => ({
    host,
    name: host,
    namespace,
    kind: 'ServiceEntry',
    source: `ServiceEntry/${namespace}/${name}`,
    createdAtMs: stored.createdAtMs,
    ports: (spec.ports ?? []).map((one) => ({ name: one.name, port: one.number, targetPort: one.targetPort || one.number, protocol: portProtocol(one.protocol, undefined, undefined) })),
    addresses: (spec.addresses ?? []).filter(isSingle).map((one) => plainAddress(one.replace(/\/(32|128)$/, ''))),
    ranges: (spec.addresses ?? []).filter((one) => !isSingle(one)),
    translatesGatewayPorts: translatesGatewayPorts(stored),
    headless: false,
    alias: undefined,
    exportTo: spec.exportTo ?? [],
    resolution: resolution === 'STATIC' ? 'eds' : resolution === 'NONE' ? 'none' : 'dns',
    ...(resolution === 'DNS_ROUND_ROBIN' ? { callsFirst: true } : {}),
    external: spec.location !== 'MESH_INTERNAL',
    selector: spec.workloadSelector?.labels,
    endpoints: spec.endpoints ?? [],
    subjectAltNames: spec.subjectAltNames ?? [],
  }))
}
