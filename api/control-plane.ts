import type { Topology } from '#core/contract/topology.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { Doors } from '#core/time/clock.ts'
import type { Mesh, Organization, Role } from '#db/store.ts'
import type { OidcOptions } from './access/oidc/oidc.ts'
import type { TrustedProxies } from './access/source.ts'
import type { Log } from './log.ts'

/** What a control plane is started with; the command line and the environment fill it. */
export interface ControlPlaneOptions {
  readonly doors: Doors
  readonly log: Log
  /** `pglite:DIR`, `pglite:memory`, `postgres://…` */
  readonly database: string
  /** 32 bytes that seal roots and Secrets at rest. */
  readonly sealKey: Buffer
  /** Address of REST, xDS and monitoring. */
  readonly address: string
  /** 0 picks a free one. */
  readonly restPort: number
  readonly xdsPort: number
  readonly monitoringPort: number
  /** Names and addresses by which proxies reach the xDS port: they stand in its certificate. */
  readonly xdsNames: readonly string[]
  /** How people reach REST, `https://weft.example.com`; its own address unless told. */
  readonly publicUrl?: string
  /** Balancers before REST: where a request comes from, they are believed. */
  readonly trustedProxies?: TrustedProxies
  /** SHA-256 of the key that may create organizations, hex. */
  readonly bootstrapKeyHash?: string
  /** The installation's identity provider, for organizations without one of their own; and whether providers within private networks may be asked. */
  readonly oidc?: Partial<Pick<OidcOptions, 'installation' | 'privateNetworks'>>
  /** Directories of ACME authorities that Gateways may name, and the roots (PEM) that private ones lead to; Let's Encrypt's by default. */
  readonly acme?: { readonly directories?: readonly string[]; readonly roots?: string }
  /** Whether modules of plugins may be had from private networks, and over HTTP: whoever writes a plugin has the control plane ask there. */
  readonly modules?: { readonly privateNetworks: boolean }
  /** Folder of the built console; undefined: none is served. */
  readonly consoleDir?: string
  /** This is the only control plane on its database: workloads that do not come back after a start are gone. */
  readonly sole: boolean
}

/** A running control plane, as those in the same process use it. */
export interface ControlPlane {
  readonly rest: { readonly address: string; readonly port: number }
  readonly xds: { readonly address: string; readonly port: number; readonly rootCertificate: string }
  readonly monitoring: { readonly address: string; readonly port: number }
  ensureOrganization(name: string): Promise<Organization>
  ensureMesh(organization: Organization, name: string, trustDomain: string): Promise<Mesh>
  /** Answers the secret, which is stored nowhere. */
  createApiKey(organization: Organization, name: string, role: Role): Promise<string>
  createJoinToken(mesh: Mesh, namespace: string, serviceAccount: string, ttlMs: number): Promise<string>
  proxies(meshId: string): ProxyStatus[]
  /** Who is in a mesh that is loaded. */
  workloads(meshId: string): Workload[]
  topology(meshId: string): Promise<Topology>
  close(): Promise<void>
}
