import { createHash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { fault, Faults } from '#core/fault/fault.ts'
import { openSeal } from '#db/seal.ts'
import type { Seal } from '#db/seal.ts'
import type { Member, Organization, Role, Store } from '#db/store.ts'
import { Issuers } from './issuer.ts'
import type { Issuer, Proven } from './issuer.ts'

/** How long somebody may take at the provider, and how long the program that sent them there may take to fetch the session. */
const BEGUN_MS = 10 * 60_000
const CODE_MS = 60_000
/** Kept apart, so that none is taken for the other: what waits for a browser, and what one carries to the provider and back. */
const START = 'oidc start'
const STATE = 'oidc state'
/** Judged as it was said: a letter of another alphabet (U+212A) may read as one of ours once its case is changed, and the address as somebody else's. */
const EMAIL = /^[\x21-\x3f\x41-\x7e]+@[A-Za-z0-9.-]+$/

export interface OidcOptions {
  /** 32 bytes: what is between two requests travels sealed with the person, so that any replica can take it up. */
  readonly sealKey: Uint8Array
  /** The installation's own provider, for organizations that have none. It says who somebody is, and never which role. */
  readonly installation?: { readonly issuer: string; readonly clientId: string; readonly clientSecret: string | null }
  /** Providers within private networks may be asked, and by HTTP. */
  readonly privateNetworks: boolean
}

/** What travels with a person to the provider and back. */
interface Begun {
  readonly organization: string
  readonly nonce: string
  readonly verifier: string
  /** Where the program waits that sent them, and what it wants to hear again. */
  readonly returnTo: string
  readonly returnState: string
  readonly challenge: string
  readonly untilMs: number
}

/** What waits for a browser: where it goes from here, but for the state. */
interface Waiting extends Begun {
  readonly page: string
}

/** What travels to the provider and back: with whose browser. */
interface Carried extends Begun {
  /** SHA-256 of the secret that the browser keeps, hex. */
  readonly browser: string
}

/**
 * Entry through an identity provider: the code flow of OpenID Connect with PKCE between this control plane and the issuer, and a second one like it between the program that a person uses (the console,
 * `weft login`) and this control plane. So no token of the provider reaches a browser's page, and a code that is led astray opens nothing without the verifier of whoever began.
 */
export class Oidc {
  readonly #store: Store
  readonly #options: OidcOptions
  readonly #wallMs: () => number
  readonly #publicUrl: () => string
  readonly #seal: Seal
  readonly #issuers = new Issuers()

  constructor(store: Store, options: OidcOptions, wallMs: () => number, publicUrl: () => string) {
    this.#store = store
    this.#options = options
    this.#wallMs = wallMs
    this.#publicUrl = publicUrl
    this.#seal = openSeal(new Uint8Array(hkdfSync('sha256', options.sealKey, '', 'weft oidc state', 32)))
  }

  /**
   * Where an organization's own issuer sends people back: it is to be registered there. To each issuer its own address, for a code that came to another was led astray
   * by an issuer that wants it told (mix-up, RFC 9700 §4.4). The installation's issuer has one for all.
   */
  redirectUri(organization: string | undefined): string {
    return `${this.#publicUrl()}/api/v1/${organization === undefined ? '' : `organizations/${encodeURIComponent(organization)}/`}oidc/callback`
  }

  /** Reads the metadata of a provider that somebody wants to set. @throws Faults 'access.issuer' */
  async check(settings: Omit<Issuer, 'privateNetworks'>): Promise<void> {
    await this.#issuers.discover({ ...settings, privateNetworks: this.#options.privateNetworks }, true)
  }

  /**
   * The page to which to send a person: one of ours, which knows the browser again by a cookie and sends it on to the provider.
   * @param asked.redirectUri where the program waits: loopback (RFC 8252 §7.3), or a page of the console
   * @param asked.codeChallenge S256 of the program's verifier
   * @throws Faults 'object.not-found' where no provider is set, 'request.invalid', 'access.issuer'
   */
  async begin(organization: string, asked: { readonly redirectUri: string; readonly codeChallenge: string; readonly state: string }): Promise<string> {
    this.#judgeReturn(asked.redirectUri)
    const found = await this.#issuerOf(await this.#store.organizationByName(organization))
    if (found === undefined) throw notOffered()
    const begun: Begun = { organization, nonce: token(), verifier: token(), returnTo: asked.redirectUri, returnState: asked.state, challenge: asked.codeChallenge, untilMs: this.#wallMs() + BEGUN_MS }
    const page = await this.#issuers.authorizationUrl(found.issuer, { redirectUri: this.redirectUri(found.isOwn ? organization : undefined), nonce: begun.nonce, verifier: begun.verifier })
    const start = new URL(`${this.#publicUrl()}/api/v1/organizations/${encodeURIComponent(organization)}/oidc/start`)
    start.searchParams.set('begun', this.#close({ ...begun, page } satisfies Waiting, START))
    return start.href
  }

  /**
   * A browser is on its way to the provider: where to send it, and the cookie that it is known by when it comes back. Whoever begins elsewhere, and leads somebody's browser to the end of it, has
   * that browser signed in as himself (login CSRF, RFC 9700 §4.7): the state that he was given is worth nothing without his cookie.
   * @param cookies as the browser sent them; one of ours is kept, for other tabs are under way with it
   * @throws Faults 'access.unauthenticated' for what was not begun here, or long ago
   */
  start(url: URL, organization: string, cookies: string | undefined): { readonly location: string; readonly cookie: string } {
    const { page, ...begun } = this.#open<Waiting>(url.searchParams.get('begun') ?? '', START)
    if (begun.organization !== organization) throw notBegun()
    const secret = this.#secretIn(cookies) ?? token()
    const location = new URL(page)
    location.searchParams.set('state', this.#close({ ...begun, browser: sha256(secret) } satisfies Carried, STATE))
    // Lax: sent along when the provider sends the browser back by a link or redirect, and with nothing that another page asks for.
    return { location: location.href, cookie: `${this.#cookieName}=${secret}; Path=/; Max-Age=${BEGUN_MS / 1000}; HttpOnly; SameSite=Lax${this.#isSecure ? '; Secure' : ''}` }
  }

  /**
   * Somebody comes back from the provider. Answers where to send them on: to the program that waits, with a code, or with `error` and why.
   * @param url as it was called
   * @param at whose address was called; undefined: that of the installation's issuer
   * @throws Faults 'access.unauthenticated' for a state that was not sealed here, or long ago, or for another address or browser: nobody waits for this
   */
  async callback(url: URL, at: string | undefined, cookies: string | undefined, tried: (about: { organizationId: string; name: string }) => void): Promise<string> {
    const state = url.searchParams.get('state') ?? ''
    const begun = this.#open<Carried>(state, STATE)
    const secret = this.#secretIn(cookies)
    if (secret === undefined || !isEqual(sha256(secret), begun.browser)) throw notBegun()
    const organization = await this.#store.organizationByName(begun.organization)
    const found = await this.#issuerOf(organization)
    // Also where the issuer has changed meanwhile: a code is told to none but the one whose address it came to.
    if (found !== undefined && at !== (found.isOwn ? begun.organization : undefined)) throw notBegun()
    const back = new URL(begun.returnTo)
    back.searchParams.set('state', begun.returnState)
    try {
      if (organization) tried({ organizationId: organization.id, name: 'identity provider' })
      if (organization === undefined || found === undefined) throw notOffered()
      const { issuer } = found
      const called = new URL(`${this.redirectUri(at)}${url.search}`)
      const proven = await this.#issuers.redeem(issuer, called, { state, nonce: begun.nonce, verifier: begun.verifier })
      const member = await this.#memberOf(organization, issuer, proven, tried)
      const code = token()
      await this.#store.createSignIn(organization.id, { hash: sha256(code), memberId: member.id, challenge: begun.challenge, untilMs: this.#wallMs() + CODE_MS })
      back.searchParams.set('code', code)
    } catch (error) {
      if (!(error instanceof Faults)) throw error
      // RFC 6749 §4.1.2.1
      back.searchParams.set('error', error.faults[0]?.code === 'access.issuer' ? 'temporarily_unavailable' : 'access_denied')
      back.searchParams.set('error_description', error.faults[0]?.rule ?? '')
    }
    return back.href
  }

  /** The member whose code this is, once. @throws Faults 'access.unauthenticated' */
  async finish(organization: string, asked: { readonly code: string; readonly codeVerifier: string }): Promise<Pick<Member, 'id' | 'organizationId'>> {
    const found = await this.#store.organizationByName(organization)
    const taken = found === undefined ? undefined : await this.#store.takeSignIn(found.id, sha256(asked.code))
    if (found === undefined || taken === undefined || !isEqual(createHash('sha256').update(asked.codeVerifier).digest('base64url'), taken.challenge))
      throw new Faults([fault('access.unauthenticated', { path: 'code', rule: 'the code of a sign-in that was just completed, by whoever began it', hint: 'begin the sign-in again' })])
    return { id: taken.memberId, organizationId: found.id }
  }

  async #issuerOf(organization: Organization | undefined): Promise<{ readonly issuer: Issuer; readonly isOwn: boolean } | undefined> {
    const { privateNetworks, installation } = this.#options
    const own = organization === undefined ? undefined : await this.#store.oidc(organization.id)
    if (own !== undefined) return { issuer: { ...own, privateNetworks }, isOwn: true }
    // Whoever runs the installation chose it, so it may lie anywhere. An organization that is not there is sent to it as well, and learns there that it is none.
    return installation === undefined ? undefined : { issuer: { ...installation, rolesClaim: null, roles: {}, privateNetworks: true }, isOwn: false }
  }

  async #memberOf(organization: Organization, issuer: Issuer, { subject, claims }: Proven, tried: (about: { organizationId: string; name: string }) => void): Promise<Member> {
    const { email, email_verified: verified } = claims
    if (typeof email !== 'string' || !EMAIL.test(email)) throw refused('an e-mail address in what the identity provider says')
    const address = email.toLowerCase()
    tried({ organizationId: organization.id, name: address })
    if (verified !== true) throw refused('an e-mail address that the identity provider has verified')
    const member = await this.#store.memberByIdentity(organization.id, { issuer: issuer.issuer, subject, email: address, role: roleOf(issuer, claims) })
    // Unknown, disabled, over or without a role: a stranger is not told which.
    if (member === undefined) throw refused('a member of the organization, or somebody whom it has invited')
    return member
  }

  get #isSecure(): boolean {
    return this.#publicUrl().startsWith('https:')
  }

  /** With the prefix no other host of the domain can set it (RFC 6265bis §4.1.3.2). */
  get #cookieName(): string {
    return this.#isSecure ? '__Host-weft-sign-in' : 'weft-sign-in'
  }

  #secretIn(cookies: string | undefined): string | undefined {
    const pairs = (cookies ?? '').split(';').map((one) => one.trim())
    const value = pairs.find((one) => one.startsWith(`${this.#cookieName}=`))?.slice(this.#cookieName.length + 1)
    return value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : undefined
  }

  #close<T extends Begun>(what: T, place: string): string {
    return Buffer.from(this.#seal.close(JSON.stringify(what), place)).toString('base64url')
  }

  #open<T extends Begun>(sealed: string, place: string): T {
    let begun: T | undefined
    try {
      begun = JSON.parse(this.#seal.open(Buffer.from(sealed, 'base64url').toString(), place)) as T
    } catch {
      // refused below: whatever is wrong with it, it was not begun here
    }
    if (begun === undefined || begun.untilMs <= this.#wallMs()) throw notBegun()
    return begun
  }

  #judgeReturn(redirectUri: string): void {
    const url = URL.parse(redirectUri)
    // By address and not by name: what `localhost` is, somebody else may decide (RFC 8252 §8.3).
    const isLoopback = url?.protocol === 'http:' && (url.hostname === '127.0.0.1' || url.hostname === '[::1]')
    const isOurs = url?.origin === new URL(this.#publicUrl()).origin
    if (url !== null && (isOurs ? !url.pathname.startsWith('/api/') : isLoopback) && url.username === '' && url.password === '' && url.hash === '') return
    throw new Faults([fault('request.invalid', { path: 'redirectUri', value: redirectUri.slice(0, 200), rule: 'http://127.0.0.1:PORT/…, or a page of the console' })])
  }
}

/** The most that any of the claim's values gives. */
function roleOf({ rolesClaim, roles }: Issuer, claims: Readonly<Record<string, unknown>>): Role | undefined {
  if (rolesClaim === null) return undefined
  const said = claims[rolesClaim]
  const values = (Array.isArray(said) ? said : [said]).filter((one) => typeof one === 'string')
  const given = new Set(values.flatMap((one) => (Object.hasOwn(roles, one) ? [roles[one]] : [])))
  return (['owner', 'editor', 'viewer'] as const).find((role) => given.has(role))
}

const refused = (rule: string): Faults => new Faults([fault('access.unauthenticated', { path: '', rule })])
const notBegun = (): Faults => new Faults([fault('access.unauthenticated', { path: 'state', rule: 'a sign-in that was begun here and in this browser, less than ten minutes ago', hint: 'begin the sign-in again' })])
const notOffered = (): Faults => new Faults([fault('object.not-found', { path: '', rule: 'no identity provider is set for an organization of that name', hint: 'sign in with a password or a key' })])

const token = (): string => randomBytes(32).toString('base64url')
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const isEqual = (one: string, other: string): boolean => one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
