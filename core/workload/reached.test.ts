import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reachedAddresses, triedBy } from './reached.ts'

const port = (listen: string, at = 8080) => ({ port: 8080, listen: { address: listen, port: at } })

test('a port is reached at every address of its workload where the application has it, and elsewhere where its proxy says', () => {
  const both = { address: '10.0.0.1', addresses: ['10.0.0.1', 'fd00::1'] }
  assert.deepEqual(reachedAddresses(both, port('10.0.0.1')), ['10.0.0.1', 'fd00::1'])
  assert.deepEqual(reachedAddresses(both, port('10.0.0.1', 15_006)), ['10.0.0.1'])
  assert.deepEqual(reachedAddresses(both, port('127.0.1.2')), ['127.0.1.2'])
  assert.deepEqual(reachedAddresses({ address: '10.0.0.1' }, port('10.0.0.1')), ['10.0.0.1'])
  assert.deepEqual(reachedAddresses({ address: '10.0.0.1', addresses: ['10.0.0.1', 'x:y', 'fd00::1'] }, port('10.0.0.1')), ['10.0.0.1', 'fd00::1'])
})

test('a client tries what is of its families, and what there is where nothing is', () => {
  const all = ['10.0.0.1', '10.0.0.2', 'fd00::1', 'fd00::2'] as const
  assert.deepEqual(triedBy('both', all), { address: '10.0.0.1', other: 'fd00::1' })
  assert.deepEqual(triedBy('both', ['fd00::1', '10.0.0.1']), { address: 'fd00::1', other: '10.0.0.1' })
  assert.deepEqual(triedBy('both', ['10.0.0.1', '10.0.0.2']), { address: '10.0.0.1' })
  assert.deepEqual(triedBy('IPv4', all), { address: '10.0.0.1' })
  assert.deepEqual(triedBy('IPv6', all), { address: 'fd00::1' })
  assert.deepEqual(triedBy('IPv6', ['10.0.0.1']), { address: '10.0.0.1' })
})
