import { pageQuery } from '#core/contract/history.ts'
import { invitationRequest, loginRequest, member, memberChange, memberCreated, memberRequest, page, session } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Member } from '#db/store.ts'
import { hashCredential, makeCredential } from '../access/credential.ts'
import { hashPassword, passwordMatches } from '../access/password.ts'
import { administered, organizationOf } from './organizations.ts'
import { pageOf } from './page.ts'
import { noEntry, openSession } from './sessions.ts'
import { ifMatch } from './precondition.ts'
import type { RestRequest, Route } from './route.ts'

const ORGANIZATION = '/api/v1/organizations/{organization}'
const INVITATION_MS = 7 * 24 * 3600 * 1000

const shown = (of: Member) => ({ id: of.id, name: of.name, role: of.role, invited: of.invited, disabled: of.disabled, linked: of.linked, createdAt: new Date(of.createdAtMs).toISOString() })
const memberNotFound = (): Faults => new Faults([fault('object.not-found', { path: '', rule: 'there is no such member' })])

/** @throws Faults 'object.not-found' */
async function memberNamed(request: RestRequest, organizationId: string): Promise<Member> {
  const found = (await request.doors.store.listMembers(organizationId)).find((one) => one.id === request.param('member'))
  if (found === undefined) throw memberNotFound()
  return found
}

export const memberRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${ORGANIZATION}/members`,
    summary: 'The members of the organization.',
    query: pageQuery,
    answers: { status: 200, schema: page(member) },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      const { items, next } = pageOf(await request.doors.store.listMembers(organization.id), request.query(pageQuery), (one) => [one.name])
      return { json: { items: items.map(shown), next } }
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
      request.changed(`Member/${name}`, undefined, shown(made))
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
      const gone = await memberNamed(request, organization.id)
      // Its sessions go in the same statement.
      if (!(await request.doors.store.deleteMember(organization.id, gone.id))) throw memberNotFound()
      request.changed(`Member/${gone.name}`, shown(gone), undefined)
      return new Response(null, { status: 204 })
    },
  },
  {
    method: 'GET',
    path: `${ORGANIZATION}/members/{member}`,
    summary: 'One member.',
    answers: { status: 200, schema: member },
    handle: async (request) => ({ json: shown(await memberNamed(request, (await administered(request, 'admin')).organization.id)) }),
  },
  {
    method: 'PATCH',
    path: `${ORGANIZATION}/members/{member}`,
    summary: 'Gives a member another role, or keeps them out; what is not named stays. The member’s sessions end.',
    body: memberChange,
    answers: { status: 200, schema: member },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      const before = await memberNamed(request, organization.id)
      const { role, disabled } = await request.body(memberChange)
      const after = await request.doors.store.updateMember(organization.id, before.id, { ...(role === undefined ? {} : { role }), ...(disabled === undefined ? {} : { disabled }) }, (now) => ifMatch(request, shown(now)))
      if (after === undefined) throw memberNotFound()
      request.changed(`Member/${before.name}`, shown(before), shown(after))
      return { json: shown(after) }
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
      request.doors.rates?.logins.takeNameless(request.source)
      const organization = await request.doors.store.organizationByName(request.param('organization'))
      if (organization) request.attempted({ organizationId: organization.id, name: 'invitation' })
      const hash = hashCredential('invite', invitation)
      const hashed = await hashPassword(password)
      // Hashed in any case, so that an answer takes as long.
      const taken = organization === undefined || hash === undefined ? undefined : await request.doors.store.takeInvitation(organization.id, hash, hashed)
      if (taken === undefined) throw new Faults([fault('access.unauthenticated', { path: '', rule: 'an invitation of the organization that nobody has taken' })])
      request.attempted({ organizationId: taken.organizationId, name: taken.name })
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
      const place = { organization: request.param('organization'), name, source: request.source }
      await request.doors.rates?.logins.take(place)
      const organization = await request.doors.store.organizationByName(place.organization)
      if (organization) request.attempted({ organizationId: organization.id, name })
      const found = organization === undefined ? undefined : await request.doors.store.memberByName(organization.id, name)
      if (!(await passwordMatches(password, found?.password)) || found === undefined || found.member.disabled) throw noEntry()
      request.doors.rates?.logins.succeeded(place)
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
      if (actor.memberId === null) throw new Faults([fault('request.invalid', { path: '', rule: 'the key of a session; others are deleted below keys' })])
      await request.doors.store.deleteApiKey(organization.id, actor.id)
      return new Response(null, { status: 204 })
    },
  },
]
