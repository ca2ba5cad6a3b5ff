/**
 * A running instance of something that serves or calls: a pod, a VM process, a container. It is in the mesh as long as its proxy holds a lease.
 * Made by `api/registry` from what a proxy says of itself and its certificate proves; stored by `db`; read by `api/model`.
 */
export interface Workload {
  /** Unique within its namespace. */
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly labels: Readonly<Record<string, string>>
  /** IP address by which peers reach it. */
  readonly address: string
  /** All addresses that its proxy has, that one first, where whoever describes it says so; peers use that one. */
  readonly addresses?: readonly string[]
  readonly network: string
  /** `region/zone/subzone`, each part may be missing. */
  readonly locality: string
  readonly cluster: string
  readonly ports: readonly WorkloadPort[]
  /** Where it has the ports of services by their names, as a WorkloadEntry or its WorkloadGroup says it. */
  readonly portsByName?: Readonly<Record<string, number>>
  /** Its share of requests beside others, as these say it; 1 unless told otherwise. */
  readonly weight?: number
  /** True when a proxy in front of it accepts mesh mTLS. */
  readonly mutualTls: boolean
  readonly health: 'healthy' | 'unhealthy' | 'draining'
}

/**
 * One port of the application. Explicit mode (nothing is captured): peers connect to `listen`, and the proxy connects on to `app`.
 * With traffic capture `listen` is the workload's address and `port`.
 */
export interface WorkloadPort {
  /** The application's own port, what a Service's `targetPort` names. */
  readonly port: number
  readonly name?: string
  readonly listen: SocketAddress
  readonly app: SocketAddress
}

export interface SocketAddress {
  readonly address: string
  readonly port: number
}

export const workloadKey = (of: { namespace: string; name: string }): string => `${of.namespace}/${of.name}`
