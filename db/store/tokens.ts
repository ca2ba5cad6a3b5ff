import { randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { joinToken } from '../schema/credential.ts'
import type { JoinToken } from '../store.ts'
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
