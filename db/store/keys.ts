import { randomUUID } from 'node:crypto'
import { and, eq, gt, isNull, or } from 'drizzle-orm'
import { apiKey } from '../schema/credential.ts'
import type { ApiKey, Role } from '../store.ts'
import { isUuid } from '../tenancy.ts'
import type { Tenancy } from '../tenancy.ts'

export function createApiKey(tenancy: Tenancy, organizationId: string, key: { name: string; hash: string; role: Role; meshId: string | null; namespaces?: readonly string[] | null; expiresAtMs: number | null }, nowMs: number): Promise<ApiKey> {
  const { name, hash, role, meshId, namespaces = null, expiresAtMs } = key
  const id = randomUUID()
  return tenancy.within(organizationId, async (tx) => {
    await tx.insert(apiKey).values({ id, organizationId, name, hash, role, meshId, namespaces, expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs), createdAt: new Date(nowMs) })
    return { id, organizationId, name, role, meshId, namespaces, expiresAtMs, createdAtMs: nowMs }
  })
}

/** A key that has expired is not answered. */
export async function apiKeyByHash(tenancy: Tenancy, hash: string, nowMs: number): Promise<ApiKey | undefined> {
  const alive = or(isNull(apiKey.expiresAt), gt(apiKey.expiresAt, new Date(nowMs)))
  const [row] = await tenancy.across((tx) => tx.select().from(apiKey).where(and(eq(apiKey.hash, hash), alive)))
  return row && readKey(row)
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

function readKey(row: typeof apiKey.$inferSelect): ApiKey {
  const { id, organizationId, name, role, meshId, namespaces } = row
  return { id, organizationId, name, role, meshId, namespaces, expiresAtMs: row.expiresAt?.getTime() ?? null, createdAtMs: row.createdAt.getTime() }
}
