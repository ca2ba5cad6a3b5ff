import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FieldTable } from '../head-scan.ts'
import { Connection } from './connection.ts'
import type { ConnectionOwner } from './connection.ts'
import { CONTINUATION, DATA, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, GOAWAY, HEADERS, NO_ERROR, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE } from './frames.ts'
import type { HeadBlock } from './head-block.ts'
import type { OwnSettings } from './settings.ts'
import type { Stream, StreamReceiver } from './stream.ts'

const own: OwnSettings = { streamWindow: 65_535, connectionWindow: 1024 * 1024, concurrentStreamsMax: 100, headerBytesMax: 60 * 1024 }

/** One side of a connection that writes down what it is told; `answers`: requests are answered at once. */
class Side implements ConnectionOwner {
  readonly events: string[] = []
  readonly connection: Connection
  readonly headFields = new FieldTable()
  sent: Buffer[] = []
  failed = -1
  #answers: boolean

  constructor(isServer: boolean, answers = true, settings = own) {
    this.#answers = answers
    this.connection = new Connection(this, isServer, settings, 0)
    this.connection.begin({
      congested: false,
      writeBytes: (bytes, done) => {
        this.sent.push(Buffer.from(bytes))
        done()
      },
    })
  }

  /** What was written since the last call. */
  take(): Buffer {
    this.connection.out.flush()
    return Buffer.concat(this.sent.splice(0))
  }

  receiver(stream: Stream): StreamReceiver {
    const fields = new FieldTable()
    const say = (what: string): void => void this.events.push(`${stream.id} ${what}`)
    return {
      headFields: fields,
      onHead(block, ends) {
        say(`answer ${block.status} ${JSON.stringify(fields.text)} ${ends}`)
        return true
      },
      onData: (bytes, start, end) => say(`data ${bytes.toString('latin1', start, end)}`),
      onEnd: (trailers) => say(`end ${JSON.stringify(trailers)}`),
      onReset: (code, by) => say(`reset ${code} ${by}`),
      onWritable: () => undefined,
    }
  }

  onRequest(stream: Stream, block: HeadBlock, ends: boolean): void {
    stream.receiver = this.receiver(stream)
    this.events.push(`${stream.id} request ${block.method} ${block.path} ${block.authority} ${JSON.stringify(this.headFields.text)} ${ends} ${block.tooLarge}`)
    if (!this.#answers) return
    stream.sendResponse(200, 'server: test\r\n', false)
    const body = Buffer.from('hello')
    stream.sendData(body, 0, body.length)
    stream.sendEnd('')
  }

  onGoaway(last: number, code: number): void {
    this.events.push(`goaway ${last} ${code}`)
  }
  onSettings(): void {}
  onPong(): void {
    this.events.push('pong')
  }
  onStreamClosed(): void {}
  onFailed(code: number): void {
    this.failed = code
  }
}

/** Data events of a stream, put together: cuts between reads show there, and only there. */
function joined(events: readonly string[]): string[] {
  const out: string[] = []
  for (const event of events) {
    const parts = /^(\d+) data ([^]*)$/.exec(event)
    const last = out.at(-1)
    if (parts !== null && last?.startsWith(`${parts[1]} data `) === true) out[out.length - 1] = last + parts[2]
    else out.push(event)
  }
  return out
}

/** Hands bytes over in pieces. */
function feed(side: Side, bytes: Buffer, cuts: readonly number[]): void {
  let from = 0
  for (const cut of [...cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    if (cut > from) side.connection.read(Buffer.from(bytes.subarray(from, cut)), 0, cut - from)
    from = cut
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

const hello = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)])
/** `:method GET`, `:scheme http`, `:path /`, `:authority a`. */
const request = Buffer.from([0x82, 0x86, 0x84, 0x41, 0x01, 0x61])
const started = (settings = own, answers = false): Side => {
  const side = new Side(true, answers, settings)
  feed(side, hello, [])
  side.take()
  return side
}

/** Types and error codes of frames. */
function framesIn(bytes: Buffer): { type: number; flags: number; stream: number; payload: Buffer }[] {
  const out = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3)
    out.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, stream: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, at + 9 + length) })
    at += 9 + length
  }
  return out
}

test('whatever the cuts between reads, the same is told in the same order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ path: fc.stringMatching(/^\/[a-z]{0,8}$/), size: fc.integer({ min: 0, max: 40_000 }), trailers: fc.boolean(), large: fc.boolean() }), { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 60 }),
      (requests, cuts) => {
        const client = new Side(false)
        feed(client, frame(SETTINGS, 0, 0), [])
        for (const { path, size, trailers, large } of requests) {
          const stream = client.connection.open()
          stream.receiver = client.receiver(stream)
          stream.sendRequest('POST', 'http', 'shop.example', path, '', large ? `x-large: ${'v'.repeat(30_000)}\r\n` : 'x-a: b\r\n', false)
          stream.sendData(Buffer.alloc(size, 97), 0, size)
          stream.sendEnd(trailers ? 'x-sum: 1\r\n' : '')
        }
        client.connection.control.ping()
        const bytes = client.take()
        const whole = new Side(true)
        feed(whole, bytes, [])
        const pieces = new Side(true)
        feed(pieces, bytes, cuts)
        assert.deepEqual(joined(pieces.events), joined(whole.events))
        assert.equal(pieces.failed, -1)
        // And back.
        const answer = pieces.take()
        feed(client, answer, cuts)
        assert.equal(client.failed, -1)
        assert.equal(client.events.filter((event) => event.includes('answer 200')).length, requests.length)
      },
    ),
    { numRuns: 150 },
  )
})

test('garbage behind the preface never throws, and mutated traffic does not either', () => {
  const client = new Side(false)
  const stream = client.connection.open()
  stream.receiver = client.receiver(stream)
  stream.sendRequest('POST', 'http', 'a', '/', '', 'a: b\r\n', false)
  stream.sendData(Buffer.alloc(100), 0, 100)
  stream.sendEnd('c: d\r\n')
  const good = client.take()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 5 }), fc.boolean(), (noise, changes, cuts, asServer) => {
      const mutated = Buffer.from(good)
      for (const [at, byte] of changes) mutated[at] = byte
      const bytes = asServer ? Buffer.concat([mutated, noise]) : Buffer.concat([frame(SETTINGS, 0, 0), noise])
      const side = new Side(asServer)
      feed(side, bytes, cuts)
      side.take()
    }),
    { numRuns: 3000 },
  )
})

test('field sections survive any mutation of their bytes as an error or as fields', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (block) => {
      const side = started()
      feed(side, frame(HEADERS, 0x5, 1, Buffer.from(block)), [])
      feed(side, frame(HEADERS, 0x5, 3, request), [])
      if (side.failed < 0) assert.ok(side.events.some((event) => event.startsWith('3 request GET /')))
    }),
    { numRuns: 2000 },
  )
})

const floods: Readonly<Record<string, (i: number) => Buffer>> = {
  PING: () => frame(PING, 0, 0, Buffer.alloc(8)),
  SETTINGS: () => frame(SETTINGS, 0, 0),
  'empty DATA': () => frame(DATA, 0, 1),
  PRIORITY: (i) => frame(PRIORITY, 0, 2 * i + 3, Buffer.alloc(5)),
  WINDOW_UPDATE: () => frame(WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 1])),
  'unknown frames': () => frame(0x40, 0, 0, Buffer.alloc(10)),
  'rapid resets': (i) => Buffer.concat([frame(HEADERS, 0x5, 2 * i + 3, request), frame(RST_STREAM, 0, 2 * i + 3, Buffer.from([0, 0, 0, 8]))]),
  'resets that we are made to send': (i) => Buffer.concat([frame(HEADERS, 0x4, 2 * i + 3, request), frame(WINDOW_UPDATE, 0, 2 * i + 3, Buffer.alloc(4))]),
  'streams beyond the limit': (i) => frame(HEADERS, 0x4, 2 * i + 3, request),
}

for (const [name, make] of Object.entries(floods)) {
  test(`a flood of ${name} is told to calm down`, () => {
    const side = started()
    feed(side, frame(HEADERS, 0x4, 1, request), [])
    let sentBytes = 0
    let i = 0
    for (; side.failed < 0 && i < 100_000; i++) {
      feed(side, make(i), [])
      if (i % 100 === 0) sentBytes += side.take().length
    }
    assert.equal(side.failed, ENHANCE_YOUR_CALM)
    assert.ok(i < 5000, `${i} frames were taken`)
    assert.ok(sentBytes < 200_000)
    assert.ok(side.connection.streams.size <= own.concurrentStreamsMax)
  })
}

test('a field section without end is cut off, in bytes and in frames', () => {
  const long = started()
  feed(long, frame(HEADERS, 0, 1, request), [])
  for (let i = 0; i < 20 && long.failed < 0; i++) feed(long, frame(CONTINUATION, 0, 1, Buffer.alloc(16_000)), [])
  assert.equal(long.failed, ENHANCE_YOUR_CALM)
  assert.ok(long.connection.keptBytes < 100_000)
  const empty = started()
  feed(empty, frame(HEADERS, 0, 1, request), [])
  let i = 0
  for (; i < 10_000 && empty.failed < 0; i++) feed(empty, frame(CONTINUATION, 0, 1), [])
  assert.equal(empty.failed, ENHANCE_YOUR_CALM)
  assert.ok(i < 5000)
})

test('traffic that gets something done is never told to calm down', () => {
  const side = started(own, true)
  for (let i = 0; i < 20_000; i++) {
    feed(side, Buffer.concat([frame(HEADERS, 0x5, 2 * i + 1, request), frame(PING, 0, 0, Buffer.alloc(8)), frame(WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 5]))]), [])
    if (i % 50 === 0) side.take()
  }
  assert.equal(side.failed, -1)
  assert.equal(side.connection.streams.size, 0)
})

test('windows bound what a peer may send, on a stream and on the connection', () => {
  const stream = started()
  feed(stream, frame(HEADERS, 0x4, 1, request), [])
  // The stream's receiver does not take: nothing is credited.
  for (const one of stream.connection.streams.all()) one.pause()
  for (let i = 0; i < 5; i++) feed(stream, frame(DATA, 0, 1, Buffer.alloc(16_384)), [])
  assert.match(stream.events.at(-1) ?? '', /^1 reset 3 violation/)
  assert.equal(stream.failed, -1)
  const connection = started({ ...own, streamWindow: 1024 * 1024, connectionWindow: 65_535 })
  feed(connection, frame(HEADERS, 0x4, 1, request), [])
  for (const one of connection.connection.streams.all()) one.pause()
  for (let i = 0; i < 5; i++) feed(connection, frame(DATA, 0, 1, Buffer.alloc(16_384)), [])
  assert.equal(connection.failed, FLOW_CONTROL_ERROR)
})

test('what a window does not let through waits, in order, with its end behind it', () => {
  const side = new Side(true, false)
  const settings = Buffer.alloc(6)
  settings.writeUInt16BE(4, 0)
  settings.writeUInt32BE(10, 2)
  feed(side, Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, settings), frame(HEADERS, 0x5, 1, request)]), [])
  const [stream] = side.connection.streams.all()
  const body = Buffer.from('0123456789abcdefghijklmnop')
  stream?.sendResponse(200, '', false)
  stream?.sendData(body, 0, body.length)
  stream?.sendEnd('x-end: 1\r\n')
  let text = ''
  let frames = framesIn(side.take())
  for (let i = 0; i < 10; i++) {
    for (const one of frames) if (one.type === DATA) text += one.payload.toString('latin1')
    feed(side, frame(WINDOW_UPDATE, 0, 1, Buffer.from([0, 0, 0, 4])), [])
    frames = framesIn(side.take())
    if (frames.some((one) => one.type === HEADERS)) break
  }
  for (const one of frames) if (one.type === DATA) text += one.payload.toString('latin1')
  assert.equal(text, body.toString())
  assert.equal(frames.at(-1)?.type, HEADERS)
  assert.equal(side.connection.streams.size, 0)
})

test('a drain tells the client twice, finishes what runs, and takes nothing new', () => {
  const side = started()
  feed(side, frame(HEADERS, 0x4, 1, request), [])
  side.connection.control.drain()
  const first = framesIn(side.take())
  assert.equal(first.find((one) => one.type === GOAWAY)?.payload.readUInt32BE(0), 0x7fffffff)
  // A request that was on its way is still served.
  feed(side, frame(HEADERS, 0x4, 3, request), [])
  const ping = first.find((one) => one.type === PING)
  feed(side, frame(PING, 1, 0, Buffer.from(ping?.payload ?? Buffer.alloc(8))), [])
  const goaway = framesIn(side.take()).find((one) => one.type === GOAWAY)
  assert.deepEqual([goaway?.payload.readUInt32BE(0), goaway?.payload.readUInt32BE(4)], [3, NO_ERROR])
  feed(side, frame(HEADERS, 0x4, 5, request), [])
  assert.deepEqual(side.connection.streams.all().map((one) => one.id), [1, 3])
  assert.equal(side.connection.control.drained, false)
  for (const one of side.connection.streams.all()) one.reset(NO_ERROR)
  assert.equal(side.connection.control.drained, true)
})

test('a client refuses what only a client may send, and gives back what was never begun', () => {
  for (const bad of [frame(5, 0x4, 1, Buffer.from([0, 0, 0, 2])), frame(HEADERS, 0x4, 2, Buffer.from([0x88])), frame(SETTINGS, 0, 0, Buffer.from([0, 2, 0, 0, 0, 1]))]) {
    const client = new Side(false)
    feed(client, Buffer.concat([frame(SETTINGS, 0, 0), bad]), [])
    assert.equal(client.failed, PROTOCOL_ERROR)
  }
  const client = new Side(false)
  feed(client, frame(SETTINGS, 0, 0), [])
  for (let i = 0; i < 3; i++) {
    const stream = client.connection.open()
    stream.receiver = client.receiver(stream)
    stream.sendRequest('GET', 'http', 'a', '/', '', '', true)
  }
  feed(client, frame(GOAWAY, 0, 0, Buffer.from([0, 0, 0, 3, 0, 0, 0, 0])), [])
  assert.deepEqual(client.events, ['5 reset 7 peer', 'goaway 3 0'])
  assert.equal(client.connection.mayOpen, false)
})
