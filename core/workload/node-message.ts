import { create, type JsonObject, type JsonValue } from '@bufbuild/protobuf'
import { type Fault, fault, Faults } from '#core/fault/fault.ts'
import { BuildVersionSchema, type Node, NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { SemanticVersionSchema } from '#core/wire/gen/envoy/type/v3/semantic_version_pb.ts'
import type { GatewayTopology, ProxyNode } from './node.ts'
import type { SocketAddress, WorkloadPort } from './workload.ts'

const idCharactersMax = 512
const textCharactersMax = 1024
const labelsMax = 128
const portsMax = 256
const wordsMax = 256

const ownMetadata = new Set('NAMESPACE SERVICE_ACCOUNT LABELS CLUSTER_ID NETWORK GENERATOR INSTANCE_IPS DNS_CAPTURE PROXY_CONFIG'.split(' '))

/** Whether a key of the metadata stands in a field of its own. */
export const isOwnMetadata = (key: string): boolean => ownMetadata.has(key) || key.startsWith('WEFT_')
/** xDS protocol, "TTL". */
const RESOURCE_TTL = 'xds.config.supports-resource-ttl'

/**
 * What a proxy says of itself in its first request, within bounds; a field that it leaves out is empty.
 * @throws Faults 'request.invalid', all at once
 */
export function readNode(node: Node): ProxyNode {
  const reader = new NodeReader(node.metadata ?? {})
  if (node.id === '' || node.id.length > idCharactersMax) reader.refuse('id', undefined, `1..${idCharactersMax} characters`)
  const name = readNodeId(node.id.slice(0, idCharactersMax))
  const { region, zone, subZone } = node.locality ?? { region: '', zone: '', subZone: '' }
  const engine = reader.bound('user_agent_name', node.userAgentName)
  const grpc = reader.text('GENERATOR') === 'grpc' || /^grpc/i.test(engine) || name.type === undefined
  const read: ProxyNode = {
    id: node.id,
    type: grpc ? 'grpc' : (name.type ?? 'grpc'),
    address: name.address === '' || isIpAddress(name.address) ? name.address : reader.refuse('id', name.address, 'an IP address after the first ~', ''),
    name: name.name,
    namespace: reader.text('NAMESPACE') || name.namespace,
    serviceAccount: reader.text('SERVICE_ACCOUNT'),
    labels: reader.labels(),
    cluster: reader.text('CLUSTER_ID'),
    network: reader.text('NETWORK'),
    locality: reader.bound('locality', [region, zone, subZone].join('/').replace(/\/+$/, '')),
    engine,
    version: reader.bound('user_agent_version', versionOf(node)),
    outbound: reader.socketAddress('WEFT_OUTBOUND'),
    ports: reader.ports(),
    gatewayPorts: reader.gatewayPorts(),
    gatewayAddress: reader.address('WEFT_GATEWAY_ADDRESS'),
    otlp: reader.text('WEFT_OTLP'),
    ...reader.gatewayTopology(),
    ...reader.addresses(),
    ...reader.words(),
    ...(reader.text('DNS_CAPTURE') === 'true' ? { dnsCapture: true } : {}),
    ...(reader.text('WEFT_HEALTH') === 'unhealthy' ? { health: 'unhealthy' as const } : {}),
    ...(reader.text('WEFT_GRPC_CERTIFICATES') === 'true' ? { grpcCertificates: true } : {}),
    ...(node.clientFeatures.includes(RESOURCE_TTL) ? { resourceTtl: true } : {}),
  }
  if (reader.faults.length > 0) throw new Faults(reader.faults)
  return read
}

/** The Node message that a proxy sends, such that `readNode` answers what went in. */
export function writeNode(node: ProxyNode): Node {
  const [region = '', zone = '', subZone = ''] = node.locality.split('/')
  const metadata: JsonObject = { ...node.metadata, NAMESPACE: node.namespace, SERVICE_ACCOUNT: node.serviceAccount, LABELS: { ...node.labels } }
  const texts = { CLUSTER_ID: node.cluster, NETWORK: node.network, WEFT_GATEWAY_ADDRESS: node.gatewayAddress, WEFT_OTLP: node.otlp }
  for (const [key, value] of Object.entries(texts)) if (value !== '') metadata[key] = value
  if (node.type === 'grpc') metadata['GENERATOR'] = 'grpc'
  if (node.addresses !== undefined) metadata['INSTANCE_IPS'] = node.addresses.join(',')
  if (node.dnsCapture === true) metadata['DNS_CAPTURE'] = 'true'
  if (node.health !== undefined) metadata['WEFT_HEALTH'] = node.health
  if (node.grpcCertificates === true) metadata['WEFT_GRPC_CERTIFICATES'] = 'true'
  if (node.outbound) metadata['WEFT_OUTBOUND'] = formatSocketAddress(node.outbound)
  if (node.ports.length > 0) metadata['WEFT_PORTS'] = node.ports.map(writePort)
  if (node.gatewayTopology !== undefined) metadata['PROXY_CONFIG'] = { gatewayTopology: { ...node.gatewayTopology } }
  if (node.gatewayPorts.size > 0) metadata['WEFT_GATEWAY_PORTS'] = Object.fromEntries([...node.gatewayPorts].map(([from, to]) => [String(from), to]))
  return create(NodeSchema, {
    id: node.id,
    metadata,
    ...(node.locality === '' ? {} : { locality: { region, zone, subZone } }),
    userAgentName: node.engine,
    userAgentVersionType: writeVersion(node.version),
    clientFeatures: node.resourceTtl === true ? [RESOURCE_TTL] : [],
  })
}

/** `sidecar~ADDRESS~NAME.NAMESPACE~NAMESPACE.svc.cluster.local`; whatever has another form is a gRPC client's own. */
export function readNodeId(id: string): { type: 'sidecar' | 'router' | undefined; address: string; name: string; namespace: string } {
  const [type, address = '', full = '', domain, ...more] = id.split('~')
  if ((type !== 'sidecar' && type !== 'router') || domain === undefined || more.length > 0) return { type: undefined, address: '', name: id, namespace: '' }
  const dot = full.lastIndexOf('.')
  return { type, address, name: dot === -1 ? full : full.slice(0, dot), namespace: dot === -1 ? '' : full.slice(dot + 1) }
}

export const formatNodeId = (of: { type: 'sidecar' | 'router'; address: string; name: string; namespace: string }): string =>
  `${of.type}~${of.address}~${of.name}.${of.namespace}~${of.namespace}.svc.cluster.local`

export const TOPOLOGY_RULE = '{"numTrustedProxies": 0…, "forwardClientCertDetails": "SANITIZE"…, "proxyProtocol": {}}'

/** Undefined when it says anything else. */
export function readGatewayTopology(value: unknown): GatewayTopology | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { numTrustedProxies, forwardClientCertDetails, proxyProtocol, ...more } = value as Readonly<Record<string, unknown>>
  if (Object.keys(more).length > 0 || (numTrustedProxies !== undefined && !(Number.isInteger(numTrustedProxies) && Number(numTrustedProxies) >= 0 && Number(numTrustedProxies) <= 100))) return undefined
  if (forwardClientCertDetails !== undefined && (typeof forwardClientCertDetails !== 'string' || !/^[A-Z_]{1,32}$/.test(forwardClientCertDetails))) return undefined
  if (proxyProtocol !== undefined && (typeof proxyProtocol !== 'object' || proxyProtocol === null)) return undefined
  return {
    ...(numTrustedProxies === undefined ? {} : { numTrustedProxies: Number(numTrustedProxies) }),
    ...(forwardClientCertDetails === undefined ? {} : { forwardClientCertDetails }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol: {} }),
  }
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export const formatSocketAddress = (at: SocketAddress): string => (at.address.includes(':') ? `[${at.address}]:${at.port}` : `${at.address}:${at.port}`)

/** JSON numbers in a Struct are all doubles, so ports come back as they went. */
const writePort = (port: WorkloadPort): JsonObject => ({
  port: port.port,
  ...(port.name === undefined ? {} : { name: port.name }),
  listen: { address: port.listen.address, port: port.listen.port },
  app: { address: port.app.address, port: port.app.port },
})

function versionOf(node: Node): string {
  const { userAgentVersionType: said } = node
  if (said.case === 'userAgentVersion') return said.value
  const version = said.case === 'userAgentBuildVersion' ? said.value.version : undefined
  return version ? `${version.majorNumber}.${version.minorNumber}.${version.patch}` : ''
}

function writeVersion(version: string): Node['userAgentVersionType'] {
  const parts = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})$/.exec(version)
  if (!parts) return { case: 'userAgentVersion', value: version }
  const [majorNumber = 0, minorNumber = 0, patch = 0] = parts.slice(1).map(Number)
  return {
    case: 'userAgentBuildVersion',
    value: create(BuildVersionSchema, { version: create(SemanticVersionSchema, { majorNumber, minorNumber, patch }) }),
  }
}

const isObject = (value: JsonValue | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

function isIpAddress(text: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return text.split('.').every((part) => Number(part) <= 255)
  return text.length <= 45 && text.includes(':') && /^[0-9a-fA-F:.]+$/.test(text)
}

const isPort = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535

/** Reads metadata key by key and gathers what is wrong. */
class NodeReader {
  readonly faults: Fault[] = []
  readonly #metadata: JsonObject

  constructor(metadata: JsonObject) {
    this.#metadata = metadata
  }

  refuse<T>(path: string, value: unknown, rule: string, instead: T): T
  refuse(path: string, value: unknown, rule: string): undefined
  refuse<T>(path: string, value: unknown, rule: string, instead?: T): T | undefined {
    this.faults.push(fault('request.invalid', { path: `node.${path}`, value, rule }))
    return instead
  }

  bound(path: string, text: string): string {
    return text.length <= textCharactersMax ? text : this.refuse(path, undefined, `at most ${textCharactersMax} characters`, '')
  }

  text(key: string): string {
    const value = this.#metadata[key]
    if (value === undefined || value === null) return ''
    return typeof value === 'string' ? this.bound(`metadata.${key}`, value) : this.refuse(`metadata.${key}`, undefined, 'a string', '')
  }

  /** Of Istio's proxies there are many, and most mean nothing here: what is no short text is passed over. */
  words(): Pick<ProxyNode, 'metadata'> {
    const words: [string, string][] = []
    for (const [key, value] of Object.entries(this.#metadata)) {
      if (typeof value === 'string' && !isOwnMetadata(key) && key.length <= textCharactersMax && value.length <= textCharactersMax && words.length < wordsMax) words.push([key, value])
    }
    return words.length === 0 ? {} : { metadata: Object.fromEntries(words) }
  }

  address(key: string): string {
    const text = this.text(key)
    return text === '' || isIpAddress(text) ? text : this.refuse(`metadata.${key}`, text, 'an IP address', '')
  }

  /** What is no address is passed over, as by Istio. */
  addresses(): Pick<ProxyNode, 'addresses'> {
    const addresses = this.text('INSTANCE_IPS').split(',').map((one) => one.trim()).filter(isIpAddress)
    return addresses.length === 0 ? {} : { addresses: [...new Set(addresses)] }
  }

  labels(): Readonly<Record<string, string>> {
    const value = this.#metadata['LABELS']
    if (value === undefined || value === null) return {}
    const entries = isObject(value) ? Object.entries(value) : undefined
    if (!entries || entries.length > labelsMax) return this.refuse('metadata.LABELS', undefined, `an object of at most ${labelsMax} labels`, {})
    const labels: [string, string][] = []
    for (const [key, label] of entries) {
      if (typeof label === 'string' && key.length <= textCharactersMax) labels.push([key, this.bound(`metadata.LABELS.${key}`, label)])
      else this.refuse(`metadata.LABELS.${key.slice(0, 64)}`, undefined, 'a string')
    }
    return Object.fromEntries(labels)
  }

  socketAddress(key: string): SocketAddress | undefined {
    const text = this.text(key)
    if (text === '') return undefined
    const colon = text.lastIndexOf(':')
    const address = text.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1')
    const port = Number(text.slice(colon + 1))
    return isIpAddress(address) && isPort(port) ? { address, port } : this.refuse(`metadata.${key}`, text, 'ADDRESS:PORT')
  }

  ports(): readonly WorkloadPort[] {
    const value = this.#structured('WEFT_PORTS')
    if (value === undefined) return []
    if (!Array.isArray(value) || value.length > portsMax) return this.refuse('metadata.WEFT_PORTS', undefined, `a list of at most ${portsMax} ports`, [])
    return value.flatMap((entry, index) => this.#port(`metadata.WEFT_PORTS[${index}]`, entry) ?? [])
  }

  gatewayPorts(): ReadonlyMap<number, number> {
    const value = this.#structured('WEFT_GATEWAY_PORTS')
    const ports = new Map<number, number>()
    if (value === undefined) return ports
    const entries = isObject(value) ? Object.entries(value) : undefined
    if (!entries || entries.length > portsMax) return this.refuse('metadata.WEFT_GATEWAY_PORTS', undefined, `an object of at most ${portsMax} ports`, ports)
    for (const [from, to] of entries) {
      if (isPort(Number(from)) && isPort(to)) ports.set(Number(from), to)
      else this.refuse('metadata.WEFT_GATEWAY_PORTS', from.slice(0, 64), 'PORT: PORT, each 1..65535')
    }
    return ports
  }

  /** Of Istio's ProxyConfig, which says much more to Istio's own proxies. */
  gatewayTopology(): Pick<ProxyNode, 'gatewayTopology'> {
    const config = this.#structured('PROXY_CONFIG')
    const said = isObject(config) ? config['gatewayTopology'] : undefined
    if (said === undefined) return {}
    const gatewayTopology = readGatewayTopology(said)
    return gatewayTopology === undefined ? this.refuse('metadata.PROXY_CONFIG.gatewayTopology', undefined, TOPOLOGY_RULE, {}) : { gatewayTopology }
  }

  #port(path: string, entry: JsonValue): WorkloadPort | undefined {
    const [port, name, listen, app] = isObject(entry) ? [entry['port'], entry['name'], this.#at(entry['listen']), this.#at(entry['app'])] : []
    if (isPort(port) && listen && app && (name === undefined || (typeof name === 'string' && name.length <= 63))) {
      return { port, ...(name === undefined ? {} : { name }), listen, app }
    }
    return this.refuse(path, undefined, '{port, name?, listen: {address, port}, app: {address, port}}')
  }

  #at(value: JsonValue | undefined): SocketAddress | undefined {
    if (!isObject(value)) return undefined
    const { address, port } = value
    return typeof address === 'string' && isIpAddress(address) && isPort(port) ? { address, port } : undefined
  }

  /** Metadata that is structure, or the JSON text of it, as from an environment variable. */
  #structured(key: string): JsonValue | undefined {
    const value = this.#metadata[key]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value !== 'string') return value
    try {
      return JSON.parse(value)
    } catch {
      return this.refuse(`metadata.${key}`, undefined, 'JSON')
    }
  }
}
