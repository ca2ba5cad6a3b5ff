import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageCount } from './grpc-messages.ts'

const message = (bytes: number, flag = 0): Buffer => {
  const made = Buffer.alloc(5 + bytes, 0xff)
  made[0] = flag
  made.writeUInt32BE(bytes, 1)
  return made
}

test('messages are counted whatever the pieces they come in', () => {
  const all = Buffer.concat([message(0), message(3), message(300, 1), message(0), message(1), message(7)])
  for (let first = 0; first <= all.length; first++) {
    for (const size of [1, 2, 3, 4, 5, 6, 64, all.length]) {
      const read = new MessageCount()
      read.read(all, 0, first)
      for (let at = first; at < all.length; at += size) read.read(all, at, Math.min(at + size, all.length))
      assert.equal(read.count, 6, `cut at ${first}, then every ${size}`)
    }
  }
})

test('a message counts once its length is known, and what is new is told once', () => {
  const read = new MessageCount()
  const long = message(70_000)
  read.read(long, 0, 4)
  assert.equal(read.news(), 0)
  read.read(long, 4, 5)
  assert.equal(read.news(), 1)
  read.read(long, 5, long.length)
  assert.equal(read.news(), 0)
  // A length above 2 GiB is one too.
  const huge = Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3])
  for (let at = 0; at < huge.length; at++) read.read(huge, at, at + 1)
  assert.equal(read.news(), 1)
  assert.equal(read.count, 2)
})
