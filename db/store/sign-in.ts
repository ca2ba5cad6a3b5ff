import { and, eq, gt, isNotNull, lt, ne } from 'drizzle-orm'
import type { Seal } from '../seal.ts'
import { apiKey } from '../schema/credential.ts'
import { member } from '../schema/member.ts'
import { oidc, signIn } from '../schema/sign-in.ts'
import type { OidcSettings } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'

const placeOf = (organizationId: string): string => `oidc ${organizationId}`

export async function readOidc(tenancy: Tenancy, seal: Seal, organizationId: string): Promise<OidcSettings | undefined> {
  const [row] = await tenancy.within(organizationId, (tx) => tx.select().from(oidc).where(eq(oidc.organizationId, organizationId)))
  if (row === undefined) return undefined
  const { issuer, clientId, clientSecret, rolesClaim, roles } = row
  return { issuer, clientId, clientSecret: clientSecret === null ? null : seal.open(clientSecret, placeOf(organizationId)), rolesClaim, roles }
}

/** Who was somebody at another issuer is to be recognized anew: a new issuer must not inherit the old one's members, and their sessions end. */
export async function setOidc(tenancy: Tenancy, seal: Seal, organizationId: string, settings: OidcSettings | null): Promise<void> {
  await tenancy.within(organizationId, async (tx) => {
    const linked = and(eq(member.organizationId, organizationId), isNotNull(member.issuer), settings === null ? undefined : ne(member.issuer, settings.issuer))
    const gone = await tx.update(member).set({ issuer: null, subject: null }).where(linked).returning({ id: member.id })
    for (const { id } of gone) await tx.delete(apiKey).where(and(eq(apiKey.organizationId, organizationId), eq(apiKey.memberId, id)))
    if (settings === null) {
      await tx.delete(oidc).where(eq(oidc.organizationId, organizationId))
      return
    }
    const { clientSecret, ...rest } = settings
    const row = { organizationId, ...rest, clientSecret: clientSecret === null ? null : seal.close(clientSecret, placeOf(organizationId)) }
    await tx.insert(oidc).values(row).onConflictDoUpdate({ target: oidc.organizationId, set: row })
  })
}

export async function createSignIn(tenancy: Tenancy, organizationId: string, { hash, memberId, challenge, untilMs }: { hash: string; memberId: string; challenge: string; untilMs: number }, nowMs: number): Promise<void> {
  await tenancy.within(organizationId, async (tx) => {
    await tx.delete(signIn).where(and(eq(signIn.organizationId, organizationId), lt(signIn.until, new Date(nowMs))))
    await tx.insert(signIn).values({ organizationId, hash, memberId, challenge, until: new Date(untilMs) })
  })
}

export async function takeSignIn(tenancy: Tenancy, organizationId: string, hash: string, nowMs: number): Promise<{ memberId: string; challenge: string } | undefined> {
  const [row] = await tenancy.within(organizationId, (tx) =>
    tx.delete(signIn).where(and(eq(signIn.organizationId, organizationId), eq(signIn.hash, hash), gt(signIn.until, new Date(nowMs)))).returning({ memberId: signIn.memberId, challenge: signIn.challenge }),
  )
  return row
}
