import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import { warning } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { conditionsOf, standingOf } from './conditions.ts'

const object: ResourceObject = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'orders', namespace: 'prod', resourceVersion: '7', generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: {} }
const proxy = (name: string, syncedRevision: number, types: ProxyStatus['types'] = []): ProxyStatus => ({ node: { id: name, name, namespace: 'prod', type: 'sidecar', engine: 'weft', version: '', cluster: '' }, identity: undefined, connectedAtMs: 0, syncedRevision, viewRevision: syncedRevision, types })
const programmed = (proxies: readonly ProxyStatus[]) => {
  const [, found] = conditionsOf(object, standingOf(proxies))
  return [found?.status, found?.reason, found?.message]
}

test('an object is programmed when every proxy has acknowledged its revision', () => {
  assert.deepEqual(programmed([proxy('a', 7), proxy('b', 9)]), ['True', 'Programmed', 'in sync with 2 of 2 proxies'])
  assert.deepEqual(programmed([proxy('a', 7), proxy('b', 6)]), ['False', 'Pending', 'in sync with 1 of 2 proxies'])
  assert.deepEqual(programmed([]), ['Unknown', 'NoProxies', 'no proxy is connected'])
})

test('a refusal is shown at the object behind it, and at no other', () => {
  const rejection = { message: 'weight of 0', revision: 7, resources: ['r'], origins: ['VirtualService/prod/orders http[0]'], atMs: 1 }
  const refusing = proxy('a', 6, [{ type: 't', state: 'REJECTED', sinceMs: 5, subscribed: 1, sentRevision: 7, ackedRevision: 6, rejection }])
  assert.deepEqual(programmed([refusing]), ['False', 'Rejected', 'a refused it: weight of 0'])
  const [, other] = conditionsOf({ ...object, metadata: { ...object.metadata, name: 'others', resourceVersion: '5' } }, standingOf([refusing]))
  assert.equal(other?.reason, 'Programmed')
})

test('what was found in passing stands beside Accepted, with the generation that was looked at', () => {
  const [accepted] = conditionsOf(object, standingOf([]), [warning('reference.host', { path: 'spec.http[0]', rule: 'a host', resource: 'VirtualService/prod/orders' }), warning('reference.host', { path: 'x', rule: 'y', resource: 'Other/a/b' })])
  assert.deepEqual([accepted?.status, accepted?.message, accepted?.observedGeneration], ['True', 'spec.http[0]: a host', 3])
})
