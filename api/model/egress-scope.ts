import type { Destination } from '#core/resource/destination.ts'
import type { SidecarSpec } from '#core/resource/sidecar.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import { hostCovers, resolveHost } from './host.ts'
import type { MeshService } from './mesh-service.ts'

interface Listener {
  /** Undefined: any. */
  readonly port: number | undefined
  readonly hosts: readonly { readonly namespace: string; readonly host: string }[]
}

/**
 * What a Sidecar lets its workloads call (istio.io/latest/docs/reference/config/networking/sidecar/#IstioEgressListener): services and VirtualServices by namespace and host.
 * A listener with a port imports no other port of a service.
 */
export class EgressScope {
  readonly #listeners: readonly Listener[]
  /** What becomes of unknown hosts, where the Sidecar says it. */
  readonly unknownHosts: 'ALLOW_ANY' | 'REGISTRY_ONLY' | undefined
  /** Where what is for unknown hosts goes instead of to where it was going, by its full name. */
  readonly egressProxy: Destination | undefined

  /** `namespace` is the workload's own, which a dot stands for, wherever the Sidecar is; `owner` is the Sidecar's. */
  constructor(spec: SidecarSpec, namespace: string, owner = namespace) {
    this.unknownHosts = spec.outboundTrafficPolicy?.mode
    const { egressProxy } = spec.outboundTrafficPolicy ?? {}
    this.egressProxy = egressProxy === undefined ? undefined : { ...egressProxy, host: resolveHost(egressProxy.host, owner) }
    // Without egress everything is imported.
    const egress = spec.egress?.length ? spec.egress : [{ hosts: ['*/*'] }]
    this.#listeners = egress.map((one) => ({
      port: 'port' in one ? one.port?.number : undefined,
      hosts: one.hosts.map((text) => {
        const slash = text.indexOf('/')
        const of = text.slice(0, slash)
        return { namespace: of === '.' ? namespace : of, host: text.slice(slash + 1).toLowerCase() }
      }),
    }))
  }

  /** The service with the ports that are imported; undefined: none is. */
  service(service: MeshService): MeshService | undefined {
    const importing = this.#listeners.filter((one) => imports(one, service.namespace, [service.host]))
    if (importing.length === 0) return undefined
    if (importing.some((one) => one.port === undefined)) return service
    const ports = service.ports.filter(({ port }) => importing.some((one) => one.port === port))
    return ports.length === 0 ? undefined : { ...service, ports }
  }

  virtualService(namespace: string, spec: VirtualServiceSpec): boolean {
    const hosts = (spec.hosts ?? []).map((one) => resolveHost(one, namespace))
    return this.#listeners.some((one) => imports(one, namespace, hosts))
  }
}

const imports = (listener: Listener, namespace: string, hosts: readonly string[]): boolean =>
  listener.hosts.some((one) => (one.namespace === '*' || one.namespace === namespace) && hosts.some((host) => hostCovers(one.host, host) || hostCovers(host, one.host)))
