import { fault, Faults } from '#core/fault/fault.ts'
import type { Member } from '#db/store.ts'
import { makeCredential } from '../access/credential.ts'
import type { RestRequest } from './route.ts'

const SESSION_MS = 12 * 3600 * 1000

/**
 * A key of the member's role, which ends by itself, and with the member.
 * @throws Faults 'access.unauthenticated' when the member was deleted or disabled in the meantime
 */
export async function openSession({ doors }: RestRequest, of: Pick<Member, 'id' | 'organizationId'>): Promise<{ secret: string; role: string; expiresAt: string }> {
  const { secret, hash } = makeCredential('key')
  const expiresAtMs = doors.wallMs() + SESSION_MS
  const made = await doors.store.createSession(of.organizationId, of.id, { hash, expiresAtMs })
  if (made === undefined) throw noEntry()
  return { secret, role: made.role, expiresAt: new Date(expiresAtMs).toISOString() }
}

/** Word for word the same whatever was wrong: the organization, the name, the password, or that the member may not enter any more. */
export const noEntry = (): Faults => new Faults([fault('access.unauthenticated', { path: '', rule: 'a name and password of a member of the organization' })])
