import { invitationRequest, loginRequest, member, memberCreated, memberRequest, page, session } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Member } from '#db/store.ts'
import { hashCredential, makeCredential } from '../access/credential.ts'
import { hashPassword, passwordMatches } from '../access/password.ts'
import { administered, organizationOf } from './organizations.ts'
import type { RestRequest, Route } from './route.ts'

const ORGANIZATION = '/api/v1/organizations/{organization}'
const INVITATION_MS = 7 * 24 * 3600 * 1000
const SESSION_MS = 12 * 3600 * 1000

/** Keys of a member's sessions bear this name; they go when the member goes. */
const sessionName = (name: string): string => `session:${name}`
const shown = (of: Member) => ({ id: of.id, name: of.name, role: of.role, invited: of.invited, createdAt: new Date(of.createdAtMs).toISOString() })
// Word for word the same whatever was wrong: the organization, the name, or the password.
const noEntry = (): Faults => new Faults([fault('access.unauthenticated', { path: '', rule: 'a name and password of a member of the organization' })])

async function openSession(request: RestRequest, of: Member): Promise<{ secret: string; role: string; expiresAt: string }> {
  const { secret, hash } = makeCredential('key')
  const expiresAtMs = request.doors.wallMs() + SESSION_MS
  await request.doors.store.createApiKey(of.organizationId, { name: sessionName(of.name), hash, role: of.role, meshId: null, expiresAtMs })
  return { secret, role: of.role, expiresAt: new Date(expiresAtMs).toISOString() }
}

export const memberRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${ORGANIZATION}/members`,
    summary: 'The members of the organization.',
    answers: { status: 200, schema: page(member) },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      return { json: { items: (await request.doors.store.listMembers(organization.id)).map(shown), next: null } }
    },
  },
  {
    method: 'POST',
    path: `${ORGANIZATION}/members`,
    summary: 'Makes a member: with a password, or with an invitation, which is in this answer and in no other.',
    body: memberRequest,
    answers: { status: 201, schema: memberCreated },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      const { name, role, password } = await request.body(memberRequest)
      const invitation = password === undefined ? { ...makeCredential('invite'), untilMs: request.doors.wallMs() + INVITATION_MS } : undefined
      const made = await request.doors.store.createMember(organization.id, {
        name,
        role,
        password: password === undefined ? null : await hashPassword(password),
        invitation: invitation === undefined ? null : { hash: invitation.hash, untilMs: invitation.untilMs },
      })
      return { status: 201, json: { ...shown(made), invitation: invitation?.secret ?? null, invitedUntil: invitation === undefined ? null : new Date(invitation.untilMs).toISOString() } }
    },
  },
  {
    method: 'DELETE',
    path: `${ORGANIZATION}/members/{member}`,
    summary: 'Deletes a member and ends their sessions.',
    answers: { status: 204 },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      const { store } = request.doors
      const gone = (await store.listMembers(organization.id)).find((one) => one.id === request.param('member'))
      if (gone === undefined || !(await store.deleteMember(organization.id, gone.id))) throw new Faults([fault('object.not-found', { path: '', rule: 'there is no such member' })])
      for (const key of await store.listApiKeys(organization.id)) if (key.name === sessionName(gone.name)) await store.deleteApiKey(organization.id, key.id)
      return new Response(null, { status: 204 })
    },
  },
  {
    method: 'POST',
    path: `${ORGANIZATION}/invitations`,
    summary: 'Takes an invitation: sets the password, and opens a first session.',
    body: invitationRequest,
    open: true,
    answers: { status: 201, schema: session },
    async handle(request) {
      const { invitation, password } = await request.body(invitationRequest)
      request.doors.rates?.logins.take(`invitation ${request.source}`)
      const organization = await request.doors.store.organizationByName(request.param('organization'))
      const hash = hashCredential('invite', invitation)
      const hashed = await hashPassword(password)
      const taken = organization === undefined || hash === undefined ? undefined : await request.doors.store.takeInvitation(organization.id, hash, hashed)
      if (taken === undefined) throw new Faults([fault('access.unauthenticated', { path: '', rule: 'an invitation of the organization that nobody has taken' })])
      return { status: 201, json: await openSession(request, taken) }
    },
  },
  {
    method: 'POST',
    path: `${ORGANIZATION}/login`,
    summary: 'Opens a session: an API key of the member’s role that ends by itself.',
    body: loginRequest,
    open: true,
    answers: { status: 201, schema: session },
    async handle(request) {
      const { name, password } = await request.body(loginRequest)
      request.doors.rates?.logins.take(`login ${request.param('organization')} ${name}`)
      const organization = await request.doors.store.organizationByName(request.param('organization'))
      const found = organization === undefined ? undefined : await request.doors.store.memberByName(organization.id, name)
      if (!(await passwordMatches(password, found?.password)) || found === undefined) throw noEntry()
      return { status: 201, json: await openSession(request, found.member) }
    },
  },
  {
    method: 'DELETE',
    path: `${ORGANIZATION}/session`,
    summary: 'Ends the session whose key asks.',
    answers: { status: 204 },
    async handle(request) {
      const { actor, organization } = await organizationOf(request)
      if (!actor.name.startsWith(sessionName(''))) throw new Faults([fault('request.invalid', { path: '', rule: 'the key of a session; others are deleted below keys' })])
      await request.doors.store.deleteApiKey(organization.id, actor.id)
      return new Response(null, { status: 204 })
    },
  },
]
