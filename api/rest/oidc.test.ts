import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { BrowserLike } from '#test/parts/browser.ts'
import { startOidcProvider } from '#test/parts/oidc-provider.ts'
import type { OidcProvider } from '#test/parts/oidc-provider.ts'
import { systemDoors } from '#core/time/system.ts'
import { freePort } from '#test/parts/free-port.ts'
import { LoginRates } from '../access/login-rates.ts'
import { Oidc } from '../access/oidc/oidc.ts'
import { unboundedRates } from '#test/parts/api.ts'
import { restApi } from './app.ts'

// People who come through an identity provider: a real one, which a test may make lie.

let api: ApiUnderTest
let provider: OidcProvider
let served: { url: string; close(): Promise<void> }
let owner = ''
let nowMs = 0
const ORGANIZATION = '/api/v1/organizations/demo'
const LOOPBACK = 'http://127.0.0.1:9/callback'

const accounts = {
  ada: { email: 'Ada@example.com', email_verified: true },
  eve: { email: 'eve@example.com', email_verified: true },
  unverified: { email: 'grace@example.com', email_verified: false },
  silent: { email: 'grace@example.com' },
  nameless: {},
  kelvin: { email: 'mar\u212a@example.com', email_verified: true },
  grace: { email: 'grace@example.com', email_verified: true },
  ops: { email: 'ops@example.com', email_verified: true, groups: ['staff', 'ops'] },
  staff: { email: 'staff@example.com', email_verified: true, groups: ['staff'] },
  guest: { email: 'guest@example.com', email_verified: true, groups: ['guests', '__proto__'] },
}

before(async () => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  nowMs = systemDoors.clock.wallMs()
  api = await openApi({ publicUrl: () => served?.url ?? url, rates: unboundedRates() })
  served = await serveApp(restApi({ ...api.doors, wallMs: () => nowMs, oidc: new Oidc(api.store, { sealKey: Buffer.alloc(32, 7), privateNetworks: true }, () => nowMs, () => served.url) }))
  provider = await startOidcProvider(accounts, { redirectUri: `${served.url}${ORGANIZATION}/oidc/callback` })
  owner = await api.key('owner')
  const set = await ask('PUT', `${ORGANIZATION}/oidc`, { issuer: provider.issuer, clientId: 'weft', clientSecret: provider.clientSecret }, owner)
  assert.equal(set.status, 200, set.text)
  assert.deepEqual(set.json, { issuer: provider.issuer, clientId: 'weft', hasSecret: true, rolesClaim: null, roles: {}, redirectUri: `${served.url}${ORGANIZATION}/oidc/callback` })
  for (const name of ['ada@example.com', 'mark@example.com', 'grace@example.com']) assert.equal((await ask('POST', `${ORGANIZATION}/members`, { name, role: 'editor' }, owner)).status, 201)
})
after(async () => {
  await provider?.stop()
  await served?.close()
  await api?.close()
})

interface Answer {
  readonly status: number
  readonly text: string
  readonly json: Record<string, unknown>
}

async function ask(method: string, path: string, body?: unknown, key?: string): Promise<Answer> {
  const response = await fetch(`${served.url}${path}`, { method, headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const text = await response.text()
  return { status: response.status, text, json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {} }
}

const newVerifier = () => {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** Begins as a program on this machine does, and opens the page in a browser, which is sent on to the provider's. */
async function begin(redirectUri = LOOPBACK, organization = 'demo', browser = new BrowserLike()) {
  const pkce = newVerifier()
  const answer = await ask('POST', `/api/v1/organizations/${organization}/oidc/authorize`, { redirectUri, codeChallenge: pkce.challenge, state: 'of the program' })
  const start = String(answer.json['url'])
  return { ...pkce, answer, browser, start, url: answer.status === 200 ? (await browser.sentOn(start)).href : '' }
}

/** The provider sends the person back to the control plane, which sends them on. */
const comeBack = (callback: URL, browser: BrowserLike): Promise<URL> => browser.sentOn(callback)

/** The whole way; answers where the program is called back. */
async function enter(login: string) {
  const begun = await begin()
  assert.equal(begun.answer.status, 200, begun.answer.text)
  return { ...begun, back: await comeBack(await provider.signIn(begun.url, login, begun.browser), begun.browser) }
}

const finish = (code: string | null, codeVerifier: string, organization = 'demo') => ask('POST', `/api/v1/organizations/${organization}/oidc/session`, { code, codeVerifier })
const reason = (back: URL): string => `${back.searchParams.get('error')}: ${back.searchParams.get('error_description')}`

test('somebody who was invited by e-mail enters, and is the member that was invited', async () => {
  const { back, verifier } = await enter('ada')
  assert.equal(`${back.origin}${back.pathname}`, LOOPBACK)
  assert.equal(back.searchParams.get('state'), 'of the program')
  const session = await finish(back.searchParams.get('code'), verifier)
  assert.deepEqual([session.status, session.json['role']], [201, 'editor'], session.text)
  const key = String(session.json['secret'])
  assert.equal((await ask('GET', `${ORGANIZATION}/meshes/shop`, undefined, key)).status, 200)
  const members = await ask('GET', `${ORGANIZATION}/members`, undefined, owner)
  const ada = (members.json['items'] as { name: string; linked: boolean; invited: boolean }[]).find((one) => one.name === 'ada@example.com')
  assert.deepEqual([ada?.linked, ada?.invited], [true, false])
  assert.equal((await ask('DELETE', `${ORGANIZATION}/session`, undefined, key)).status, 204)
  assert.equal((await ask('GET', `${ORGANIZATION}/meshes/shop`, undefined, key)).status, 401)
})

test('the code opens one session, for whoever has the verifier, within a minute, in its organization', async () => {
  await api.store.createOrganization('other')
  const first = await enter('ada')
  const code = first.back.searchParams.get('code')
  assert.equal((await finish(code, first.verifier, 'other')).status, 401)
  assert.equal((await finish(code, newVerifier().verifier)).status, 401)
  assert.equal((await finish(code, first.verifier)).status, 401, 'it was shown with a wrong verifier: whoever has it, it is over')
  const second = await enter('ada')
  assert.equal((await finish(second.back.searchParams.get('code'), second.verifier)).status, 201)
  assert.equal((await finish(second.back.searchParams.get('code'), second.verifier)).status, 401)
})

test('a state that was not begun here, was altered, or is old, leads nowhere', async () => {
  const { url, browser } = await begin()
  const callback = await provider.signIn(url, 'ada', browser)
  const right = callback.searchParams.get('state') ?? ''
  for (const state of ['', 'made-up', `${right.slice(0, 80)}${right[80] === 'A' ? 'B' : 'A'}${right.slice(81)}`]) {
    const wrong = new URL(callback)
    wrong.searchParams.set('state', state)
    const response = await browser.visit(wrong)
    assert.deepEqual([response.status, response.headers.get('location')], [401, null])
  }
  nowMs += 11 * 60_000
  assert.equal((await browser.visit(callback)).status, 401)
})

test('a sign-in ends in the browser in which it was begun, and in no other', async () => {
  const attacker = await begin()
  const callback = await provider.signIn(attacker.url, 'ada', attacker.browser)
  const victim = new BrowserLike()
  const tokens = provider.asked.get('/token') ?? 0
  const led = await victim.visit(callback)
  assert.deepEqual([led.status, led.headers.get('location')], [401, null], 'a browser that began nothing')
  await begin(LOOPBACK, 'demo', victim)
  assert.equal((await victim.visit(callback)).status, 401, 'one that has begun a sign-in of its own')
  assert.equal((await victim.visit(attacker.start)).status, 302)
  assert.equal((await victim.visit(callback)).status, 401, 'one that was led through the same beginning')
  assert.equal(provider.asked.get('/token') ?? 0, tokens, 'and the provider was asked for nothing')
  const back = await comeBack(callback, attacker.browser)
  assert.equal((await finish(back.searchParams.get('code'), attacker.verifier)).status, 201)
})

test('the cookie of a sign-in is out of reach of pages and of other hosts, and serves all tabs', async () => {
  const browser = new BrowserLike()
  const { answer, url } = await begin(LOOPBACK, 'demo', browser)
  const start = String(answer.json['url'])
  const [cookie = ''] = (await new BrowserLike().visit(start)).headers.getSetCookie()
  assert.match(cookie, /^weft-sign-in=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/)
  const [kept] = browser.cookies(served.url).values()
  await begin(LOOPBACK, 'demo', browser)
  assert.deepEqual([...browser.cookies(served.url).values()], [kept], 'a second tab goes on with it')
  assert.ok((await comeBack(await provider.signIn(url, 'ada', browser), browser)).searchParams.has('code'))
  const secure = new Oidc(api.store, { sealKey: Buffer.alloc(32, 7), privateNetworks: true }, () => nowMs, () => 'https://weft.example')
  const begun = new URL(await secure.begin('demo', { redirectUri: LOOPBACK, codeChallenge: newVerifier().challenge, state: 's' }))
  assert.match(secure.start(begun, 'demo', `weft-sign-in=${kept}; x=y`).cookie, new RegExp(`^__Host-weft-sign-in=(?!${kept})[A-Za-z0-9_-]{43}; .*; Secure$`), 'and one that a page could have set is not taken over')
})

test('what begins a sign-in is no state, and a state begins none', async () => {
  const { url, start, browser } = await begin()
  const state = new URL(url).searchParams.get('state') ?? ''
  const callback = await provider.signIn(url, 'ada', browser)
  callback.searchParams.set('state', new URL(start).searchParams.get('begun') ?? '')
  assert.equal((await browser.visit(callback)).status, 401)
  const wrong = new URL(start)
  for (const begun of [state, '', 'made-up']) {
    wrong.searchParams.set('begun', begun)
    assert.equal((await browser.visit(wrong)).status, 401, begun)
  }
  assert.equal((await browser.visit(start.replace('/demo/', '/other/'))).status, 401, 'nor does one of another organization')
  nowMs += 11 * 60_000
  assert.equal((await browser.visit(start)).status, 401, 'nor does one of long ago')
})

test('a provider of another organization is never told a code that this one’s gave', async (context) => {
  // One who owns an organization here names a provider of his own, and leads somebody of `demo` to demo’s, with a state that was begun for his: a provider that does not say who it is (RFC 9207) tells nobody.
  const told: string[] = []
  const evil = createServer((request, response) => {
    let body = ''
    request.on('data', (piece: Buffer) => (body += piece.toString()))
    request.on('end', () => {
      if (request.method === 'POST') told.push(body)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks`, response_types_supported: ['code'] }))
    })
  })
  await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
  context.after(() => evil.close())
  const issuer = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`
  const { id } = await api.store.createOrganization('evil')
  await api.store.setOidc(id, { issuer, clientId: 'weft', clientSecret: null, rolesClaim: null, roles: {} })
  // His page has led the same browser through both beginnings, so that its cookie fits.
  const browser = new BrowserLike()
  const [own, theirs] = [await begin(LOOPBACK, 'evil', browser), await begin(LOOPBACK, 'demo', browser)]
  const link = new URL(theirs.url)
  link.searchParams.set('state', new URL(own.url).searchParams.get('state') ?? '')
  const callback = await provider.signIn(link.href, 'ada', browser)
  callback.searchParams.delete('iss')
  assert.equal((await browser.visit(callback)).status, 401)
  for (const at of ['/api/v1/oidc/callback', '/api/v1/organizations/no-such/oidc/callback']) assert.equal((await browser.visit(`${served.url}${at}${callback.search}`)).status, 401, at)
  assert.deepEqual(told, [])
})

test('the code of one sign-in does not serve another: nonce and verifier differ', async () => {
  const browser = new BrowserLike()
  const [one, other] = [await begin(LOOPBACK, 'demo', browser), await begin(LOOPBACK, 'demo', browser)]
  const callbackOfOne = await provider.signIn(one.url, 'ada', browser)
  const stateOfOther = new URL(other.url).searchParams.get('state') ?? ''
  callbackOfOne.searchParams.set('state', stateOfOther)
  assert.match(reason(await comeBack(callbackOfOne, browser)), /^access_denied: .*refused the code/)
})

const otherKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const lies: readonly (readonly [string, (claims: Record<string, unknown>) => Record<string, unknown>, RegExp, boolean?])[] = [
  ['an expired token', (claims) => ({ ...claims, iat: Number(claims['iat']) - 3600, exp: Number(claims['iat']) - 1800 }), /expired/],
  ['a token of another issuer', (claims) => ({ ...claims, iss: 'https://issuer.example' }), /another issuer/],
  ['a token for another client', (claims) => ({ ...claims, aud: 'somebody-else' }), /another issuer, audience/],
  ['a token of another sign-in', (claims) => ({ ...claims, nonce: 'other' }), /another issuer, audience or sign-in/],
  ['a token without a nonce', (claims) => Object.fromEntries(Object.entries(claims).filter(([name]) => name !== 'nonce')), /does not hold|sign-in/],
  ['a token that somebody else signed', (claims) => claims, /signature/, true],
]
for (const [what, change, words, forged] of lies)
  test(`${what} lets nobody in`, async (context) => {
    context.after(() => provider.tamper(undefined))
    provider.tamper(change, forged ? otherKey : undefined)
    const { back } = await enter('ada')
    assert.match(reason(back), /^access_denied: /)
    assert.match(reason(back), words)
    assert.equal(back.searchParams.get('code'), null)
  })

test('an address that the issuer has not verified, does not tell, or spells in another alphabet lets nobody in', async () => {
  for (const login of ['unverified', 'silent']) assert.match(reason((await enter(login)).back), /^access_denied: an e-mail address that the identity provider has verified/)
  for (const login of ['nameless', 'kelvin']) assert.match(reason((await enter(login)).back), /^access_denied: an e-mail address in what/)
  assert.match(reason((await enter('eve')).back), /^access_denied: a member of the organization, or somebody whom it has invited/)
})

test('who is disabled is out, as soon as that is said: at the door, on the way in, and with an open session', async () => {
  const { back, verifier } = await enter('grace')
  const session = await finish(back.searchParams.get('code'), verifier)
  assert.equal(session.status, 201, session.text)
  const onTheWay = await enter('grace')
  const grace = ((await ask('GET', `${ORGANIZATION}/members`, undefined, owner)).json['items'] as { id: string; name: string }[]).find((one) => one.name === 'grace@example.com')
  assert.equal((await ask('PATCH', `${ORGANIZATION}/members/${grace?.id}`, { disabled: true }, owner)).status, 200)
  assert.equal((await ask('GET', `${ORGANIZATION}/meshes/shop`, undefined, String(session.json['secret']))).status, 401)
  assert.equal((await finish(onTheWay.back.searchParams.get('code'), onTheWay.verifier)).status, 401)
  assert.equal(reason((await enter('grace')).back), reason((await enter('eve')).back), 'in the words for a stranger')
})

test('an issuer that has changed its keys is believed by the new ones, at once', async () => {
  assert.ok((await enter('ada')).back.searchParams.has('code'))
  provider.rotateKey()
  assert.ok((await enter('ada')).back.searchParams.has('code'))
})

test('while the issuer is away the reason is said, and passwords go on', async (context) => {
  assert.equal((await ask('POST', `${ORGANIZATION}/members`, { name: 'linus', role: 'viewer', password: 'correct horse battery' }, owner)).status, 201)
  const { url, browser } = await begin()
  const callback = await provider.signIn(url, 'ada', browser)
  await provider.down()
  context.after(() => provider.up())
  assert.equal(reason(await comeBack(callback, browser)), 'temporarily_unavailable: it does not answer')
  const fresh = new Oidc(api.store, { sealKey: Buffer.alloc(32, 7), privateNetworks: true }, () => nowMs, () => served.url)
  await assert.rejects(fresh.begin('demo', { redirectUri: LOOPBACK, codeChallenge: newVerifier().challenge, state: 's' }), /it does not answer/)
  assert.equal((await ask('POST', `${ORGANIZATION}/login`, { name: 'linus', password: 'correct horse battery' })).status, 201)
})

test('the way back leads to this machine or to the console, and nowhere else', async () => {
  for (const wrong of ['https://evil.example/', 'http://127.0.0.1.evil.example/', 'http://localhost:9/', 'http://evil@127.0.0.1:9/', 'javascript:alert(1)', 'nonsense', `${served.url}/api/v1/oidc/callback`, `${served.url}${ORGANIZATION}/oidc/callback`, `${LOOPBACK}#x`]) {
    assert.equal((await begin(wrong)).answer.status, 400, wrong)
  }
  for (const right of [LOOPBACK, 'http://[::1]:9/', `${served.url}/`]) assert.equal((await begin(right)).answer.status, 200, right)
})

test('an organization without a provider and one that is not there are answered alike', async () => {
  const [without, nobody] = [await begin(LOOPBACK, 'other'), await begin(LOOPBACK, 'no-such')]
  assert.deepEqual([without.answer.status, without.answer.text], [404, nobody.answer.text])
})

test('entries and refusals are in the log of the organization, with who and from where', async () => {
  await enter('eve')
  const { back, verifier } = await enter('ada')
  await finish(back.searchParams.get('code'), verifier)
  const { json } = await ask('GET', `${ORGANIZATION}/audit?limit=20`, undefined, owner)
  const items = json['items'] as { actor: string; path: string; status: number; source: string }[]
  const entries = items.filter((one) => one.path.includes('oidc')).map(({ actor, path, status, source }) => [actor, path.split('/').at(-1), status, source])
  assert.deepEqual(entries[0], ['identity provider', 'session', 201, '127.0.0.1'])
  assert.ok(entries.some(([actor, path]) => actor === 'ada@example.com' && path === 'callback'))
  assert.ok(entries.some(([actor, path]) => actor === 'eve@example.com' && path === 'callback'))
})

test('claims give roles, also to who was never invited; they are read at each entry', async () => {
  const set = await ask('PUT', `${ORGANIZATION}/oidc`, { issuer: provider.issuer, clientId: 'public', rolesClaim: 'groups', roles: { ops: 'owner', staff: 'viewer' } }, owner)
  assert.deepEqual([set.status, set.json['hasSecret']], [200, false], set.text)
  const roleOf = async (login: string) => {
    const { back, verifier } = await enter(login)
    return back.searchParams.has('code') ? (await finish(back.searchParams.get('code'), verifier)).json['role'] : reason(back)
  }
  assert.equal(await roleOf('ops'), 'owner')
  assert.equal(await roleOf('staff'), 'viewer')
  assert.match(String(await roleOf('guest')), /^access_denied/)
  assert.equal(await roleOf('ada'), 'editor', 'who was invited keeps the role of the invitation')
})

test('a provider that does not answer is not set, nor is one within the control plane’s surroundings unless that is allowed', async () => {
  const wrong = await ask('PUT', `${ORGANIZATION}/oidc`, { issuer: 'http://127.0.0.1:9', clientId: 'x' }, owner)
  assert.deepEqual([wrong.status, (wrong.json['errors'] as { path: string }[])[0]?.path], [400, 'issuer'])
  const strict = new Oidc(api.store, { sealKey: Buffer.alloc(32, 7), privateNetworks: false }, () => nowMs, () => served.url)
  const about = { clientId: 'x', clientSecret: null, rolesClaim: null, roles: {} }
  for (const issuer of [provider.issuer, 'https://127.0.0.1', 'https://169.254.169.254', 'https://[::1]', 'https://[::ffff:10.0.0.1]', 'https://localhost', 'http://example.com']) await assert.rejects(strict.check({ ...about, issuer }), /not one that this control plane asks/, issuer)
})

test('guesses at codes are bounded by network', async () => {
  const rates = new LoginRates(systemDoors.clock)
  for (let at = 0; at < 60; at += 1) rates.takeNameless('192.0.2.1')
  assert.throws(() => rates.takeNameless('192.0.2.1'), /access.rate-limited|requests a second/)
  rates.takeNameless('192.0.2.2')
})
