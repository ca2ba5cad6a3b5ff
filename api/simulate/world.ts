import { MeshModel, objectId } from '#api/model/mesh-model.ts'
import { MeshViews } from '#api/translate/view.ts'
import type { Resource, ResourceView } from '#api/serve/resource.ts'
import type { PlanSet } from '#core/explain/trail.ts'
import { formatSpiffeId, type SpiffeId } from '#core/identity/spiffe.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { splitApiVersion } from '#core/resource/registry.ts'
import { typeUrls } from '#core/wire/type-url.ts'
import { formatNodeId } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { workloadKey, type Workload } from '#core/workload/workload.ts'
import type { Change, MeshSettings, StoredResource } from '#db/store.ts'
import { planSetOf } from './plan-set.ts'

/** What a mesh is made of, without a control plane. */
export interface WorldParts {
  readonly objects: readonly ResourceObject[]
  readonly workloads: readonly Workload[]
  readonly settings?: MeshSettings
  readonly trustDomain?: string
}

/** What a node is sent and what it makes of it; resources by type and name, `TYPE NAME`. */
export interface Sent {
  readonly plans: PlanSet
  readonly resources: ReadonlyMap<string, Resource>
}

/** A mesh that questions are asked of: its model, its views, and what each proxy in it would execute. */
export class World {
  readonly model: MeshModel
  readonly #views: MeshViews
  readonly #sent = new Map<string, Sent>()

  constructor(model: MeshModel, views: MeshViews) {
    this.model = model
    this.#views = views
  }

  /** What a node is sent. Nodes of one id and one set of labels are one. */
  sentTo(node: ProxyNode): Sent {
    const key = JSON.stringify([node.id, node.labels])
    const known = this.#sent.get(key)
    if (known !== undefined) return known
    const view = this.#views.viewFor(node, undefined)
    try {
      const sent = { plans: planSetOf(view), resources: resourcesOf(view) }
      this.#sent.set(key, sent)
      return sent
    } finally {
      view.release()
    }
  }

  /** What a node executes. */
  plansOf(node: ProxyNode): PlanSet {
    return this.sentTo(node).plans
  }

  workload(namespace: string, name: string): Workload | undefined {
    return this.model.workload(workloadKey({ namespace, name }))
  }

  identityOf(of: { readonly namespace: string; readonly serviceAccount: string }): string {
    const id: SpiffeId = { trustDomain: this.model.trustDomain, namespace: of.namespace, serviceAccount: of.serviceAccount === '' ? 'default' : of.serviceAccount }
    return formatSpiffeId(id)
  }
}

const resourcesOf = (view: ResourceView): Map<string, Resource> => new Map(typeUrls.flatMap((type) => [...view.list(type)].map((one) => [`${type} ${one.name}`, one] as const)))

/** A world from parts. Objects come to be in the order given, unless a creationTimestamp says otherwise; their schemas were checked by whoever read them. */
export function worldOf(parts: WorldParts): World {
  const model = new MeshModel({ trustDomain: parts.trustDomain ?? 'cluster.local', settings: parts.settings ?? {} })
  const views = new MeshViews(model)
  const objects = parts.objects.map((object, index): Change => {
    const stored = storedFrom(object, index + 1)
    return { of: 'resource', revision: stored.revision, key: stored.key, stored }
  })
  const workloads = parts.workloads.map((workload, index): Change => ({ of: 'workload', revision: objects.length + index + 1, namespace: workload.namespace, name: workload.name, workload }))
  views.apply([...objects, ...workloads], objects.length + workloads.length)
  return new World(model, views)
}

function storedFrom(object: ResourceObject, revision: number): StoredResource {
  const { namespace = '', name, creationTimestamp } = object.metadata
  const key = { group: splitApiVersion(object.apiVersion).group, kind: object.kind, namespace, name }
  return { key, uid: objectId(key), revision, generation: 1, createdAtMs: creationTimestamp === undefined ? revision : Date.parse(creationTimestamp), object }
}

/**
 * The proxy beside a workload. Its traffic is captured, unless its ports say that it is spoken to elsewhere than where the application listens:
 * then the application speaks to its proxy too.
 */
export function sidecarOf(workload: Workload): ProxyNode {
  const explicit = workload.ports.some((one) => one.listen.address !== workload.address || one.listen.port !== one.port)
  return {
    ...blankNode('sidecar', workload.name, workload.namespace, workload.address),
    serviceAccount: workload.serviceAccount,
    labels: workload.labels,
    cluster: workload.cluster,
    network: workload.network,
    locality: workload.locality,
    outbound: explicit ? { address: workload.address === '' ? '127.0.0.1' : workload.address, port: 15001 } : undefined,
    ports: explicit ? workload.ports : [],
  }
}

/** A gateway process with these labels. */
export const gatewayOf = (of: { readonly name: string; readonly namespace: string; readonly labels: Readonly<Record<string, string>>; readonly address?: string }): ProxyNode => ({
  ...blankNode('router', of.name, of.namespace, of.address ?? ''),
  labels: of.labels,
})

function blankNode(type: 'sidecar' | 'router', name: string, namespace: string, address: string): ProxyNode {
  return {
    id: formatNodeId({ type, address, name, namespace }),
    type,
    address,
    name,
    namespace,
    serviceAccount: '',
    labels: {},
    cluster: '',
    network: '',
    locality: '',
    engine: 'weft',
    version: '',
    outbound: undefined,
    ports: [],
    gatewayPorts: new Map(),
    gatewayAddress: '',
    otlp: '',
  }
}
