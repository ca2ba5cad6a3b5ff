import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import type { JsonValue } from '@bufbuild/protobuf'
import { httpServer } from '#proxy/testing/peers.ts'
import { sendRaw } from './raw-http.ts'
import { httpListener, staticCluster, startTwins } from './twins.ts'

const type = 'type.googleapis.com/envoy.extensions.filters.http'
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' }] })
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const nowS = Math.floor(Date.now() / 1000)

function token(claims: object, key = privateKey, header: object = {}): string {
  const signed = `${part({ alg: 'RS256', kid: 'k', ...header })}.${part({ iss: 'https://issuer', exp: nowS + 600, sub: 'ann', ...claims })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`
}

const jwtFilter = (requires: JsonValue): JsonValue => ({
  name: 'envoy.filters.http.jwt_authn',
  typed_config: {
    '@type': `${type}.jwt_authn.v3.JwtAuthentication`,
    providers: {
      p: { issuer: 'https://issuer', audiences: ['shop'], local_jwks: { inline_string: jwks }, forward_payload_header: 'x-payload', payload_in_metadata: 'payload', claim_to_headers: [{ header_name: 'x-sub', claim_name: 'sub' }, { header_name: 'x-deep', claim_name: 'a.b' }] },
      q: { issuer: 'https://second', local_jwks: { inline_string: jwks }, from_headers: [{ name: 'x-token', value_prefix: 'T ' }], from_params: ['t'], forward: true },
    },
    rules: [{ match: { prefix: '/free' } }, { match: { prefix: '/' }, requires }],
  },
})
const admins: JsonValue = {
  name: 'envoy.filters.http.rbac',
  typed_config: {
    '@type': `${type}.rbac.v3.RBAC`,
    rules: {
      action: 'DENY',
      policies: { admins: { permissions: [{ url_path: { path: { prefix: '/admin' } } }], principals: [{ not_id: { metadata: { filter: 'envoy.filters.http.jwt_authn', path: [{ key: 'payload' }, { key: 'role' }], value: { string_match: { exact: 'admin' } } } } }] } },
    },
  },
}

test('tokens are judged as Envoy judges them', async (t) => {
  const upstream = await httpServer(t, (request, response) => response.end(JSON.stringify({ url: request.url, headers: Object.fromEntries(Object.entries(request.headers).filter(([name]) => !['x-request-id', 'x-envoy-expected-rq-timeout-ms'].includes(name)).sort()) })))
  const hosts: JsonValue = [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'up' } }] }]
  const required: JsonValue = { provider_name: 'p' }
  const optional: JsonValue = { requires_any: { requirements: [{ provider_name: 'p' }, { provider_name: 'q' }, { allow_missing: {} }] } }
  const { envoy, weft } = await startTwins(t, {
    listeners: [httpListener('required', hosts, {}, [jwtFilter(required), admins]), httpListener('optional', hosts, {}, [jwtFilter(optional), admins])],
    clusters: [staticCluster('up', [upstream.port])],
  })
  const good = token({ aud: 'shop', a: { b: 7 } })
  const cases: Readonly<Record<string, readonly string[]>> = {
    'none at all': ['/'],
    'a good one': ['/', `authorization: Bearer ${good}`],
    'a good one, forged headers': ['/', `authorization: Bearer ${good}`, 'x-payload: forged', 'x-sub: forged'],
    'in the query': [`/x?access_token=${good}&y=1`],
    'a list of audiences': ['/', `authorization: Bearer ${token({ aud: ['x', 'shop'] })}`],
    'another audience': ['/', `authorization: Bearer ${token({ aud: 'x' })}`],
    'no audience': ['/', `authorization: Bearer ${token({})}`],
    'another issuer': ['/', `authorization: Bearer ${token({ aud: 'shop', iss: 'x' })}`],
    'too old': ['/', `authorization: Bearer ${token({ aud: 'shop', exp: nowS - 3600 })}`],
    'old, within the skew': ['/', `authorization: Bearer ${token({ aud: 'shop', exp: nowS - 20 })}`],
    'too young': ['/', `authorization: Bearer ${token({ aud: 'shop', nbf: nowS + 3600 })}`],
    'another key': ['/', `authorization: Bearer ${token({ aud: 'shop' }, other)}`],
    'another key id': ['/', `authorization: Bearer ${token({ aud: 'shop' }, privateKey, { kid: 'x' })}`],
    'no signature': ['/', `authorization: Bearer ${part({ alg: 'none' })}.${part({ iss: 'https://issuer', aud: 'shop' })}.`],
    'no token': ['/', 'authorization: Bearer nonsense'],
    'two parts': ['/', 'authorization: Bearer a.b'],
    'another scheme': ['/', 'authorization: Basic abc'],
    'no JSON': ['/', 'authorization: Bearer YQ.YQ.YQ'],
    'the second provider': ['/', `x-token: T ${token({ iss: 'https://second' })}`],
    'the second provider, by query': [`/?t=${token({ iss: 'https://second' })}`],
    'the wrong provider': ['/', `x-token: T ${good}`],
    'a free path': ['/free'],
    'a free path, a bad token': ['/free', 'authorization: Bearer nonsense'],
    'an admin': ['/admin', `authorization: Bearer ${token({ aud: 'shop', role: 'admin' })}`],
    'no admin': ['/admin', `authorization: Bearer ${good}`],
  }
  const differences: string[] = []
  for (const listener of ['required', 'optional']) {
    for (const [name, [path = '/', ...lines]] of Object.entries(cases)) {
      const bytes = `GET ${path} HTTP/1.1\r\nHost: a.example\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
      const [theirs, ours] = await Promise.all(
        [envoy, weft].map(async (engine) => {
          const answer = await sendRaw(engine.port(listener), bytes, 'GET')
          // On the page of differences: Weft leaves the query out of the realm.
          return JSON.stringify([answer.status, answer.body, (answer.headers['www-authenticate'] ?? '').replace(/\?[^"]*/, '')])
        }),
      )
      if (theirs !== ours) differences.push(`${listener}, ${name}\n  envoy ${theirs}\n  weft  ${ours}`)
    }
  }
  assert.deepEqual(differences, [])
})
