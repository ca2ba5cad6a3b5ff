import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteppedClock } from '#core/time/seeded.ts'
import { jsonLog } from '../admin/log.ts'
import { CaptureWatch, PERIOD_MS } from './capture-watch.ts'

/** A watch whose proofs end as given, the last for ever; when each was asked for, in seconds, and what was told and logged. */
function watched(answers: string[], isProven = false) {
  const clock = new SteppedClock()
  const asked: number[] = []
  const told: string[] = []
  const events: string[] = []
  const prove = (): Promise<string> => {
    asked.push(clock.monotonicMs() / 1000)
    return Promise.resolve((answers.length > 1 ? answers.shift() : answers[0]) ?? '')
  }
  const log = jsonLog(clock, (line) => events.push((JSON.parse(line) as { event: string }).event))
  const watch: CaptureWatch = new CaptureWatch(clock, prove, () => told.push(watch.why), log, isProven, PERIOD_MS)
  watch.start()
  const pass = async (seconds: number): Promise<void> => {
    for (let at = 0; at < 2 * seconds; at++) {
      // An answer is there a turn later.
      await new Promise((turn) => setImmediate(turn))
      clock.advance(500)
    }
    await new Promise((turn) => setImmediate(turn))
  }
  return { watch, asked, told, events, pass }
}

test('proven at once, it is asked again every five seconds and tells no more', async () => {
  const { watch, asked, told, events, pass } = watched([''])
  assert.notEqual(watch.why, '')
  await pass(12)
  assert.deepEqual([watch.why, asked, told, events], ['', [0, 5, 10], [''], ['capture.proven']])
})

test('until it is proven it is asked twice a second, and each reason is told once', async () => {
  const { told, events, pass } = watched(['a', 'a', 'b', 'b', ''])
  await pass(5)
  assert.deepEqual(told, ['a', 'b', ''])
  assert.deepEqual(events, ['capture.not-proven', 'capture.not-proven', 'capture.proven'])
})

test('one failure after it was proven is not believed, three in a row are, and it comes back', async () => {
  const { watch, told, pass } = watched(['', 'gone', '', 'gone', 'gone', 'gone', 'gone', ''])
  await pass(10)
  assert.deepEqual(told, [''])
  await pass(30)
  assert.deepEqual([told, watch.why], [['', 'gone', ''], ''])
})

test('what the process before has proven holds until it fails', async () => {
  const { watch, told, pass } = watched(['gone'], true)
  assert.equal(watch.why, '')
  await pass(5)
  assert.deepEqual(told, ['gone'])
})

test('once stopped it asks no more', async () => {
  const { watch, asked, told, pass } = watched(['a'])
  watch.stop()
  await pass(5)
  assert.deepEqual([asked, told], [[0], []])
})
