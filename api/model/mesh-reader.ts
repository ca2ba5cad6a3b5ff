import type { DestinationRuleSpec } from '#core/resource/destination-rule.ts'
import type { EgressListener, SidecarSpec } from '#core/resource/sidecar.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import type { Families } from '#core/workload/families.ts'
import { EgressScope } from './egress-scope.ts'
import { coveringWildcards } from './host.ts'
import { selects } from './labels.ts'
import type { Labels } from './labels.ts'
import type { MeshModel } from './mesh-model.ts'
import type { Typed } from './object-reader.ts'
import { ServiceReader } from './service-reader.ts'
import { exportedTo } from './visibility.ts'

/** What workloads of a namespace see beside or instead of what all do. */
export interface ClientScope {
  readonly client: string
  /** The Sidecar that says what they may call; absent: none does. */
  readonly sidecar?: { readonly namespace: string; readonly name: string }
  /** Only what this egress listener of the Sidecar lets them call, or what those do that have no address of their own. */
  readonly listener?: number | 'anywhere'
  /** DestinationRules that select them by their labels. */
  readonly rules?: readonly string[]
  /** The mesh resolves names for them: they reach services by the addresses that it has allocated, of these families. */
  readonly allocated?: Families
}

/** Whether an egress listener stands at an address of its own, and so takes nothing that is captured on its way elsewhere. */
export const isApart = ({ port, bind, captureMode }: EgressListener): boolean => Boolean(port?.number) && (Boolean(bind) || captureMode === 'NONE')

/** Without any, nothing may be called. */
function listenersOf(all: readonly EgressListener[], which: number | 'anywhere'): EgressListener[] {
  const found = which === 'anywhere' ? all.filter((one) => !isApart(one)) : all.slice(which, which + 1)
  return found.length > 0 || all.length === 0 ? found : [{ hosts: ['~/*'] }]
}

/** The only way by which translators look at a mesh: its objects, its services, and the rules by which calls go to them. Whatever is read, found or not, is recorded by its key. */
export class MeshReader extends ServiceReader {
  /** The DestinationRules with a workloadSelector that count here. */
  readonly #ownRules: readonly string[]

  constructor(model: MeshModel, record: (key: string) => void, egress?: EgressScope, ownRules: readonly string[] = [], allocated?: Families, named = new Set<string>()) {
    super(model, record, named, egress, allocated)
    this.#ownRules = ownRules
  }

  /** The mesh as some workloads see it: as their Sidecar lets them, where there is one, and with the DestinationRules that select them. */
  within(scope: ClientScope | undefined): MeshReader {
    if (scope === undefined) return this
    const found = scope.sidecar === undefined ? undefined : this.object<SidecarSpec>(`Sidecar/${scope.sidecar.namespace}/${scope.sidecar.name}`)
    return new MeshReader(this.model, this.record, found === undefined ? undefined : new EgressScope(scope.listener === undefined ? found.spec : { ...found.spec, egress: listenersOf(found.spec.egress ?? [], scope.listener) }, scope.client, found.namespace), scope.rules, scope.allocated, this.named)
  }

  /** VirtualServices for a host on a gateway (`mesh`, or NAMESPACE/NAME) seen from a namespace, of the most specific host that any of them names, oldest first. */
  virtualServices(gateway: string, host: string, client: string): Typed<VirtualServiceSpec>[] {
    for (const one of [host, ...coveringWildcards(host)]) {
      const found = this.virtualServicesNaming(gateway, one, client)
      if (found.length > 0) return found
    }
    return []
  }

  /** The same, of exactly this host. */
  virtualServicesNaming(gateway: string, host: string, client: string): Typed<VirtualServiceSpec>[] {
    const seen = this.list<VirtualServiceSpec>(`virtual-service/${gateway}`, host).filter((one) => this.exported('defaultVirtualServiceExportTo', one.spec.exportTo, one.namespace, client) && (gateway !== 'mesh' || this.egress?.virtualService(one.namespace, one.spec) !== false))
    if (seen.length < 2) return seen
    for (const one of seen) this.named.add(one.namespace)
    // What is for one namespace alone counts before what is for some, and that before what is for all; among equals the oldest (Istio's push context).
    const rank = new Map(seen.map((one) => [one, this.#breadth(one, client)]))
    return seen.sort((a, b) => (rank.get(a) ?? 0) - (rank.get(b) ?? 0))
  }

  /** For how many a VirtualService is that a client sees: 0 for its namespace alone, 1 for namespaces by name, 2 for all but by a route of the client's own namespace (Gateway API), 3 for all. */
  #breadth({ namespace, stored, spec }: Typed<VirtualServiceSpec>, client: string): number {
    const exportTo = spec.exportTo?.length ? spec.exportTo : (this.meshConfig().defaultVirtualServiceExportTo ?? ['*'])
    if (!exportTo.includes('*')) return namespace === client && exportTo.some((one) => one === '.' || one === namespace) ? 0 : 1
    return namespace === client && stored.object.metadata.annotations?.['internal.istio.io/route-semantics'] === 'gateway' ? 2 : 3
  }

  /** VirtualServices with `tls` or `tcp` routes on a gateway, oldest first. */
  virtualServicesOn(gateway: string, client: string): Typed<VirtualServiceSpec>[] {
    return this.list<VirtualServiceSpec>(`passthrough/${gateway}`, '*').filter((one) => this.exported('defaultVirtualServiceExportTo', one.spec.exportTo, one.namespace, client))
  }

  /** VirtualServices that lead to a host, or are bound to a gateway, as they name it. */
  virtualServicesBy(index: 'leads-to' | 'bound-to', name: string): Typed<VirtualServiceSpec>[] {
    return this.list(index, name)
  }

  /**
   * DestinationRules for a service, as a client sees them: those of its own namespace, else of the service's, else of the root namespace; the most specific host within each; oldest first.
   * To clients in the root namespace, what it says for everybody comes last too: only what it keeps to itself comes first. One that selects workloads of the client's namespace is for them alone, and there counts by itself.
   * istio.io/latest/docs/ops/best-practices/traffic-management/#cross-namespace-configuration
   */
  destinationRules(host: string, client: string, serviceNamespace: string): Typed<DestinationRuleSpec>[] {
    const candidates = [host, ...coveringWildcards(host)].map((one) => this.list<DestinationRuleSpec>('destination-rule', one))
    // Its own namespace's come first for a client, unless they are for other namespaces alone; those of the service's come first for all who have none.
    for (const rules of candidates) for (const one of rules) if (one.namespace !== serviceNamespace || one.spec.workloadSelector !== undefined || !this.isForAll('defaultDestinationRuleExportTo', one.spec.exportTo)) this.named.add(one.namespace)
    const isOwn = (one: Typed<DestinationRuleSpec>) => one.spec.workloadSelector !== undefined || (client === this.rootNamespace ? this.#isKept(one) : exportedTo(one.spec.exportTo, client, client))
    const isShared = (one: Typed<DestinationRuleSpec>) => one.spec.workloadSelector === undefined && this.exported('defaultDestinationRuleExportTo', one.spec.exportTo, one.namespace, client)
    for (const [namespace, isSeen] of [[client, isOwn], [serviceNamespace, isShared], [this.rootNamespace, isShared]] as const) {
      for (const rules of candidates) {
        const found = rules.filter((one) => one.namespace === namespace && isSeen(one))
        const selecting = found.filter((one) => this.#ownRules.includes(one.id))
        if (selecting.length > 0) return selecting.slice(0, 1)
        // The most specific host that is spoken of decides, though what is said there be for other workloads.
        if (found.length > 0) return found.filter((one) => one.spec.workloadSelector === undefined)
      }
    }
    return []
  }

  /** Whether a DestinationRule is for its own namespace and no other. */
  #isKept({ namespace, spec }: Typed<DestinationRuleSpec>): boolean {
    const to = spec.exportTo?.length ? spec.exportTo : (this.meshConfig().defaultDestinationRuleExportTo ?? [])
    return to.length > 0 && to.every((one) => one === '.' || one === namespace)
  }

  /** DestinationRules of a namespace that are for workloads with such labels alone, oldest first. */
  rulesSelecting(namespace: string, labels: Labels): Typed<DestinationRuleSpec>[] {
    return this.list<DestinationRuleSpec>('rule-selector', namespace).filter((one) => selects(one.spec.workloadSelector?.matchLabels, labels))
  }

  /** DestinationRules that name a Secret, oldest first. */
  rulesWithCredential(): Typed<DestinationRuleSpec>[] {
    return this.list('rule-credential', '*')
  }

  /** Wildcard hosts that services have or VirtualServices name on a gateway, longest first. */
  wildcardHosts(gateway: string): string[] {
    const hosts = new Set<string>()
    for (const one of this.list<VirtualServiceSpec>(`wildcard/${gateway}`, '*')) for (const host of one.spec.hosts ?? []) if (host.startsWith('*')) hosts.add(host.toLowerCase())
    if (gateway === 'mesh') {
      this.record('wildcard/service/*')
      for (const id of this.model.filed('wildcard/service', '*')) {
        for (const one of this.declaredBy(id)) if (one.host.startsWith('*')) hosts.add(one.host)
      }
    }
    return [...hosts].sort((a, b) => b.length - a.length || (a < b ? -1 : 1))
  }

  /** Whether endpoints are ranked by labels that they share with the client. */
  ranksByLabels(): boolean {
    return this.#has('rank-labels') || (this.meshConfig().localityLbSetting?.failoverPriority ?? []).length > 0
  }

  /** Whether any route depends on the labels of who calls. */
  readsSourceLabels(): boolean {
    return this.#has('source-labels')
  }

  /** Whether any service has a port of gRPC-Web. */
  speaksGrpcWeb(): boolean {
    return this.#has('grpc-web-port')
  }

  /** Whether anything keeps clients at the endpoint that served them first. */
  keepsSessions(): boolean {
    return this.#has('keeps-sessions')
  }

  /** Whether any service has a port that may carry gRPC. */
  mayCarryGrpc(): boolean {
    return this.#has('grpc-port')
  }

  /** Whether there is a port whose protocol nobody says. */
  hasSniffedPorts(): boolean {
    return this.#has('sniffed-port')
  }

  /** Whether any object of the mesh is filed in an index that asks nothing more. */
  #has(index: string): boolean {
    this.record(`${index}/*`)
    return this.model.filed(index, '*').size > 0
  }
}
