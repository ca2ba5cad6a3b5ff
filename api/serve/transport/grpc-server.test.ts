import assert from 'node:assert/strict'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { status } from '@grpc/grpc-js'
import { SteppedClock } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { bytesCodec, defineMethod, ads } from '#core/wire/grpc.ts'
import { GrpcServer } from './grpc-server.ts'
import { duplex, type GrpcMethod, unary } from './method.ts'
import type { ServerCall } from './server-call.ts'

const bytes = bytesCodec<Buffer>()
const methodAt = (path: string) => defineMethod({ ...ads.deltaAggregatedResources, path }, bytes, bytes)
const framed = (content: Buffer, flags = 0): Buffer => {
  const head = Buffer.alloc(5)
  head[0] = flags
  head.writeUInt32BE(content.length, 1)
  return Buffer.concat([head, content])
}

/** Answers each message with itself. */
const echo: GrpcMethod = duplex(methodAt('/test/Echo'), (call) => {
  call.onEnd(() => call.end())
  call.onRequest((request) => void call.write(request))
})
/** Answers one message with itself, backwards. */
const turned: GrpcMethod = unary(methodAt('/test/Turn'), (call, answer) => answer(null, Buffer.from(call.request).reverse()))

async function start(t: TestContext, ...methods: GrpcMethod[]): Promise<{ server: GrpcServer; port: number; session: ClientHttp2Session }> {
  const server = new GrpcServer({ clock: systemDoors.clock, sockets: systemDoors.clock, methods: [echo, turned, ...methods], trust: undefined, callsMax: 100, requestBytesMax: 1 << 20 })
  const port = await server.listen({ address: '127.0.0.1', port: 0 })
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  t.after(() => {
    session.destroy()
    server.cut()
  })
  return { server, port, session }
}

interface Seen {
  readonly stream: ClientHttp2Stream
  readonly chunks: Buffer[]
  /** Of the response, and of its trailers. */
  readonly headers: IncomingHttpHeaders
  readonly ended: Promise<IncomingHttpHeaders>
  stirred(until: () => boolean): Promise<void>
}

function call(session: ClientHttp2Session, path: string, more: OutgoingHttpHeaders = {}): Seen {
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...more })
  const headers: IncomingHttpHeaders = {}
  const chunks: Buffer[] = []
  const waiting = new Set<() => void>()
  const stir = (): void => {
    for (const look of waiting) look()
  }
  const { promise: ended, resolve } = Promise.withResolvers<IncomingHttpHeaders>()
  stream.on('response', (got) => void Object.assign(headers, got))
  stream.on('trailers', (got) => void Object.assign(headers, got))
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    stir()
  })
  stream.on('error', () => {})
  stream.on('end', () => resolve(headers))
  stream.on('close', () => resolve(headers))
  const stirred = (until: () => boolean): Promise<void> =>
    new Promise((done) => {
      const look = (): void => {
        if (!until()) return
        waiting.delete(look)
        done()
      }
      waiting.add(look)
      look()
    })
  return { stream, chunks, headers, ended, stirred }
}

const statusOf = (headers: IncomingHttpHeaders): number => Number(headers['grpc-status'])

test('a client that says all it has to say is answered in full, and then given its status', async (t) => {
  const { session } = await start(t)
  const large = Buffer.alloc(300_000, 7)
  const one = call(session, '/test/Echo')
  one.stream.write(framed(Buffer.from('a')))
  one.stream.end(framed(large))
  assert.equal(statusOf(await one.ended), status.OK)
  assert.deepEqual(Buffer.concat(one.chunks), Buffer.concat([framed(Buffer.from('a')), framed(large)]))
  const turn = call(session, '/test/Turn')
  turn.stream.end(framed(Buffer.from('abc')))
  assert.equal(statusOf(await turn.ended), status.OK)
  assert.deepEqual(Buffer.concat(turn.chunks), framed(Buffer.from('cba')))
})

test('what is no call of a method here is refused in the words of its protocol', async (t) => {
  const { session } = await start(t)
  assert.equal(statusOf(await call(session, '/test/None').ended), status.UNIMPLEMENTED)
  assert.equal((await call(session, '/test/Echo', { 'content-type': 'application/json' }).ended)[':status'], 415)
  const packed = call(session, '/test/Echo', { 'grpc-encoding': 'gzip' })
  packed.stream.write(framed(Buffer.from('abc'), 1))
  const refused = await packed.ended
  assert.equal(statusOf(refused), status.UNIMPLEMENTED)
  assert.equal(refused['grpc-accept-encoding'], 'identity')
  // Announced and not used, as clients do for small messages.
  const plain = call(session, '/test/Echo', { 'grpc-encoding': 'gzip' })
  plain.stream.end(framed(Buffer.from('abc')))
  assert.equal(statusOf(await plain.ended), status.OK)
})

test('a message that is too large, without meaning, or cut short ends its call and no other', async (t) => {
  const { session } = await start(t)
  const bystander = call(session, '/test/Echo')
  const large = call(session, '/test/Echo')
  large.stream.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]))
  assert.equal(statusOf(await large.ended), status.RESOURCE_EXHAUSTED)
  const strange = call(session, '/test/Echo')
  strange.stream.write(framed(Buffer.from('abc'), 9))
  assert.equal(statusOf(await strange.ended), status.INTERNAL)
  const short = call(session, '/test/Echo')
  short.stream.end(framed(Buffer.from('abc')).subarray(0, 7))
  assert.equal(statusOf(await short.ended), status.INTERNAL)
  const twice = call(session, '/test/Turn')
  twice.stream.end(Buffer.concat([framed(Buffer.from('a')), framed(Buffer.from('b'))]))
  assert.equal(statusOf(await twice.ended), status.UNIMPLEMENTED)
  bystander.stream.end(framed(Buffer.from('still here')))
  assert.equal(statusOf(await bystander.ended), status.OK)
})

test('a call that is reset is cancelled, once, and a status that comes later goes nowhere', async (t) => {
  const seen: string[] = []
  const { promise: cancelled, resolve } = Promise.withResolvers<ServerCall>()
  const held: GrpcMethod = {
    path: '/test/Held',
    open(held) {
      held.onCancelled(() => {
        seen.push('cancelled')
        resolve(held)
      })
      held.onMessage(() => void held.write(Buffer.from('x')))
    },
  }
  const { session } = await start(t, held)
  const one = call(session, '/test/Held')
  one.stream.write(framed(Buffer.from('a')))
  await one.stirred(() => one.chunks.length > 0)
  one.stream.close(constants.NGHTTP2_CANCEL)
  const gone = await cancelled
  assert.equal(gone.cancelled, true)
  gone.fail(status.UNAVAILABLE, 'late')
  gone.write(Buffer.from('later'))
  const after = call(session, '/test/Turn')
  after.stream.end(framed(Buffer.from('a')))
  assert.equal(statusOf(await after.ended), status.OK)
  assert.deepEqual(seen, ['cancelled'])
})

test('a deadline that is over ends the call', async (t) => {
  const { session } = await start(t, { path: '/test/Silent', open: (silent) => silent.onMessage(() => {}) })
  assert.equal(statusOf(await call(session, '/test/Silent', { 'grpc-timeout': '20m' }).ended), status.DEADLINE_EXCEEDED)
})

test('words of a status reach the client whatever is in them', async (t) => {
  const { session } = await start(t, { path: '/test/Fail', open: (failing) => failing.fail(status.NOT_FOUND, 'kein „100 %“\nsolches') })
  const headers = await call(session, '/test/Fail').ended
  assert.equal(decodeURI(String(headers['grpc-message'])), 'kein „100 %“\nsolches')
})

test('a slow reader makes the writer wait, and what was written once is not copied for it', async (t) => {
  const shared = Buffer.alloc(4 << 20, 5)
  const drained = Promise.withResolvers<void>()
  let waits = false
  const { session } = await start(t, {
    path: '/test/Much',
    open(much) {
      much.onDrain(() => drained.resolve())
      waits = !much.write(shared)
      much.onEnd(() => much.end())
      much.onMessage(() => {})
    },
  })
  const one = call(session, '/test/Much')
  one.stream.pause()
  await new Promise((resolve) => one.stream.once('response', resolve))
  assert.equal(waits, true)
  one.stream.resume()
  await drained.promise
  one.stream.end()
  assert.equal(statusOf(await one.ended), status.OK)
  assert.deepEqual(Buffer.concat(one.chunks), framed(shared))
})

test('a call that is paused takes no message until it is resumed, and then all of them in order', async (t) => {
  const got: string[] = []
  const opened = Promise.withResolvers<ServerCall>()
  const { session } = await start(t, {
    path: '/test/Paused',
    open(paused) {
      paused.onMessage((message) => {
        got.push(message.toString())
        if (got.length === 1) {
          paused.pause()
          opened.resolve(paused)
        }
      })
      paused.onEnd(() => paused.end())
    },
  })
  const one = call(session, '/test/Paused')
  one.stream.end(Buffer.concat(['1', '2', '3'].map((text) => framed(Buffer.from(text)))))
  const paused = await opened.promise
  const other = call(session, '/test/Turn')
  other.stream.end(framed(Buffer.from('a')))
  await other.ended
  assert.deepEqual(got, ['1'])
  paused.resume()
  assert.equal(statusOf(await one.ended), status.OK)
  assert.deepEqual(got, ['1', '2', '3'])
})

test('draining ends connections after their calls, and takes no new ones', async (t) => {
  const { server, port, session } = await start(t)
  const one = call(session, '/test/Echo')
  one.stream.write(framed(Buffer.from('a')))
  await one.stirred(() => one.chunks.length > 0)
  const goaway = new Promise((resolve) => session.once('goaway', resolve))
  const drained = server.drain()
  await goaway
  one.stream.end(framed(Buffer.from('b')))
  assert.equal(statusOf(await one.ended), status.OK)
  await drained
  await assert.rejects(new Promise((resolve, reject) => connectTcp(port, '127.0.0.1', () => resolve(undefined)).once('error', reject)))
})

/** A connection that speaks HTTP/2 frames by hand, in plaintext. */
async function rawConnection(port: number, frames: Buffer): Promise<void> {
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.resume()
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))
  // Again and again until the server has had enough.
  const flood = (): void => {
    while (!socket.destroyed && socket.write(frames)) if (socket.writableLength > 1 << 20) break
    if (!socket.destroyed) socket.once('drain', flood)
  }
  flood()
  await closed
}

for (const [name, frame] of [
  ['PING', Buffer.concat([Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0]), Buffer.alloc(8)])],
  ['SETTINGS', Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])],
  ['frames that break the protocol', Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 0, 0])],
] as const) {
  test(`a flood of ${name} ends its connection and disturbs no other`, async (t) => {
    const { port, session } = await start(t)
    await rawConnection(port, Buffer.concat(Array.from({ length: 100 }, () => frame)))
    const other = call(session, '/test/Turn')
    other.stream.end(framed(Buffer.from('ab')))
    assert.equal(statusOf(await other.ended), status.OK)
  })
}

test('bytes that are no HTTP/2 end their connection', async (t) => {
  const { port } = await start(t)
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.resume()
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(10))
  await closed
})

test('a peer that answers no PING is gone; one that only does not read what waits for it has more time', async (t) => {
  const clock = new SteppedClock()
  const much: GrpcMethod = { path: '/test/Much', open: (one) => one.onMessage(() => void one.write(Buffer.alloc(8 << 20))) }
  const server = new GrpcServer({ clock: systemDoors.clock, sockets: clock, methods: [turned, much], trust: undefined, callsMax: 10, requestBytesMax: 1 << 20 })
  const port = await server.listen({ address: '127.0.0.1', port: 0 })
  t.after(() => server.cut())
  // Frames by hand, and none that acknowledges: the preface, settings, and for the slow one a call.
  const peer = async (...frames: Buffer[]): Promise<Socket> => {
    const socket = connectTcp(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]), ...frames]))
    await new Promise((resolve) => socket.once('data', resolve))
    return socket
  }
  const literal = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
  const block = Buffer.concat([Buffer.from([0x83, 0x86]), literal(':path', '/test/Much'), literal('host', 'a'), literal('content-type', 'application/grpc')])
  const frame = (type: number, flags: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, content.length, type, flags, 0, 0, 0, 1]), content])
  const dead = await peer()
  const slow = await peer(frame(1, 4, block), frame(0, 0, framed(Buffer.from('a'))))
  const gone = new Set<Socket>()
  for (const one of [dead, slow]) {
    one.resume()
    one.once('close', () => gone.add(one))
  }
  // Its window of 64 KB is full, and it opens no other.
  await new Promise((resolve) => slow.once('data', resolve))
  const settled = async (until: () => boolean): Promise<void> => {
    while (!until()) await new Promise((resolve) => setImmediate(resolve))
  }
  clock.advance(60_000)
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(120_000)
  await settled(() => gone.has(dead))
  assert.equal(gone.has(slow), false)
  clock.advance(300_000)
  await settled(() => gone.has(slow))
})

test('what one connection holds of messages that never end is bounded, and given back', async (t) => {
  const { session } = await start(t)
  const half = framed(Buffer.alloc(1 << 20)).subarray(0, 1 << 19)
  const hoarding = Array.from({ length: 20 }, () => call(session, '/test/Turn'))
  for (const one of hoarding) one.stream.write(half)
  const [first] = await Promise.race(hoarding.map(async (one) => [await one.ended] as const))
  assert.equal(first?.['grpc-status'], String(status.RESOURCE_EXHAUSTED))
  for (const one of hoarding) one.stream.close(constants.NGHTTP2_CANCEL)
  const whole = call(session, '/test/Turn')
  whole.stream.end(framed(Buffer.from('abc')))
  assert.equal((await whole.ended)['grpc-status'], '0')
})
