import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RbacPlan } from '#core/plan/rbac.ts'
import { forward, routePlan, tablePlan } from '../testing/plan.ts'
import { ask, httpServer, startProxy } from '../testing/peers.ts'

test('behind a balancer that ends TLS nobody is redirected to where they are', async (t) => {
  const upstream = await httpServer(t, (request, response) => response.end(JSON.stringify(request.headers)))
  const table = tablePlan([routePlan('/', forward('up'))], { requireTls: true })
  const edge = async (trustedHops: number) => (await startProxy(t, { http: { routes: { kind: 'inline', table }, useRemoteAddress: true, trustedHops }, clusters: [['up', [upstream.port]]] })).port
  const viaBalancer = { headers: { 'x-forwarded-proto': 'https', 'x-forwarded-for': '198.51.100.7' } }
  const believed = await ask(await edge(1), '/', viaBalancer)
  assert.equal(believed.status, 200)
  const seen = JSON.parse(believed.body) as Record<string, string>
  assert.deepEqual([seen['x-forwarded-proto'], seen['x-forwarded-for']], ['https', '198.51.100.7,127.0.0.1'])
  assert.equal((await ask(await edge(0), '/', viaBalancer)).status, 301)
  assert.equal((await ask(await edge(1), '/')).status, 301)
})

test('a policy about client addresses believes declared hops alone', async (t) => {
  const upstream = await httpServer(t, (_request, response) => response.end())
  const policy: RbacPlan = {
    action: 'allow',
    shadow: false,
    policies: [{ name: 'office', origin: undefined, permission: { words: 'any', matches: () => true }, principal: { words: 'office', matches: (request, peer) => (request?.remoteAddress ?? peer.address) === '198.51.100.7' } }],
  }
  const edge = (trustedHops: number) => startProxy(t, { routes: [routePlan('/', forward('up'))], http: { useRemoteAddress: true, trustedHops, filters: [{ kind: 'rbac', name: 'rbac', policy }] }, clusters: [['up', [upstream.port]]] })
  const status = async (trustedHops: number, forwardedFor: string) => (await ask((await edge(trustedHops)).port, '/', { headers: { 'x-forwarded-for': forwardedFor } })).status
  assert.equal(await status(1, '203.0.113.9, 198.51.100.7'), 200)
  assert.equal(await status(1, '198.51.100.7, 203.0.113.9'), 403)
  assert.equal(await status(0, '198.51.100.7'), 403)
})
