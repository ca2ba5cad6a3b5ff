import assert from 'node:assert/strict'
import { test } from 'node:test'
import { murmur128 } from './murmur.ts'

const bytesOf = (hex: string): Uint8Array => {
  // The reference writes each of the four words little-endian; our text has them as numbers.
  const out = new Uint8Array(16)
  const view = new DataView(out.buffer)
  for (let word = 0; word < 4; word++) view.setUint32(word * 4, Number.parseInt(hex.slice(word * 8, word * 8 + 8), 16), true)
  return out
}

test('the hash passes the verification that SMHasher defines for MurmurHash3_x86_128', () => {
  const all = new Uint8Array(256 * 16)
  for (let length = 0; length < 256; length++) {
    const key = Uint8Array.from({ length }, (_, index) => index)
    all.set(bytesOf(murmur128(key, 256 - length)), length * 16)
  }
  assert.equal(new DataView(bytesOf(murmur128(all, 0)).buffer).getUint32(0, true), 0xb3ece62a)
})

test('the hash of a view is that of its bytes, wherever they lie in the buffer', () => {
  const buffer = Uint8Array.from({ length: 64 }, (_, index) => index * 7)
  assert.equal(murmur128(buffer.subarray(5, 42), 0), murmur128(buffer.slice(5, 42), 0))
})
