import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callMetric, pathOf, pathTemplate, readCallMetric } from './call-words.ts'

test('what looks like data is left out of a path, and its query goes', () => {
  assert.equal(pathTemplate('/orders/4711?token=secret'), '/orders/{n}')
  assert.equal(pathTemplate('/users/123e4567-e89b-12d3-a456-426614174000/cart'), '/users/{uuid}/cart')
  assert.equal(pathTemplate('/reset/eyJhbGciOiJIUzI1NiJ9'), '/reset/{id}')
  assert.equal(pathTemplate('/by-mail/a@example.com'), '/by-mail/{id}')
  assert.equal(pathTemplate('/api/v1/order-items.json'), '/api/v1/order-items.json')
  assert.equal(pathTemplate(`/${'long/'.repeat(200)}`), '/')
  assert.equal(pathTemplate('*'), '/')
})

test('a template is stood for by a path that has it', () => {
  for (const template of ['/orders/{n}', '/users/{uuid}/cart', '/reset/{id}', '/']) assert.equal(pathTemplate(pathOf(template)), template)
})

test('a call travels as the name of a metric, and nothing else is taken for one', () => {
  const call = { port: 8443, tls: true, method: 'GET', authority: 'shop.example.com:8443', path: '/orders/{n}' }
  assert.deepEqual(readCallMetric(callMetric(call) ?? ''), call)
  assert.deepEqual(readCallMetric(callMetric({ ...call, authority: '' }) ?? ''), { ...call, authority: '' })
  assert.equal(callMetric({ ...call, authority: 'a b' }), undefined)
  assert.equal(callMetric({ ...call, method: 'get it' }), undefined)
  for (const other of ['weft.mutual_tls', 'weft.call', 'weft.call x tls GET a /', 'weft.call 1 tls GET a b /', `weft.call 1 tls GET a /${'x'.repeat(2000)}`]) assert.equal(readCallMetric(other), undefined)
})
