import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { SteppedClock } from '#core/time/seeded.ts'
import { ReadinessProbeSchema } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'
import { Readiness } from './readiness.ts'

/** A probe whose answers are given in turn, the last for ever; when each was asked, in seconds, and what was told. */
function probed(answers: string[], init: MessageInitShape<typeof ReadinessProbeSchema> = {}, isReady = false) {
  const clock = new SteppedClock()
  const asked: number[] = []
  const told: string[] = []
  const ask = (): Promise<string> => {
    asked.push(clock.monotonicMs() / 1000)
    return Promise.resolve((answers.length > 1 ? answers.shift() : answers[0]) ?? '')
  }
  const readiness = new Readiness(clock, create(ReadinessProbeSchema, init), { ask, told: (why) => told.push(why), isReady })
  readiness.start()
  const pass = async (seconds: number): Promise<void> => {
    for (let at = 0; at < seconds; at++) {
      clock.advance(1000)
      // An answer is there a turn later.
      await new Promise((turn) => setImmediate(turn))
    }
  }
  clock.advance(0)
  return { readiness, asked, told, pass }
}

test('asked at once and every ten seconds, told at the first success', async () => {
  const { asked, told, pass } = probed(['down', 'down', ''])
  await pass(25)
  assert.deepEqual([asked, told], [[0, 10, 20], ['']])
})

test('asked first after the initial delay, then once a period', async () => {
  const { asked, pass } = probed([''], { initialDelaySeconds: 3, periodSeconds: 2 })
  await pass(8)
  assert.deepEqual(asked, [3, 5, 7])
})

test('so many successes in a row make it ready, and so many failures in a row not ready', async () => {
  const { told, pass } = probed(['', 'a', '', '', 'b', '', 'c', 'd', 'e', ''], { periodSeconds: 1, successThreshold: 2, failureThreshold: 3 })
  await pass(4)
  assert.deepEqual(told, [''])
  await pass(4)
  assert.deepEqual(told, [''])
  await pass(1)
  assert.deepEqual(told, ['', 'e'])
  await pass(2)
  assert.deepEqual(told, ['', 'e', ''])
})

test('three failures are needed where nothing is said', async () => {
  const { told, pass } = probed(['', 'a', 'b', 'c'], { periodSeconds: 1 })
  await pass(2)
  assert.deepEqual(told, [''])
  await pass(2)
  assert.deepEqual(told, ['', 'c'])
})

test('what was ready before stays so until it fails', async () => {
  const { told, pass } = probed(['', 'gone'], { periodSeconds: 1, failureThreshold: 1 }, true)
  await pass(3)
  assert.deepEqual(told, ['gone'])
})

test('once stopped it asks no more', async () => {
  const { readiness, asked, told, pass } = probed(['down', ''], { periodSeconds: 1 })
  readiness.stop()
  await pass(5)
  assert.deepEqual([asked, told], [[0], []])
})
