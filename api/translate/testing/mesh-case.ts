import { fromBinary } from '@bufbuild/protobuf'
import type { DescMessage } from '@bufbuild/protobuf'
import { parseAllDocuments } from 'yaml'
import { bound } from '#api/model/bound-claims.ts'
import { MeshModel } from '#api/model/mesh-model.ts'
import type { Resource, ResourceView } from '#api/serve/resource.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { ScopedRouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import { messageToJson } from '#core/wire/registry.ts'
import { NameTableSchema } from '#core/wire/gen/istio/networking/nds/v1/nds_pb.ts'
import { typeUrlOf } from '#core/wire/type-url.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Workload, WorkloadPort } from '#core/workload/workload.ts'
import type { Change, MeshSettings, StoredResource } from '#db/store.ts'
import { MeshViews } from '../view.ts'

/** A sentence, a proxy and what it needs to be told: `case.yaml`. */
export interface MeshCase {
  readonly sentence: string
  readonly proxy: ProxyWords
  readonly workloads?: readonly WorkloadWords[]
  readonly settings?: MeshSettings
  /** Codes of the faults that translation answers; none by default. */
  readonly faults?: readonly string[]
  /** Fields without which its requests would become something else, `KIND PATH`; for docs/reference/support.md. */
  readonly proves?: readonly string[]
  /** Files of `expected/` that count; all by default. */
  readonly shows?: readonly string[]
}

export interface ProxyWords {
  readonly type?: 'sidecar' | 'router'
  /** Whose proxy it is; a stock Envoy’s unless said otherwise. */
  readonly engine?: 'weft' | 'envoy'
  readonly name: string
  readonly namespace: string
  readonly serviceAccount?: string
  readonly labels?: Record<string, string>
  readonly address?: string
  readonly moreAddresses?: readonly string[]
  readonly locality?: string
  /** "ADDRESS:PORT" of explicit mode. */
  readonly outbound?: string
  readonly ports?: readonly PortWords[]
  readonly gatewayPorts?: Record<string, number>
  readonly otlp?: string
  readonly dnsCapture?: boolean
}

/** `{ port: 8080, name: http }`: reached at the workload's address and 15006, the application at the address and the port, unless said otherwise. */
export interface PortWords {
  readonly port: number
  readonly name?: string
  readonly listen?: number
}

export interface WorkloadWords {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount?: string
  readonly labels?: Record<string, string>
  readonly address: string
  readonly moreAddresses?: readonly string[]
  readonly locality?: string
  readonly ports?: readonly PortWords[]
  readonly mutualTls?: boolean
  readonly health?: Workload['health']
}

const portsOf = (ports: readonly PortWords[] | undefined, address: string): WorkloadPort[] =>
  (ports ?? []).map((one, index) => ({ port: one.port, ...(one.name === undefined ? {} : { name: one.name }), listen: { address, port: one.listen ?? 15006 + index }, app: { address, port: one.port } }))

export const workloadFrom = (words: WorkloadWords): Workload => ({
  name: words.name,
  namespace: words.namespace,
  serviceAccount: words.serviceAccount ?? 'default',
  labels: words.labels ?? {},
  address: words.address,
  ...(words.moreAddresses === undefined ? {} : { addresses: [words.address, ...words.moreAddresses] }),
  network: '',
  locality: words.locality ?? '',
  cluster: 'Kubernetes',
  ports: portsOf(words.ports, words.address),
  mutualTls: words.mutualTls ?? true,
  health: words.health ?? 'healthy',
})

export function nodeFrom(words: ProxyWords): ProxyNode {
  const [, outboundAddress, outboundPort] = /^\[?(.+?)\]?:(\d+)$/.exec(words.outbound ?? '') ?? []
  const address = words.address ?? '127.0.0.1'
  return {
    id: `${words.type ?? 'sidecar'}~${address}~${words.name}.${words.namespace}~${words.namespace}.svc.cluster.local`,
    type: words.type ?? 'sidecar',
    address,
    name: words.name,
    namespace: words.namespace,
    serviceAccount: words.serviceAccount ?? 'default',
    labels: words.labels ?? {},
    cluster: 'Kubernetes',
    network: '',
    locality: words.locality ?? '',
    engine: words.engine ?? 'envoy',
    version: '1.40.0',
    outbound: outboundAddress === undefined ? undefined : { address: outboundAddress, port: Number(outboundPort) },
    ports: portsOf(words.ports, address),
    gatewayPorts: new Map(Object.entries(words.gatewayPorts ?? {}).map(([port, bound]) => [Number(port), bound])),
    gatewayAddress: address,
    otlp: words.otlp ?? '',
    ...(words.moreAddresses === undefined ? {} : { addresses: [address, ...words.moreAddresses] }),
    ...(words.dnsCapture === true ? { dnsCapture: true } : {}),
  }
}

/** Objects as the store would hand them out: each at a revision of its own, made in the order given unless creationTimestamp says otherwise. */
export const storedFrom = (object: ResourceObject, revision: number): StoredResource => ({
  key: { group: object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '', kind: object.kind, namespace: object.metadata.namespace ?? '', name: object.metadata.name },
  uid: `${revision}`,
  revision,
  generation: 1,
  createdAtMs: object.metadata.creationTimestamp === undefined ? revision : Date.parse(object.metadata.creationTimestamp),
  object,
})

export const putChange = (stored: StoredResource, revision = stored.revision): Change => ({ revision, of: 'resource', key: stored.key, stored })
export const deleteChange = (stored: StoredResource, revision: number): Change => ({ revision, of: 'resource', key: stored.key, stored: undefined, last: stored })
export const workloadChange = (workload: Workload, revision: number): Change => ({ revision, of: 'workload', namespace: workload.namespace, name: workload.name, workload })

export function objectsIn(yaml: string): ResourceObject[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const object = document.toJS() as ResourceObject | null
    return object === null ? [] : [object]
  })
}

/** A mesh with these objects and workloads, and its views. */
export function meshOf(objects: readonly ResourceObject[], workloads: readonly Workload[], settings: MeshSettings = {}): { model: MeshModel; views: MeshViews } {
  const model = new MeshModel({ trustDomain: 'cluster.local', settings })
  const views = new MeshViews(model)
  views.apply(objects.map((object, index) => putChange(storedFrom(object, index + 1))), objects.length)
  const joined = workloads.map((workload, index) => workloadChange(bound(model, workload), objects.length + index + 1))
  views.apply(joined, objects.length + joined.length)
  return { model, views }
}

const KINDS: readonly (readonly [file: string, schema: DescMessage])[] = [
  ['listeners', ListenerSchema],
  ['scopes', ScopedRouteConfigurationSchema],
  ['routes', RouteConfigurationSchema],
  ['names', NameTableSchema],
  ['clusters', ClusterSchema],
  ['endpoints', ClusterLoadAssignmentSchema],
]

/** A resource's message by the names of Envoy's own documentation. */
export function readable(resource: Resource): unknown {
  for (const [, schema] of KINDS) if (typeUrlOf(schema) === resource.type) return messageToJson(schema, fromBinary(schema, resource.bytes), 'proto')
  return undefined
}

/** All that a view lists, by file of `expected/`, each in order of name. */
export function listed(view: ResourceView): Record<string, Resource[]> {
  const found = Object.fromEntries(KINDS.map(([file, schema]) => [file, [...view.list(typeUrlOf(schema))].sort((a, b) => (a.name < b.name ? -1 : 1))]))
  // Few proxies ask for names.
  if (found['names']?.length === 0) delete found['names']
  return found
}

/** `type name → version`, for comparing two views. */
export const versions = (view: ResourceView): Record<string, string> => Object.fromEntries(Object.values(listed(view)).flatMap((of) => of.map((one) => [`${one.type} ${one.name}`, one.version])))
