import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { InFlight } from './in-flight.ts'
import { TokenBucket } from './token-bucket.ts'

test('a bucket starts full and gives back its tokens over the interval', () => {
  const bucket = new TokenBucket({ tokensMax: 2, tokensPerFill: 2, fillIntervalMs: 1000 }, 0)
  assert.deepEqual([bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, false])
  assert.deepEqual([bucket.take(499), bucket.take(500), bucket.take(500)], [false, true, false])
})

test('whatever the times, no more is taken than the bucket holds and time gives', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 200 }), (steps) => {
      const bucket = new TokenBucket({ tokensMax: 5, tokensPerFill: 1, fillIntervalMs: 100 }, 0)
      let nowMs = 0
      let taken = 0
      for (const step of steps) {
        nowMs += step
        if (bucket.take(nowMs)) taken += 1
      }
      assert.ok(taken <= 5 + nowMs / 100 + 1e-6)
    }),
  )
})

test('a count refuses beyond its bound and admits again after one left', () => {
  const requests = new InFlight(1)
  assert.deepEqual([requests.enter(), requests.enter()], [true, false])
  requests.leave()
  assert.equal(requests.enter(), true)
  assert.equal(requests.count, 1)
  requests.leave()
  assert.throws(() => requests.leave())
})
