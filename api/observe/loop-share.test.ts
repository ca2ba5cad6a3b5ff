import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from '#core/fault/fault.ts'
import { SteppedClock } from '#core/time/seeded.ts'
import { LoopShare } from './loop-share.ts'

const limited = (error: unknown): boolean => error instanceof Faults && error.faults[0]?.code === 'access.rate-limited'

test('who has held the event loop waits nine times as long, and nobody else waits for it', async () => {
  const clock = new SteppedClock()
  const share = new LoopShare(clock)
  const takes = (ms: number) => (): string => (clock.advance(ms), 'done')
  assert.equal(await share.run('a', takes(5)), 'done')
  assert.equal(await share.run('a', takes(100)), 'done')
  let over = false
  const waiting = share.run('a', takes(1)).then(() => (over = true))
  assert.equal(await share.run('b', takes(1)), 'done')
  clock.advance(880)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(over, false)
  clock.advance(20)
  await waiting
})

test('who has held it for long is told to come again, also for work that failed', async () => {
  const clock = new SteppedClock()
  const share = new LoopShare(clock)
  const fails = (): never => {
    clock.advance(1000)
    throw new Error('no')
  }
  await assert.rejects(share.run('a', fails), /no/)
  await assert.rejects(share.run('a', () => 'done'), limited)
  clock.advance(9000)
  assert.equal(await share.run('a', () => 'done'), 'done')
})
