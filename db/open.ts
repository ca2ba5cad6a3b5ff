import { sql } from 'drizzle-orm'
import type { Doors } from '#core/time/clock.ts'
import type { Driver } from './driver.ts'
import { storeFailure } from './failure.ts'
import { migrate } from './migrate.ts'
import { openPglite } from './pglite/driver.ts'
import { openPostgres } from './postgres/driver.ts'
import { openSeal } from './seal.ts'
import type { Seal } from './seal.ts'
import type { Store } from './store.ts'
import { listAudit, recordAudit } from './store/audit.ts'
import { applyResources } from './store/apply.ts'
import { changesAfter } from './store/changes.ts'
import { Follower } from './store/follow.ts'
import { deletedBefore, readHistory } from './store/history.ts'
import { apiKeyByHash, createApiKey, createSession, deleteApiKey, keyWithMesh, listApiKeys, liveCredentials } from './store/keys.ts'
import { createMember, deleteMember, listMembers, memberByIdentity, memberByName, takeInvitation, updateMember } from './store/members.ts'
import { createMesh, listMeshes, meshById, meshByName, meshNamed, rootCertificates, sealedRoot, setMeshSettings } from './store/meshes.ts'
import { restoreMesh } from './store/restore.ts'
import { createOrganization, listOrganizations, organizationById, organizationByName, setQuota } from './store/organizations.ts'
import { platformValue, putPlatformValue } from './store/platform.ts'
import { countResources, getResource, listResources, loadMesh } from './store/resources.ts'
import { endLease, expireLeases, renewLeases, workloadTakenBy } from './store/leases.ts'
import { otherReplicaStatus, putReplicaStatus } from './store/replica-status.ts'
import { RecentChanges } from './store/recent-changes.ts'
import { beginReplay, endReplay } from './store/replay.ts'
import { objectsAt } from './store/rollback.ts'
import { CHANGE_CHANNEL } from './store/revision.ts'
import { createSignIn, readOidc, setOidc, takeSignIn } from './store/sign-in.ts'
import { createJoinToken, deleteJoinToken, joinTokenByHash, listJoinTokens } from './store/tokens.ts'
import { WriteLanes } from './store/write-lanes.ts'
import { putWorkload, removeWorkload } from './store/workloads.ts'
import { Tenancy } from './tenancy.ts'

/**
 * Opens the database and brings its schema up to date.
 * @param url `pglite:DIR` (made when missing), `pglite:memory`, or `postgres://…`
 * @param options.sealKey 32 bytes: seals Secrets' data at rest, and must be the same at every opening
 * @throws StoreUnavailable when the database does not answer; Error when the URL is none of these, or another process has the folder open
 */
export async function openStore(url: string, options: { doors: Doors; sealKey: Uint8Array }): Promise<Store> {
  const seal = openSeal(options.sealKey)
  const driver = await openDriver(url, options.doors)
  try {
    await migrate(driver)
  } catch (error) {
    await driver.close()
    throw storeFailure(error)
  }
  return storeOver(driver, options.doors, seal)
}

/** Answers under an Idempotency-Key are kept so long. */
const REPLAY_MS = 24 * 3600 * 1000

/** The verbs over a database whose schema is up to date. Closing the store closes the driver. */
export function storeOver(driver: Driver, doors: Doors, seal: Seal): Store {
  const tenancy = new Tenancy(driver)
  const follower = new Follower(tenancy, driver, doors)
  const lanes = new WriteLanes(tenancy, seal)
  const recent = new RecentChanges()
  const now = (): number => doors.clock.wallMs()
  return {
    createOrganization: (name) => createOrganization(tenancy, name, now()),
    organizationByName: (name) => organizationByName(tenancy, name),
    organizationById: (organizationId) => organizationById(tenancy, organizationId),
    listOrganizations: () => listOrganizations(tenancy),
    createMesh: (organizationId, mesh) => createMesh(tenancy, organizationId, mesh, now()),
    meshNamed: (organizationId, names) => meshNamed(tenancy, organizationId, names),
    meshByName: (organizationId, name) => meshByName(tenancy, organizationId, name),
    meshById: (meshId) => meshById(tenancy, meshId),
    listMeshes: (organizationId, page) => listMeshes(tenancy, organizationId, page),
    sealedRoot: (meshId) => sealedRoot(tenancy, meshId),
    restoreMesh: (organizationId, about) => restoreMesh(tenancy, seal, organizationId, about, now()),
    rootCertificates: () => rootCertificates(tenancy),
    setMeshSettings: (organizationId, meshId, settings) => setMeshSettings(tenancy, organizationId, meshId, settings),
    createApiKey: (organizationId, key) => createApiKey(tenancy, organizationId, key, now()),
    apiKeyByHash: (hash) => apiKeyByHash(tenancy, hash, now()),
    keyWithMesh: (hash, names) => keyWithMesh(tenancy, hash, names, now()),
    listApiKeys: (organizationId) => listApiKeys(tenancy, organizationId),
    deleteApiKey: (organizationId, id) => deleteApiKey(tenancy, organizationId, id),
    createSession: (organizationId, memberId, session) => createSession(tenancy, organizationId, memberId, session, now()),
    liveCredentials: (ids) => liveCredentials(tenancy, ids, now()),
    createJoinToken: (organizationId, token) => createJoinToken(tenancy, organizationId, token, now()),
    joinTokenByHash: (hash) => joinTokenByHash(tenancy, hash),
    listJoinTokens: (organizationId, meshId) => listJoinTokens(tenancy, organizationId, meshId),
    deleteJoinToken: (organizationId, meshId, id) => deleteJoinToken(tenancy, organizationId, meshId, id),
    createMember: (organizationId, about) => createMember(tenancy, organizationId, about, now()),
    listMembers: (organizationId) => listMembers(tenancy, organizationId),
    memberByName: (organizationId, name) => memberByName(tenancy, organizationId, name),
    takeInvitation: (organizationId, hash, password) => takeInvitation(tenancy, organizationId, hash, password, now()),
    updateMember: (organizationId, id, change, check) => updateMember(tenancy, organizationId, id, change, check),
    memberByIdentity: (organizationId, identity) => memberByIdentity(tenancy, organizationId, identity, now()),
    oidc: (organizationId) => readOidc(tenancy, seal, organizationId),
    setOidc: (organizationId, settings) => setOidc(tenancy, seal, organizationId, settings),
    createSignIn: (organizationId, about) => createSignIn(tenancy, organizationId, about, now()),
    takeSignIn: (organizationId, hash) => takeSignIn(tenancy, organizationId, hash, now()),
    beginReplay: (organizationId, place, bodyHash) => beginReplay(tenancy, organizationId, place, bodyHash, now()),
    endReplay: (organizationId, place, answer) => endReplay(tenancy, organizationId, place, answer, now() + REPLAY_MS),
    deleteMember: (organizationId, id) => deleteMember(tenancy, organizationId, id),
    setQuota: (organizationId, quota) => setQuota(tenancy, organizationId, quota),
    recordAudit: (organizationId, entries) => recordAudit(tenancy, organizationId, entries),
    listAudit: (organizationId, filter, page) => listAudit(tenancy, organizationId, filter, page),
    async applyResources(organizationId, meshId, writes, by, how) {
      const outcome = await applyResources({ tenancy, seal, lanes, recent }, organizationId, meshId, writes, by, now(), how)
      // Whoever follows the mesh in this process need not wait for the database's notice.
      if (how?.dryRun !== true && outcome.results.some(({ verdict }) => verdict !== 'unchanged' && verdict !== 'absent')) follower.tell(meshId, outcome.revision)
      return outcome
    },
    getResource: (organizationId, meshId, key) => getResource(tenancy, seal, organizationId, meshId, key),
    countResources: (organizationId, meshId) => countResources(tenancy, organizationId, meshId),
    listResources: (organizationId, meshId, filter, page) => listResources(tenancy, seal, organizationId, meshId, filter, page),
    loadMesh: (meshId) => loadMesh(tenancy, seal, meshId),
    changesAfter: (meshId, revision, limit) => changesAfter(tenancy, seal, meshId, revision, limit),
    ownChangesAfter: (meshId, revision, limit) => recent.after(meshId, revision, limit),
    onChange: (listener) => follower.listen(listener),
    onRoot: (listener) => follower.listenRoots(listener),
    objectsAt: (organizationId, meshId, revision, key) => objectsAt(tenancy, seal, organizationId, meshId, revision, key),
    deletedBefore: (organizationId, meshId, objects) => deletedBefore(tenancy, organizationId, meshId, objects),
    history: (organizationId, meshId, filter, page) => readHistory(tenancy, seal, organizationId, meshId, filter, page),
    putWorkload: (meshId, workload, lease) => putWorkload(tenancy, meshId, workload, lease),
    workloadTakenBy: (meshId, workload, lease) => workloadTakenBy(tenancy, meshId, workload, lease),
    removeWorkload: (meshId, key, holder) => removeWorkload(tenancy, meshId, key, holder),
    renewLeases: (meshId, keys, leaseMs) => renewLeases(tenancy, meshId, keys, leaseMs),
    endLease: (meshId, key, holder, leaseMs) => endLease(tenancy, meshId, key, holder, leaseMs),
    expireLeases: (meshId) => expireLeases(tenancy, meshId),
    putReplicaStatus: (meshId, replica, statuses, ttlMs) => putReplicaStatus(tenancy, meshId, replica, statuses, ttlMs),
    otherReplicaStatus: (meshId, replica) => otherReplicaStatus(tenancy, meshId, replica),
    platformValue: (name) => platformValue(tenancy, name),
    putPlatformValue: (name, value) => putPlatformValue(tenancy, name, value),
    ping: async () => {
      await tenancy.across((tx) => tx.execute(sql`select 1`))
    },
    async close() {
      await follower.close()
      await driver.close()
    },
  }
}

export function openDriver(url: string, doors: Doors): Promise<Driver> | Driver {
  if (url === 'pglite:memory') return openPglite(undefined, [CHANGE_CHANNEL])
  const folder = /^pglite:(.+)$/s.exec(url)?.[1]
  if (folder !== undefined) return openPglite(folder, [CHANGE_CHANNEL])
  if (/^postgres(ql)?:\/\//.test(url)) return openPostgres(url, doors)
  // The URL itself may hold a password.
  throw new Error('a database is pglite:DIR, pglite:memory or postgres://…')
}
