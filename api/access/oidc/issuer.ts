import type { Configuration, IDToken } from 'openid-client'
import { LRUCache } from 'lru-cache'
import { fault, Faults } from '#core/fault/fault.ts'
import type { OidcSettings } from '#db/store.ts'
import { askOutside, OutboundRefused } from './outbound.ts'

/** A provider, and whether it may lie within the control plane's own surroundings. */
export interface Issuer extends Pick<OidcSettings, 'issuer' | 'clientId' | 'clientSecret' | 'rolesClaim' | 'roles'> {
  readonly privateNetworks: boolean
}

/** What the provider says of somebody, verified. */
export interface Proven {
  readonly subject: string
  readonly claims: Readonly<Record<string, unknown>>
}

/** For the page to which people are sent; whoever comes back is judged by what the provider says of itself then. */
const METADATA_KEPT_MS = 60_000
const ISSUERS_KEPT = 1000
const TIMEOUT_S = 10

/** The library's, loaded when somebody first comes through a provider. */
const client = () => import('openid-client')

/** OpenID Connect Core 1.0, code flow with PKCE (RFC 7636), against the issuers of organizations. */
export class Issuers {
  readonly #known = new LRUCache<string, Configuration>({ max: ISSUERS_KEPT, ttl: METADATA_KEPT_MS })

  /** Reads the provider's metadata. @throws Faults 'access.issuer' */
  async discover(issuer: Issuer, fresh = false): Promise<Configuration> {
    const place = JSON.stringify([issuer.issuer, issuer.clientId, issuer.clientSecret, issuer.privateNetworks])
    const known = fresh ? undefined : this.#known.get(place)
    if (known !== undefined) return known
    const found = await discover(issuer)
    this.#known.set(place, found)
    return found
  }

  /** Where to send somebody, but for the state that they carry. @throws Faults 'access.issuer' */
  async authorizationUrl(issuer: Issuer, asked: { readonly redirectUri: string; readonly nonce: string; readonly verifier: string }): Promise<string> {
    const oidc = await client()
    const configuration = await this.discover(issuer)
    const url = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: asked.redirectUri,
      scope: 'openid email profile',
      nonce: asked.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(asked.verifier),
      code_challenge_method: 'S256',
    })
    if (url.protocol !== 'https:' && !(issuer.privateNetworks && url.protocol === 'http:')) throw issuerFault(issuer, 'it sends people to a page that is not HTTPS')
    return url.href
  }

  /**
   * Takes the code that somebody came back with to the provider, and judges what it answers: signature by the issuer's keys as they are now, issuer, audience, expiry, nonce.
   * @param url the callback as it was called
   * @throws Faults 'access.issuer' when the provider is away; 'access.unauthenticated' when what it says does not hold
   */
  async redeem(issuer: Issuer, url: URL, expected: { readonly state: string; readonly nonce: string; readonly verifier: string }): Promise<Proven> {
    const oidc = await client()
    // Metadata and keys of this moment: a provider that has changed its keys is not held against them.
    const configuration = await this.discover(issuer, true)
    try {
      const tokens = await oidc.authorizationCodeGrant(configuration, url, { expectedState: expected.state, expectedNonce: expected.nonce, pkceCodeVerifier: expected.verifier, idTokenExpected: true })
      const token = tokens.claims()
      if (token === undefined) throw issuerFault(issuer, 'it answered no ID token')
      return { subject: token.sub, claims: await allClaims(oidc, configuration, issuer, token, tokens.access_token) }
    } catch (error) {
      throw error instanceof Faults ? error : refusalOf(issuer, error)
    }
  }
}

/** What the ID token does not hold, the provider may tell at its user info endpoint (OpenID Connect Core §5.3); the token's own word stands. */
async function allClaims(oidc: typeof import('openid-client'), configuration: Configuration, { rolesClaim }: Issuer, token: IDToken, accessToken: string): Promise<Readonly<Record<string, unknown>>> {
  const isWhole = token['email'] !== undefined && (rolesClaim === null || token[rolesClaim] !== undefined)
  if (isWhole || configuration.serverMetadata().userinfo_endpoint === undefined) return token
  return { ...(await oidc.fetchUserInfo(configuration, accessToken, token.sub)), ...token }
}

async function discover(issuer: Issuer): Promise<Configuration> {
  const oidc = await client()
  const { clientId, clientSecret, privateNetworks } = issuer
  const ask: NonNullable<Configuration[typeof oidc.customFetch]> = (url, { method, headers, body }) =>
    askOutside(new URL(url), { method: method ?? 'GET', headers: { ...headers }, body: body === undefined || body === null ? undefined : String(body) }, privateNetworks)
  const insecure = privateNetworks ? [oidc.allowInsecureRequests] : []
  try {
    const found = await oidc.discovery(new URL(issuer.issuer), clientId, undefined, oidc.None(), { execute: insecure, timeout: TIMEOUT_S, [oidc.customFetch]: ask })
    const metadata = found.serverMetadata()
    // Of a client with a secret the default is client_secret_basic (OpenID Connect Discovery §3).
    const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const authentication = clientSecret === null ? oidc.None() : methods.includes('client_secret_basic') ? oidc.ClientSecretBasic(clientSecret) : oidc.ClientSecretPost(clientSecret)
    const configuration = new oidc.Configuration(metadata, clientId, undefined, authentication)
    configuration.timeout = TIMEOUT_S
    configuration[oidc.customFetch] = ask
    for (const prepare of insecure) prepare(configuration)
    // By its signature, and not only because it came from the token endpoint.
    oidc.enableNonRepudiationChecks(configuration)
    return configuration
  } catch (error) {
    throw refusalOf(issuer, error)
  }
}

/** Why, as far as it is the provider's word or the standard's, and nothing of what was sent to it. */
function refusalOf(issuer: Issuer, error: unknown): Faults {
  const reasons: unknown[] = []
  for (let one = error; one instanceof Error && reasons.length < 8; one = one.cause) reasons.push(one)
  const codes = reasons.map((one) => (one instanceof Error && 'code' in one && typeof one.code === 'string' ? one.code : ''))
  if (reasons.some((one) => one instanceof OutboundRefused) || codes.includes('OAUTH_HTTP_REQUEST_FORBIDDEN')) return issuerFault(issuer, 'its address is not one that this control plane asks')
  const judged = codes.find((code) => JUDGED.has(code))
  if (judged !== undefined) return new Faults([fault('access.unauthenticated', { path: '', rule: `an answer of the identity provider that holds (${JUDGED.get(judged)})`, hint: 'begin the sign-in again' })])
  return issuerFault(issuer, codes.some((code) => code === 'OAUTH_RESPONSE_IS_NOT_CONFORM' || code === 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED' || code === 'OAUTH_INVALID_RESPONSE') ? 'what it answers is not what an OpenID provider does' : 'it does not answer')
}

/** oauth4webapi's codes for what the provider said and does not hold. */
const JUDGED: ReadonlyMap<string, string> = new Map([
  ['OAUTH_AUTHORIZATION_RESPONSE_ERROR', 'it refused'],
  ['OAUTH_RESPONSE_BODY_ERROR', 'it refused the code'],
  ['OAUTH_WWW_AUTHENTICATE_CHALLENGE', 'it refused this client'],
  ['OAUTH_JWT_TIMESTAMP_CHECK_FAILED', 'its token has expired, or is of the future'],
  ['OAUTH_JWT_CLAIM_COMPARISON_FAILED', 'its token is of another issuer, audience or sign-in'],
  ['OAUTH_INVALID_RESPONSE', 'its answer or the signature of its token does not hold'],
  ['OAUTH_KEY_SELECTION_FAILED', 'its token is signed with a key that it does not publish'],
  ['OAUTH_PARSE_ERROR', 'its token cannot be read'],
])

const issuerFault = ({ issuer }: Issuer, rule: string): Faults => new Faults([fault('access.issuer', { path: 'issuer', value: issuer, rule, hint: 'members who have a password can sign in with it' })])
