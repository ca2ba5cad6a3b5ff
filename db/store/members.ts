import { randomUUID } from 'node:crypto'
import { and, eq, gt, isNull } from 'drizzle-orm'
import { member } from '../schema/member.ts'
import type { Member, Role } from '../store.ts'
import { isUuid } from '../tenancy.ts'
import type { Tenancy } from '../tenancy.ts'

type Row = typeof member.$inferSelect
const readMember = (row: Row): Member => ({ id: row.id, organizationId: row.organizationId, name: row.name, role: row.role, invited: row.password === null, createdAtMs: row.createdAt.getTime() })

/** @throws StoreDuplicate when the name is taken */
export function createMember(tenancy: Tenancy, organizationId: string, about: { name: string; role: Role; password: string | null; invitation: { hash: string; untilMs: number } | null }, nowMs: number): Promise<Member> {
  return tenancy.within(organizationId, async (tx) => {
    const row = { id: randomUUID(), organizationId, name: about.name, role: about.role, password: about.password, invitationHash: about.invitation?.hash ?? null, invitedUntil: about.invitation === null ? null : new Date(about.invitation.untilMs), createdAt: new Date(nowMs) }
    const [made] = await tx.insert(member).values(row).returning()
    if (!made) throw new Error('an insert answered no row')
    return readMember(made)
  })
}

export async function listMembers(tenancy: Tenancy, organizationId: string): Promise<Member[]> {
  const rows = await tenancy.within(organizationId, (tx) => tx.select().from(member).where(eq(member.organizationId, organizationId)).orderBy(member.name))
  return rows.map(readMember)
}

/** With the stored password, for whoever compares it. */
export async function memberByName(tenancy: Tenancy, organizationId: string, name: string): Promise<{ member: Member; password: string | null } | undefined> {
  const [row] = await tenancy.within(organizationId, (tx) => tx.select().from(member).where(and(eq(member.organizationId, organizationId), eq(member.name, name))))
  return row && { member: readMember(row), password: row.password }
}

/** Sets the password of whoever holds the invitation, once. @returns undefined when it is unknown, taken or over */
export async function takeInvitation(tenancy: Tenancy, organizationId: string, hash: string, password: string, nowMs: number): Promise<Member | undefined> {
  const [row] = await tenancy.within(organizationId, (tx) =>
    tx
      .update(member)
      .set({ password, invitationHash: null, invitedUntil: null })
      .where(and(eq(member.organizationId, organizationId), eq(member.invitationHash, hash), isNull(member.password), gt(member.invitedUntil, new Date(nowMs))))
      .returning(),
  )
  return row && readMember(row)
}

/** @returns whether there was such a member */
export async function deleteMember(tenancy: Tenancy, organizationId: string, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  const rows = await tenancy.within(organizationId, (tx) => tx.delete(member).where(and(eq(member.organizationId, organizationId), eq(member.id, id))).returning({ id: member.id }))
  return rows.length > 0
}
