import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { MalformedMessage } from './protobuf.ts'
import { nodeNamed } from './raw-client.ts'
import { nodeIdOf, readRequest } from './request.ts'

const bigNode = nodeNamed('sidecar~10.0.0.1~a.b~b.svc.cluster.local', { FILLER: 'x'.repeat(48_000) })

test('a request read by hand says what the generated code wrote', () => {
  const delta = create(DeltaDiscoveryRequestSchema, {
    node: bigNode,
    typeUrl: 't',
    resourceNamesSubscribe: ['a', 'ü'],
    resourceNamesUnsubscribe: ['b'],
    initialResourceVersions: { c: '1', d: '' },
    responseNonce: '7',
    errorDetail: { code: 3, message: 'no' },
  })
  const { node, ...read } = readRequest('delta', toBinary(DeltaDiscoveryRequestSchema, delta))
  assert.deepEqual(read, { type: 't', nonce: '7', refusal: 'no', names: ['a', 'ü'], dropped: ['b'], held: new Map([['c', '1'], ['d', '']]) })
  assert.equal(nodeIdOf(node ?? new Uint8Array()), bigNode.id)
  const sotw = create(DiscoveryRequestSchema, { versionInfo: '3', typeUrl: 't', resourceNames: ['a'], responseNonce: '7' })
  assert.deepEqual(readRequest('sotw', toBinary(DiscoveryRequestSchema, sotw)), { type: 't', nonce: '7', refusal: undefined, node: undefined, names: ['a'], dropped: [], held: new Map() })
})

test('an error detail without words is a NACK all the same', () => {
  const bytes = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: 't', responseNonce: '1', errorDetail: {} }))
  assert.equal(readRequest('delta', bytes).refusal, '')
})

test('rule 1: an ACK with a 48 KB node costs no more than ten times one without', (t) => {
  const ack = { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', responseNonce: '12' }
  const bare = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, ack))
  const repeated = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { ...ack, node: bigNode }))
  const cost = (bytes: Uint8Array): number => {
    const before = process.cpuUsage()
    for (let count = 0; count < 10_000; count += 1) {
      const { node } = readRequest('delta', bytes)
      if (node) nodeIdOf(node)
    }
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  // The least of some: compilation and garbage collection fall into others.
  const least = (bytes: Uint8Array): number => Math.min(...Array.from({ length: 7 }, () => cost(bytes)))
  const [without, with48] = [least(bare), least(repeated)]
  t.diagnostic(`${with48} µs against ${without} µs`)
  assert.ok(with48 < 10 * without, `${with48} µs against ${without} µs`)
})

test('bytes that are cut or bent are refused or read, and nothing else', () => {
  const good = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node: nodeNamed('a'), typeUrl: 't', resourceNamesSubscribe: ['a'], initialResourceVersions: { c: '1' } }))
  for (let at = 0; at < good.length; at += 1) {
    for (const bit of [1, 2, 4, 128]) {
      const bent = Uint8Array.from(good)
      bent[at] = (bent[at] ?? 0) ^ bit
      for (const bytes of [bent, good.subarray(0, at)]) {
        try {
          readRequest('delta', bytes)
        } catch (raised) {
          assert.ok(raised instanceof MalformedMessage)
        }
      }
    }
  }
})
