import type { Destination } from '#core/resource/destination.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import type { Families } from '#core/workload/families.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { EgressScope } from './egress-scope.ts'
import { coveringWildcards, hostCovers, resolveHost } from './host.ts'
import { destinations, virtualServiceGateways } from './index-entries.ts'
import { labelPair } from './labels.ts'
import type { Labels } from './labels.ts'
import type { MeshModel } from './mesh-model.ts'
import { carriesHttp } from './mesh-service.ts'
import type { MeshService } from './mesh-service.ts'
import { ObjectReader, older } from './object-reader.ts'
import { exportedTo } from './visibility.ts'

/** The mesh's setting of who sees what does not say it itself. */
type ExportStandard = 'defaultServiceExportTo' | 'defaultVirtualServiceExportTo' | 'defaultDestinationRuleExportTo'

/** Services, and who is behind them, as clients of a namespace see them: those that are exported to it, and of these what a Sidecar lets through. */
export class ServiceReader extends ObjectReader {
  protected readonly egress: EgressScope | undefined
  readonly #allocated: Families | undefined

  constructor(model: MeshModel, record: (key: string) => void, named: Set<string>, egress: EgressScope | undefined, allocated: Families | undefined) {
    super(model, record, named)
    this.egress = egress
    this.#allocated = allocated
  }

  /** What becomes of hosts that nothing describes. */
  unknownHosts(): 'ALLOW_ANY' | 'ALLOW_ANY_DYNAMIC_DNS' | 'REGISTRY_ONLY' {
    return this.egress?.unknownHosts ?? this.meshConfig().outboundTrafficPolicy?.mode ?? this.settings().outboundTrafficPolicy ?? 'ALLOW_ANY'
  }

  /** Where a Sidecar sends what is for hosts that nothing describes; undefined: where it was going. */
  egressProxy(): Destination | undefined {
    return this.unknownHosts() === 'ALLOW_ANY' ? this.egress?.egressProxy : undefined
  }

  /** The service that `host` means to a client in a namespace: a Kubernetes Service before a ServiceEntry, the client's own namespace before others, then the oldest. */
  service(host: string, client: string): MeshService | undefined {
    const found = this.#scoped(this.declared(host, client))
    // A name for another service of the mesh is no service by itself; a name for what is outside is resolved by DNS.
    return found?.alias !== undefined && found.alias !== host && this.declared(found.alias, client) !== undefined ? undefined : found
  }

  /** ExternalName Services that stand for a host. */
  aliasesOf(host: string, client: string): MeshService[] {
    this.record(`alias-of/${host}`)
    const found: MeshService[] = []
    for (const id of this.model.filed('alias-of', host)) {
      for (const one of this.declaredBy(id)) {
        if (one.alias === host && this.exported('defaultServiceExportTo', one.exportTo, one.namespace, client)) found.push(one)
      }
    }
    return found.sort((a, b) => (older(a.createdAtMs, a.host, b.createdAtMs, b.host) ? -1 : 1))
  }

  /** The same, aliases included. */
  declared(host: string, client: string): MeshService | undefined {
    this.record(`service-host/${host}`)
    const found: MeshService[] = []
    for (const id of this.model.filed('service-host', host)) {
      for (const one of this.declaredBy(id)) if (one.host === host && this.exported('defaultServiceExportTo', one.exportTo, one.namespace, client)) found.push(one)
    }
    if (found.length > 1) {
      for (const one of found) this.named.add(one.namespace)
      found.sort((a, b) => (precedes(a, b, client) ? -1 : 1))
    }
    const [best, ...others] = found
    return best === undefined ? undefined : others.filter((one) => continues(one, best)).reduce(withPortsOf, best)
  }

  /** What a host is to a workload that it names by its address. Whomever a ServiceEntry of its own namespace is for, it says what the workload takes. */
  behind(host: string, namespace: string): MeshService | undefined {
    const seen = this.service(host, namespace)
    if (seen !== undefined) return seen
    let best: MeshService | undefined
    for (const id of this.model.filed('service-host', host)) {
      for (const one of this.declaredBy(id)) if (one.host === host && one.namespace === namespace && (best === undefined || precedes(one, best, namespace))) best = one
    }
    return best
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
    this.record(`service-address/${address}`)
    let best: MeshService | undefined
    for (const id of this.model.filed('service-address', address)) {
      for (const one of this.declaredBy(id)) {
        const claims = one.addresses.includes(address) && hasTcpPort(one, port) && this.exported('defaultServiceExportTo', one.exportTo, one.namespace, client)
        if (claims && (best === undefined || older(one.createdAtMs, one.host, best.createdAtMs, best.host)) && hasTcpPort(this.#scoped(one), port)) best = one
      }
    }
    return best?.host
  }

  /** Whether a client sees a service that has such a port. The first one found answers, so one more of many is not looked at. */
  hasPort(index: 'http-port' | 'plain-port' | 'grpc-web-port', port: number, client: string): boolean {
    this.record(`member/${index}/${port}`)
    for (const id of this.model.filed(index, String(port))) {
      for (const one of this.declaredBy(id)) {
        if (this.exported('defaultServiceExportTo', one.exportTo, one.namespace, client) && this.#scoped(one)?.ports.some((of) => of.port === port && (of.protocol !== 'auto' || one.addresses.length === 0)) === true) return true
      }
    }
    // None is seen: the next to come may be.
    this.record(`${index}/${port}`)
    return false
  }

  /** Services without an address, or with ranges of them, that have a port which is not said to be HTTP, oldest first; with `addressed` those too that have one. */
  servicesAtPort(port: number, client: string, addressed = false): MeshService[] {
    const found: MeshService[] = []
    const indices = addressed ? ['plain-port', 'addressed-port'] : ['plain-port']
    for (const index of indices) this.record(`${index}/${port}`)
    for (const id of new Set(indices.flatMap((index) => [...this.model.filed(index, String(port))]))) {
      for (const one of this.declaredBy(id)) {
        const scoped = (addressed || one.addresses.length === 0 || one.ranges.length > 0) && this.exported('defaultServiceExportTo', one.exportTo, one.namespace, client) ? this.#scoped(one) : undefined
        if (scoped !== undefined) found.push(scoped)
      }
    }
    return found.sort((a, b) => (older(a.createdAtMs, a.host, b.createdAtMs, b.host) ? -1 : 1))
  }

  /** Headless services with an HTTP port, whose pods have names of their own below the service's; or those with an HTTP port at addresses of IPv6. Oldest first. */
  httpAtPort(index: 'headless-port' | 'six-port', port: number, client: string): MeshService[] {
    this.record(`${index}/${port}`)
    const found: MeshService[] = []
    for (const id of this.model.filed(index, String(port))) {
      for (const one of this.declaredBy(id)) {
        const scoped = this.exported('defaultServiceExportTo', one.exportTo, one.namespace, client) ? this.#scoped(one) : undefined
        if (scoped?.ports.some((of) => of.port === port) === true) found.push(scoped)
      }
    }
    return found.sort((a, b) => (older(a.createdAtMs, a.host, b.createdAtMs, b.host) ? -1 : 1))
  }

  /** Services of a namespace whose selector meets a workload's labels. */
  servicesOf(namespace: string, labels: Labels): MeshService[] {
    for (const pair of Object.entries(labels)) {
      const entry = `${namespace}/${labelPair(...pair)}`
      this.record(`service-selector/${entry}`)
      for (const id of this.model.filed('service-selector', entry)) this.record(`object/${id}`)
    }
    return this.model.servicesSelecting(namespace, labels).sort((a, b) => (a.host < b.host ? -1 : 1))
  }

  /** Services of a namespace that select workloads, in order of host. For whoever judges a change: a translator that asked would depend on all of them. */
  servicesIn(namespace: string): MeshService[] {
    this.record(`selecting-in/${namespace}`)
    return [...this.model.filed('selecting-in', namespace)].flatMap((id) => this.declaredBy(id)).sort((a, b) => (a.host < b.host ? -1 : 1))
  }

  /** Workloads behind a service, in order of name. */
  workloadsOf(service: MeshService): Workload[] {
    this.record(`endpoints/${service.host}`)
    return service.selector === undefined ? [] : this.model.workloadsSelected(service.namespace, service.selector)
  }

  /** SPIFFE IDs of the workloads behind a host, in order. */
  accounts(host: string): string[] {
    this.record(`accounts/${host}`)
    return [...this.model.accounts(host)].sort()
  }

  /** Whether a wildcard covers any service with an HTTP port that a client sees: a VirtualService of it is for those alone there, as in Istio. */
  coversService(wild: string, client: string, port: number): boolean {
    this.record(`service-below/${wild}`)
    for (const id of this.model.filed('service-below', wild)) {
      for (const one of this.declaredBy(id)) if (hostCovers(wild, one.host) && this.service(one.host, client)?.ports.some((of) => of.port === port && carriesHttp(of.protocol)) === true) return true
    }
    return false
  }

  /** Hosts of ServiceEntries that have an endpoint at an address, in order. */
  hostsAtEndpoint(address: string): string[] {
    this.record(`endpoint-address/${address}`)
    const hosts = new Set<string>()
    for (const id of this.model.filed('endpoint-address', address)) {
      this.record(`object/${id}`)
      for (const one of this.model.declared(id)) if (one.endpoints.some((endpoint) => endpoint.address === address)) hosts.add(one.host)
    }
    return [...hosts].sort()
  }

  /** A service as this reader's scope has it; what a VirtualService in scope leads to is imported with it. */
  #scoped(service: MeshService | undefined): MeshService | undefined {
    const egress = this.egress
    if (egress === undefined || service === undefined) return service
    const imported = egress.service(service)
    if (imported !== undefined) return imported
    const leading = this.list<VirtualServiceSpec>('leads-to', service.host).filter((one) => virtualServiceGateways(one.spec, one.namespace).includes('mesh') && egress.virtualService(one.namespace, one.spec))
    const led = leading.flatMap((one) => destinations(one.spec).flatMap(({ destination }) => (resolveHost(destination.host, one.namespace) === service.host ? [destination.port?.number] : [])))
    // A destination with a port imports that port alone.
    const ports = service.ports.filter(({ port }) => led.some((one) => one === undefined || one === port))
    return ports.length === 0 ? undefined : { ...service, ports }
  }

  protected declaredBy(id: string): readonly MeshService[] {
    this.record(`object/${id}`)
    const services = this.model.declared(id)
    return this.#allocated === undefined ? services : services.map((one) => addressed(one, this.#allocated))
  }

  /** Whether a client sees an object; where the object does not say, the mesh's settings do. */
  protected exported(standard: ExportStandard, exportTo: readonly string[] | undefined, owner: string, client: string): boolean {
    if (this.isForAll(standard, exportTo)) return true
    const effective = this.#effective(standard, exportTo)
    for (const to of effective ?? []) this.named.add(to === '.' ? owner : to)
    return exportedTo(effective, owner, client)
  }

  protected isForAll(standard: ExportStandard, exportTo: readonly string[] | undefined): boolean {
    const effective = this.#effective(standard, exportTo)
    return effective === undefined || effective.length === 0 || effective.includes('*')
  }

  #effective(standard: ExportStandard, exportTo: readonly string[] | undefined): readonly string[] | undefined {
    return exportTo !== undefined && exportTo.length > 0 ? exportTo : this.meshConfig()[standard]
  }
}

const hasTcpPort = (service: MeshService | undefined, port: number): boolean => service?.ports.some((one) => one.port === port && one.protocol !== 'udp') === true

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
