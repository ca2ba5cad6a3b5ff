import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { SteppedClock } from '#core/time/seeded.ts'
import { DeltaDiscoveryRequestSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { Asks } from './asks.ts'
import { fieldHead, stringField } from './protobuf.ts'
import { nodeNamed } from './raw-client.ts'
import { readRequest } from './request.ts'

const names = Array.from({ length: 100 }, (_, at) => `outbound|80||service-${at}.example`)
const requestOf = (node: string, nonce = ''): Uint8Array =>
  toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node: nodeNamed(node), typeUrl: 't', resourceNamesSubscribe: names, resourceNamesUnsubscribe: ['x'], initialResourceVersions: { a: '1' }, responseNonce: nonce }))

test('streams that ask for the same are given one list, whatever else they say', () => {
  const asks = new Asks(new SteppedClock(), 100)
  const first = readRequest('delta', requestOf('one'), asks)
  const second = readRequest('delta', requestOf('another', '5'), asks)
  assert.equal(first.ask, second.ask)
  assert.equal(first.names, second.names)
  assert.deepEqual([second.type, second.nonce, second.names, second.dropped, second.held], ['t', '5', names, ['x'], new Map([['a', '1']])])
  assert.ok(second.node !== undefined)
})

test('a request that differs in one byte is another', () => {
  const asks = new Asks(new SteppedClock(), 100)
  const bytes = requestOf('one')
  const other = Buffer.from(bytes)
  other[other.indexOf('service-50') + 9] = 0x31
  assert.notEqual(readRequest('delta', bytes, asks).ask, readRequest('delta', other, asks).ask)
})

test('names that other fields stand between are read all the same, for the stream alone', () => {
  const asks = new Asks(new SteppedClock(), 10)
  const bytes = Buffer.concat([stringField(3, 'first-name-of-all'), stringField(2, 't'), stringField(3, 'second-name-of-all'), fieldHead(9, 0)])
  const { ask, ...read } = readRequest('delta', bytes, asks)
  assert.equal(ask, undefined)
  assert.deepEqual([read.names, read.type], [['first-name-of-all', 'second-name-of-all'], 't'])
})

test('what nobody asked for again for a while is forgotten', () => {
  const clock = new SteppedClock()
  const asks = new Asks(clock, 100)
  const first = readRequest('delta', requestOf('one'), asks)
  clock.advance(9_000)
  assert.equal(readRequest('delta', requestOf('two'), asks).ask, first.ask)
  clock.advance(30_000)
  assert.notEqual(readRequest('delta', requestOf('three'), asks).ask, first.ask)
})
