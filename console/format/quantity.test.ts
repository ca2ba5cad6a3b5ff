import assert from 'node:assert/strict'
import { test } from 'node:test'
import { age, latencies, milliseconds, percent, rate } from './quantity.ts'

test('rates have as many digits as they are worth', () => {
  assert.deepEqual([0, 0.04, 0.1, 9.94, 9.96, 999.4, 999.6, 9949, 12_345].map(rate), ['0/s', '<0.1/s', '0.1/s', '9.9/s', '10/s', '999/s', '1.0k/s', '9.9k/s', '12k/s'])
})

test('only nothing is 0% and only everything is 100%', () => {
  assert.deepEqual([0, 0.0001, 0.001, 0.0994, 0.1, 0.905, 0.995, 0.9999, 1].map(percent), ['0%', '<0.1%', '0.1%', '9.9%', '10%', '91%', '99.5%', '>99.9%', '100%'])
})

test('latencies share a unit when they can', () => {
  assert.deepEqual([0.01, 0.4, 9, 17.6, 999.6, 61_000].map(milliseconds), ['<0.1 ms', '0.4 ms', '9 ms', '18 ms', '1.0 s', '61 s'])
  assert.equal(latencies(4, 18), '4 / 18 ms')
  assert.equal(latencies(120, 1240), '120 ms / 1.2 s')
  assert.equal(latencies(null, 18), '– / 18 ms')
  assert.equal(latencies(null, null), undefined)
})

test('ages are coarse', () => {
  assert.deepEqual([-5, 1500, 99_000, 150_000, 7_200_000, 200_000_000].map(age), ['now', 'now', '99 s', '2 min', '2 h', '2 d'])
})
