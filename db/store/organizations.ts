import { randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { organization } from '../schema/organization.ts'
import type { Organization, Quota } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'

/** @throws StoreDuplicate */
export function createOrganization(tenancy: Tenancy, name: string, nowMs: number): Promise<Organization> {
  const id = randomUUID()
  return tenancy.within(id, async (tx) => {
    await tx.insert(organization).values({ id, name, createdAt: new Date(nowMs) })
    return { id, name, quota: {}, createdAtMs: nowMs }
  })
}

export async function organizationByName(tenancy: Tenancy, name: string): Promise<Organization | undefined> {
  const [row] = await tenancy.across((tx) => tx.select().from(organization).where(eq(organization.name, name)))
  return row && readOrganization(row)
}

export async function organizationById(tenancy: Tenancy, organizationId: string): Promise<Organization | undefined> {
  const [row] = await tenancy.within(organizationId, (tx) => tx.select().from(organization).where(eq(organization.id, organizationId)))
  return row && readOrganization(row)
}

export async function listOrganizations(tenancy: Tenancy): Promise<Organization[]> {
  const rows = await tenancy.across((tx) => tx.select().from(organization).orderBy(organization.name))
  return rows.map(readOrganization)
}

export const readOrganization = (row: typeof organization.$inferSelect): Organization => ({ id: row.id, name: row.name, quota: row.quota, createdAtMs: row.createdAt.getTime() })

/** Replaces the bounds of an organization, by those that are given or that a function makes of those before. */
export function setQuota(tenancy: Tenancy, organizationId: string, given: Quota | ((before: Quota) => Quota)): Promise<Quota> {
  return tenancy.within(organizationId, async (tx) => {
    const [row] = await tx.select().from(organization).where(eq(organization.id, organizationId)).for('update')
    const quota = typeof given === 'function' ? given(row?.quota ?? {}) : given
    await tx.update(organization).set({ quota }).where(eq(organization.id, organizationId))
    return quota
  })
}
