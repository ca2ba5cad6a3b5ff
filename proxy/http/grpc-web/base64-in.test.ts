import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Base64In } from './base64-in.ts'

/** Pushes in pieces of these sizes, and the rest at once. */
function pushed(reader: Base64In, text: Buffer, sizes: readonly number[]): Buffer {
  const out: Buffer[] = []
  let at = 0
  for (const size of [...sizes, text.length]) {
    const end = Math.min(text.length, at + size)
    out.push(Buffer.from(reader.push(text, at, end)))
    at = end
  }
  return Buffer.concat(out)
}

test('however a text is cut into pieces, and wherever it is padded within, its bytes are the same', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), fc.array(fc.nat(7), { maxLength: 60 }), (parts, sizes) => {
      const reader = new Base64In()
      const text = Buffer.from(parts.map((one) => Buffer.from(one).toString('base64')).join(''))
      assert.deepEqual(pushed(reader, text, sizes), Buffer.concat(parts))
      assert.ok(reader.whole)
    }),
  )
})

test('a text that breaks off, lacks its padding or holds another letter is none, in whatever pieces it comes', () => {
  const good = (text: string, sizes: readonly number[]): boolean => {
    const reader = new Base64In()
    pushed(reader, Buffer.from(text), sizes)
    return reader.whole
  }
  for (const text of ['AAA', 'AA', 'A', 'AA=', '=', '====', 'A===', 'AA=A', 'A A=', 'AAAA\n', 'AA-_', 'AB==', 'AAB=', 'ÄAAA']) {
    for (const sizes of [[], [1, 1, 1, 1], [2], [3]]) assert.equal(good(text, sizes), false, `${text} in ${sizes.join()}`)
  }
  for (const text of ['', 'AAAA', 'AA==', 'AAA=', 'AA==AAAA', 'AAA=AA==']) assert.equal(good(text, [1]), true, text)
})
