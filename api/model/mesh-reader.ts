import type { AuthorizationPolicySpec } from '#core/resource/authorization-policy.ts'
import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { Destination } from '#core/resource/destination.ts'
import type { DestinationRuleSpec } from '#core/resource/destination-rule.ts'
import type { EnvoyFilterSpec } from '#core/resource/envoy-filter.ts'
import type { GatewaySpec } from '#core/resource/gateway.ts'
import type { MeshConfigSpec } from '#core/resource/mesh-config.ts'
import type { PeerAuthenticationSpec } from '#core/resource/peer-authentication.ts'
import type { ProxyConfigSpec } from '#core/resource/proxy-config.ts'
import type { RequestAuthenticationSpec } from '#core/resource/request-authentication.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import type { SidecarSpec } from '#core/resource/sidecar.ts'
import type { TelemetrySpec } from '#core/resource/telemetry.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import type { TrafficExtensionSpec } from '#core/resource/traffic-extension.ts'
import type { WasmPluginSpec } from '#core/resource/wasm-plugin.ts'
import type { Families } from '#core/workload/families.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { MeshSettings, StoredResource } from '#db/store.ts'
import { EgressScope } from './egress-scope.ts'
import { coveringWildcards, hostCovers, resolveHost } from './host.ts'
import { destinations, virtualServiceGateways } from './index-entries.ts'
import { labelPair, selects } from './labels.ts'
import type { Labels } from './labels.ts'
import type { MeshModel } from './mesh-model.ts'
import { carriesHttp } from './mesh-service.ts'
import type { MeshService } from './mesh-service.ts'
import { exportedTo } from './visibility.ts'

/** An object as a translator sees it: typed, with its name in words. Objects met their schema when they were written. */
export interface Typed<Spec> {
  /** `VirtualService/prod/order-service` */
  readonly id: string
  readonly namespace: string
  readonly name: string
  readonly createdAtMs: number
  readonly stored: StoredResource
  readonly spec: Spec
}

/** What workloads of a namespace see beside or instead of what all do. */
export interface ClientScope {
  readonly client: string
  /** The Sidecar that says what they may call; absent: none does. */
  readonly sidecar?: { readonly namespace: string; readonly name: string }
  /** Only what this egress listener of the Sidecar lets them call. */
  readonly listener?: number
  /** DestinationRules that select them by their labels. */
  readonly rules?: readonly string[]
  /** The mesh resolves names for them: they reach services by the addresses that it has allocated, of these families. */
  readonly allocated?: Families
}

/** The mesh's setting of who sees what does not say it itself. */
type ExportStandard = 'defaultServiceExportTo' | 'defaultVirtualServiceExportTo' | 'defaultDestinationRuleExportTo'

/** The only way by which translators look at a mesh. Whatever is read, found or not, is recorded by its key. */
export class MeshReader {
  /**
   * Namespaces whose clients may get another answer than clients elsewhere: each place that looks at where a client is adds those for which what it finds could differ, and no more,
   * for a namespace named here has a unit of its own made for it.
   */
  readonly named: Set<string>
  readonly #model: MeshModel
  readonly #record: (key: string) => void
  readonly #egress: EgressScope | undefined
  /** The DestinationRules with a workloadSelector that count here. */
  readonly #ownRules: readonly string[]
  readonly #allocated: Families | undefined

  constructor(model: MeshModel, record: (key: string) => void, egress?: EgressScope, ownRules: readonly string[] = [], allocated?: Families, named = new Set<string>()) {
    this.named = named
    this.#allocated = allocated
    this.#ownRules = ownRules
    this.#model = model
    this.#record = record
    this.#egress = egress
  }

  /** The mesh as some workloads see it: as their Sidecar lets them, where there is one, and with the DestinationRules that select them. */
  within(scope: ClientScope | undefined): MeshReader {
    if (scope === undefined) return this
    const found = scope.sidecar === undefined ? undefined : this.#object<SidecarSpec>(`Sidecar/${scope.sidecar.namespace}/${scope.sidecar.name}`)
    return new MeshReader(this.#model, this.#record, found === undefined ? undefined : new EgressScope(scope.listener === undefined ? found.spec : { ...found.spec, egress: (found.spec.egress ?? []).slice(scope.listener, scope.listener + 1) }, scope.client, found.namespace), scope.rules, scope.allocated, this.named)
  }

  /** What becomes of hosts that nothing describes. */
  unknownHosts(): 'ALLOW_ANY' | 'ALLOW_ANY_DYNAMIC_DNS' | 'REGISTRY_ONLY' {
    return this.#egress?.unknownHosts ?? this.meshConfig().outboundTrafficPolicy?.mode ?? this.settings().outboundTrafficPolicy ?? 'ALLOW_ANY'
  }

  /** Where a Sidecar sends what is for hosts that nothing describes; undefined: where it was going. */
  egressProxy(): Destination | undefined {
    return this.unknownHosts() === 'ALLOW_ANY' ? this.#egress?.egressProxy : undefined
  }

  /** A service as this reader's scope has it; what a VirtualService in scope leads to is imported with it. */
  #scoped(service: MeshService | undefined): MeshService | undefined {
    const egress = this.#egress
    if (egress === undefined || service === undefined) return service
    const imported = egress.service(service)
    if (imported !== undefined) return imported
    const leading = this.#list<VirtualServiceSpec>('leads-to', service.host).filter((one) => virtualServiceGateways(one.spec, one.namespace).includes('mesh') && egress.virtualService(one.namespace, one.spec))
    const led = leading.flatMap((one) => destinations(one.spec).flatMap(({ destination }) => (resolveHost(destination.host, one.namespace) === service.host ? [destination.port?.number] : [])))
    // A destination with a port imports that port alone.
    const ports = service.ports.filter(({ port }) => led.some((one) => one === undefined || one === port))
    return ports.length === 0 ? undefined : { ...service, ports }
  }

  get trustDomain(): string {
    return this.#model.trustDomain
  }

  get rootNamespace(): string {
    return this.meshConfig().rootNamespace || this.#model.rootNamespace
  }

  settings(): MeshSettings {
    this.#record('settings')
    return this.#model.settings
  }

  /** Whether sidecars use mTLS where the other side can, and no rule speaks. */
  autoMutualTls(): boolean {
    return this.meshConfig().enableAutoMtls ?? this.settings().autoMutualTls ?? true
  }

  /** The mesh's own configuration, Istio's mesh file: empty where there is none. */
  meshConfig(): MeshConfigSpec {
    return this.#object<MeshConfigSpec>('MeshConfig//default')?.spec ?? {}
  }

  /** The service that `host` means to a client in a namespace: a Kubernetes Service before a ServiceEntry, the client's own namespace before others, then the oldest. */
  service(host: string, client: string): MeshService | undefined {
    const found = this.#scoped(this.declared(host, client))
    // A name for another service of the mesh is no service by itself; a name for what is outside is resolved by DNS.
    return found?.alias !== undefined && found.alias !== host && this.declared(found.alias, client) !== undefined ? undefined : found
  }

  /** ExternalName Services that stand for a host. */
  aliasesOf(host: string, client: string): MeshService[] {
    this.#record(`alias-of/${host}`)
    const found: MeshService[] = []
    for (const id of this.#model.filed('alias-of', host)) {
      for (const one of this.#declared(id)) {
        if (one.alias === host && this.#exported('defaultServiceExportTo', one.exportTo, one.namespace, client)) found.push(one)
      }
    }
    return found.sort((a, b) => (older(a.createdAtMs, a.host, b.createdAtMs, b.host) ? -1 : 1))
  }

  /** The same, aliases included. */
  declared(host: string, client: string): MeshService | undefined {
    this.#record(`service-host/${host}`)
    const found: MeshService[] = []
    for (const id of this.#model.filed('service-host', host)) {
      for (const one of this.#declared(id)) if (one.host === host && this.#exported('defaultServiceExportTo', one.exportTo, one.namespace, client)) found.push(one)
    }
    if (found.length > 1) {
      for (const one of found) this.named.add(one.namespace)
      found.sort((a, b) => (precedes(a, b, client) ? -1 : 1))
    }
    const [best, ...others] = found
    return best === undefined ? undefined : others.filter((one) => continues(one, best)).reduce(withPortsOf, best)
  }

  /** Like `service`, and when there is none the one of the longest wildcard that covers the host. */
  serviceCovering(host: string, client: string): MeshService | undefined {
    const exact = this.service(host, client)
    if (exact !== undefined) return exact
    for (const wildcard of coveringWildcards(host)) {
      const found = this.service(wildcard, client)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** The host whose service answers at an address and a port of TCP: the oldest that claims both. Services may share an address, as those of one balancer do, and tell themselves apart by their ports. */
  hostAtAddress(address: string, port: number, client: string): string | undefined {
    this.#record(`service-address/${address}`)
    let best: MeshService | undefined
    for (const id of this.#model.filed('service-address', address)) {
      for (const one of this.#declared(id)) {
        const claims = one.addresses.includes(address) && hasTcpPort(one, port) && this.#exported('defaultServiceExportTo', one.exportTo, one.namespace, client)
        if (claims && (best === undefined || older(one.createdAtMs, one.host, best.createdAtMs, best.host)) && hasTcpPort(this.#scoped(one), port)) best = one
      }
    }
    return best?.host
  }

  /** Whether a client sees a service that has such a port. The first one found answers, so one more of many is not looked at. */
  hasPort(index: 'http-port' | 'plain-port', port: number, client: string): boolean {
    this.#record(`member/${index}/${port}`)
    for (const id of this.#model.filed(index, String(port))) {
      for (const one of this.#declared(id)) {
        if (this.#exported('defaultServiceExportTo', one.exportTo, one.namespace, client) && this.#scoped(one)?.ports.some((of) => of.port === port && (of.protocol !== 'auto' || one.addresses.length === 0)) === true) return true
      }
    }
    // None is seen: the next to come may be.
    this.#record(`${index}/${port}`)
    return false
  }

  /** Services without an address, or with ranges of them, that have a port which is not said to be HTTP, oldest first; with `addressed` those too that have one. */
  servicesAtPort(port: number, client: string, addressed = false): MeshService[] {
    const found: MeshService[] = []
    const indices = addressed ? ['plain-port', 'addressed-port'] : ['plain-port']
    for (const index of indices) this.#record(`${index}/${port}`)
    for (const id of new Set(indices.flatMap((index) => [...this.#model.filed(index, String(port))]))) {
      for (const one of this.#declared(id)) {
        const scoped = (addressed || one.addresses.length === 0 || one.ranges.length > 0) && this.#exported('defaultServiceExportTo', one.exportTo, one.namespace, client) ? this.#scoped(one) : undefined
        if (scoped !== undefined) found.push(scoped)
      }
    }
    return found.sort((a, b) => (older(a.createdAtMs, a.host, b.createdAtMs, b.host) ? -1 : 1))
  }

  /** Headless services with an HTTP port, whose pods have names of their own below the service's; or those with an HTTP port at addresses of IPv6. Oldest first. */
  httpAtPort(index: 'headless-port' | 'six-port', port: number, client: string): MeshService[] {
    this.#record(`${index}/${port}`)
    const found: MeshService[] = []
    for (const id of this.#model.filed(index, String(port))) {
      for (const one of this.#declared(id)) {
        const scoped = this.#exported('defaultServiceExportTo', one.exportTo, one.namespace, client) ? this.#scoped(one) : undefined
        if (scoped?.ports.some((of) => of.port === port) === true) found.push(scoped)
      }
    }
    return found.sort((a, b) => (older(a.createdAtMs, a.host, b.createdAtMs, b.host) ? -1 : 1))
  }

  /** Services of a namespace whose selector meets a workload's labels. */
  servicesOf(namespace: string, labels: Labels): MeshService[] {
    for (const pair of Object.entries(labels)) {
      const entry = `${namespace}/${labelPair(...pair)}`
      this.#record(`service-selector/${entry}`)
      for (const id of this.#model.filed('service-selector', entry)) this.#record(`object/${id}`)
    }
    return this.#model.servicesSelecting(namespace, labels).sort((a, b) => (a.host < b.host ? -1 : 1))
  }

  /** Services of a namespace that select workloads, in order of host. For whoever judges a change: a translator that asked would depend on all of them. */
  servicesIn(namespace: string): MeshService[] {
    this.#record(`selecting-in/${namespace}`)
    return [...this.#model.filed('selecting-in', namespace)].flatMap((id) => this.#declared(id)).sort((a, b) => (a.host < b.host ? -1 : 1))
  }

  /** Workloads behind a service, in order of name. */
  workloadsOf(service: MeshService): Workload[] {
    this.#record(`endpoints/${service.host}`)
    return service.selector === undefined ? [] : this.#model.workloadsSelected(service.namespace, service.selector)
  }

  /** SPIFFE IDs of the workloads behind a host, in order. */
  accounts(host: string): string[] {
    this.#record(`accounts/${host}`)
    return [...this.#model.accounts(host)].sort()
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
    const seen = this.#list<VirtualServiceSpec>(`virtual-service/${gateway}`, host).filter((one) => this.#exported('defaultVirtualServiceExportTo', one.spec.exportTo, one.namespace, client) && (gateway !== 'mesh' || this.#egress?.virtualService(one.namespace, one.spec) !== false))
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
    return this.#list<VirtualServiceSpec>(`passthrough/${gateway}`, '*').filter((one) => this.#exported('defaultVirtualServiceExportTo', one.spec.exportTo, one.namespace, client))
  }

  /** VirtualServices that lead to a host, or are bound to a gateway, as they name it. */
  virtualServicesBy(index: 'leads-to' | 'bound-to', name: string): Typed<VirtualServiceSpec>[] {
    return this.#list(index, name)
  }

  /** Gateways that name a Secret of their namespace. */
  gatewaysNaming(namespace: string, secret: string): Typed<GatewaySpec>[] {
    return this.#list('credential', `${namespace}/${secret}`)
  }

  destinationRule(namespace: string, name: string): Typed<DestinationRuleSpec> | undefined {
    return this.#object<DestinationRuleSpec>(`DestinationRule/${namespace}/${name}`)
  }

  virtualService(namespace: string, name: string): Typed<VirtualServiceSpec> | undefined {
    return this.#object<VirtualServiceSpec>(`VirtualService/${namespace}/${name}`)
  }

  /**
   * DestinationRules for a service, as a client sees them: those of its own namespace, else of the service's, else of the root namespace; the most specific host within each; oldest first.
   * To clients in the root namespace, what it says for everybody comes last too: only what it keeps to itself comes first. One that selects workloads is for them alone, and there counts by itself.
   * istio.io/latest/docs/ops/best-practices/traffic-management/#cross-namespace-configuration
   */
  destinationRules(host: string, client: string, serviceNamespace: string): Typed<DestinationRuleSpec>[] {
    const candidates = [host, ...coveringWildcards(host)].map((one) => this.#list<DestinationRuleSpec>('destination-rule', one))
    // Its own namespace's come first for a client, unless they are for other namespaces alone; those of the service's come first for all who have none.
    for (const rules of candidates) for (const one of rules) if (one.namespace !== serviceNamespace || !this.#isForAll('defaultDestinationRuleExportTo', one.spec.exportTo)) this.named.add(one.namespace)
    const isOwn = (one: Typed<DestinationRuleSpec>) => one.spec.workloadSelector !== undefined || (client === this.rootNamespace ? this.#isKept(one) : exportedTo(one.spec.exportTo, client, client))
    const isShared = (one: Typed<DestinationRuleSpec>) => this.#exported('defaultDestinationRuleExportTo', one.spec.exportTo, one.namespace, client)
    for (const [namespace, isSeen] of [[client, isOwn], [serviceNamespace, isShared], [this.rootNamespace, isShared]] as const) {
      for (const rules of candidates) {
        const found = rules.filter((one) => one.namespace === namespace && isSeen(one))
        const selecting = found.filter((one) => this.#ownRules.includes(one.id))
        if (selecting.length > 0) return selecting.slice(0, 1)
        const forAll = found.filter((one) => one.spec.workloadSelector === undefined)
        if (forAll.length > 0) return forAll
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
    return this.#list<DestinationRuleSpec>('rule-selector', namespace).filter((one) => selects(one.spec.workloadSelector?.matchLabels, labels))
  }

  /** DestinationRules that name a Secret, oldest first. */
  rulesWithCredential(): Typed<DestinationRuleSpec>[] {
    return this.#list('rule-credential', '*')
  }

  /** Whether endpoints are ranked by labels that they share with the client. */
  ranksByLabels(): boolean {
    this.#record('rank-labels/*')
    return this.#model.filed('rank-labels', '*').size > 0 || (this.meshConfig().localityLbSetting?.failoverPriority ?? []).length > 0
  }

  /** Wildcard hosts that services have or VirtualServices name on a gateway, longest first. */
  wildcardHosts(gateway: string): string[] {
    const hosts = new Set<string>()
    for (const one of this.#list<VirtualServiceSpec>(`wildcard/${gateway}`, '*')) for (const host of one.spec.hosts ?? []) if (host.startsWith('*')) hosts.add(host.toLowerCase())
    if (gateway === 'mesh') {
      this.#record('wildcard/service/*')
      for (const id of this.#model.filed('wildcard/service', '*')) {
        for (const one of this.#declared(id)) if (one.host.startsWith('*')) hosts.add(one.host)
      }
    }
    return [...hosts].sort((a, b) => b.length - a.length || (a < b ? -1 : 1))
  }

  /** Whether a wildcard covers any service with an HTTP port that a client sees: a VirtualService of it is for those alone there, as in Istio. */
  coversService(wild: string, client: string, port: number): boolean {
    this.#record(`service-below/${wild}`)
    for (const id of this.#model.filed('service-below', wild)) {
      for (const one of this.#declared(id)) if (hostCovers(wild, one.host) && this.service(one.host, client)?.ports.some((of) => of.port === port && carriesHttp(of.protocol)) === true) return true
    }
    return false
  }

  /** Whether any route depends on the labels of who calls. */
  readsSourceLabels(): boolean {
    this.#record('source-labels/*')
    return this.#model.filed('source-labels', '*').size > 0
  }

  /** Whether anything keeps clients at the endpoint that served them first. */
  keepsSessions(): boolean {
    this.#record('keeps-sessions/*')
    return this.#model.filed('keeps-sessions', '*').size > 0
  }

  /** Hosts of ServiceEntries that have an endpoint at an address, in order. */
  hostsAtEndpoint(address: string): string[] {
    this.#record(`endpoint-address/${address}`)
    const hosts = new Set<string>()
    for (const id of this.#model.filed('endpoint-address', address)) {
      this.#record(`object/${id}`)
      for (const one of this.#model.declared(id)) if (one.endpoints.some((endpoint) => endpoint.address === address)) hosts.add(one.host)
    }
    return [...hosts].sort()
  }

  /**
   * The Sidecar of a workload: the oldest that selects it, else its namespace's, else the root namespace's (istio.io/latest/docs/reference/config/networking/sidecar).
   */
  sidecarFor(namespace: string, labels: Labels): Typed<SidecarSpec> | undefined {
    const own = this.#list<SidecarSpec>('in-namespace/Sidecar', namespace)
    const bySelector = (one: Typed<SidecarSpec>): boolean => Object.keys(one.spec.workloadSelector?.labels ?? {}).length > 0
    const wide = namespace === this.rootNamespace ? [] : this.#list<SidecarSpec>('in-namespace/Sidecar', this.rootNamespace)
    return own.find((one) => bySelector(one) && selects(one.spec.workloadSelector?.labels, labels)) ?? own.find((one) => !bySelector(one)) ?? wide.find((one) => !bySelector(one))
  }

  peerAuthentications(namespace: string): Typed<PeerAuthenticationSpec>[] {
    return this.#list('in-namespace/PeerAuthentication', namespace)
  }

  requestAuthentications(namespace: string): Typed<RequestAuthenticationSpec>[] {
    return this.#list('in-namespace/RequestAuthentication', namespace)
  }

  requestAuthentication(namespace: string, name: string): Typed<RequestAuthenticationSpec> | undefined {
    return this.#object<RequestAuthenticationSpec>(`RequestAuthentication/${namespace}/${name}`)
  }

  authorizationPolicy(namespace: string, name: string): Typed<AuthorizationPolicySpec> | undefined {
    return this.#object<AuthorizationPolicySpec>(`AuthorizationPolicy/${namespace}/${name}`)
  }

  /** AuthorizationPolicies that name an external authorizer, oldest first. */
  policiesThatAsk(): Typed<AuthorizationPolicySpec>[] {
    return this.#list('asks', '*')
  }

  telemetry(namespace: string, name: string): Typed<TelemetrySpec> | undefined {
    return this.#object<TelemetrySpec>(`Telemetry/${namespace}/${name}`)
  }

  telemetries(namespace: string): Typed<TelemetrySpec>[] {
    return this.#list('in-namespace/Telemetry', namespace)
  }

  proxyConfigs(namespace: string): Typed<ProxyConfigSpec>[] {
    return this.#list('in-namespace/ProxyConfig', namespace)
  }

  wasmPlugin(namespace: string, name: string): Typed<WasmPluginSpec> | undefined {
    return this.#object<WasmPluginSpec>(`WasmPlugin/${namespace}/${name}`)
  }

  wasmPlugins(namespace: string): Typed<WasmPluginSpec>[] {
    return this.#list('in-namespace/WasmPlugin', namespace)
  }

  trafficExtension(namespace: string, name: string): Typed<TrafficExtensionSpec> | undefined {
    return this.#object<TrafficExtensionSpec>(`TrafficExtension/${namespace}/${name}`)
  }

  trafficExtensions(namespace: string): Typed<TrafficExtensionSpec>[] {
    return this.#list('in-namespace/TrafficExtension', namespace)
  }

  envoyFilter(namespace: string, name: string): Typed<EnvoyFilterSpec> | undefined {
    return this.#object<EnvoyFilterSpec>(`EnvoyFilter/${namespace}/${name}`)
  }

  envoyFilters(namespace: string): Typed<EnvoyFilterSpec>[] {
    return this.#list('in-namespace/EnvoyFilter', namespace)
  }

  authorizationPolicies(namespace: string): Typed<AuthorizationPolicySpec>[] {
    return this.#list('in-namespace/AuthorizationPolicy', namespace)
  }

  /** Gateways that select a workload by its labels, oldest first. */
  gatewaysSelecting(labels: Labels): Typed<GatewaySpec>[] {
    const pairs = ['', ...Object.entries(labels).map((pair) => labelPair(...pair))]
    return pairs.flatMap((pair) => this.#list<GatewaySpec>('gateway-selector', pair)).filter((one) => selects(one.spec.selector, labels)).sort(byAge)
  }

  gateway(namespace: string, name: string): Typed<GatewaySpec> | undefined {
    return this.#object<GatewaySpec>(`Gateway/${namespace}/${name}`)
  }

  secret(namespace: string, name: string): (SecretFields & { readonly id: string }) | undefined {
    const id = `Secret/${namespace}/${name}`
    this.#record(`object/${id}`)
    const stored = this.#model.object(id)
    return stored === undefined ? undefined : { ...(stored.object as SecretFields), id }
  }

  configMap(namespace: string, name: string): (ConfigMapFields & { readonly id: string }) | undefined {
    const id = `ConfigMap/${namespace}/${name}`
    this.#record(`object/${id}`)
    const stored = this.#model.object(id)
    return stored === undefined ? undefined : { ...(stored.object as ConfigMapFields), id }
  }

  #object<Spec>(id: string): Typed<Spec> | undefined {
    this.#record(`object/${id}`)
    const stored = this.#model.object(id)
    if (stored === undefined) return undefined
    const { http = [], tcp = [], tls = [] } = (stored.object.spec ?? {}) as Pick<VirtualServiceSpec, 'http' | 'tcp' | 'tls'>
    if (stored.key.kind === 'VirtualService') for (const route of [...http, ...tcp, ...tls]) for (const { sourceNamespace } of route.match ?? []) if (sourceNamespace) this.named.add(sourceNamespace)
    return typed<Spec>(id, stored)
  }

  #declared(id: string): readonly MeshService[] {
    this.#record(`object/${id}`)
    const services = this.#model.declared(id)
    return this.#allocated === undefined ? services : services.map((one) => addressed(one, this.#allocated))
  }

  /** Whether a client sees an object; where the object does not say, the mesh's settings do. */
  #exported(standard: ExportStandard, exportTo: readonly string[] | undefined, owner: string, client: string): boolean {
    if (this.#isForAll(standard, exportTo)) return true
    const effective = this.#effective(standard, exportTo)
    for (const to of effective ?? []) this.named.add(to === '.' ? owner : to)
    return exportedTo(effective, owner, client)
  }

  #effective(standard: ExportStandard, exportTo: readonly string[] | undefined): readonly string[] | undefined {
    return exportTo !== undefined && exportTo.length > 0 ? exportTo : this.meshConfig()[standard]
  }

  #isForAll(standard: ExportStandard, exportTo: readonly string[] | undefined): boolean {
    const effective = this.#effective(standard, exportTo)
    return effective === undefined || effective.length === 0 || effective.includes('*')
  }

  #list<Spec>(index: string, entry: string): Typed<Spec>[] {
    this.#record(`${index}/${entry}`)
    const found: Typed<Spec>[] = []
    for (const id of this.#model.filed(index, entry)) {
      const one = this.#object<Spec>(id)
      if (one !== undefined) found.push(one)
    }
    return found.sort(byAge)
  }
}

const typed = <Spec>(id: string, stored: StoredResource): Typed<Spec> => ({
  id,
  namespace: stored.key.namespace,
  name: stored.key.name,
  createdAtMs: stored.createdAtMs,
  stored,
  spec: (stored.object.spec ?? {}) as Spec,
})

const hasTcpPort = (service: MeshService | undefined, port: number): boolean => service?.ports.some((one) => one.port === port && one.protocol !== 'udp') === true

const older = (a: number, aName: string, b: number, bName: string): boolean => a < b || (a === b && aName < bName)

const byAge = (a: Typed<unknown>, b: Typed<unknown>): number => (older(a.createdAtMs, `${a.name}.${a.namespace}`, b.createdAtMs, `${b.name}.${b.namespace}`) ? -1 : 1)

function precedes(a: MeshService, b: MeshService, client: string): boolean {
  if (a.kind !== b.kind) return a.kind === 'Service'
  if ((a.namespace === client) !== (b.namespace === client)) return a.namespace === client
  return older(a.createdAtMs, a.source, b.createdAtMs, b.source)
}

function addressed(service: MeshService, families: Families | undefined): MeshService {
  if (service.allocated === undefined) return service
  const [four, six] = service.allocated
  return { ...service, addresses: families === 'both' ? [four, six] : [families === 'IPv6' ? six : four] }
}

/** Whether a ServiceEntry says more of what another of its namespace has begun: other ports of the same endpoints. */
const continues = (one: MeshService, first: MeshService): boolean =>
  one.kind === 'ServiceEntry' && first.kind === 'ServiceEntry' && one.namespace === first.namespace && one.resolution === first.resolution && one.external === first.external && JSON.stringify([one.endpoints, one.selector, one.addresses, one.ranges]) === JSON.stringify([first.endpoints, first.selector, first.addresses, first.ranges])

const withPortsOf = (service: MeshService, { ports }: MeshService): MeshService => ({ ...service, ports: [...service.ports, ...ports.filter(({ port }) => service.ports.every((one) => one.port !== port))] })
