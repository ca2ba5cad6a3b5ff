import { randomUUID } from 'node:crypto'
import { and, eq } from 'drizzle-orm'
import { joinToken } from '../schema/credential.ts'
import type { JoinToken } from '../store.ts'
import { isUuid } from '../tenancy.ts'
import type { Tenancy } from '../tenancy.ts'

export function createJoinToken(tenancy: Tenancy, organizationId: string, token: Omit<JoinToken, 'id' | 'organizationId' | 'createdAtMs'> & { hash: string }, nowMs: number): Promise<JoinToken> {
  const { meshId, hash, namespace, serviceAccount, expiresAtMs } = token
  const id = randomUUID()
  return tenancy.within(organizationId, async (tx) => {
    await tx.insert(joinToken).values({ id, organizationId, meshId, hash, namespace, serviceAccount, expiresAt: new Date(expiresAtMs), createdAt: new Date(nowMs) })
    return { id, organizationId, meshId, namespace, serviceAccount, expiresAtMs, createdAtMs: nowMs }
  })
}

/** An expired token too: who presents it is told why it does not serve. */
export async function joinTokenByHash(tenancy: Tenancy, hash: string): Promise<JoinToken | undefined> {
  const [row] = await tenancy.across((tx) => tx.select().from(joinToken).where(eq(joinToken.hash, hash)))
  if (!row) return undefined
  const { id, organizationId, meshId, namespace, serviceAccount } = row
  return { id, organizationId, meshId, namespace, serviceAccount, expiresAtMs: row.expiresAt.getTime(), createdAtMs: row.createdAt.getTime() }
}

/** Expired ones too, the oldest first. */
export async function listJoinTokens(tenancy: Tenancy, organizationId: string, meshId: string): Promise<JoinToken[]> {
  const rows = await tenancy.within(organizationId, (tx) => tx.select().from(joinToken).where(and(eq(joinToken.organizationId, organizationId), eq(joinToken.meshId, meshId))).orderBy(joinToken.createdAt, joinToken.id))
  return rows.map(({ id, namespace, serviceAccount, expiresAt, createdAt }) => ({ id, organizationId, meshId, namespace, serviceAccount, expiresAtMs: expiresAt.getTime(), createdAtMs: createdAt.getTime() }))
}

/** @returns whether the mesh had such a token */
export async function deleteJoinToken(tenancy: Tenancy, organizationId: string, meshId: string, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  const rows = await tenancy.within(organizationId, (tx) => tx.delete(joinToken).where(and(eq(joinToken.organizationId, organizationId), eq(joinToken.meshId, meshId), eq(joinToken.id, id))).returning({ id: joinToken.id }))
  return rows.length > 0
}
