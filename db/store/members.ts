import { randomUUID } from 'node:crypto'
import { and, eq, gt, isNull, sql } from 'drizzle-orm'
import { apiKey } from '../schema/credential.ts'
import { member } from '../schema/member.ts'
import type { Identity, Member, Role } from '../store.ts'
import { isUuid } from '../tenancy.ts'
import type { Tenancy, Transaction } from '../tenancy.ts'

type Row = typeof member.$inferSelect
const readMember = (row: Row): Member => ({ id: row.id, organizationId: row.organizationId, name: row.name, role: row.role, invited: row.password === null && row.subject === null, disabled: row.disabled, linked: row.subject !== null, createdAtMs: row.createdAt.getTime() })

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
      .where(and(eq(member.organizationId, organizationId), eq(member.invitationHash, hash), isNull(member.password), isNull(member.subject), eq(member.disabled, false), gt(member.invitedUntil, new Date(nowMs))))
      .returning(),
  )
  return row && readMember(row)
}

export function updateMember(tenancy: Tenancy, organizationId: string, id: string, change: { role?: Role; disabled?: boolean }, check?: (before: Member) => void): Promise<Member | undefined> {
  if (!isUuid(id)) return Promise.resolve(undefined)
  return tenancy.within(organizationId, async (tx) => {
    const [before] = await tx.select().from(member).where(and(eq(member.organizationId, organizationId), eq(member.id, id))).for('update')
    if (before === undefined) return undefined
    check?.(readMember(before))
    const after = { ...before, ...change }
    if (after.role === before.role && after.disabled === before.disabled) return readMember(before)
    return changed(tx, after)
  })
}

/** Stores a row, and ends the sessions that were opened for what it was. */
async function changed(tx: Transaction, row: Row): Promise<Member> {
  const { id, organizationId, ...fields } = row
  await tx.update(member).set(fields).where(and(eq(member.organizationId, organizationId), eq(member.id, id)))
  await tx.delete(apiKey).where(and(eq(apiKey.organizationId, organizationId), eq(apiKey.memberId, id)))
  return readMember(row)
}

/**
 * Known by issuer and subject, which never change; a first time by the e-mail address, for an invitation or a member of that name. An address that has another owner at the issuer now lets nobody in.
 * Who was made by claims goes by them each time; who was invited keeps the role of the invitation.
 */
export function memberByIdentity(tenancy: Tenancy, organizationId: string, identity: Identity, nowMs: number): Promise<Member | undefined> {
  const { issuer, subject, email, role } = identity
  return tenancy.within(organizationId, async (tx) => {
    const [linked] = await tx.select().from(member).where(and(eq(member.organizationId, organizationId), eq(member.issuer, issuer), eq(member.subject, subject))).for('update')
    if (linked !== undefined) {
      if (linked.disabled) return undefined
      if (!linked.byClaims) return readMember(linked)
      if (role === undefined) return undefined
      return linked.role === role ? readMember(linked) : changed(tx, { ...linked, role })
    }
    const [named, ...others] = await tx.select().from(member).where(and(eq(member.organizationId, organizationId), sql`lower(${member.name}) = ${email}`)).for('update')
    if (named === undefined) {
      if (role === undefined) return undefined
      const row = { id: randomUUID(), organizationId, name: email, role, issuer, subject, byClaims: true, createdAt: new Date(nowMs) }
      const [made] = await tx.insert(member).values(row).returning()
      return made && readMember(made)
    }
    const over = named.password === null && (named.invitedUntil?.getTime() ?? 0) <= nowMs
    if (others.length > 0 || named.disabled || named.subject !== null || over) return undefined
    const row = { ...named, issuer, subject, invitationHash: null, invitedUntil: null }
    await tx.update(member).set({ issuer, subject, invitationHash: null, invitedUntil: null }).where(and(eq(member.organizationId, organizationId), eq(member.id, named.id)))
    return readMember(row)
  })
}

/** @returns whether there was such a member */
export async function deleteMember(tenancy: Tenancy, organizationId: string, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  const rows = await tenancy.within(organizationId, (tx) => tx.delete(member).where(and(eq(member.organizationId, organizationId), eq(member.id, id))).returning({ id: member.id }))
  return rows.length > 0
}
