import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/**
 * The only state of Weft, as verbs. `openStore` (db/open.ts) answers one over PGlite or Postgres; nothing else differs between them.
 * Every verb that takes an organizationId runs in one transaction under that tenant's row-level security.
 * A write to a mesh locks the mesh's row, so revisions become visible in commit order; it appends to `change` (and `history` for configuration) and notifies, in that transaction.
 */
export interface Store {
  // organizations, meshes
  createOrganization(name: string): Promise<Organization>
  organizationByName(name: string): Promise<Organization | undefined>
  organizationById(organizationId: string): Promise<Organization | undefined>
  listOrganizations(): Promise<Organization[]>
  /** @throws StoreDuplicate; StoreBound when the organization would have more than `meshesMax` */
  createMesh(organizationId: string, mesh: { name: string; trustDomain: string; sealedRoot: Uint8Array; rootCertificate: string; meshesMax?: number }): Promise<Mesh>
  meshByName(organizationId: string, name: string): Promise<Mesh | undefined>
  /** Both by their names, of one organization alone: what every request asks first. */
  meshNamed(organizationId: string, names: { readonly organization: string; readonly mesh: string }): Promise<{ organization: Organization; mesh: Mesh } | undefined>
  /** For whoever holds a mesh id only (a certificate's issuer, a stream): crosses tenants, so never with a name or id that came from outside unproven. */
  meshById(meshId: string): Promise<Mesh | undefined>
  listMeshes(organizationId: string, page: Page): Promise<Paged<Mesh>>
  sealedRoot(meshId: string): Promise<Uint8Array | undefined>
  /** A mesh of what an archive holds, in one transaction: root, settings and objects, or nothing. @throws what `root` throws; StoreBound */
  restoreMesh(organizationId: string, about: Restoring): Promise<{ mesh: Mesh; outcome: ApplyOutcome }>
  /** All roots, to verify peers with: [meshId, PEM]. */
  rootCertificates(): Promise<Map<string, string>>
  /** A function is given the mesh as it is under the lock, and answers its settings: of two changes at once none is lost. What it throws undoes all. */
  setMeshSettings(organizationId: string, meshId: string, settings: MeshSettings | ((before: Mesh) => MeshSettings)): Promise<Mesh>

  // credentials: only hashes are stored (SHA-256 of the secret, hex)
  createApiKey(organizationId: string, key: { name: string; hash: string; role: Role; meshId: string | null; namespaces?: readonly string[] | null; expiresAtMs: number | null }): Promise<ApiKey>
  apiKeyByHash(hash: string): Promise<ApiKey | undefined>
  /** The same, with what these names lead to from the key's organization, in one look: undefined where they lead to no mesh of it. */
  keyWithMesh(hash: string, names: MeshNames): Promise<{ key: ApiKey; found: { organization: Organization; mesh: Mesh } | undefined } | undefined>
  listApiKeys(organizationId: string): Promise<ApiKey[]>
  deleteApiKey(organizationId: string, id: string): Promise<boolean>
  /** A key of the member's role that goes with the member. Undefined when the member is gone or disabled by now. */
  createSession(organizationId: string, memberId: string, session: { hash: string; expiresAtMs: number }): Promise<ApiKey | undefined>
  createJoinToken(organizationId: string, token: Omit<JoinToken, 'id' | 'organizationId' | 'createdAtMs'> & { hash: string }): Promise<JoinToken>
  joinTokenByHash(hash: string): Promise<JoinToken | undefined>
  listJoinTokens(organizationId: string, meshId: string): Promise<JoinToken[]>
  deleteJoinToken(organizationId: string, meshId: string, id: string): Promise<boolean>
  /** Those of the ids, of keys and join tokens alike, that are neither deleted nor expired. */
  liveCredentials(ids: readonly string[]): Promise<Set<string>>

  // people, and what they did
  /** `password`: argon2id as text, or null for one who is invited. @throws StoreDuplicate */
  createMember(organizationId: string, about: { name: string; role: Role; password: string | null; invitation: { hash: string; untilMs: number } | null }): Promise<Member>
  listMembers(organizationId: string): Promise<Member[]>
  memberByName(organizationId: string, name: string): Promise<{ member: Member; password: string | null } | undefined>
  takeInvitation(organizationId: string, hash: string, password: string): Promise<Member | undefined>
  /** Ends the member's sessions where anything differs. Undefined when there is no such member. `check` sees the member under the lock; what it throws undoes all. */
  updateMember(organizationId: string, id: string, change: { role?: Role; disabled?: boolean }, check?: (before: Member) => void): Promise<Member | undefined>
  /** The member who comes with this identity: known by it, invited by e-mail, or made for the role that the claims give. Undefined for nobody, and for one who is disabled. */
  memberByIdentity(organizationId: string, identity: Identity): Promise<Member | undefined>
  oidc(organizationId: string): Promise<OidcSettings | undefined>
  /** Null: members enter by password alone. Members known by another issuer are not any more. */
  setOidc(organizationId: string, settings: OidcSettings | null): Promise<void>
  createSignIn(organizationId: string, about: { hash: string; memberId: string; challenge: string; untilMs: number }): Promise<void>
  /** Once. Undefined when it is unknown, taken or over. */
  takeSignIn(organizationId: string, hash: string): Promise<{ memberId: string; challenge: string } | undefined>
  /** What was answered at this place before; `begun` when nothing was, and the caller is to answer now; `running` while another does. */
  beginReplay(organizationId: string, place: string, bodyHash: string): Promise<Replay>
  /** Undefined: it failed, and may be tried anew. */
  endReplay(organizationId: string, place: string, answer: { status: number; body: string } | undefined): Promise<void>
  deleteMember(organizationId: string, id: string): Promise<boolean>
  /** See setMeshSettings. */
  setQuota(organizationId: string, quota: Quota | ((before: Quota) => Quota)): Promise<Quota>
  recordAudit(organizationId: string, entries: readonly Omit<AuditEntry, 'id'>[]): Promise<void>
  /** The newest first. */
  listAudit(organizationId: string, filter: AuditFilter, page: Page): Promise<Paged<AuditEntry>>

  // configuration
  /** All or nothing. With dryRun everything is checked and nothing kept; revision is then what it would have been. @throws StoreConflict when an expected resourceVersion is not the stored one; StoreBound when the mesh would grow beyond `resourcesMax` objects */
  applyResources(organizationId: string, meshId: string, writes: readonly ResourceWrite[], by: Authorship, options?: { dryRun?: boolean; resourcesMax?: number }): Promise<ApplyOutcome>
  getResource(organizationId: string, meshId: string, key: ResourceKey): Promise<StoredResource | undefined>
  countResources(organizationId: string, meshId: string): Promise<number>
  /** With `at`, as they were at that revision. */
  listResources(organizationId: string, meshId: string, filter: ResourceFilter, page: Page & { readonly at?: number }): Promise<Paged<StoredResource> & { revision: number }>
  /** The whole mesh and the revision it is at, for the model: read from the writer in one snapshot. */
  loadMesh(meshId: string): Promise<{ revision: number; resources: StoredResource[]; workloads: Workload[] } | undefined>
  /** Changes after `revision`, in order, at most `limit`: for followers and watchers. `tooOld` when the log no longer reaches back that far. */
  changesAfter(meshId: string, revision: number, limit: number): Promise<{ changes: Change[]; tooOld: boolean }>
  /** The first of them, where this process made them itself a moment ago; empty: ask the database. There may be more. */
  ownChangesAfter(meshId: string, revision: number, limit: number): readonly Change[]
  /** Calls back with a mesh's id and newest revision soon after each commit by anyone (LISTEN, with polling beneath it). */
  onChange(listener: (meshId: string, revision: number) => void): () => void
  /** Calls back with the root certificate of each mesh that anyone makes, and with a new one. PEM. */
  onRoot(listener: (meshId: string, rootCertificate: string) => void): () => void
  /** What later revisions touched, as it was at `revision`. */
  objectsAt(organizationId: string, meshId: string, revision: number, key?: ResourceKey): Promise<{ key: ResourceKey; object: ResourceObject | null }[]>
  /** Uids of those that the mesh had once and deleted. */
  deletedBefore(organizationId: string, meshId: string, objects: readonly { readonly key: ResourceKey; readonly uid: string }[]): Promise<Set<string>>
  history(organizationId: string, meshId: string, filter: { key?: ResourceKey; afterRevision?: number }, page: Page): Promise<Paged<HistoryEntry>>

  // workloads
  /** With a lease it is removed when that has run out by the database's clock, without one it stays. @throws StoreTaken when a workload of another account, alive at another replica, has its name or one of the lease's places */
  putWorkload(meshId: string, workload: Workload, lease?: WorkloadLease): Promise<number>
  /** Who that would be, as of now. */
  workloadTakenBy(meshId: string, workload: Workload, lease: WorkloadLease): Promise<WorkloadKey | undefined>
  /** With a holder: only while no other replica has heard of the workload since. */
  removeWorkload(meshId: string, key: WorkloadKey, holder?: string): Promise<number>
  /** Prolongs leases; answers the workloads that are gone and must be put again. */
  renewLeases(meshId: string, keys: readonly WorkloadKey[], leaseMs: number): Promise<WorkloadKey[]>
  /** The workload has so long to be heard of again, unless another replica has heard of it since. */
  endLease(meshId: string, key: WorkloadKey, holder: string, leaseMs: number): Promise<void>
  /** Removes the workloads whose leases have run out, and answers them. */
  expireLeases(meshId: string): Promise<WorkloadKey[]>

  // what proxies acknowledged, for other replicas: may be lost without harm
  putReplicaStatus(meshId: string, replica: string, statuses: readonly ProxyStatus[], ttlMs: number): Promise<void>
  otherReplicaStatus(meshId: string, replica: string): Promise<ProxyStatus[]>

  // what the installation keeps for itself, sealed by its caller
  platformValue(name: string): Promise<Uint8Array | undefined>
  /** Keeps the first value that anyone puts under a name, and answers it. */
  putPlatformValue(name: string, value: Uint8Array): Promise<Uint8Array>

  /** Resolves when the store answers; rejects with its reason. */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface MeshNames { readonly organization: string; readonly mesh: string }
export interface SealedRoot { readonly sealedRoot: Uint8Array; readonly rootCertificate: string }
export interface Restoring {
  readonly name: string
  readonly trustDomain: string
  readonly meshesMax: number
  readonly resourcesMax: number
  /** Undefined: as they are. */
  readonly settings: MeshSettings | undefined
  readonly writes: readonly ResourceWrite[]
  readonly by: Authorship
  /**
   * Judges what is there of that name, under its lock, and answers the root that it is to have; undefined: the one that it has. What it throws undoes all.
   * `roots` are those of all meshes by id, PEM, and no other archive brings one in before this ends.
   */
  root(found: { readonly mesh: Mesh | undefined; readonly isEmpty: boolean; readonly roots: ReadonlyMap<string, string> }): SealedRoot | undefined
}
export interface WorkloadKey { readonly namespace: string; readonly name: string }
export interface WorkloadLease {
  readonly ms: number
  /** The replica that has heard of it. */
  readonly holder: string
  /** Where it is reached, and no workload of another account may be while a replica holds it. */
  readonly places?: readonly string[]
}
export interface Organization { readonly quota: Quota; readonly id: string; readonly name: string; readonly createdAtMs: number }
export interface MeshSettings {
  /** Refuse, and not only warn of, dangling references and double claims. */
  readonly strict?: boolean
  readonly outboundTrafficPolicy?: 'ALLOW_ANY' | 'ALLOW_ANY_DYNAMIC_DNS' | 'REGISTRY_ONLY'
  /** False: no mTLS but where a DestinationRule asks for it. True unless said otherwise. */
  readonly autoMutualTls?: boolean
  /** OTLP/HTTP traces endpoint for the mesh's proxies. */
  readonly otlp?: string
}
export interface Mesh {
  readonly id: string
  readonly organizationId: string
  readonly name: string
  readonly trustDomain: string
  readonly revision: number
  readonly rootCertificate: string
  readonly settings: MeshSettings
  readonly createdAtMs: number
}
export type Role = 'owner' | 'editor' | 'viewer'
export interface ApiKey {
  readonly id: string
  readonly organizationId: string
  readonly name: string
  readonly role: Role
  /** Bound to one mesh, or null for the whole organization. */
  readonly meshId: string | null
  /** The only namespaces that it may touch; null for all. */
  readonly namespaces: readonly string[] | null
  readonly expiresAtMs: number | null
  /** Whose session it is; null for a key of its own. */
  readonly memberId: string | null
  readonly createdAtMs: number
}
/** Bounds of an organization; what is not named has the default of `api/access/quota.ts`. */
export interface Quota {
  readonly meshes?: number
  readonly resourcesPerMesh?: number
  readonly objectBytes?: number
}
export interface Member {
  readonly id: string
  readonly organizationId: string
  readonly name: string
  readonly role: Role
  /** Has not taken the invitation yet. */
  readonly invited: boolean
  /** May not enter. */
  readonly disabled: boolean
  /** Comes through the identity provider. */
  readonly linked: boolean
  readonly createdAtMs: number
}
/** Who somebody is, as an identity provider has proven it. */
export interface Identity {
  readonly issuer: string
  readonly subject: string
  /** In lower case, and verified by the issuer. */
  readonly email: string
  /** What the claims give; undefined where roles are not taken from claims: then the member must be known here. */
  readonly role: Role | undefined
}
export interface OidcSettings {
  readonly issuer: string
  readonly clientId: string
  /** Null for a public client. */
  readonly clientSecret: string | null
  /** The claim that says what somebody is; null: members are invited by e-mail. */
  readonly rolesClaim: string | null
  /** Value of the claim → role. */
  readonly roles: Readonly<Record<string, Role>>
}
export type Replay =
  | { readonly is: 'begun' | 'running' | 'other-body' }
  | { readonly is: 'answered'; readonly status: number; readonly body: string }
export interface AuditFilter {
  readonly meshId?: string
  readonly actor?: string
  /** Refused attempts alone, or what was done alone. */
  readonly refused?: boolean
  readonly sinceMs?: number
  readonly untilMs?: number
}
/** A write, or an attempt at one that was refused. */
export interface AuditEntry {
  readonly id: number
  readonly meshId: string | null
  readonly atMs: number
  readonly actor: string
  /** Of the API key; empty for the bootstrap key. */
  readonly actorId: string
  /** The address from which it came. */
  readonly source: string
  readonly method: string
  readonly path: string
  readonly status: number
  /** Objects and their verdicts, or the faults of a refusal; never a secret. */
  readonly what: Readonly<Record<string, unknown>>
}
export interface JoinToken {
  readonly id: string
  readonly organizationId: string
  readonly meshId: string
  /** The identities that its bearer may take; `*` for any within the mesh. */
  readonly namespace: string
  readonly serviceAccount: string
  readonly expiresAtMs: number
  readonly createdAtMs: number
}
export interface ResourceKey { readonly group: string; readonly kind: string; readonly namespace: string; readonly name: string }
/** `object: null` deletes. `expectedVersion` is the resourceVersion that must be stored now; '' : must not exist; undefined: whatever there is. */
export interface ResourceWrite {
  readonly key: ResourceKey
  readonly object: ResourceObject | null
  readonly expectedVersion?: string
  /** What the store answered at `expectedVersion`: it need not be read again. */
  readonly before?: StoredResource | undefined
  /** When it came to be, where that was before: of an object that is brought back. */
  readonly createdAtMs?: number
}
export interface Authorship { readonly author: string; readonly message: string }
export interface StoredResource {
  readonly key: ResourceKey
  readonly uid: string
  /** The revision that last wrote it: Kubernetes' resourceVersion. */
  readonly revision: number
  /** Counts changes of spec. */
  readonly generation: number
  readonly createdAtMs: number
  readonly object: ResourceObject
}
export interface ApplyOutcome {
  readonly revision: number
  readonly results: readonly { readonly key: ResourceKey; readonly verdict: 'created' | 'configured' | 'unchanged' | 'deleted' | 'absent'; readonly before?: StoredResource | undefined; readonly stored: StoredResource | undefined }[]
}
export interface ResourceFilter {
  readonly group?: string
  readonly kind?: string
  readonly namespace?: string
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Uids: objects that name one of them as an owner, now. */
  readonly owners?: readonly string[]
}
export type Change =
  | { readonly revision: number; readonly of: 'resource'; readonly key: ResourceKey; readonly stored: StoredResource | undefined /* undefined: deleted */; readonly last?: StoredResource /* of a deletion: what was deleted */ }
  | { readonly revision: number; readonly of: 'workload'; readonly namespace: string; readonly name: string; readonly workload: Workload | undefined }
  | { readonly revision: number; readonly of: 'settings'; readonly settings: MeshSettings }
export interface HistoryEntry {
  readonly revision: number
  readonly key: ResourceKey
  readonly operation: 'create' | 'update' | 'delete'
  readonly author: string
  readonly message: string
  readonly atMs: number
  readonly object: ResourceObject | null
}
export interface Page { readonly limit: number; readonly cursor?: string }
export interface Paged<T> { readonly items: T[]; readonly next: string | undefined }

/** An object is not, or no longer, what the writer expected. */
export class StoreConflict extends Error {
  readonly key: ResourceKey
  readonly storedVersion: string | undefined

  constructor(key: ResourceKey, storedVersion: string | undefined) {
    super(`${key.kind} ${key.namespace}/${key.name} is at ${storedVersion ?? 'nothing'}`)
    this.name = 'StoreConflict'
    this.key = key
    this.storedVersion = storedVersion
  }
}

/** A workload's name, or a place, that another's live workload has. */
export class StoreTaken extends Error {
  readonly by: WorkloadKey

  constructor(by: WorkloadKey) {
    super(`${by.namespace}/${by.name} is there`)
    this.name = 'StoreTaken'
    this.by = by
  }
}

/** A name that is taken within its organization, or an organization's own. */
export class StoreDuplicate extends Error {
  constructor(what: string) {
    super(`${what} exists already`)
    this.name = 'StoreDuplicate'
  }
}

/** A bound that the write would break. */
export class StoreBound extends Error {
  readonly of: 'meshes' | 'resources'
  readonly bound: number
  readonly wanted: number

  constructor(of: 'meshes' | 'resources', bound: number, wanted: number) {
    super(`${wanted} ${of}, and at most ${bound} are allowed`)
    this.name = 'StoreBound'
    this.of = of
    this.bound = bound
    this.wanted = wanted
  }
}

/** A text that no column of text can hold: with the character NUL, which JSON knows and Postgres does not. */
export class StoreText extends Error {
  constructor() {
    super('text without the character U+0000')
    this.name = 'StoreText'
  }
}

/** The database is away or refuses for want of capacity: try again later. */
export class StoreUnavailable extends Error {
  constructor(cause: unknown) {
    super('the database does not answer', { cause })
    this.name = 'StoreUnavailable'
  }
}
