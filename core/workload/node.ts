import type { SocketAddress, WorkloadPort } from './workload.ts'

/** Istio's mesh.v1alpha1 Topology. */
export interface GatewayTopology {
  /** Proxies in front whose X-Forwarded-For is believed. */
  readonly numTrustedProxies?: number
  /** What becomes of X-Forwarded-Client-Cert: `SANITIZE_SET`, … */
  readonly forwardClientCertDetails?: string
  /** There: connections begin with the PROXY protocol. */
  readonly proxyProtocol?: Readonly<Record<string, never>>
}

/**
 * What a proxy says of itself in its first xDS request: node id `sidecar~ADDRESS~NAME.NAMESPACE~NAMESPACE.svc.cluster.local` and metadata with Istio's keys,
 * so that a proxy made for Istio needs no new words. Words, not proof: the certificate decides who it is (`api/serve` compares).
 */
export interface ProxyNode {
  readonly id: string
  readonly type: 'sidecar' | 'router' | 'grpc'
  readonly address: string
  /** All addresses that it has, of both families, as far as it says so (metadata `INSTANCE_IPS`, "ADDRESS,…", as Istio's); absent: `address` alone. */
  readonly addresses?: readonly string[]
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly labels: Readonly<Record<string, string>>
  readonly cluster: string
  readonly network: string
  readonly locality: string
  /** `weft`, `envoy`, `grpc-js`, …, and its version, from the node's user agent. */
  readonly engine: string
  readonly version: string
  /** Explicit mode: where the application's plain outbound requests arrive (metadata `WEFT_OUTBOUND`, "ADDRESS:PORT"). Absent when traffic is captured. */
  readonly outbound: SocketAddress | undefined
  /** The application's ports (metadata `WEFT_PORTS`, JSON list of WorkloadPort). Empty for a gateway or a pure client. */
  readonly ports: readonly WorkloadPort[]
  /** A gateway's mapping of Gateway server port → port to bind, where unprivileged (metadata `WEFT_GATEWAY_PORTS`, `{"443":8443}`), and its bind address (`WEFT_GATEWAY_ADDRESS`). */
  readonly gatewayPorts: ReadonlyMap<number, number>
  readonly gatewayAddress: string
  /** What stands in front of this gateway, where it differs from what the mesh's settings say of all (metadata `PROXY_CONFIG`, as Istio's `proxy.istio.io/config` has it). */
  readonly gatewayTopology?: GatewayTopology
  /** The names that its application looks up come to it (metadata `DNS_CAPTURE`, "true", as Istio's). */
  readonly dnsCapture?: boolean
  /** Further words, by which EnvoyFilters may choose proxies; none that stands in another field. */
  readonly metadata?: Readonly<Record<string, string>>
  /** What a WorkloadGroup says of its workload's ports and its weight; never its own word. */
  readonly portsByName?: Readonly<Record<string, number>>
  readonly weight?: number
  /** Where spans go, `http://HOST:PORT/v1/traces`; empty: nowhere (metadata `WEFT_OTLP`). */
  readonly otlp: string
  /** It is not to be called yet, or not any more: `unhealthy` (metadata `WEFT_HEALTH`). What changes while a stream stands is told by HealthInformation. */
  readonly health?: 'unhealthy'
  /** A client of gRPC without a proxy whose bootstrap has a certificate provider `default` (metadata `WEFT_GRPC_CERTIFICATES`, "true"). */
  readonly grpcCertificates?: boolean
  /** It forgets resources that bear a time to live when no heartbeat comes (client feature `xds.config.supports-resource-ttl`). */
  readonly resourceTtl?: boolean
}
