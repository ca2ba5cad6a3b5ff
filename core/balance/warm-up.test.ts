import assert from 'node:assert/strict'
import test from 'node:test'
import { rampOf } from './warm-up.ts'

test('an endpoint that warms up gets its share bit by bit, faster at first where the plan is aggressive', () => {
  const linear = { windowMs: 1000, aggression: 1, minWeightPercent: 10 }
  assert.deepEqual([0, 100, 500, 1000, 5000].map((age) => rampOf(linear, age)), [0.1, 0.1, 0.5, 1, 1])
  assert.ok(rampOf({ ...linear, aggression: 2 }, 250) === 0.5)
})
