/** A name of the mesh and what it stands for. */
export interface NamedHost {
  /** In lower case, without the last dot; `*.example.com` for all names below. */
  readonly host: string
  /** IPv4 and IPv6. */
  readonly addresses: readonly string[]
  /** Kubernetes' short name and namespace, where the host is such a service's; else empty. */
  readonly shortName: string
  readonly namespace: string
}

/** istio.networking.nds.v1.NameTable: one of however many make up the whole. */
export interface NamesPlan {
  readonly name: string
  readonly version: string
  readonly hosts: readonly NamedHost[]
}
