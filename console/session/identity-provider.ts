import { RestProblem, reach, readProblem } from './rest.ts'
import type { SessionStore } from './session.ts'

/** A sign-in that this tab has begun: what only it knows (RFC 7636). */
interface Begun {
  readonly organization: string
  readonly state: string
  readonly verifier: string
}

/** What the identity provider sent back, by way of the control plane. */
export interface ComeBack {
  readonly state: string
  readonly code: string | undefined
  /** Why there is no code. */
  readonly refusal: string | undefined
}

const item = 'weft.signing-in'

/** Undefined when the query is nobody who comes back. */
export function comeBackFrom(search: string): ComeBack | undefined {
  const fields = new URLSearchParams(search)
  const [state, code, error] = [fields.get('state'), fields.get('code'), fields.get('error')]
  if (state === null || (code === null && error === null)) return undefined
  return { state, code: code ?? undefined, refusal: error === null ? undefined : (fields.get('error_description') ?? error) }
}

/** The page of the organization's provider, to which the browser is to go. @throws RestProblem */
export async function beginSignIn(origin: string, organization: string, store: SessionStore): Promise<string> {
  const begun: Begun = { organization, state: random(), verifier: random() }
  const challenge = base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(begun.verifier))))
  const { url } = (await post(origin, organization, 'authorize', { redirectUri: `${origin}/`, codeChallenge: challenge, state: begun.state })) as { url: string }
  if (!/^https?:$/.test(new URL(url).protocol)) throw new RestProblem({ status: 0, title: 'The server answered with something that is no page', detail: undefined })
  store.setItem(item, JSON.stringify(begun))
  return url
}

/** The key of the session, for a tab that began it; it serves once. @throws RestProblem */
export async function completeSignIn(origin: string, back: ComeBack, store: SessionStore): Promise<string> {
  const text = store.getItem(item)
  const begun = text === null ? undefined : (JSON.parse(text) as Begun)
  if (begun === undefined || begun.state !== back.state) throw new RestProblem({ status: 0, title: 'This sign-in was not begun in this tab', detail: 'begin again' })
  store.removeItem(item)
  if (back.code === undefined) throw new RestProblem({ status: 0, title: 'The sign-in was refused', detail: back.refusal })
  const { secret } = (await post(origin, begun.organization, 'session', { code: back.code, codeVerifier: begun.verifier })) as { secret: string }
  return secret
}

async function post(origin: string, organization: string, what: 'authorize' | 'session', body: object): Promise<unknown> {
  const response = await reach(() => fetch(new URL(`/api/v1/organizations/${encodeURIComponent(organization)}/oidc/${what}`, origin), { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json' }, body: JSON.stringify(body) }))
  if (!response.ok) throw new RestProblem(await readProblem(response))
  return response.json()
}

const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)))
const base64url = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
