import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { Reading } from '#core/plan/read.ts'
import { readRbac } from '#core/plan/read-rbac.ts'
import { RBACSchema } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { ask, httpServer, startProxy, type TestProxy } from '../testing/peers.ts'
import { forward, routePlan } from '../testing/plan.ts'

const method = (name: string): JsonObject => ({ or_rules: { rules: [{ header: { name: ':method', string_match: { exact: name } } }] } })
const path = (exact: string): JsonObject => ({ or_rules: { rules: [{ url_path: { path: { exact } } }] } })
const all = (...rules: JsonObject[]): JsonObject => ({ and_rules: { rules } })
const caller = (...ids: JsonObject[]): JsonObject => ({ and_ids: { ids: [{ or_ids: { ids } }] } })
const identity = (account: string): JsonObject => ({ filter_state: { key: 'io.istio.peer_principal', string_match: { exact: `spiffe://cluster.local/ns/prod/sa/${account}` } } })
const ruleName = (policy: string, rule: number): string => `ns[prod]-policy[${policy}]-rule[${rule}]`

type Rules = Readonly<Record<string, readonly [permission: JsonObject, principal: JsonObject]>>

/** A proxy with one RBAC filter, read from the message that a control plane sends. */
async function guarded(t: Parameters<typeof startProxy>[0], action: 'ALLOW' | 'DENY', rules: Rules): Promise<TestProxy> {
  const upstream = await httpServer(t, (_request, response) => response.end('here'))
  const reading = new Reading()
  const policies = Object.fromEntries(Object.entries(rules).map(([name, [permission, principal]]) => [name, { permissions: [permission], principals: [principal] }]))
  const policy = readRbac(reading, '', messageFromJson(RBACSchema, { action, policies }), false)
  assert.deepEqual(reading.faults, [])
  return startProxy(t, { routes: [routePlan('/', forward('up'))], http: { filters: [{ kind: 'rbac', name: 'rbac', policy }] }, clusters: [['up', [upstream.port]]] })
}

/** What the log says of the refusal of one request. */
async function refusal(proxy: TestProxy, to: string, options: Parameters<typeof ask>[2]): Promise<[details: unknown, policy: unknown]> {
  assert.equal((await ask(proxy.port, to, options)).status, 403)
  const line = (await proxy.log()).at(-1)
  return [line?.['response_code_details'], line?.['weft_policy']]
}

test('the log names policy, rule and attribute of what a DENY policy refuses, not the conditions that had no part in it', async (t) => {
  const proxy = await guarded(t, 'DENY', {
    [ruleName('no-admin', 1)]: [{ or_rules: { rules: [path('/admin'), path('/metrics')] } }, { any: true }],
    [ruleName('no-token', 0)]: [all(method('DELETE'), path('/orders')), caller({ not_id: { header: { name: 'x-token', present_match: true } } }, identity('client'))],
  })
  assert.equal((await ask(proxy.port, '/')).status, 200)
  assert.deepEqual(await refusal(proxy, '/metrics', {}), [
    'rbac_access_denied_matched_policy[ns[prod]-policy[no-admin]-rule[1]]',
    'AuthorizationPolicy/prod/no-admin rules[1]: ns[prod]-policy[no-admin]-rule[1]: path exact "/metrics" and any',
  ])
  assert.deepEqual((await refusal(proxy, '/orders', { method: 'DELETE' }))[1], 'AuthorizationPolicy/prod/no-token rules[0]: ns[prod]-policy[no-token]-rule[0]: header ":method" exact "DELETE" and path exact "/orders" and not (header "x-token" present)')
})

test('when no ALLOW policy matches, the log names of each rule the attribute that failed', async (t) => {
  const proxy = await guarded(t, 'ALLOW', {
    [ruleName('pay', 0)]: [all(method('POST'), path('/pay')), { any: true }],
    [ruleName('pay', 1)]: [{ any: true }, caller(identity('orders'), identity('refunds'))],
    [ruleName('probe', 0)]: [path('/healthz'), caller({ direct_remote_ip: { address_prefix: '10.1.0.0', prefix_len: 16 } })],
  })
  assert.equal((await ask(proxy.port, '/pay', { method: 'POST' })).status, 200)
  const others = '; ns[prod]-policy[pay]-rule[1]: not (identity exact "spiffe://cluster.local/ns/prod/sa/orders" [none] or identity exact "spiffe://cluster.local/ns/prod/sa/refunds" [none])'
  const first = 'AuthorizationPolicy/prod/pay rules[0]: none of 3 allow policies matched: ns[prod]-policy[pay]-rule[0]: '
  const probe = '; ns[prod]-policy[probe]-rule[0]: '
  assert.deepEqual(await refusal(proxy, '/pay', { method: 'GET' }), ['rbac_access_denied_matched_policy[none]', `${first}not header ":method" exact "POST"${others}${probe}not path exact "/healthz" and not source in 10.1.0.0/16 [127.0.0.1]`])
  assert.equal((await refusal(proxy, '/other', { method: 'POST' }))[1], `${first}not path exact "/pay"${others}${probe}not path exact "/healthz" and not source in 10.1.0.0/16 [127.0.0.1]`)
  assert.equal((await refusal(proxy, '/healthz', { method: 'POST' }))[1], `${first}not path exact "/pay"${others}${probe}not source in 10.1.0.0/16 [127.0.0.1]`)
})

test('a line of the log stays bounded where many policies failed, and has no secrets of the request', async (t) => {
  const proxy = await guarded(t, 'ALLOW', Object.fromEntries(Array.from({ length: 20 }, (_, index) => [ruleName('many', 10 + index), [{ any: true }, { header: { name: 'x-token', string_match: { exact: `t${index}` } } }] as const])))
  const [, policy] = await refusal(proxy, '/', { headers: { 'x-token': 'mine-alone' } })
  assert.match(String(policy), /none of 20 allow policies matched: ns\[prod\]-policy\[many\]-rule\[10\]: not header "x-token" exact "t0"; .*; and 12 more$/)
  assert.ok(!String(policy).includes('mine-alone'))
})

test('an ALLOW filter without policies says that it allows nothing', async (t) => {
  assert.deepEqual(await refusal(await guarded(t, 'ALLOW', {}), '/', {}), ['rbac_access_denied_matched_policy[none]', 'the filter allows nothing'])
})
