import type { AuditLog } from '../access/audit.ts'
import type { TrustedProxies } from '../access/source.ts'
import type { TurnedAway } from '../access/turned-away.ts'
import type { RequestRates } from '../access/enter.ts'
import type { LoginRates } from '../access/login-rates.ts'
import type { Oidc } from '../access/oidc/oidc.ts'
import type { LiveStreams } from '../access/streams.ts'
import type { Description } from '#core/contract/description.ts'
import type { ExplainRequest } from '#core/contract/explain.ts'
import type { Trail } from '#core/explain/trail.ts'
import type { Topology } from '#core/contract/topology.ts'
import type { WaitResponse } from '#core/contract/apply.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { ApplyOutcome, Mesh, ResourceWrite, SealedRoot, Store } from '#db/store.ts'
import type { Root } from '../ca/root.ts'
import type { KnownObjects } from '../known-objects.ts'
import type { MeshImpact } from '../observe/impact.ts'
import type { ProxyStatus } from '../serve/ledger-entry.ts'
import type { PushTimes } from '../serve/pushes.ts'

/** What the two HTTP APIs need of the rest of the control plane; `api/main.ts` joins the rooms. */
export interface ApiDoors {
  readonly store: Store
  /** A mesh with a root of its own. @throws StoreDuplicate; StoreBound beyond `meshesMax` */
  createMesh(organizationId: string, name: string, trustDomain: string, meshesMax?: number): Promise<Mesh>
  /** Looks at the mesh as it would be after these writes: dangling references, double claims. Errors refuse them, warnings travel with the answer. */
  admit(mesh: Mesh, writes: readonly ResourceWrite[]): Promise<Fault[]>
  /** Whether the mesh is known to have this namespace, by a model at least as new as `mesh` was read; false: ask the store. */
  hasNamespace?(mesh: Mesh, name: string): boolean
  /** The objects of a mesh where memory has them, at least as new as `mesh` was read; undefined: ask the store. */
  known?(mesh: Mesh): KnownObjects | undefined
  proxies(meshId: string): ProxyStatus[]
  /** Everything that a proxy was sent, by type, as protobuf JSON, secrets redacted; undefined when it is not connected. */
  proxyConfig(meshId: string, proxy: string): Promise<ProxyConfig | undefined>
  /** How long a revision took from its commit to the last answer of the proxies that it concerned; undefined when it concerned none, or was long ago. */
  pushTimes(meshId: string, revision: number): PushTimes | undefined
  /** Connected proxies that were sent what comes of this object, `VirtualService/prod/orders`. */
  carriers(meshId: string, object: string): Description['carriers']
  /** Objects that could not be translated and are kept from the proxies. */
  faults(meshId: string): { readonly object: string; readonly faults: readonly Fault[] }[]
  whenSynced(meshId: string, revision: number, timeoutMs: number): Promise<WaitResponse & { timedOut: boolean }>
  /** Follows a request through the mesh as it is. @throws Faults 'object.not-found' for a workload that is not there */
  explain(meshId: string, asked: ExplainRequest): Promise<Trail>
  /** What would become of the proxies and of the calls seen if these results of a dry run were stored. */
  impact(mesh: Mesh, results: ApplyOutcome['results']): Promise<MeshImpact>
  /** The roots of meshes, in and out of archives. */
  readonly archives: ArchiveDoors
  topology(meshId: string): Promise<Topology>
  /** Live events of a mesh, until stopped. */
  follow(meshId: string, listener: (event: MeshEvent) => void): () => void
  /** Conditions and the like that are computed and not stored: merged into an object's `status` when read. */
  statusOf(meshId: string, object: ResourceObject): ResourceObject['status']
  wallMs(): number
  /** Where writes and refused attempts are filed. */
  readonly audit?: AuditLog
  readonly rates?: { readonly requests: RequestRates; readonly logins: LoginRates }
  /** Whose word about where a request comes from is believed; nobody's unless told. */
  readonly trustedProxies?: TrustedProxies
  /** Counts what the rates turn away. */
  readonly turnedAway?: TurnedAway
  /** What stays open past its request; without it streams end at their own time alone. */
  readonly streams?: LiveStreams
  /** Entry through identity providers. */
  readonly oidc?: Oidc
  /** Told what a write did. */
  wrote?(results: ApplyOutcome['results']): void
  /** The only key that may create organizations; undefined: none may. */
  readonly bootstrapKeyHash: string | undefined
  readonly publicUrl: () => string
  /** A defect of ours, after the client got its 500. */
  readonly unexpected?: (error: unknown) => void
}

export interface ArchiveDoors {
  /** The root with its private key, PEM: for an archive that is sealed, and for nothing else. Undefined when the mesh is gone. */
  rootOf(meshId: string): Promise<Root | undefined>
  /** This root as it is stored, or without one a new one. @throws Faults when the root cannot be used */
  seal(root: Root | undefined, trustDomain: string): SealedRoot
  /** The mesh has this root from now on: its peers are known by it here. */
  took(mesh: Mesh): void
}

export interface ProxyConfig {
  readonly proxy: string
  readonly revision: number
  readonly resources: readonly { readonly type: string; readonly name: string; readonly version: string; readonly origins: readonly string[]; readonly content: unknown }[]
}

/** A proxy refused something: who, what, which objects it came from, and who wrote them. */
export interface RejectionEvent {
  readonly atMs: number
  /** `NAME.NAMESPACE` */
  readonly proxy: string
  readonly type: string
  readonly resources: readonly string[]
  readonly objects: readonly { readonly object: string; readonly author: string }[]
  readonly revision: number
  readonly message: string
}

export type MeshEvent =
  | { readonly event: 'topology'; readonly data: Topology }
  | { readonly event: 'proxies'; readonly data: readonly ProxyStatus[] }
  | { readonly event: 'rejection'; readonly data: RejectionEvent }
  | { readonly event: 'revision'; readonly data: { readonly revision: number } }
  /** Nothing new: only a sign that the stream lives. */
  | { readonly event: 'heartbeat' }
