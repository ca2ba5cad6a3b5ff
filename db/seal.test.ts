import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openSeal } from './seal.ts'

const seal = openSeal(Buffer.alloc(32, 1))

test('what is sealed opens at its own place and nowhere else, and never looks the same twice', () => {
  const sealed = seal.close('a secret', 'here')
  assert.equal(seal.open(sealed, 'here'), 'a secret')
  assert.notEqual(seal.close('a secret', 'here'), sealed)
  assert.throws(() => seal.open(sealed, 'there'), /was altered, or belongs elsewhere/)
})

test('one changed character is noticed, wherever it is', () => {
  const sealed = seal.close('a secret', 'here')
  const body = sealed.lastIndexOf('.') + 1
  for (let at = body; at < sealed.length - 2; at += 5) {
    const altered = `${sealed.slice(0, at)}${sealed[at] === 'A' ? 'B' : 'A'}${sealed.slice(at + 1)}`
    assert.throws(() => seal.open(altered, 'here'))
  }
})

test('another key is named as such, and a key of another length is refused', () => {
  assert.throws(() => openSeal(Buffer.alloc(32, 2)).open(seal.close('x', 'here'), 'here'), /sealed with key [0-9a-f]{8}, and this process was given key [0-9a-f]{8}/)
  assert.throws(() => openSeal(Buffer.alloc(16)), /32 bytes, not 16/)
})
