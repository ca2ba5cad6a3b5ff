import assert from 'node:assert/strict'
import test from 'node:test'
import { compileCidr } from '../match/cidr.ts'
import type { ChainMatch, FilterChainPlan, ListenerPlan } from '../plan/listener.ts'
import { type Arrival, selectChain } from './chain.ts'
import { weighted } from './split.ts'

const chain = (name: string, match: Partial<ChainMatch>): FilterChainPlan => ({
  name,
  match: { destinationPort: undefined, serverNames: [], transportProtocol: '', applicationProtocols: [], ...match },
  tls: undefined,
  rbac: [],
  serve: { kind: 'tcp', clusters: weighted([]), idleTimeoutMs: 0, accessLog: [] },
})

const listener = (chains: FilterChainPlan[], defaultChain?: FilterChainPlan): ListenerPlan => ({ name: 'l', version: 'v', direction: 'gateway', bind: undefined, inspectsTls: true, chains, defaultChain })

const arrival: Arrival = { destinationPort: 443, serverName: '', transportProtocol: 'tls', applicationProtocols: [] }

test('an exact server name beats a wildcard, and a longer wildcard a shorter one', () => {
  const plan = listener([chain('any', {}), chain('com', { serverNames: ['*.com'] }), chain('example', { serverNames: ['*.example.com'] }), chain('exact', { serverNames: ['a.example.com'] })])
  const found = (serverName: string) => selectChain(plan, { ...arrival, serverName })?.name
  assert.equal(found('A.example.com'), 'exact')
  assert.equal(found('b.a.example.com'), 'example')
  assert.equal(found('example.com'), 'com')
  assert.equal(found('example.org'), 'any')
  assert.equal(found(''), 'any')
})

test('the port is settled first, and a chain for it that fails later does not bring back the others', () => {
  const plan = listener([chain('any port', {}), chain('443', { destinationPort: 443, serverNames: ['a.com'] })])
  assert.equal(selectChain(plan, { ...arrival, serverName: 'a.com' })?.name, '443')
  assert.equal(selectChain(plan, { ...arrival, serverName: 'b.com' }), undefined)
  assert.equal(selectChain(plan, { ...arrival, destinationPort: 80, serverName: 'b.com' })?.name, 'any port')
})

test('a named transport beats none, and application protocols are tried in the order of the client', () => {
  const plan = listener([
    chain('any', {}),
    chain('tls', { transportProtocol: 'tls' }),
    chain('h2', { transportProtocol: 'tls', applicationProtocols: ['h2'] }),
    chain('istio', { transportProtocol: 'tls', applicationProtocols: ['istio', 'istio-peer-exchange'] }),
  ])
  const found = (transportProtocol: 'tls' | 'raw_buffer', applicationProtocols: string[]) => selectChain(plan, { ...arrival, transportProtocol, applicationProtocols })?.name
  assert.equal(found('tls', ['istio', 'h2']), 'istio')
  assert.equal(found('tls', ['h2', 'istio']), 'h2')
  assert.equal(found('tls', ['http/1.1']), 'tls')
  assert.equal(found('raw_buffer', ['h2']), 'any')
})

test('the default chain takes what no other does', () => {
  const rest = chain('rest', {})
  assert.equal(selectChain(listener([chain('a', { serverNames: ['a.com'] })], rest), { ...arrival, serverName: 'b.com' })?.name, 'rest')
  assert.equal(selectChain(listener([chain('plain', { transportProtocol: 'raw_buffer' })], rest), arrival)?.name, 'rest')
})

test('the longest range around the destination is settled after the port and before the server name', () => {
  const range = (prefix: string, length: number) => {
    const cidr = compileCidr(prefix, length)
    assert.ok(cidr)
    return [cidr]
  }
  const plan = listener([chain('any', {}), chain('wide', { destinations: range('10.0.0.0', 8) }), chain('near', { destinations: range('10.1.0.0', 16), serverNames: ['a.com'] })])
  const found = (destinationAddress: string, serverName = '') => selectChain(plan, { ...arrival, destinationAddress, serverName })?.name
  assert.equal(found('10.2.0.1'), 'wide')
  assert.equal(found('10.1.0.1', 'a.com'), 'near')
  assert.equal(found('10.1.0.1', 'b.com'), undefined)
  assert.equal(found('192.168.0.1'), 'any')
  assert.equal(selectChain(plan, arrival)?.name, 'any')
})
