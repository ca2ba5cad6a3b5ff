import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lowPorts } from './ports.ts'

test('no block has the port that browsers refuse to ask, and each has enough without it', async () => {
  await assert.rejects(fetch('http://127.0.0.1:10080'), (error: Error) => (error.cause as Error).message === 'bad port')
  for (let block = 1; block <= 250; block++) {
    const ports = [...lowPorts(block)]
    assert.equal(ports.includes(10_080), false, `block ${block}`)
    assert.ok(ports.filter((port) => port >= 10_000 + block * 16 && port < 10_016 + block * 16).length >= 15)
  }
})
