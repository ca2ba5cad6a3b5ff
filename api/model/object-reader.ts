import type { AuthorizationPolicySpec } from '#core/resource/authorization-policy.ts'
import type { ConfigMapFields } from '#core/resource/config-map.ts'
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
import type { TrafficExtensionSpec } from '#core/resource/traffic-extension.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import type { WasmPluginSpec } from '#core/resource/wasm-plugin.ts'
import type { MeshSettings, StoredResource } from '#db/store.ts'
import { labelPair, selects } from './labels.ts'
import type { Labels } from './labels.ts'
import type { MeshModel } from './mesh-model.ts'

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

/** A mesh's settings and its objects, each by its name or by what files it. Whatever is read, found or not, is recorded by its key. */
export class ObjectReader {
  /**
   * Namespaces whose clients may get another answer than clients elsewhere: each place that looks at where a client is adds those for which what it finds could differ, and no more,
   * for a namespace named here has a unit of its own made for it.
   */
  readonly named: Set<string>
  protected readonly model: MeshModel
  protected readonly record: (key: string) => void

  constructor(model: MeshModel, record: (key: string) => void, named: Set<string>) {
    this.model = model
    this.record = record
    this.named = named
  }

  get trustDomain(): string {
    return this.model.trustDomain
  }

  get rootNamespace(): string {
    return this.meshConfig().rootNamespace || this.model.rootNamespace
  }

  settings(): MeshSettings {
    this.record('settings')
    return this.model.settings
  }

  /** Whether sidecars use mTLS where the other side can, and no rule speaks. */
  autoMutualTls(): boolean {
    return this.meshConfig().enableAutoMtls ?? this.settings().autoMutualTls ?? true
  }

  /** The mesh's own configuration, Istio's mesh file: empty where there is none. */
  meshConfig(): MeshConfigSpec {
    return this.object<MeshConfigSpec>('MeshConfig//default')?.spec ?? {}
  }

  /**
   * The Sidecar of a workload: the oldest that selects it, else its namespace's, else the root namespace's (istio.io/latest/docs/reference/config/networking/sidecar).
   */
  sidecarFor(namespace: string, labels: Labels): Typed<SidecarSpec> | undefined {
    const own = this.list<SidecarSpec>('in-namespace/Sidecar', namespace)
    const bySelector = (one: Typed<SidecarSpec>): boolean => Object.keys(one.spec.workloadSelector?.labels ?? {}).length > 0
    const wide = namespace === this.rootNamespace ? [] : this.list<SidecarSpec>('in-namespace/Sidecar', this.rootNamespace)
    return own.find((one) => bySelector(one) && selects(one.spec.workloadSelector?.labels, labels)) ?? own.find((one) => !bySelector(one)) ?? wide.find((one) => !bySelector(one))
  }

  peerAuthentications(namespace: string): Typed<PeerAuthenticationSpec>[] {
    return this.list('in-namespace/PeerAuthentication', namespace)
  }

  requestAuthentications(namespace: string): Typed<RequestAuthenticationSpec>[] {
    return this.list('in-namespace/RequestAuthentication', namespace)
  }

  requestAuthentication(namespace: string, name: string): Typed<RequestAuthenticationSpec> | undefined {
    return this.object<RequestAuthenticationSpec>(`RequestAuthentication/${namespace}/${name}`)
  }

  authorizationPolicy(namespace: string, name: string): Typed<AuthorizationPolicySpec> | undefined {
    return this.object<AuthorizationPolicySpec>(`AuthorizationPolicy/${namespace}/${name}`)
  }

  authorizationPolicies(namespace: string): Typed<AuthorizationPolicySpec>[] {
    return this.list('in-namespace/AuthorizationPolicy', namespace)
  }

  /** AuthorizationPolicies that name an external authorizer, oldest first. */
  policiesThatAsk(): Typed<AuthorizationPolicySpec>[] {
    return this.list('asks', '*')
  }

  telemetry(namespace: string, name: string): Typed<TelemetrySpec> | undefined {
    return this.object<TelemetrySpec>(`Telemetry/${namespace}/${name}`)
  }

  telemetries(namespace: string): Typed<TelemetrySpec>[] {
    return this.list('in-namespace/Telemetry', namespace)
  }

  proxyConfigs(namespace: string): Typed<ProxyConfigSpec>[] {
    return this.list('in-namespace/ProxyConfig', namespace)
  }

  wasmPlugin(namespace: string, name: string): Typed<WasmPluginSpec> | undefined {
    return this.object<WasmPluginSpec>(`WasmPlugin/${namespace}/${name}`)
  }

  wasmPlugins(namespace: string): Typed<WasmPluginSpec>[] {
    return this.list('in-namespace/WasmPlugin', namespace)
  }

  trafficExtension(namespace: string, name: string): Typed<TrafficExtensionSpec> | undefined {
    return this.object<TrafficExtensionSpec>(`TrafficExtension/${namespace}/${name}`)
  }

  trafficExtensions(namespace: string): Typed<TrafficExtensionSpec>[] {
    return this.list('in-namespace/TrafficExtension', namespace)
  }

  envoyFilter(namespace: string, name: string): Typed<EnvoyFilterSpec> | undefined {
    return this.object<EnvoyFilterSpec>(`EnvoyFilter/${namespace}/${name}`)
  }

  envoyFilters(namespace: string): Typed<EnvoyFilterSpec>[] {
    return this.list('in-namespace/EnvoyFilter', namespace)
  }

  /** Gateways that select a workload by its labels, oldest first. */
  gatewaysSelecting(labels: Labels): Typed<GatewaySpec>[] {
    const pairs = ['', ...Object.entries(labels).map((pair) => labelPair(...pair))]
    return pairs.flatMap((pair) => this.list<GatewaySpec>('gateway-selector', pair)).filter((one) => selects(one.spec.selector, labels)).sort(byAge)
  }

  gateway(namespace: string, name: string): Typed<GatewaySpec> | undefined {
    return this.object<GatewaySpec>(`Gateway/${namespace}/${name}`)
  }

  /** Gateways that name a Secret of their namespace. */
  gatewaysNaming(namespace: string, secret: string): Typed<GatewaySpec>[] {
    return this.list('credential', `${namespace}/${secret}`)
  }

  destinationRule(namespace: string, name: string): Typed<DestinationRuleSpec> | undefined {
    return this.object<DestinationRuleSpec>(`DestinationRule/${namespace}/${name}`)
  }

  virtualService(namespace: string, name: string): Typed<VirtualServiceSpec> | undefined {
    return this.object<VirtualServiceSpec>(`VirtualService/${namespace}/${name}`)
  }

  secret(namespace: string, name: string): (SecretFields & { readonly id: string }) | undefined {
    const id = `Secret/${namespace}/${name}`
    this.record(`object/${id}`)
    const stored = this.model.object(id)
    return stored === undefined ? undefined : { ...(stored.object as SecretFields), id }
  }

  configMap(namespace: string, name: string): (ConfigMapFields & { readonly id: string }) | undefined {
    const id = `ConfigMap/${namespace}/${name}`
    this.record(`object/${id}`)
    const stored = this.model.object(id)
    return stored === undefined ? undefined : { ...(stored.object as ConfigMapFields), id }
  }

  protected object<Spec>(id: string): Typed<Spec> | undefined {
    this.record(`object/${id}`)
    const stored = this.model.object(id)
    if (stored === undefined) return undefined
    const { http = [], tcp = [], tls = [] } = (stored.object.spec ?? {}) as Pick<VirtualServiceSpec, 'http' | 'tcp' | 'tls'>
    if (stored.key.kind === 'VirtualService') for (const route of [...http, ...tcp, ...tls]) for (const { sourceNamespace } of route.match ?? []) if (sourceNamespace) this.named.add(sourceNamespace)
    return typed<Spec>(id, stored)
  }

  protected list<Spec>(index: string, entry: string): Typed<Spec>[] {
    this.record(`${index}/${entry}`)
    const found: Typed<Spec>[] = []
    for (const id of this.model.filed(index, entry)) {
      const one = this.object<Spec>(id)
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

export const older = (a: number, aName: string, b: number, bName: string): boolean => a < b || (a === b && aName < bName)

const byAge = (a: Typed<unknown>, b: Typed<unknown>): number => (older(a.createdAtMs, `${a.name}.${a.namespace}`, b.createdAtMs, `${b.name}.${b.namespace}`) ? -1 : 1)
