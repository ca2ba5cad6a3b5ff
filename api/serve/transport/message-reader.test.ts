import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '#core/time/seeded.ts'
import { BadFrame, MessageReader } from './message-reader.ts'

const framed = (content: Buffer, flags = 0): Buffer => {
  const head = Buffer.alloc(5)
  head[0] = flags
  head.writeUInt32BE(content.length, 1)
  return Buffer.concat([head, content])
}

test('messages come out whole and in order, wherever the stream is cut', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seededRandom(seed)
    const below = (limit: number): number => Math.floor(random.draw() * limit)
    const messages = Array.from({ length: below(6) }, (_, at) => Buffer.alloc(below(40), at + 1))
    const bytes = Buffer.concat(messages.map((message) => framed(message)))
    const reader = new MessageReader(64)
    const read: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + below(12))
      read.push(...reader.push(bytes.subarray(at, end)))
      at = end
    }
    assert.deepEqual(read, messages, `seed ${seed}`)
    assert.equal(reader.isWithin, false)
  }
})

test('a message is refused by its head, before its bytes are held', () => {
  const what = (bytes: Buffer): string | undefined => {
    try {
      new MessageReader(64).push(bytes)
      return undefined
    } catch (raised) {
      return raised instanceof BadFrame ? raised.what : String(raised)
    }
  }
  assert.equal(what(framed(Buffer.alloc(65)).subarray(0, 5)), 'too-large')
  assert.equal(what(Buffer.from([0, 0xff, 0xff, 0xff, 0xff])), 'too-large')
  assert.equal(what(framed(Buffer.alloc(3), 1)), 'compressed')
  assert.equal(what(framed(Buffer.alloc(3), 7)), 'flags')
  assert.equal(what(framed(Buffer.alloc(64))), undefined)
})

test('of a message that comes in bytes, or whose head promises much, no more is held than four times what has come, and twice of what is large', () => {
  const reader = new MessageReader(16 << 20)
  reader.push(framed(Buffer.alloc(16 << 20)).subarray(0, 6))
  assert.ok(reader.held <= 24)
  const all = Buffer.alloc(64 << 10)
  for (let at = 0; at < 5000; at += 1) reader.push(all.subarray(at, at + 1))
  assert.ok(reader.held <= 4 * 5006, `${reader.held}`)
  reader.drop()
  assert.deepEqual([reader.held, reader.isWithin], [0, false])
})
