import { oidc, oidcAuthorize, oidcAuthorizeRequest, oidcRequest, oidcSessionRequest, oidcStartQuery } from '#core/contract/oidc.ts'
import { session } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { OidcSettings } from '#db/store.ts'
import type { Oidc } from '../access/oidc/oidc.ts'
import { administered } from './organizations.ts'
import { ifMatch } from './precondition.ts'
import type { RestRequest, Route } from './route.ts'
import { openSession } from './sessions.ts'

const OIDC = '/api/v1/organizations/{organization}/oidc'

const notSet = (): Faults => new Faults([fault('object.not-found', { path: '', rule: 'no identity provider is set for an organization of that name', hint: 'sign in with a password or a key' })])

function oidcOf({ doors }: RestRequest): Oidc {
  if (doors.oidc === undefined) throw notSet()
  return doors.oidc
}

const shown = (of: OidcSettings, redirectUri: string) => ({ issuer: of.issuer, clientId: of.clientId, hasSecret: of.clientSecret !== null, rolesClaim: of.rolesClaim, roles: of.roles, redirectUri })

async function comeBack(request: RestRequest, at: string | undefined): Promise<Response> {
  request.doors.rates?.logins.takeNameless(request.source)
  const location = await oidcOf(request).callback(new URL(request.url), at, request.header('cookie'), request.attempted)
  return new Response(null, { status: 302, headers: { location } })
}

export const oidcRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: OIDC,
    summary: 'The identity provider through which members may enter; without its secret.',
    answers: { status: 200, schema: oidc },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      const found = await request.doors.store.oidc(organization.id)
      if (found === undefined) throw notSet()
      return { json: shown(found, oidcOf(request).redirectUri(organization.name)) }
    },
  },
  {
    method: 'PUT',
    path: OIDC,
    summary: 'Sets the identity provider, whose metadata are read first. Members of another issuer are recognized anew, and their sessions end.',
    body: oidcRequest,
    answers: { status: 200, schema: oidc },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      const wanted = await request.body(oidcRequest)
      const provider = oidcOf(request)
      const redirectUri = provider.redirectUri(organization.name)
      const { store } = request.doors
      const before = await store.oidc(organization.id)
      ifMatch(request, before === undefined ? null : shown(before, redirectUri))
      // A secret is told to nobody whom it was not meant for: with another issuer it has to be given again.
      const kept = before?.issuer === wanted.issuer && before.clientId === wanted.clientId ? before.clientSecret : null
      const settings: OidcSettings = { issuer: wanted.issuer, clientId: wanted.clientId, clientSecret: wanted.clientSecret ?? kept, rolesClaim: wanted.rolesClaim ?? null, roles: wanted.roles ?? {} }
      await provider.check(settings).catch((error: unknown) => {
        if (!(error instanceof Faults)) throw error
        throw new Faults(error.faults.map((one) => ({ ...one, code: 'request.invalid' })))
      })
      await store.setOidc(organization.id, settings)
      request.changed('Oidc', before === undefined ? undefined : shown(before, redirectUri), shown(settings, redirectUri))
      return { json: shown(settings, redirectUri) }
    },
  },
  {
    method: 'DELETE',
    path: OIDC,
    summary: 'Takes the identity provider away; members enter by password, and the sessions of those who came through it end.',
    answers: { status: 204 },
    async handle(request) {
      const { organization } = await administered(request, 'admin')
      const before = await request.doors.store.oidc(organization.id)
      if (before === undefined) throw notSet()
      await request.doors.store.setOidc(organization.id, null)
      request.changed('Oidc', shown(before, ''), undefined)
      return new Response(null, { status: 204 })
    },
  },
  {
    method: 'POST',
    path: `${OIDC}/authorize`,
    summary: 'Begins a sign-in through the identity provider.',
    body: oidcAuthorizeRequest,
    open: true,
    answers: { status: 200, schema: oidcAuthorize },
    async handle(request) {
      request.doors.rates?.logins.takeNameless(request.source)
      return { json: { url: await oidcOf(request).begin(request.param('organization'), await request.body(oidcAuthorizeRequest)) } }
    },
  },
  {
    method: 'GET',
    path: `${OIDC}/start`,
    summary: 'Sends a browser on to the identity provider, with a cookie by which it is known when it comes back.',
    query: oidcStartQuery,
    open: true,
    answers: { status: 302 },
    async handle(request) {
      request.doors.rates?.logins.takeNameless(request.source)
      const { location, cookie } = oidcOf(request).start(new URL(request.url), request.param('organization'), request.header('cookie'))
      return new Response(null, { status: 302, headers: { location, 'set-cookie': cookie } })
    },
  },
  {
    method: 'POST',
    path: `${OIDC}/session`,
    summary: 'Completes a sign-in: opens the session of whoever came through the identity provider.',
    body: oidcSessionRequest,
    open: true,
    answers: { status: 201, schema: session },
    async handle(request) {
      request.doors.rates?.logins.takeNameless(request.source)
      const member = await oidcOf(request).finish(request.param('organization'), await request.body(oidcSessionRequest))
      request.attempted({ organizationId: member.organizationId, name: 'identity provider' })
      return { status: 201, json: await openSession(request, member) }
    },
  },
  {
    method: 'GET',
    path: `${OIDC}/callback`,
    summary: 'Where the organization’s identity provider sends people back; they go on to the program that began.',
    open: true,
    answers: { status: 302 },
    handle: (request) => comeBack(request, request.param('organization')),
  },
  {
    method: 'GET',
    path: '/api/v1/oidc/callback',
    summary: 'Where the installation’s identity provider sends people back.',
    open: true,
    answers: { status: 302 },
    handle: (request) => comeBack(request, undefined),
  },
]
