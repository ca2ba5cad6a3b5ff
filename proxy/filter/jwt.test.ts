import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import http from 'node:http'
import { test, type TestContext } from 'node:test'
import type { JwtKeysPlan, JwtPlan, JwtProviderPlan, JwtRequirement } from '#core/plan/jwt.ts'
import type { RbacPlan } from '#core/plan/rbac.ts'
import { ask, deadPort, httpServer, startProxy, until } from '../testing/peers.ts'
import { call, connect } from '../testing/http2-peers.ts'
import { forward, routePlan } from '../testing/plan.ts'

interface Signer {
  readonly kid: string
  readonly jwk: object
  readonly key: KeyObject
}

function signer(kid: string): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { kid, key: privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' } }
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function token(by: Signer, claims: object, header: object = {}): string {
  const signed = `${part({ alg: 'ES256', kid: by.kid, ...header })}.${part({ iss: 'https://issuer', exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key: by.key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const jwks = (...signers: Signer[]): string => JSON.stringify({ keys: signers.map((one) => one.jwk) })

const provider = (keys: JwtKeysPlan, over: Partial<JwtProviderPlan> = {}): JwtProviderPlan => ({
  name: 'p', issuer: 'https://issuer', audiences: [], subject: undefined, requireExpiration: false, lifetimeMaxMs: 0, clockSkewMs: 60_000, fromHeaders: [{ name: 'authorization', prefix: 'Bearer ' }],
  fromParams: ['access_token'], fromCookies: [], forward: false, payloadHeader: '', payloadPadded: false, claimHeaders: [], tellsClaims: true, spacedClaims: ['scope'], reroutes: false, keys, ...over,
})

function plan(one: JwtProviderPlan, requirement: JwtRequirement = { kind: 'provider', provider: 'p', audiences: undefined }): JwtPlan {
  return { providers: new Map([['p', one]]), rules: [{ words: 'any', matches: () => true, requirement }], requirements: new Map(), bypassCorsPreflight: false, stripFailureResponse: false }
}

async function world(t: TestContext, jwt: JwtPlan, more: { rbac?: RbacPlan; issuerPort?: number } = {}) {
  const upstream = await httpServer(t, (request, response) => response.end(JSON.stringify({ url: request.url, headers: request.headers })))
  const filters = [{ kind: 'jwt' as const, name: 'jwt', jwt }, ...(more.rbac === undefined ? [] : [{ kind: 'rbac' as const, name: 'rbac', policy: more.rbac }])]
  return startProxy(t, { routes: [routePlan('/', forward('up'))], http: { filters }, clusters: [['up', [upstream.port]], ...(more.issuerPort === undefined ? [] : [['issuer', [more.issuerPort]] as const])] })
}

const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } })

test('a good token passes, is taken off the request, and its claims reach RBAC', async (t) => {
  const a = signer('a')
  const admins: RbacPlan = {
    action: 'allow',
    shadow: false,
    policies: [{ name: 'admins', origin: undefined, permission: { words: 'any', matches: () => true }, principal: { words: 'scope', matches: (request) => Array.isArray(request?.claims?.['scope']) && request.claims['scope'].includes('write') } }],
  }
  const proxy = await world(t, plan(provider({ kind: 'local', jwks: jwks(a) }, { payloadHeader: 'x-payload', claimHeaders: [{ header: 'x-sub', claim: ['sub'] }] })), { rbac: admins })
  const good = await ask(proxy.port, '/', { headers: { authorization: `Bearer ${token(a, { sub: 'ann', scope: 'read write' })}`, 'x-payload': 'forged', 'x-sub': 'forged' } })
  assert.equal(good.status, 200)
  const { headers } = JSON.parse(good.body) as { headers: Record<string, string> }
  assert.equal(headers['authorization'], undefined)
  assert.equal(headers['x-sub'], 'ann')
  assert.equal((JSON.parse(Buffer.from(headers['x-payload'] ?? '', 'base64url').toString()) as { sub: string }).sub, 'ann')
  assert.equal((await ask(proxy.port, '/', bearer(token(a, { scope: 'read' })))).status, 403)
})

test('policies read what a token says in a header, and never what the client wrote there', async (t) => {
  const a = signer('a')
  const annOnly: RbacPlan = {
    action: 'allow',
    shadow: false,
    policies: [{ name: 'ann', origin: undefined, permission: { words: 'any', matches: () => true }, principal: { words: 'x-sub', matches: (request) => request?.header('x-sub') === 'ann' } }],
  }
  const optional: JwtRequirement = { kind: 'any', of: [{ kind: 'provider', provider: 'p', audiences: undefined }, { kind: 'allow-missing' }] }
  const proxy = await world(t, plan(provider({ kind: 'local', jwks: jwks(a) }, { claimHeaders: [{ header: 'x-sub', claim: ['sub'] }] }), optional), { rbac: annOnly })
  assert.equal((await ask(proxy.port, '/', { headers: { 'x-sub': 'ann' } })).status, 403)
  assert.equal((await ask(proxy.port, '/', { headers: { authorization: `Bearer ${token(a, { sub: 'bob' })}`, 'x-sub': 'ann' } })).status, 403)
  assert.equal((await ask(proxy.port, '/', bearer(token(a, { sub: 'ann' })))).status, 200)
})

test('claims of one request are none of the next on the same HTTP/2 connection', async (t) => {
  const a = signer('a')
  const members: RbacPlan = {
    action: 'allow',
    shadow: false,
    policies: [{ name: 'members', origin: undefined, permission: { words: 'any', matches: () => true }, principal: { words: 'sub', matches: (request) => request?.claims?.['sub'] === 'ann' } }],
  }
  const optional: JwtRequirement = { kind: 'any', of: [{ kind: 'provider', provider: 'p', audiences: undefined }, { kind: 'allow-missing' }] }
  const proxy = await world(t, plan(provider({ kind: 'local', jwks: jwks(a) }), optional), { rbac: members })
  const session = await connect(t, proxy.port)
  const statusOf = async (headers: Record<string, string>): Promise<unknown> => (await call(session, { ':path': '/', ...headers })).headers[':status']
  for (let round = 0; round < 5; round++) {
    assert.equal(await statusOf({ authorization: `Bearer ${token(a, { sub: 'ann' })}` }), 200)
    // Heads are used again in turn.
    for (let more = 0; more < 3; more++) assert.equal(await statusOf({}), 403)
  }
})

test('what is wrong with a token is said in Envoy\'s words', async (t) => {
  const a = signer('a')
  const proxy = await world(t, plan(provider({ kind: 'local', jwks: jwks(a) }, { audiences: ['shop'] })))
  const refused = async (text: string | undefined, status: number, body: string): Promise<void> => {
    const answer = await ask(proxy.port, '/', text === undefined ? {} : bearer(text))
    assert.deepEqual([answer.status, answer.body], [status, body])
  }
  await refused(undefined, 401, 'Jwt is missing')
  await refused('nonsense', 401, 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections')
  await refused(token(a, { aud: 'shop', iss: 'https://other' }), 401, 'Jwt issuer is not configured')
  await refused(token(a, { aud: 'shop', exp: 1000 }), 401, 'Jwt is expired')
  await refused(token(a, { aud: 'shop', nbf: Date.now() / 1000 + 3600 }), 401, 'Jwt not yet valid')
  await refused(token(a, { aud: 'elsewhere' }), 403, 'Audiences in Jwt are not allowed')
  await refused(token(signer('a'), { aud: 'shop' }), 401, 'Jwt verification fails')
  await refused(token(signer('b'), { aud: 'shop' }), 401, "Jwks doesn't have key to match kid or alg from Jwt")
  const none = `${part({ alg: 'none' })}.${part({ iss: 'https://issuer', aud: 'shop' })}.`
  await refused(none, 401, 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections')
  await refused(`${none}x`, 401, 'Jwt header [alg] is not supported')
  assert.equal((await ask(proxy.port, '/', bearer(token(a, { aud: ['x', 'https://shop/'] })))).status, 200)
  assert.equal((await ask(proxy.port, `/?access_token=${token(a, { aud: 'shop' })}`)).status, 200)
  const missing = await ask(proxy.port, '/a?b')
  assert.match(missing.headers['www-authenticate'] ?? '', /^Bearer realm="http:\/\/127\.0\.0\.1:\d+\/a"$/)
})

test('where a token may be missing, a bad one is still refused', async (t) => {
  const a = signer('a')
  const proxy = await world(t, plan(provider({ kind: 'local', jwks: jwks(a) }), { kind: 'any', of: [{ kind: 'provider', provider: 'p', audiences: undefined }, { kind: 'allow-missing' }] }))
  assert.equal((await ask(proxy.port, '/')).status, 200)
  assert.equal((await ask(proxy.port, '/', bearer(token(a, {})))).status, 200)
  assert.equal((await ask(proxy.port, '/', bearer(token(signer('a'), {})))).status, 401)
  assert.equal((await ask(proxy.port, '/', bearer('nonsense'))).status, 401)
})

test('keys are fetched, follow their rotation, and outlive the outage of their issuer', async (t) => {
  const old = signer('old')
  const young = signer('young')
  let answer = { status: 200, body: jwks(old) }
  let fetches = 0
  const issuer = await httpServer(t, (request, response) => {
    assert.equal(request.headers.host, 'issuer.example')
    fetches += 1
    response.writeHead(answer.status).end(answer.body)
  })
  const proxy = await world(t, plan(provider({ kind: 'remote', uri: 'http://issuer.example/keys?x=1', cluster: 'issuer', timeoutMs: 60_000, cacheMs: 50 })), { issuerPort: issuer.port })
  const get = async (by: Signer): Promise<number> => (await ask(proxy.port, '/', bearer(token(by, {})))).status
  // The first request waits for the first fetch.
  assert.equal(await get(old), 200)
  answer = { status: 200, body: jwks(young) }
  const before = fetches
  await until(() => fetches > before + 1)
  assert.equal(await get(young), 200)
  assert.equal(await get(old), 401)
  answer = { status: 503, body: 'down' }
  const down = fetches
  await until(() => fetches > down + 1)
  assert.equal(await get(young), 200)
  issuer.closeAllConnections()
  await new Promise((closed) => issuer.close(closed))
  assert.equal(await get(young), 200)
})

test('an issuer that was away when the proxy started is asked again within ten seconds', async (t) => {
  const a = signer('a')
  const port = await deadPort()
  const proxy = await world(t, plan(provider({ kind: 'remote', uri: 'http://issuer.example/keys', cluster: 'issuer', timeoutMs: 60_000, cacheMs: 600_000 })), { issuerPort: port })
  const get = async (): Promise<number> => (await ask(proxy.port, '/', bearer(token(a, {})))).status
  assert.equal(await get(), 401)
  const issuer = http.createServer((_request, response) => response.end(jwks(a)))
  await new Promise<void>((ready) => issuer.listen(port, '127.0.0.1', ready))
  t.after(() => {
    issuer.closeAllConnections()
    issuer.close()
  })
  // It asks within ten seconds; a busy machine takes its own time for the rest.
  const deadline = performance.now() + 300_000
  while ((await get()) !== 200) {
    assert.ok(performance.now() < deadline, 'still refused')
    await new Promise((tick) => setTimeout(tick, 50))
  }
})

test('who waits for keys that do not come is refused when the time for them is over', async (t) => {
  const a = signer('a')
  const silent = await httpServer(t, () => {})
  const proxy = await world(t, plan(provider({ kind: 'remote', uri: 'http://issuer.example/keys', cluster: 'issuer', timeoutMs: 50, cacheMs: 600_000 })), { issuerPort: silent.port })
  assert.equal((await ask(proxy.port, '/', bearer(token(a, {})))).status, 401)
})

test('a list of tokens holds none, whatever stands first', async (t) => {
  const a = signer('a')
  const proxy = await world(t, plan(provider({ kind: 'local', jwks: jwks(a) })))
  const good = token(a, { sub: 'ann' })
  assert.equal((await ask(proxy.port, '/', bearer(good))).status, 200)
  for (const more of [`,Bearer ${token(signer('a'), { sub: 'bob' })}`, ', Basic YTpi', ';x', ' x']) assert.equal((await ask(proxy.port, '/', bearer(good + more))).status, 401, more)
})

test('an issuer that never answers holds up no other', async (t) => {
  const a = signer('a')
  const silent = await httpServer(t, () => {})
  const issuer = await httpServer(t, (_request, response) => void response.end(jwks(a)))
  const upstream = await httpServer(t, (_request, response) => void response.end())
  const remote = (name: string): JwtProviderPlan => provider({ kind: 'remote', uri: `http://${name}.example/keys`, cluster: name, timeoutMs: 600_000, cacheMs: 600_000 }, { name, issuer: `https://${name}` })
  const jwt: JwtPlan = {
    ...plan(remote('silent')),
    providers: new Map([['silent', remote('silent')], ['issuer', remote('issuer')]]),
    rules: [{ words: 'any', matches: () => true, requirement: { kind: 'any', of: [{ kind: 'provider', provider: 'silent', audiences: undefined }, { kind: 'provider', provider: 'issuer', audiences: undefined }] } }],
  }
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('up'))], http: { filters: [{ kind: 'jwt', name: 'jwt', jwt }] }, clusters: [['up', [upstream.port]], ['silent', [silent.port]], ['issuer', [issuer.port]]] })
  assert.equal((await ask(proxy.port, '/', bearer(token(a, { iss: 'https://issuer' })))).status, 200)
})
