import assert from 'node:assert/strict'
import test from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { authorize } from '../authz/authorize.ts'
import { type PeerInfo, type RequestHead, requestFrom } from '../route/request.ts'
import { RBACSchema } from '../wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import { messageFromJson } from '../wire/registry.ts'
import { Reading } from './read.ts'
import { policyOrigin } from './read-origin.ts'
import { readRbac } from './read-rbac.ts'

const peer: PeerInfo = {
  address: '10.0.0.1', port: 1, localAddress: '10.0.0.2', localPort: 8080, sni: 'a.example.com', tls: true, dnsSans: [],
  uriSans: ['spiffe://cluster.local/ns/prod/sa/client'],
}
const get = requestFrom({ authority: 'shop:8080', path: '/orders/1?x=/admin', headers: { 'x-token': 'abc' } })
const any: JsonObject = { any: true }

function allowed(permission: JsonObject, principal: JsonObject, request: RequestHead | 'connection' = get, from: PeerInfo = peer): boolean {
  const reading = new Reading()
  const rbac = readRbac(reading, '', messageFromJson(RBACSchema, { policies: { p: { permissions: [permission], principals: [principal] } } }), false)
  assert.deepEqual(reading.faults, [])
  return authorize([rbac], request === 'connection' ? undefined : request, from).allowed
}

const permissions: [string, JsonObject, boolean][] = [
  ['a path, query aside', { url_path: { path: { suffix: '/1' } } }, true],
  ['another path', { url_path: { path: { contains: 'admin' } } }, false],
  ['a host in any case', { header: { name: ':authority', string_match: { exact: 'SHOP:8080', ignore_case: true } } }, true],
  ['the port of the workload', { destination_port: 8080 }, true],
  ['a range of ports without its end', { destination_port_range: { start: 8000, end: 8080 } }, false],
  ['an address of the workload', { destination_ip: { address_prefix: '10.0.0.0', prefix_len: 24 } }, true],
  ['a server name', { requested_server_name: { suffix: '.example.com' } }, true],
  ['not what matches', { not_rule: { destination_port: 8080 } }, false],
  ['one of several', { or_rules: { rules: [{ destination_port: 1 }, any] } }, true],
  ['all of several', { and_rules: { rules: [{ destination_port: 1 }, any] } }, false],
]
for (const [name, permission, wanted] of permissions) {
  test(`a permission for ${name} ${wanted ? 'holds' : 'does not hold'}`, () => assert.equal(allowed(permission, any), wanted))
}

const principals: [string, JsonObject, boolean][] = [
  ['its identity', { authenticated: { principal_name: { exact: 'spiffe://cluster.local/ns/prod/sa/client' } } }, true],
  ['its namespace by a pattern', { authenticated: { principal_name: { safe_regex: { regex: '.*/ns/prod/.*' } } } }, true],
  ['part of its identity by a pattern', { authenticated: { principal_name: { safe_regex: { regex: '/ns/prod/' } } } }, false],
  ['its principal in filter state', { filter_state: { key: 'io.istio.peer_principal', string_match: { suffix: '/sa/client' } } }, true],
  ['its address', { direct_remote_ip: { address_prefix: '10.0.0.1', prefix_len: 32 } }, true],
  ['a header', { header: { name: 'x-token', string_match: { prefix: 'a' } } }, true],
  ['a claim without a token', { metadata: { filter: 'envoy.filters.http.jwt_authn', path: [{ key: 'payload' }, { key: 'iss' }], value: { string_match: { prefix: '' } } } }, false],
]
for (const [name, principal, wanted] of principals) {
  test(`a caller ${wanted ? 'is' : 'is not'} known by ${name}`, () => assert.equal(allowed(any, principal), wanted))
}

test('any identity means one that is proved, not TLS alone', () => {
  assert.equal(allowed(any, { authenticated: {} }), true)
  assert.equal(allowed(any, { authenticated: {} }, get, { ...peer, uriSans: [] }), false)
})

test('remote_ip is the client that trusted hops tell of, else the peer', () => {
  const range = { remote_ip: { address_prefix: '192.0.2.0', prefix_len: 24 } }
  assert.equal(allowed(any, range), false)
  assert.equal(allowed(any, range, { ...get, remoteAddress: '192.0.2.7' }), true)
})

test('claims are reached by their path, lists by their members', () => {
  const claim = (path: string[], value: JsonObject): JsonObject => ({ metadata: { filter: 'envoy.filters.http.jwt_authn', path: ['payload', ...path].map((key) => ({ key })), value } })
  const request = { ...get, claims: { iss: 'https://issuer', realm: { roles: ['admin', 'user'] } } }
  assert.equal(allowed(any, claim(['iss'], { string_match: { exact: 'https://issuer' } }), request), true)
  assert.equal(allowed(any, claim(['realm', 'roles'], { list_match: { one_of: { string_match: { exact: 'admin' } } } }), request), true)
  assert.equal(allowed(any, claim(['realm', 'roles'], { string_match: { exact: 'admin' } }), request), false)
  assert.equal(allowed(any, claim(['constructor'], { present_match: true }), request), false)
})

test('what only HTTP has never holds for a connection', () => {
  assert.equal(allowed({ url_path: { path: { prefix: '/' } } }, any, 'connection'), false)
  assert.equal(allowed({ destination_port: 8080 }, any, 'connection'), true)
})

test('the name of a policy says where it comes from', () => {
  assert.deepEqual(policyOrigin('ns[prod]-policy[payment-authz]-rule[2]'), { resource: 'AuthorizationPolicy/prod/payment-authz', field: 'rules[2]', revision: 0 })
  assert.equal(policyOrigin('mine'), undefined)
})
