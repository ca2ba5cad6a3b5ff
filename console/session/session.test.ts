import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRoute, writeRoute } from '../shell/route.ts'
import { meshPath } from './rest.ts'
import { type SessionStore, loadSession, saveSession, sessionFromFragment } from './session.ts'

test('a fragment hands over a key and a mesh; a route of the page is no key', () => {
  assert.deepEqual(sessionFromFragment('#key=weft_key_a&mesh=demo/shop'), { key: 'weft_key_a', mesh: 'demo/shop' })
  assert.deepEqual(sessionFromFragment('#key=weft_key_a&mesh=demo%2Fshop'), { key: 'weft_key_a', mesh: 'demo/shop' })
  assert.deepEqual(sessionFromFragment('#key=weft_key_a&mesh=nonsense'), { key: 'weft_key_a', mesh: undefined })
  for (const other of ['', '#', '#/objects/key=x/a', '#mesh=demo/shop', '#key=']) assert.equal(sessionFromFragment(other), undefined)
})

test('a session is kept, changed and forgotten', () => {
  const items = new Map<string, string>()
  const store: SessionStore = { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => void items.set(key, value), removeItem: (key) => void items.delete(key) }
  saveSession(store, { key: 'k', mesh: 'a/b' })
  assert.deepEqual(loadSession(store), { key: 'k', mesh: 'a/b' })
  saveSession(store, { key: 'k', mesh: undefined })
  assert.deepEqual(loadSession(store), { key: 'k', mesh: undefined })
  saveSession(store, undefined)
  assert.deepEqual([loadSession(store), items.size], [undefined, 0])
})

test('a route reads as it was written, whatever the object is called', () => {
  for (const object of ['VirtualService/prod/order-service', 'Namespace/prod', 'Odd/na me/ü%#']) assert.deepEqual(readRoute(writeRoute({ screen: 'objects', object })), { screen: 'objects', object })
  assert.deepEqual(readRoute(''), { screen: 'topology' })
  assert.deepEqual(readRoute('#/objects'), { screen: 'objects', object: undefined })
  assert.deepEqual(readRoute('#/objects/%E0%A4%A'), { screen: 'objects', object: '%E0%A4%A' })
})

test('names cannot leave their place in a path', () => {
  assert.equal(meshPath('demo/shop'), '/api/v1/organizations/demo/meshes/shop')
  assert.equal(meshPath('a?b/c#d'), '/api/v1/organizations/a%3Fb/meshes/c%23d')
})
