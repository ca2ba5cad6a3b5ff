import assert from 'node:assert/strict'
import { test } from 'node:test'
import { familiesOf, loopbacksOf, wildcardsOf } from './families.ts'

test('the families of a proxy are those of all of its addresses', () => {
  assert.equal(familiesOf({ address: '10.0.0.1' }), 'IPv4')
  assert.equal(familiesOf({ address: '' }), 'IPv4')
  assert.equal(familiesOf({ address: 'fd00::1' }), 'IPv6')
  assert.equal(familiesOf({ address: '10.0.0.1', addresses: ['10.0.0.1', 'fd00::1'] }), 'both')
  assert.equal(familiesOf({ address: 'fd00::1', addresses: ['fd00::1', '10.0.0.1'] }), 'both')
})

test('of both families, IPv4 comes first', () => {
  assert.deepEqual([wildcardsOf('both'), loopbacksOf('both')], [['0.0.0.0', '::'], ['127.0.0.1', '::1']])
})
