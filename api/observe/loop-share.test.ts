import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from '#core/fault/fault.ts'
import { SteppedClock } from '#core/time/seeded.ts'
import { LoopShare } from './loop-share.ts'

test('who has held the event loop for long waits nine times as long, and nobody else waits for it', () => {
  const clock = new SteppedClock()
  const share = new LoopShare(clock)
  const takes = (ms: number) => (): string => (clock.advance(ms), 'done')
  const limited = (error: unknown): boolean => error instanceof Faults && error.faults[0]?.code === 'access.rate-limited'
  assert.equal(share.run('a', takes(5)), 'done')
  assert.equal(share.run('a', takes(1000)), 'done')
  assert.throws(() => share.run('a', takes(1)), limited)
  assert.equal(share.run('b', takes(1)), 'done')
  clock.advance(8900)
  assert.throws(() => share.run('a', takes(1)), limited)
  clock.advance(200)
  assert.equal(share.run('a', takes(1)), 'done')
  // Work that fails has taken its time too.
  assert.throws(() => share.run('a', () => {
    clock.advance(500)
    throw new Error('no')
  }), /no/)
  assert.throws(() => share.run('a', takes(1)), limited)
})
