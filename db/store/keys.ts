import { randomUUID } from 'node:crypto'
import { and, eq, gt, isNull, lt, or, sql } from 'drizzle-orm'
import { apiKey } from '../schema/credential.ts'
import { member } from '../schema/member.ts'
import { mesh } from '../schema/mesh.ts'
import { organization } from '../schema/organization.ts'
import type { ApiKey, Mesh, MeshNames, Organization, Role } from '../store.ts'
import { isUuid } from '../tenancy.ts'
import type { Tenancy } from '../tenancy.ts'
import { meshColumns, readMesh } from './meshes.ts'
import { readOrganization } from './organizations.ts'
import { rowsOf } from './rows.ts'

export function createApiKey(tenancy: Tenancy, organizationId: string, key: { name: string; hash: string; role: Role; meshId: string | null; namespaces?: readonly string[] | null; expiresAtMs: number | null }, nowMs: number): Promise<ApiKey> {
  const { name, hash, role, meshId, namespaces = null, expiresAtMs } = key
  const id = randomUUID()
  return tenancy.within(organizationId, async (tx) => {
    await tx.insert(apiKey).values({ id, organizationId, name, hash, role, meshId, namespaces, expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs), createdAt: new Date(nowMs) })
    return { id, organizationId, name, role, meshId, namespaces, expiresAtMs, memberId: null, createdAtMs: nowMs }
  })
}

/** A key that has expired is not answered. */
export async function apiKeyByHash(tenancy: Tenancy, hash: string, nowMs: number): Promise<ApiKey | undefined> {
  const alive = or(isNull(apiKey.expiresAt), gt(apiKey.expiresAt, new Date(nowMs)))
  const [row] = await tenancy.across((tx) => tx.select().from(apiKey).where(and(eq(apiKey.hash, hash), alive)), { single: true })
  return row && readKey(row)
}

/** Both in one look of the role that crosses tenants: it is the key that says which organization may be looked at. */
export async function keyWithMesh(tenancy: Tenancy, hash: string, names: MeshNames, nowMs: number): Promise<{ key: ApiKey; found: { organization: Organization; mesh: Mesh } | undefined } | undefined> {
  const alive = or(isNull(apiKey.expiresAt), gt(apiKey.expiresAt, new Date(nowMs)))
  const [row] = await tenancy.across(
    (tx) =>
      tx
        .select({ key: apiKey, organization, mesh: meshColumns })
        .from(apiKey)
        .leftJoin(organization, and(eq(organization.id, apiKey.organizationId), eq(organization.name, names.organization)))
        .leftJoin(mesh, and(eq(mesh.organizationId, organization.id), eq(mesh.name, names.mesh)))
        .where(and(eq(apiKey.hash, hash), alive)),
    { single: true },
  )
  if (row === undefined) return undefined
  const found = row.organization === null || row.mesh === null ? undefined : { organization: readOrganization(row.organization), mesh: readMesh(row.mesh) }
  return { key: readKey(row.key), found }
}

/** Expired ones too, the oldest first. */
export async function listApiKeys(tenancy: Tenancy, organizationId: string): Promise<ApiKey[]> {
  const rows = await tenancy.within(organizationId, (tx) => tx.select().from(apiKey).where(eq(apiKey.organizationId, organizationId)).orderBy(apiKey.createdAt, apiKey.id))
  return rows.map(readKey)
}

/** @returns whether there was such a key */
export async function deleteApiKey(tenancy: Tenancy, organizationId: string, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  const rows = await tenancy.within(organizationId, (tx) => tx.delete(apiKey).where(and(eq(apiKey.organizationId, organizationId), eq(apiKey.id, id))).returning({ id: apiKey.id }))
  return rows.length > 0
}

/** A key of the member's role, as the member is now: whoever is disabled or deleted meanwhile waits for this, or this for them. */
export function createSession(tenancy: Tenancy, organizationId: string, memberId: string, session: { hash: string; expiresAtMs: number }, nowMs: number): Promise<ApiKey | undefined> {
  return tenancy.within(organizationId, async (tx) => {
    const [of] = await tx.select().from(member).where(and(eq(member.organizationId, organizationId), eq(member.id, memberId), eq(member.disabled, false))).for('share')
    if (of === undefined) return undefined
    const row = { id: randomUUID(), organizationId, name: `session:${of.name}`, hash: session.hash, role: of.role, meshId: null, namespaces: null, expiresAt: new Date(session.expiresAtMs), memberId, createdAt: new Date(nowMs) }
    await tx.insert(apiKey).values(row)
    // Nobody else tidies up after sessions that have run out.
    await tx.delete(apiKey).where(and(eq(apiKey.organizationId, organizationId), eq(apiKey.memberId, memberId), lt(apiKey.expiresAt, new Date(nowMs))))
    return readKey(row)
  })
}

/** Crosses tenants: whoever asks holds the ids already. */
export async function liveCredentials(tenancy: Tenancy, ids: readonly string[], nowMs: number): Promise<Set<string>> {
  const known = ids.filter(isUuid)
  if (known.length === 0) return new Set()
  const now = new Date(nowMs).toISOString()
  const wanted = sql`select id::uuid as id from json_array_elements_text(${JSON.stringify(known)}::json) as w (id)`
  const rows = await tenancy.across((tx) =>
    rowsOf<{ id: string }>(tx, sql`
      select k.id from api_key k join (${wanted}) w on w.id = k.id where k.expires_at is null or k.expires_at > ${now}::timestamptz
      union all
      select t.id from join_token t join (${wanted}) w on w.id = t.id where t.expires_at > ${now}::timestamptz`),
    { single: true },
  )
  return new Set(rows.map((row) => row.id))
}

function readKey(row: typeof apiKey.$inferSelect): ApiKey {
  const { id, organizationId, name, role, meshId, namespaces, memberId } = row
  return { id, organizationId, name, role, meshId, namespaces, memberId, expiresAtMs: row.expiresAt?.getTime() ?? null, createdAtMs: row.createdAt.getTime() }
}
