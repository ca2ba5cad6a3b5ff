import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Workload } from '#core/workload/workload.ts'
import { Addresses } from './addresses.ts'

const workload = (serviceAccount: string, address: string, port?: number): Workload => {
  const at = { address, port: port ?? 0 }
  return { name: `${serviceAccount}-1`, namespace: 'prod', serviceAccount, labels: {}, address, network: '', locality: '', cluster: '', ports: port === undefined ? [] : [{ port, listen: at, app: at }], mutualTls: true, health: 'healthy' }
}

test('an address is the account’s whose live workload is there, until that is gone', () => {
  const addresses = new Addresses()
  addresses.hold('m', workload('a', '10.0.0.1'))
  assert.equal(addresses.holderBefore('m', workload('b', '10.0.0.1'))?.serviceAccount, 'a')
  assert.equal(addresses.holderBefore('m', workload('b', '10.0.0.1', 8080))?.serviceAccount, 'a')
  assert.equal(addresses.holderBefore('m', workload('a', '10.0.0.1')), undefined, 'the same account may come again')
  assert.equal(addresses.holderBefore('other mesh', workload('b', '10.0.0.1')), undefined)
  assert.equal(addresses.holderBefore('m', { ...workload('b', '10.0.0.1'), network: 'elsewhere' }), undefined)
  addresses.release('m', workload('a', '10.0.0.1'))
  assert.equal(addresses.holderBefore('m', workload('b', '10.0.0.1')), undefined)
})

test('so is each further address, from either side', () => {
  const addresses = new Addresses()
  addresses.hold('m', { ...workload('a', '10.0.0.1'), addresses: ['10.0.0.1', 'fd00::1'] })
  assert.equal(addresses.holderBefore('m', workload('b', 'fd00::1'))?.serviceAccount, 'a')
  assert.equal(addresses.holderBefore('m', { ...workload('b', '10.0.0.2'), addresses: ['10.0.0.2', 'fd00::1'] })?.serviceAccount, 'a')
  addresses.release('m', { ...workload('a', '10.0.0.1'), addresses: ['10.0.0.1', 'fd00::1'] })
  assert.equal(addresses.holderBefore('m', workload('b', 'fd00::1')), undefined)
})

test('on loopback workloads live side by side, each by its ports', () => {
  const addresses = new Addresses()
  addresses.hold('m', workload('a', '127.0.0.1', 9000))
  assert.equal(addresses.holderBefore('m', workload('b', '127.0.0.1', 9001)), undefined)
  assert.equal(addresses.holderBefore('m', workload('b', '127.0.0.1', 9000))?.serviceAccount, 'a')
})
