import assert from 'node:assert/strict'
import test from 'node:test'
import type { RbacPlan, RbacPolicyPlan } from '../plan/rbac.ts'
import { type PeerInfo, requestFrom } from '../route/request.ts'
import { authorize } from './authorize.ts'

const peer: PeerInfo = { address: '10.0.0.1', port: 1, localAddress: '10.0.0.2', localPort: 80, uriSans: [], dnsSans: [], sni: '', tls: false }
const get = requestFrom({ authority: 'x' })
const policy = (name: string, permission: boolean, principal = true): RbacPolicyPlan => ({
  name,
  origin: { resource: `AuthorizationPolicy/prod/${name}`, field: 'rules[0]', revision: 1 },
  permission: { words: `${name} may`, matches: () => permission },
  principal: { words: `${name} is`, matches: () => principal },
})
const filter = (action: RbacPlan['action'], policies: RbacPolicyPlan[], shadow = false): RbacPlan => ({ action, policies, shadow })

test('without filters everything may pass', () => {
  assert.deepEqual(authorize([], get, peer), { allowed: true })
})

test('an allow filter without policies denies all, a deny filter without policies nothing', () => {
  const decision = authorize([filter('allow', [])], get, peer)
  assert.ok(!decision.allowed)
  assert.equal(decision.policy, 'no policy matched')
  assert.equal(authorize([filter('deny', [])], get, peer).allowed, true)
})

test('one policy that matches allows, and a denial names the one that stood in the way', () => {
  assert.equal(authorize([filter('allow', [policy('a', false), policy('b', true)])], get, peer).allowed, true)
  const decision = authorize([filter('allow', [policy('a', true, false)])], get, peer)
  assert.ok(!decision.allowed)
  assert.equal(decision.origin?.resource, 'AuthorizationPolicy/prod/a')
})

test('a denial comes before what a later filter allows, and names its policy', () => {
  const decision = authorize([filter('deny', [policy('no', true)]), filter('allow', [policy('yes', true)])], get, peer)
  assert.ok(!decision.allowed)
  assert.equal(decision.policy, 'no')
  assert.equal(decision.why, 'no may and no is')
})

test('a shadow filter only tells, and a log filter does not even that', () => {
  assert.deepEqual(authorize([filter('deny', [policy('later', true)], true)], get, peer), { allowed: true, shadowDenied: 'later' })
  assert.deepEqual(authorize([filter('log', [])], get, peer), { allowed: true })
})

test('the note hears both halves of every policy tried', () => {
  const heard: unknown[] = []
  authorize([filter('allow', [policy('a', true, false), policy('b', false), policy('c', true), policy('d', true)])], get, peer, (_filter, one, permission, principal) => heard.push([one.name, permission, principal]))
  assert.deepEqual(heard, [
    ['a', true, false],
    ['b', false, true],
    ['c', true, true],
  ])
})
