import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededDoors } from '#core/time/seeded.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { fault } from '#core/fault/fault.ts'
import { Interest } from './interest.ts'
import { describeRejections } from './nack.ts'
import { decodeSaved, encodeSaved, RawResources } from './raw-resources.ts'
import { Subscription } from './subscription.ts'
import { Warming } from './warming.ts'

test('a type without names is not asked for; the first request of a stream names all, with versions, and later ones only what changed', () => {
  const subscription = new Subscription(CLUSTER_LOAD_ASSIGNMENT, false)
  assert.equal(subscription.next(undefined, undefined), undefined)
  subscription.want('a')
  subscription.want('b')
  subscription.versions.set('a', '7')
  const first = subscription.next(undefined, undefined)
  assert.deepEqual(first?.resourceNamesSubscribe, ['a', 'b'])
  assert.deepEqual(first?.initialResourceVersions, { a: '7' })
  assert.equal(subscription.next(undefined, undefined), undefined)
  subscription.want('c')
  subscription.unwant('b')
  const second = subscription.next({ nonce: '1', refusal: undefined }, undefined)
  assert.deepEqual([second?.resourceNamesSubscribe, second?.resourceNamesUnsubscribe, second?.responseNonce], [['c'], ['b'], '1'])
  subscription.open()
  assert.deepEqual(subscription.next(undefined, undefined)?.resourceNamesSubscribe, ['a', 'c'])
})

test('a name dropped and wanted again before anyone heard is subscribed again, for its content is gone', () => {
  const subscription = new Subscription(CLUSTER_LOAD_ASSIGNMENT, false)
  subscription.want('a')
  subscription.next(undefined, undefined)
  subscription.unwant('a')
  subscription.want('a')
  const request = subscription.next(undefined, undefined)
  assert.deepEqual([request?.resourceNamesSubscribe, request?.resourceNamesUnsubscribe], [['a'], []])
})

test('a wildcard is asked for by its star, and a NACK bears its words', () => {
  const subscription = new Subscription(CLUSTER, true)
  assert.deepEqual(subscription.next(undefined, undefined)?.resourceNamesSubscribe, ['*'])
  const nack = subscription.next({ nonce: '3', refusal: 'no' }, undefined)
  assert.deepEqual([nack?.responseNonce, nack?.errorDetail?.message, nack?.errorDetail?.code], ['3', 'no', 3])
})

test('a NACK names every resource with every fault', () => {
  const bad = (path: string) => fault('xds.unsupported', { path, value: 1, rule: 'is not supported' })
  assert.equal(describeRejections([{ name: 'a', faults: [bad('x'), bad('y')] }, { name: 'b', faults: [bad('z')] }]), 'a: x: 1: is not supported; y: 1: is not supported\nb: z: 1: is not supported')
})

test('a name is wanted with its first owner and dropped with its last', () => {
  const heard: string[] = []
  const interest = new Interest({ added: (name) => heard.push(`+${name}`), dropped: (name) => heard.push(`-${name}`) })
  interest.set('one', ['a', 'b'])
  interest.set('two', ['b'])
  interest.set('one', ['c'])
  interest.set('two', [])
  assert.deepEqual(heard, ['+a', '+b', '+c', '-a', '-b'])
})

test('what waits goes into force with its last need, is dropped by a newer one, and does not wait for ever', () => {
  const { clock } = seededDoors(1)
  const overdue: string[] = []
  const warming = new Warming(clock, (id, needs) => overdue.push(`${id} ${needs.join()}`))
  const settled: string[] = []
  const hold = (id: string, needs: string[], name = id) => warming.hold(id, needs, (inForce) => settled.push(`${name} ${inForce}`))
  hold('free', [])
  hold('a', ['x', 'y'])
  warming.arrived('x')
  assert.deepEqual(settled, ['free true'])
  warming.arrived('y')
  assert.deepEqual(settled, ['free true', 'a true'])
  hold('b', ['x'], 'older b')
  hold('b', ['z'], 'newer b')
  warming.arrived('x')
  assert.deepEqual(settled.slice(2), ['older b false'])
  clock.advance(16_000)
  assert.deepEqual(settled.slice(3), ['newer b true'])
  assert.deepEqual(overdue, ['b z'])
  assert.equal(warming.size, 0)
})

test('what is saved is read back, by type', () => {
  const raw = new RawResources()
  const resource = { name: 'a', version: '1', bytes: Uint8Array.of(1, 2, 3) }
  raw.put(CLUSTER, resource)
  const saved = decodeSaved(encodeSaved('node', 42, raw))
  assert.equal(saved.nodeId, 'node')
  assert.equal(saved.revision, 42)
  assert.deepEqual([...(saved.byType.get(CLUSTER) ?? [])].map(({ name, version, bytes }) => [name, version, [...bytes]]), [['a', '1', [1, 2, 3]]])
})
