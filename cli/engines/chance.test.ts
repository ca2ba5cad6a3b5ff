import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isUnlikely } from './chance.ts'

test('a share of none or of all is exact', () => {
  assert.deepEqual([0, 1].map((count) => isUnlikely(count, 60, 0)), [false, true])
  assert.deepEqual([60, 59].map((count) => isUnlikely(count, 60, 1)), [false, true])
})

test('a count is unlikely where its tail is below one in a thousand million', () => {
  // 2^-30 is 9.3e-10, 2^-29 is 1.9e-9.
  assert.deepEqual([29, 30].map((times) => isUnlikely(0, times, 0.5)), [false, true])
  assert.deepEqual([29, 30].map((times) => isUnlikely(times, times, 0.5)), [false, true])
  // Of 400 with one half the sixth standard deviation is the 60th count from the mean.
  assert.deepEqual([130, 145, 200, 255, 270].map((count) => isUnlikely(count, 400, 0.5)), [true, false, false, false, true])
  // Small shares have a longer tail above than below.
  assert.deepEqual([0, 5, 20, 40].map((count) => isUnlikely(count, 400, 0.02)), [false, false, false, true])
})

test('shares that differ by a half are told apart', () => {
  assert.equal(isUnlikely(200, 400, 0.75), true)
  assert.equal(isUnlikely(80, 400, 0.5), true)
})
