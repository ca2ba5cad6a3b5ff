import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shrunk } from './findings.ts'

test('what breaks a reader is told without what does not', () => {
  const noise = Buffer.alloc(300, 'x')
  const found = shrunk(Buffer.concat([noise, Buffer.from('AB'), noise]), (bytes) => bytes.includes('A') && bytes.includes('B'))
  assert.equal(found.toString(), 'AB')
})
