import assert from 'node:assert/strict'
import test from 'node:test'
import { clientAddress, clientScheme } from './forwarded.ts'

test('the client is whom the trusted hops name, never whom the client names', () => {
  const forged = '203.0.113.9, 198.51.100.7, 10.0.0.1'
  assert.equal(clientAddress(forged, 0, true), undefined)
  assert.equal(clientAddress(forged, 1, true), '10.0.0.1')
  assert.equal(clientAddress(forged, 2, true), '198.51.100.7')
  assert.equal(clientAddress(forged, 4, true), undefined)
  assert.equal(clientAddress(forged, 0, false), '10.0.0.1')
  assert.equal(clientAddress(forged, 1, false), '198.51.100.7')
  assert.equal(clientAddress('unknown', 1, true), undefined)
  assert.equal(clientAddress('2001:db8::1', 1, true), '2001:db8::1')
  assert.equal(clientAddress(undefined, 1, true), undefined)
})

test('a scheme is believed from a declared hop alone', () => {
  assert.equal(clientScheme('https', 0, true), undefined)
  assert.equal(clientScheme('HTTPS', 1, true), 'https')
  assert.equal(clientScheme('gopher', 1, true), undefined)
  assert.equal(clientScheme('https', 0, false), 'https')
})
