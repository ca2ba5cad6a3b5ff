import assert from 'node:assert/strict'
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders, type Settings } from 'node:http2'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { systemDoors } from '#core/time/system.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema, type DiscoveryResponse } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { ads, rds } from '#core/wire/grpc.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SECRET } from '#core/wire/type-url.ts'
import { startConformance } from './conformance.ts'
import { NodeStates } from './node-states.ts'
import { nodeNamed, RawClient, type SotwStream } from './raw-client.ts'

/** Clients that are legal and rare, and a few that are not: each found by one, or by the words of the protocol. */

const node = nodeNamed('odd')

interface World {
  readonly states: NodeStates
  readonly client: RawClient
  readonly port: number
}

async function world(t: TestContext, note: (event: string, fields: Readonly<Record<string, unknown>>) => void = () => {}): Promise<World> {
  const states = new NodeStates()
  const server = await startConformance(systemDoors, states, { address: '127.0.0.1', port: 0 }, () => {}, note)
  const client = new RawClient(`127.0.0.1:${server.port}`)
  t.after(async () => {
    client.close()
    await server.close(0)
  })
  return { states, client, port: server.port }
}

const namesOf = (response: DiscoveryResponse): string[] => response.resources.map((any) => fromBinary(ClusterLoadAssignmentSchema, any.value).clusterName).sort()

/** Proof of silence: another type's question is asked after, and its answer is the next thing that comes. */
async function silence(stream: SotwStream, states: NodeStates): Promise<void> {
  const name = `probe-${stream.received.length}`
  states.put('odd', { type: SECRET, name }, '1')
  stream.ask({ type: SECRET, names: [name], nonce: stream.received.findLast((one) => one.typeUrl === SECRET)?.nonce ?? '' })
  const response = await stream.next()
  assert.deepEqual([response.typeUrl, namesOf(response)], [SECRET, [name]])
  stream.ack(response, [name])
}

for (const type of [LISTENER, CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION]) {
  test(`rule 6, ${type.split('.').at(-1)}: whoever has forgotten a type begins anew on the same stream, with an empty nonce, as gRPC does in Java`, async (t) => {
    const { states, client } = await world(t)
    states.set('odd', '1', [{ type, name: 'a' }, { type, name: 'b' }])
    const stream = client.sotw()
    stream.ask({ node, type, names: ['a'] })
    const first = await stream.next()
    stream.ack(first, ['a'])
    stream.ask({ type, names: [], nonce: first.nonce, version: first.versionInfo })
    await silence(stream, states)
    stream.ask({ type, names: ['a'] })
    const again = await stream.next()
    assert.deepEqual([again.typeUrl, namesOf(again)], [type, ['a']])
    stream.ack(again, ['a'])
    // It may have forgotten without a word.
    stream.ask({ type, names: ['a', 'b'] })
    const third = await stream.next()
    assert.deepEqual([third.typeUrl, namesOf(third)], [type, ['a', 'b']])
    stream.ack(third, ['a', 'b'])
    await silence(stream, states)
  })
}

test('rule 6: a second request that was under way before the first was answered is no beginning anew', async (t) => {
  const { states, client } = await world(t)
  states.set('odd', '1', [{ type: CLUSTER_LOAD_ASSIGNMENT, name: 'a' }, { type: CLUSTER_LOAD_ASSIGNMENT, name: 'b' }])
  const stream = client.sotw()
  stream.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, names: ['a'] })
  const first = await stream.next()
  assert.deepEqual(namesOf(first), ['a'])
  // As if it had crossed the answer.
  stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, names: ['a', 'b'] })
  stream.ack(first, ['a', 'b'])
  const second = await stream.next()
  assert.deepEqual(namesOf(second), ['b'])
  stream.ack(second, ['a', 'b'])
  await silence(stream, states)
})

test('rule 12: one who drops all names by naming the empty one hears of none of them again', async (t) => {
  for (const type of [CLUSTER, CLUSTER_LOAD_ASSIGNMENT]) {
    const { states, client } = await world(t)
    states.set('odd', '1', [{ type, name: 'a' }])
    const stream = client.sotw()
    stream.ask({ node, type, names: ['a'] })
    const first = await stream.next()
    stream.ask({ type, names: [''], nonce: first.nonce, version: first.versionInfo })
    if (type === CLUSTER) {
      const empty = await stream.next()
      assert.deepEqual([empty.typeUrl, namesOf(empty)], [CLUSTER, []])
      stream.ack(empty, [''])
    }
    states.put('odd', { type, name: 'a' }, '2')
    await silence(stream, states)
  }
})

test('rule 14: on a stream of routes alone those that are gone are told with the first answer, for nothing there points at them', async (t) => {
  const { states, client } = await world(t)
  states.set('odd', '1', [{ type: ROUTE_CONFIGURATION, name: 'equal' }, { type: ROUTE_CONFIGURATION, name: 'stale' }])
  for (const path of [rds.deltaRoutes.path, ads.deltaAggregatedResources.path]) {
    const stream = client.delta({ path })
    stream.ask({ node, type: ROUTE_CONFIGURATION, subscribe: ['equal', 'stale', 'gone'], held: { equal: '1', stale: '0', gone: '1', phantom: '1' } })
    const response = await stream.take()
    assert.deepEqual([response.resources.map((one) => one.name), response.removedResources], [['stale'], ['gone']])
  }
})

test('rule 18: names may be empty, long, or of any script, and are told as they were asked for', async (t) => {
  const { states, client } = await world(t)
  const names = ['', '\0', 'ü/😀', 'x'.repeat(70_000)]
  const stream = client.delta()
  stream.ask({ node, type: CLUSTER_LOAD_ASSIGNMENT, subscribe: [...names, ...names] })
  assert.deepEqual([...(await stream.take()).removedResources].sort(), [...names].sort())
  for (const name of names.slice(1)) {
    states.put('odd', { type: CLUSTER_LOAD_ASSIGNMENT, name }, '1')
    assert.deepEqual((await stream.take()).resources.map((one) => one.name), [name])
  }
})

test('rule 24: a set of clusters in state of the world goes as one, and near what clients take it is told of', async (t) => {
  const notes: string[] = []
  const { states, client } = await world(t, (event, { type, bytes }) => notes.push(`${event} ${String(type)} ${Math.floor(Number(bytes) / (1 << 20))} MiB`))
  const many = (count: number): void => states.set('odd', String(count), Array.from({ length: count }, (_, at) => ({ type: CLUSTER, name: `c${at}`, bytes: Buffer.concat([Buffer.from([10, 5]), Buffer.from(`c${at}`.padEnd(5)), unknownField(1 << 18)]) })))
  many(11)
  const stream = client.sotw()
  stream.ask({ node, type: CLUSTER })
  const first = await stream.next()
  assert.deepEqual([first.resources.length, notes], [11, []])
  many(13)
  stream.ack(first)
  const second = await stream.next()
  assert.deepEqual([second.resources.length, notes], [13, [`xds.response-large ${CLUSTER} 3 MiB`]])
})

interface HttpCall {
  send(...chunks: Uint8Array[]): void
  end(): void
  reset(): void
  /** What was answered when `until` holds. */
  answered(until?: (names: readonly string[]) => boolean): Promise<string[]>
  /** Of the response and of its trailers, when it is over. */
  readonly over: Promise<IncomingHttpHeaders>
}

async function connection(t: TestContext, port: number, settings: Settings = {}): Promise<{ session: ClientHttp2Session; open(headers?: Record<string, string>): HttpCall }> {
  const session = connect(`http://127.0.0.1:${port}`, { settings, maxSessionMemory: 128 })
  t.after(() => session.destroy())
  const open = (more: Record<string, string> = {}): HttpCall => {
    const stream = session.request({ ':method': 'POST', ':path': ads.deltaAggregatedResources.path, 'content-type': 'application/grpc', te: 'trailers', ...more })
    const headers: IncomingHttpHeaders = {}
    const names: string[] = []
    const waiting = new Set<() => void>()
    let unread = Buffer.alloc(0)
    const { promise: over, resolve } = Promise.withResolvers<IncomingHttpHeaders>()
    stream.on('response', (got) => void Object.assign(headers, got))
    stream.on('trailers', (got) => void Object.assign(headers, got))
    stream.on('error', () => {})
    stream.on('end', () => resolve(headers))
    stream.on('close', () => resolve(headers))
    stream.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk])
      while (unread.length >= 5 && unread.length >= 5 + unread.readUInt32BE(1)) {
        const end = 5 + unread.readUInt32BE(1)
        names.push(...fromBinary(DeltaDiscoveryResponseSchema, unread.subarray(5, end)).resources.map((one) => one.name))
        unread = unread.subarray(end)
      }
      for (const look of waiting) look()
    })
    return {
      send: (...chunks) => {
        for (const chunk of chunks) stream.write(chunk)
      },
      end: () => void stream.end(),
      reset: () => stream.close(constants.NGHTTP2_CANCEL),
      answered: (until = (all) => all.length > 0) =>
        new Promise((done, refuse) => {
          const look = (): void => {
            if (!until(names)) return
            waiting.delete(look)
            done([...names])
          }
          waiting.add(look)
          void over.then((got) => refuse(new Error(`over with ${got['grpc-status'] ?? 'no status'} ${got['grpc-message'] ?? ''}`)))
          look()
        }),
      over,
    }
  }
  return { session, open }
}

function framed(content: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5)
  head[0] = flags
  head.writeUInt32BE(content.length, 1)
  return Buffer.concat([head, content])
}

const clusters = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node, typeUrl: CLUSTER }))
/** A field of bytes with a number that no version of the protocol has. */
const unknownField = (bytes: number): Buffer => {
  const length: number[] = []
  for (let rest = bytes; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) break
  }
  return Buffer.concat([Buffer.from([0xca, 0x3e, ...length]), Buffer.alloc(bytes)])
}
const statusOf = async (call: HttpCall): Promise<number> => Number((await call.over)['grpc-status'])

test('rule 24: a request of 16 MiB is taken, fields that nobody knows and all, and a larger one is refused while the connection lives', async (t) => {
  const { states, port } = await world(t)
  states.set('odd', '1', [{ type: CLUSTER, name: 'a' }])
  const { open } = await connection(t, port)
  const largest = Buffer.concat([clusters, unknownField((16 << 20) - clusters.length - 6)])
  assert.equal(largest.length, 16 << 20)
  const taken = open()
  taken.send(framed(largest))
  assert.deepEqual(await taken.answered(), ['a'])
  taken.reset()
  const over = open()
  over.send(framed(Buffer.concat([largest, unknownField(1)])))
  assert.equal(await statusOf(over), status.RESOURCE_EXHAUSTED)
  const after = open()
  after.send(framed(clusters))
  assert.deepEqual(await after.answered(), ['a'])
})

test('messages that come byte by byte, several in a piece, or through a window of one byte are answered all the same', async (t) => {
  const { states, port } = await world(t)
  const many = Array.from({ length: 200 }, (_, at) => ({ type: CLUSTER, name: `c${at}` }))
  states.set('odd', '1', [...many, { type: LISTENER, name: 'l' }])
  const isAll = (names: readonly string[]): boolean => names.length === many.length
  const { open } = await connection(t, port)
  const dribbled = open()
  dribbled.send(...[...framed(clusters)].map((byte) => Uint8Array.of(byte)))
  await dribbled.answered(isAll)
  const together = open()
  const listeners = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: LISTENER }))
  together.send(Buffer.concat([framed(clusters), framed(listeners)]))
  assert.ok((await together.answered((names) => names.length === many.length + 1)).includes('l'))
  const narrow = (await connection(t, port, { initialWindowSize: 1 })).open()
  narrow.send(framed(clusters))
  await narrow.answered(isAll)
})

test('a call that is reset or ends within a message harms no other of its connection', async (t) => {
  const { states, port } = await world(t)
  states.set('odd', '1', [{ type: CLUSTER, name: 'a' }])
  const { open } = await connection(t, port)
  const [reset, broken] = [open(), open()]
  for (const call of [reset, broken]) {
    call.send(framed(clusters))
    await call.answered()
    call.send(framed(clusters).subarray(0, 9))
  }
  reset.reset()
  broken.end()
  assert.equal(await statusOf(broken), status.INTERNAL)
  const other = open()
  other.send(framed(clusters))
  other.end()
  assert.deepEqual(await other.answered(), ['a'])
  assert.equal(await statusOf(other), status.OK)
})

test('compressed messages are refused with what is taken instead, those that do not say how are nobody\'s, and plain ones of a call that may compress are read', async (t) => {
  const { states, port } = await world(t)
  states.set('odd', '1', [{ type: CLUSTER, name: 'a' }])
  const { open } = await connection(t, port)
  const zipped = open({ 'grpc-encoding': 'gzip' })
  zipped.send(framed(gzipSync(clusters), 1))
  const { 'grpc-status': code, 'grpc-accept-encoding': taken } = await zipped.over
  assert.deepEqual([Number(code), taken], [status.UNIMPLEMENTED, 'identity'])
  const unsaid = open()
  unsaid.send(framed(clusters, 1))
  assert.equal(await statusOf(unsaid), status.INTERNAL)
  const plain = open({ 'grpc-encoding': 'gzip', 'grpc-accept-encoding': 'gzip' })
  plain.send(framed(clusters))
  assert.deepEqual(await plain.answered(), ['a'])
})
