import type { Change, StoredResource } from '#db/store.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { formatNodeId } from '#core/workload/node-message.ts'

/** Services and proxies are spread over so many namespaces, as in the recorded runs of istiod. */
const NAMESPACES = 20
const ENDPOINTS = 10
/** Namespace whose policies hold for the whole mesh. */
const ROOT_NAMESPACE = 'istio-system'

const namespaceOf = (index: number): string => `ns-${index % NAMESPACES}`
const nameOf = (index: number): string => `svc-${index}`
const hostOf = (index: number): string => `${nameOf(index)}.${namespaceOf(index)}.mesh.example`

/** One mesh as objects, and the changes that the bench makes to it. Each change is as the store would tell it. */
export class BenchMesh {
  revision = 0
  readonly #stored = new Map<string, StoredResource>()
  #services: number

  constructor(services: number) {
    this.#services = services
  }

  /** The whole mesh, from nothing. */
  *whole(): Iterable<Change> {
    for (let index = 0; index < this.#services; index += 1) yield* this.#service(index)
  }

  /** One weight in one VirtualService, another service each time. */
  weight(round: number): Change[] {
    const index = this.#pick(round)
    return [this.#put(virtualService(index, 50 + (round % 40)))]
  }

  /** One endpoint of a ServiceEntry gets another address. */
  endpoint(round: number): Change[] {
    return [this.#put(serviceEntry(this.#pick(round), round + 1))]
  }

  /** A service that was not there: ServiceEntry, VirtualService and DestinationRule in one step. */
  newService(): Change[] {
    const index = this.#services
    this.#services += 1
    return [...this.#service(index)]
  }

  /** A policy for all workloads of one namespace, or of the whole mesh. */
  policy(round: number, where: 'namespace' | 'mesh'): Change[] {
    const namespace = where === 'mesh' ? ROOT_NAMESPACE : namespaceOf(round)
    const spec = { action: 'DENY', rules: [{ to: [{ operation: { paths: [`/forbidden/${round}`] } }] }] }
    return [this.#put({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: 'bench', namespace }, spec })]
  }

  *#service(index: number): Iterable<Change> {
    yield this.#put(serviceEntry(index, 0))
    yield this.#put(virtualService(index, 90))
    yield this.#put(destinationRule(index))
  }

  /** Spread over the mesh by a step that is no divisor of anything here. */
  #pick(round: number): number {
    return (round * 37) % this.#services
  }

  #put(object: ResourceObject): Change {
    this.revision += 1
    const { revision } = this
    const key = { group: object.apiVersion.split('/')[0] ?? '', kind: object.kind, namespace: object.metadata.namespace ?? '', name: object.metadata.name }
    const id = `${key.kind}/${key.namespace}/${key.name}`
    const before = this.#stored.get(id)
    const stored = { key, uid: before?.uid ?? `${revision}`, revision, generation: (before?.generation ?? 0) + 1, createdAtMs: before?.createdAtMs ?? revision, object }
    this.#stored.set(id, stored)
    return { of: 'resource', revision, key, stored }
  }
}

const metadataOf = (index: number): ResourceObject['metadata'] => ({ name: nameOf(index), namespace: namespaceOf(index) })

function serviceEntry(index: number, moved: number): ResourceObject {
  const endpoints = Array.from({ length: ENDPOINTS }, (_, at) => ({
    address: `10.${64 + (index >> 8)}.${index & 255}.${at === 0 ? 10 + (moved % 200) : at}`,
    ports: { http: 8080 },
    labels: { app: nameOf(index), version: at % 2 === 0 ? 'v1' : 'v2' },
  }))
  const ports = [{ number: 80, name: 'http', protocol: 'HTTP' }]
  return { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: metadataOf(index), spec: { hosts: [hostOf(index)], location: 'MESH_INTERNAL', resolution: 'STATIC', ports, endpoints } }
}

function virtualService(index: number, weight: number): ResourceObject {
  const host = hostOf(index)
  const route = [
    { destination: { host, subset: 'v1' }, weight },
    { destination: { host, subset: 'v2' }, weight: 100 - weight },
  ]
  const http = [{ route, timeout: '10s', retries: { attempts: 3, perTryTimeout: '3s', retryOn: '5xx,reset,connect-failure' } }]
  return { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: metadataOf(index), spec: { hosts: [host], http } }
}

function destinationRule(index: number): ResourceObject {
  const subsets = ['v1', 'v2'].map((version) => ({ name: version, labels: { version } }))
  return { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: metadataOf(index), spec: { host: hostOf(index), subsets } }
}

/** A proxy in explicit mode, with labels of its own: no two share what they take in. */
export function benchNode(index: number, engine: string): ProxyNode {
  const namespace = namespaceOf(index)
  const name = `client-${index}`
  const address = '127.0.0.1'
  return {
    id: formatNodeId({ type: 'sidecar', address, name, namespace }),
    type: 'sidecar',
    address,
    name,
    namespace,
    serviceAccount: 'default',
    labels: { app: name },
    cluster: 'Kubernetes',
    network: '',
    locality: '',
    engine,
    version: '1.40.0',
    outbound: { address, port: 15001 },
    ports: [{ port: 8080, name: 'http', listen: { address, port: 15006 }, app: { address, port: 8080 } }],
    gatewayPorts: new Map(),
    gatewayAddress: '',
    otlp: '',
  }
}

export const namespaces = NAMESPACES
