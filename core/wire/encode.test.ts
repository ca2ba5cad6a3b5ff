import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, fromBinary, type JsonObject, type JsonValue, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { StructSchema, ValueSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { packAny, unpackAny } from './any.ts'
import { contentHash, encodeCanonical } from './encode.ts'
import { ClusterSchema } from './gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.ts'
import { ScopedRouteConfigurationSchema } from './gen/envoy/config/route/v3/scoped_route_pb.ts'
import { ConnectionLimitSchema } from './gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.ts'
import { IstioCertificateRequestSchema } from './gen/istio/v1/auth/ca_pb.ts'
import { sortMaps } from './sort-maps.ts'

const json = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, fc.string(), fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(null), fc.array(tie('value'), { maxLength: 3 }), tie('object')),
  object: fc.dictionary(key(), tie('value'), { maxKeys: 5 }),
}))

/** Words, numbers (which JavaScript orders by itself) and anything else. */
function key(): fc.Arbitrary<string> {
  return fc.oneof(fc.string({ minLength: 1 }), fc.nat(30).map(String), fc.constantFrom('a', 'b', 'constructor', '__proto__'))
}

/** The same value with the keys of every object in the opposite order of insertion. */
function reversed<T>(value: T): T
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => reversed(item))
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.entries(value).reverse().map(([name, inner]) => [name, reversed(inner)]))
}

test('the order in which maps were filled does not change the bytes, however deep they lie', () => {
  fc.assert(
    fc.property(fc.dictionary(key(), json.object, { maxKeys: 5 }), (filterMetadata) => {
      const build = (metadata: { [name: string]: JsonObject }): Uint8Array =>
        encodeCanonical(
          RouteConfigurationSchema,
          create(RouteConfigurationSchema, {
            name: '80',
            virtualHosts: [{ name: 'a', domains: ['*'], routes: [{ metadata: { filterMetadata: metadata }, action: { case: 'route', value: { metadataMatch: { filterMetadata: metadata } } } }] }],
          }),
        )
      assert.deepEqual(build(filterMetadata), build(reversed(filterMetadata)))
    }),
  )
})

test('ordering maps changes nothing that the message says', () => {
  fc.assert(
    fc.property(fc.dictionary(key(), json.object, { maxKeys: 5 }), (filterMetadata) => {
      const message = create(ClusterSchema, { name: 'a', metadata: { filterMetadata } })
      const plain = fromBinary(ClusterSchema, toBinary(ClusterSchema, message))
      assert.deepEqual(fromBinary(ClusterSchema, encodeCanonical(ClusterSchema, message)), plain)
    }),
  )
})

test('a Struct at the top and one inside a Value, which are messages and no plain JSON, are ordered too', () => {
  const text = (value: string): MessageInitShape<typeof ValueSchema> => ({ kind: { case: 'stringValue', value } })
  const wrap = (fields: { [name: string]: MessageInitShape<typeof ValueSchema> }): Uint8Array =>
    encodeCanonical(StructSchema, create(StructSchema, { fields: { inner: { kind: { case: 'structValue', value: { fields } } } } }))
  assert.deepEqual(wrap({ a: text('1'), b: text('2') }), wrap({ b: text('2'), a: text('1') }))
})

test('encoding leaves the message alone, even a frozen one', () => {
  const filterMetadata = Object.freeze({ b: { z: 1, y: 2 }, a: {} })
  const message = create(ClusterSchema, { name: 'a', metadata: { filterMetadata } })
  if (message.metadata !== undefined) Object.freeze(message.metadata)
  Object.freeze(message)
  encodeCanonical(ClusterSchema, message)
  assert.deepEqual(Object.keys(message.metadata?.filterMetadata ?? {}), ['b', 'a'])
})

test('a message that is in order is not copied', () => {
  const message = create(ClusterSchema, { name: 'a', metadata: { filterMetadata: { a: { y: [1, { p: 1, q: 2 }], z: 2 }, b: {} } } })
  assert.equal(sortMaps(ClusterSchema, message), message)
})

test('fields that this version does not know survive', () => {
  const foreign = Uint8Array.of(0xfa, 0xff, 0x07, 0x02, 0x68, 0x69) // field 16383, length-delimited, "hi"
  const bytes = new Uint8Array([...toBinary(ClusterSchema, create(ClusterSchema, { name: 'a', metadata: { filterMetadata: { b: {}, a: {} } } })), ...foreign])
  const again = encodeCanonical(ClusterSchema, fromBinary(ClusterSchema, bytes))
  assert.deepEqual(again.subarray(-foreign.length), foreign)
})

test('equal content has one hash, other content another', () => {
  const hash = (name: string, filterMetadata: { [name: string]: JsonObject }): string =>
    contentHash(encodeCanonical(ClusterSchema, create(ClusterSchema, { name, metadata: { filterMetadata } })))
  assert.equal(hash('a', { x: {}, y: {} }), hash('a', { y: {}, x: {} }))
  assert.notEqual(hash('a', { x: {}, y: {} }), hash('b', { x: {}, y: {} }))
  assert.match(hash('a', {}), /^[0-9a-f]{32}$/)
})

test('an Any gives back what was packed, and nothing to who expects another type', () => {
  const limit = create(ConnectionLimitSchema, { statPrefix: 'in', maxConnections: 1000n, delay: { seconds: 1n, nanos: 5 } })
  const any = packAny(ConnectionLimitSchema, limit)
  assert.equal(any.typeUrl, 'type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit')
  assert.deepEqual(unpackAny(any, ConnectionLimitSchema), limit)
  assert.equal(unpackAny(any, ListenerSchema), undefined)
  assert.equal(unpackAny(undefined, ListenerSchema), undefined)
})

test('an Any with a prefix of its own is read by what follows the last slash', () => {
  const any = packAny(ConnectionLimitSchema, create(ConnectionLimitSchema, { statPrefix: 'in' }))
  const other = { ...any, typeUrl: any.typeUrl.replace('type.googleapis.com', 'example.org/types') }
  assert.equal(unpackAny(other, ConnectionLimitSchema)?.statPrefix, 'in')
})

test('an Any whose bytes are broken is an error, not an empty message', () => {
  const any = packAny(ConnectionLimitSchema, create(ConnectionLimitSchema, { statPrefix: 'in' }))
  assert.throws(() => unpackAny({ ...any, value: any.value.subarray(0, -1) }, ConnectionLimitSchema))
})

test('messages survive the wire: wrappers, 64-bit numbers, oneofs, durations, Struct fields', () => {
  const route = create(ScopedRouteConfigurationSchema, { name: 's', key: { fragments: [{ type: { case: 'stringKey', value: 'x' } }] } })
  assert.deepEqual(fromBinary(ScopedRouteConfigurationSchema, encodeCanonical(ScopedRouteConfigurationSchema, route)), route)
  const request = create(IstioCertificateRequestSchema, { csr: 'PEM', validityDuration: 86_400n, metadata: { ClusterID: 'k', CertSigner: null } })
  assert.deepEqual(fromBinary(IstioCertificateRequestSchema, toBinary(IstioCertificateRequestSchema, request)), request)
  const cluster = create(ClusterSchema, {
    name: 'a',
    perConnectionBufferLimitBytes: 0,
    connectTimeout: { seconds: 1n },
    clusterDiscoveryType: { case: 'type', value: 3 },
    circuitBreakers: { thresholds: [{ maxConnections: 7 }] },
  })
  assert.deepEqual(fromBinary(ClusterSchema, encodeCanonical(ClusterSchema, cluster)), cluster)
})

test('the certificate request has the field numbers that Istio agents send', () => {
  const bytes = toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, { csr: 'A', validityDuration: 2n }))
  assert.deepEqual([...bytes], [0x0a, 0x01, 0x41, 0x18, 0x02])
})
