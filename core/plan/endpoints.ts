export interface EndpointsPlan {
  /** ClusterLoadAssignment's name. */
  readonly name: string
  readonly version: string
  /** Ordered by priority. */
  readonly localities: readonly { readonly locality: string; readonly weight: number; readonly priority: number; readonly endpoints: readonly EndpointPlan[] }[]
}

export interface EndpointPlan {
  /** `127.0.1.2:15006`: its key across updates. */
  readonly key: string
  readonly address: string
  readonly port: number
  /** Further addresses of the same endpoint at that port, tried where the ones before fail (RFC 8305). Absent: none. */
  readonly further?: readonly string[]
  readonly weight: number
  readonly health: 'healthy' | 'unhealthy' | 'draining'
  readonly hostname: string
  /** Metadata `envoy.transport_socket_match`. */
  readonly transport: Readonly<Record<string, string>>
  /** Metadata `istio.workload`: `name;namespace;service;version;cluster`, split. */
  readonly workload: { readonly name: string; readonly namespace: string; readonly service: string; readonly version: string; readonly cluster: string } | undefined
}
