import { generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Provider } from 'oidc-provider'
import { BrowserLike } from './browser.ts'

/** Who may sign in at the provider, by login. Any password will do there. */
export interface Account {
  readonly email?: string
  readonly email_verified?: boolean
  readonly groups?: readonly string[]
}

/** A real OpenID provider (npm oidc-provider) on loopback, whose tokens a test may exchange for such as no provider should answer. */
export interface OidcProvider {
  readonly issuer: string
  readonly clientSecret: string
  /** Signs with a new key from now on, and publishes no other. */
  rotateKey(): void
  /** Changes the claims of the next ID tokens before they are signed, with the provider's own key or with another. Undefined: as the provider made them. */
  tamper(change: ((claims: Record<string, unknown>) => Record<string, unknown>) | undefined, key?: KeyObject): void
  /** Nothing answers at its address. */
  down(): Promise<void>
  up(): Promise<void>
  /** Requests that the provider was asked, by path. */
  readonly asked: Map<string, number>
  /** Does what a person with a browser does: follows the page to which they were sent, signs in, agrees. Answers where they are sent at last, unvisited. */
  signIn(url: string, login: string, browser?: BrowserLike): Promise<URL>
  stop(): Promise<void>
}

export async function startOidcProvider(accounts: Readonly<Record<string, Account>>, options: { readonly redirectUri: string; readonly conform?: boolean }): Promise<OidcProvider> {
  const clientSecret = 'a-secret-of-the-client-which-is-long-enough'
  let handle: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => void response.end()
  let change: ((claims: Record<string, unknown>) => Record<string, unknown>) | undefined
  let forgedWith: KeyObject | undefined
  let key = newKey()
  const asked = new Map<string, number>()
  let server = createServer((request, response) => count(request, response))
  const count = (request: IncomingMessage, response: ServerResponse): void => {
    const path = new URL(request.url ?? '/', 'http://x').pathname
    asked.set(path, (asked.get(path) ?? 0) + 1)
    handle(request, response)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const serve = (): void => {
    const provider = new Provider(issuer, {
      clients: [
        { client_id: 'weft', client_secret: clientSecret, redirect_uris: [options.redirectUri], grant_types: ['authorization_code'], response_types: ['code'] },
        { client_id: 'public', token_endpoint_auth_method: 'none', redirect_uris: [options.redirectUri], grant_types: ['authorization_code'], response_types: ['code'] },
      ],
      jwks: { keys: [{ ...key.private.export({ format: 'jwk' }), kty: 'RSA', kid: key.id, use: 'sig', alg: 'RS256' }] },
      claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name'] },
      conformIdTokenClaims: options.conform ?? true,
      cookies: { keys: ['cookies of a test'] },
      features: { devInteractions: { enabled: true } },
      pkce: { required: () => true },
      ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
      findAccount: (_context, id) => ({ accountId: id, claims: async () => ({ sub: id, ...accounts[id], ...(accounts[id]?.groups === undefined ? {} : { groups: [...accounts[id].groups] }) }) }),
    })
    provider.use(async (context, next) => {
      await next()
      const body: unknown = context.body
      if (context.path !== '/token' || change === undefined || body === null || typeof body !== 'object' || !('id_token' in body)) return
      const claims = JSON.parse(Buffer.from(String(body.id_token).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
      context.body = { ...body, id_token: jwt(change(claims), forgedWith ?? key.private, key.id) }
    })
    const answer = provider.callback()
    handle = (request, response) => void answer(request, response)
  }
  serve()
  return {
    issuer,
    clientSecret,
    asked,
    rotateKey() {
      key = newKey()
      serve()
    },
    tamper(how, forged) {
      change = how
      forgedWith = forged
    },
    async down() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
    async up() {
      server = createServer((request, response) => count(request, response))
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    },
    signIn: (url, login, browser = new BrowserLike()) => signIn(issuer, url, login, browser),
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

let keys = 0
const newKey = (): { readonly id: string; readonly private: KeyObject } => ({ id: `key-${++keys}`, private: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey })

function jwt(claims: Record<string, unknown>, key: KeyObject, kid: string): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = `${part({ alg: 'RS256', typ: 'JWT', kid })}.${part(claims)}`
  return `${head}.${sign('sha256', Buffer.from(head), key).toString('base64url')}`
}

const HOPS_MAX = 20

async function signIn(issuer: string, start: string, login: string, browser: BrowserLike): Promise<URL> {
  let url = new URL(start)
  let hasArrived = url.origin === issuer
  let response = await browser.visit(url)
  for (let hop = 0; hop < HOPS_MAX; hop += 1) {
    const location = response.headers.get('location')
    if (location !== null) {
      url = new URL(location, url)
      // To the provider by way of whoever sends people there; away from it, they are on their way back.
      if (url.origin !== issuer && hasArrived) return url
      hasArrived ||= url.origin === issuer
      response = await browser.visit(url)
      continue
    }
    const page = await response.text()
    const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1]
    if (action === undefined) throw new Error(`the provider shows a page without a form: ${response.status} ${page.slice(0, 500)}`)
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1] ?? ''
    response = await browser.visit(new URL(action, url), prompt === 'login' ? { prompt, login, password: 'any' } : { prompt })
  }
  throw new Error('the provider sends people in circles')
}
