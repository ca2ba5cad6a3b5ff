import assert from 'node:assert/strict'
import test from 'node:test'
import { murmurHash2 } from './murmur2.ts'
import { xxHash64Text } from './xxhash.ts'

test('xxHash64 gives the values of its reference implementation', () => {
  assert.equal(xxHash64Text(''), 0xef46db3751d8e999n)
  assert.equal(xxHash64Text('foo'), 3728699739546630719n)
  assert.equal(xxHash64Text('foo\nbar'), 8917841378505826757n)
  assert.equal(xxHash64Text('lyft', 1n), 81692559072577057n)
  assert.equal(xxHash64Text('The quick brown fox jumps over the lazy dog', 1n), 16091521683136104155n)
  assert.equal(xxHash64Text('0123456789'.repeat(10)), 17874359856083435514n)
})

test('MurmurHash2 tells texts apart by their last byte, at every length of the tail', () => {
  const hashes = new Set(Array.from({ length: 40 }, (_, length) => [murmurHash2('x'.repeat(length)), murmurHash2(`${'x'.repeat(length)}y`)]).flat())
  assert.equal(hashes.size, 80)
})
