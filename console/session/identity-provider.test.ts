import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { restApi } from '#api/rest/app.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { BrowserLike } from '#test/parts/browser.ts'
import { startOidcProvider } from '#test/parts/oidc-provider.ts'
import type { OidcProvider } from '#test/parts/oidc-provider.ts'
import { beginSignIn, comeBackFrom, completeSignIn } from './identity-provider.ts'
import type { SessionStore } from './session.ts'

let api: ApiUnderTest
let served: Awaited<ReturnType<typeof serveApp>>
let provider: OidcProvider
before(async () => {
  api = await openApi({ publicUrl: () => served.url })
  served = await serveApp(restApi(api.doors))
  provider = await startOidcProvider({ ada: { email: 'ada@example.com', email_verified: true }, eve: { email: 'eve@example.com', email_verified: true } }, { redirectUri: `${served.url}/api/v1/organizations/demo/oidc/callback`, conform: false })
  await api.store.setOidc(api.organization.id, { issuer: provider.issuer, clientId: 'public', clientSecret: null, rolesClaim: null, roles: {} })
  await api.store.createMember(api.organization.id, { name: 'ada@example.com', role: 'viewer', password: null, invitation: { hash: createHash('sha256').update('x').digest('hex'), untilMs: Date.now() + 60_000 } })
})
after(async () => {
  await provider?.stop()
  await served?.close()
  await api?.close()
})

const tab = (): SessionStore => {
  const items = new Map<string, string>()
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => void items.set(key, value), removeItem: (key) => void items.delete(key) }
}
/** As far as the browser is the provider's; answers the query with which the page is opened again. */
async function goThrough(url: string, login: string): Promise<string> {
  const browser = new BrowserLike()
  const back = await browser.sentOn(await provider.signIn(url, login, browser))
  assert.equal(`${back.origin}${back.pathname}`, `${served.url}/`)
  return back.search
}

test('a tab that began a sign-in gets its key, once', async () => {
  const store = tab()
  const back = comeBackFrom(await goThrough(await beginSignIn(served.url, 'demo', store), 'ada'))
  assert.ok(back)
  assert.match(await completeSignIn(served.url, back, store), /^weft_key_/)
  await assert.rejects(completeSignIn(served.url, back, store), /not begun in this tab/)
})

test('somebody else’s sign-in, led into this tab, opens nothing', async () => {
  const [victim, attacker] = [tab(), tab()]
  const back = comeBackFrom(await goThrough(await beginSignIn(served.url, 'demo', attacker), 'ada'))
  assert.ok(back)
  await assert.rejects(completeSignIn(served.url, back, victim), /not begun in this tab/)
  const url = await beginSignIn(served.url, 'demo', victim)
  await assert.rejects(completeSignIn(served.url, back, victim), /not begun in this tab/)
  const own = comeBackFrom(await goThrough(url, 'ada'))
  assert.ok(own)
  assert.match(await completeSignIn(served.url, own, victim), /^weft_key_/, 'and what this tab began goes on')
})

test('a refusal is told in the server’s words, and a page opened by hand is nobody who comes back', async () => {
  const store = tab()
  const back = comeBackFrom(await goThrough(await beginSignIn(served.url, 'demo', store), 'eve'))
  assert.ok(back)
  await assert.rejects(completeSignIn(served.url, back, store), /refused.*whom it has invited/)
  await assert.rejects(beginSignIn(served.url, 'no-such', store), /no identity provider is set/)
  for (const search of ['', '?code=x', '?state=x', '?mesh=a']) assert.equal(comeBackFrom(search), undefined)
})
