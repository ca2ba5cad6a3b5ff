import { credentialNames } from '#api/translate/secret.ts'
import { bound } from '#api/model/bound-claims.ts'
import { MeshModel, objectId } from '#api/model/mesh-model.ts'
import { PROCESSES_ANNOTATION } from '#api/model/gateway-api/gateway.ts'
import { MeshViews } from '#api/translate/view.ts'
import type { Resource, ResourceView } from '#api/serve/resource.ts'
import type { PlanSet } from '#core/explain/trail.ts'
import { formatSpiffeId, type SpiffeId } from '#core/identity/spiffe.ts'
import type { GatewaySpec } from '#core/resource/gateway.ts'
import type { IngressSpec } from '#core/resource/ingress.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { splitApiVersion } from '#core/resource/registry.ts'
import { typeUrls } from '#core/wire/type-url.ts'
import { formatNodeId, formatSocketAddress } from '#core/workload/node-message.ts'
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
  /** Gateways' credentials are in no file, and taken to be there where they are named. */
  readonly assumesCredentials?: boolean
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
  readonly #byAddress = new Map<string, { readonly workload: Workload; readonly port: number }>()
  readonly #sent = new Map<string, Sent>()
  readonly #plans = new Map<string, PlanSet>()

  constructor(model: MeshModel, views: MeshViews) {
    this.model = model
    this.#views = views
  }

  /** What a node is sent. Nodes of one id, one set of labels and the same addresses are one. */
  sentTo(node: ProxyNode): Sent {
    const key = keyOf(node)
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

  /** What a node may be sent, for whoever serves it. Its identity, where it has proved one, decides over what it says of itself. */
  viewFor(node: ProxyNode, identity: SpiffeId | undefined): ResourceView {
    return this.#views.viewFor(node, identity)
  }

  /** Takes a change in; answers with the revision that it made. */
  apply(change: (revision: number) => Change): number {
    const revision = this.model.revision + 1
    this.#views.apply([change(revision)], revision)
    this.#sent.clear()
    return revision
  }

  /** What a node executes. */
  plansOf(node: ProxyNode): PlanSet {
    const key = keyOf(node)
    const known = this.#plans.get(key) ?? this.#sent.get(key)?.plans
    if (known !== undefined) return known
    const view = this.#views.viewFor(node, undefined)
    try {
      const plans = planSetOf(view)
      this.#plans.set(key, plans)
      return plans
    } finally {
      view.release()
    }
  }

  workload(namespace: string, name: string): Workload | undefined {
    return this.model.workload(workloadKey({ namespace, name }))
  }

  /** The workload that peers reach at `127.0.1.2:15006`, and the port that they reach. */
  workloadAt(key: string): { readonly workload: Workload; readonly port: number } | undefined {
    if (this.#byAddress.size === 0) {
      for (const workload of this.model.workloads()) {
        for (const { port, listen } of workload.ports) this.#byAddress.set(formatSocketAddress(listen), { workload, port })
        this.#byAddress.set(workload.address.includes(':') ? `[${workload.address}]` : workload.address, { workload, port: 0 })
      }
    }
    return this.#byAddress.get(key) ?? this.#byAddress.get(key.slice(0, key.lastIndexOf(':')))
  }

  /** The labels and namespaces by which Gateways select the processes that serve them, each once. */
  gateways(): { readonly labels: Readonly<Record<string, string>>; readonly namespace: string }[] {
    const found = new Map<string, { labels: Readonly<Record<string, string>>; namespace: string }>()
    for (const { key, object } of [...this.model.objects(), ...this.model.derivedObjects()]) {
      if (key.kind !== 'Gateway' || key.group !== 'networking.istio.io') continue
      const labels = (object.spec as { selector?: Readonly<Record<string, string>> } | undefined)?.selector ?? {}
      const namespace = object.metadata.annotations?.[PROCESSES_ANNOTATION] ?? key.namespace
      found.set(JSON.stringify([labels, object.metadata.annotations?.[PROCESSES_ANNOTATION]]), { labels, namespace })
    }
    return [...found.values()]
  }

  /** Labels of the processes of a Gateway by its name: Istio's, or one of the Gateway API. */
  gatewayLabels(namespace: string, name: string): Readonly<Record<string, string>> | undefined {
    const reader = this.model.read(() => {})
    const derived = [...this.model.derivedObjects()].find(({ key, object }) => key.kind === 'Gateway' && (object.metadata.annotations?.['internal.istio.io/parents'] ?? '').startsWith(`Gateway/${name}/`) && object.metadata.namespace === namespace)
    return reader.gateway(namespace, name)?.spec.selector ?? (derived?.object.spec as GatewaySpec | undefined)?.selector
  }

  /** Whether applications speak to their proxies themselves: a workload's ports say so, and where it has none, those of the others. */
  isExplicit(workload: Workload): boolean {
    return workload.ports.length > 0 ? speaksToProxy(workload) : [...this.model.workloads()].some(speaksToProxy)
  }

  /** The proxy beside a workload. */
  sidecarOf(workload: Workload): ProxyNode {
    return sidecarOf(workload, this.isExplicit(workload))
  }

  identityOf(of: { readonly namespace: string; readonly serviceAccount: string }): string {
    const id: SpiffeId = { trustDomain: this.model.trustDomain, namespace: of.namespace, serviceAccount: of.serviceAccount === '' ? 'default' : of.serviceAccount }
    return formatSpiffeId(id)
  }
}

const keyOf = (node: ProxyNode): string => JSON.stringify([node.id, node.labels, node.addresses])

const resourcesOf = (view: ResourceView): Map<string, Resource> => new Map(typeUrls.flatMap((type) => [...view.list(type)].map((one) => [`${type} ${one.name}`, one] as const)))

/** A world from parts. All objects are of one age, as if applied together, unless a creationTimestamp says otherwise; their schemas were checked by whoever read them. */
export function worldOf(parts: WorldParts): World {
  const model = new MeshModel({ trustDomain: parts.trustDomain ?? 'cluster.local', settings: parts.settings ?? {} })
  const views = new MeshViews(model)
  const all = parts.assumesCredentials === true ? [...parts.objects, ...credentialsFor(parts.objects)] : parts.objects
  const objects = all.map((object, index): Change => {
    const stored = storedFrom(object, index + 1)
    return { of: 'resource', revision: stored.revision, key: stored.key, stored }
  })
  views.apply(objects, objects.length)
  // As they would be registered: one without a proxy never says who it is.
  const workloads = parts.workloads.map((one, index): Change => ({ of: 'workload', revision: objects.length + index + 1, namespace: one.namespace, name: one.name, workload: one.mutualTls ? bound(model, one) : one }))
  views.apply(workloads, objects.length + workloads.length)
  return new World(model, views)
}

/** Stands for a certificate that is kept elsewhere: whether there is one decides where connections go, not what it says. */
const ELSEWHERE_PEM = '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'

function credentialsFor(objects: readonly ResourceObject[]): ResourceObject[] {
  const there = new Set(objects.filter((one) => one.kind === 'Secret').map((one) => `${one.metadata.namespace ?? ''}/${one.metadata.name}`))
  const missing = new Map<string, ResourceObject>()
  const gateways = objects.filter((one) => one.kind === 'Gateway' && one.apiVersion.startsWith('networking.istio.io/'))
  // A credential is looked for beside the gateway's process, which may run in any of these.
  const namespaces = new Set(objects.map((one) => one.metadata.namespace ?? '').filter((one) => one !== ''))
  const named = [
    ...gateways.flatMap(({ spec }) => ((spec as GatewaySpec | undefined)?.servers ?? []).flatMap(({ tls }) => (tls === undefined ? [] : [...credentialNames(tls), ...(tls.caCertCredentialName ? [tls.caCertCredentialName] : [])]))),
    ...objects.flatMap(({ kind, spec }) => (kind === 'Ingress' ? ((spec as IngressSpec | undefined)?.tls ?? []).flatMap((one) => one.secretName || []) : [])),
  ]
  for (const name of named) {
    for (const namespace of [...namespaces, 'istio-system']) {
      if (there.has(`${namespace}/${name}`)) continue
      missing.set(`${namespace}/${name}`, { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: { 'tls.crt': ELSEWHERE_PEM, 'tls.key': ELSEWHERE_PEM, 'ca.crt': ELSEWHERE_PEM } })
    }
  }
  return [...missing.values()]
}

function storedFrom(object: ResourceObject, revision: number): StoredResource {
  const { namespace = '', name, creationTimestamp } = object.metadata
  const key = { group: splitApiVersion(object.apiVersion).group, kind: object.kind, namespace, name }
  return { key, uid: objectId(key), revision, generation: 1, createdAtMs: creationTimestamp === undefined ? 0 : Date.parse(creationTimestamp), object }
}

/** Peers reach the workload elsewhere than where its application listens: nothing is captured. */
const speaksToProxy = (workload: Workload): boolean => workload.ports.some((one) => one.listen.address !== workload.address || one.listen.port !== one.port)

/** The proxy beside a workload: traffic is captured, or the application speaks to its proxy (`explicit`). */
export function sidecarOf(workload: Workload, explicit: boolean): ProxyNode {
  return {
    ...blankNode('sidecar', workload.name, workload.namespace, workload.address),
    ...(workload.addresses === undefined ? {} : { addresses: workload.addresses }),
    serviceAccount: workload.serviceAccount,
    labels: workload.labels,
    ...(workload.portsByName === undefined ? {} : { portsByName: workload.portsByName }),
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
