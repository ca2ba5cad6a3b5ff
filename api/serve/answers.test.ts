import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteppedClock } from '#core/time/seeded.ts'
import { CLUSTER, SECRET } from '#core/wire/type-url.ts'
import { Answers, keptBytesWithin } from './answers.ts'
import type { Resource } from './resource.ts'

const resource = (type: string, name: string): Resource => ({ type, name, version: '1', bytes: new Uint8Array(100), origins: [] })
const a = resource(CLUSTER, 'a')
const b = resource(CLUSTER, 'b')
const answer = (resources: readonly Resource[], revision = 1) => ({ type: resources[0]?.type ?? CLUSTER, revision, resources, removed: [] })

test('streams that are due the same are given the same bytes', () => {
  const answers = new Answers(new SteppedClock())
  const first = answers.encode('delta', answer([a, b]), 0)
  assert.equal(answers.encode('delta', answer([a, b]), 0), first)
  for (const other of [answer([a]), answer([b, a]), answer([a, b], 2), { ...answer([a, b]), removed: ['c'] }]) assert.notEqual(answers.encode('delta', other, 0).message, first.message)
  assert.notEqual(answers.encode('sotw', answer([a, b]), 0).message, first.message)
})

test('a stream is never given a nonce that it had, or a lower one', () => {
  const answers = new Answers(new SteppedClock())
  const old = answers.encode('delta', answer([a]), 0)
  const newer = answers.encode('delta', answer([b]), 0)
  const again = answers.encode('delta', answer([a]), newer.nonce)
  assert.ok(again.nonce > newer.nonce)
  assert.notEqual(again.message, old.message)
})

test('a secret is encoded for each stream, and nothing is kept for long', () => {
  const clock = new SteppedClock()
  const answers = new Answers(clock)
  const secret = answer([resource(SECRET, 'key')])
  assert.notEqual(answers.encode('delta', secret, 0).message, answers.encode('delta', secret, 0).message)
  const kept = answers.encode('delta', answer([a]), 0)
  clock.advance(10_000)
  assert.notEqual(answers.encode('delta', answer([a]), 0), kept)
})

test('a herd that goes on for long shares one answer to its end, and one of more bytes than are kept goes on sharing what it has in hand', () => {
  const clock = new SteppedClock()
  const answers = new Answers(clock)
  const herd = answers.encode('delta', answer([a, b]), 0)
  for (let second = 0; second < 60; second += 1) {
    clock.advance(1000)
    assert.equal(answers.encode('delta', answer([a, b]), 0), herd)
  }
  // A hundred megabytes beside it.
  const large = Array.from({ length: 100 }, (_, at) => ({ ...resource(CLUSTER, `large-${at}`), bytes: new Uint8Array(1 << 20) }))
  const sent = large.map((one) => answers.encode('delta', answer([one]), 0).message)
  assert.deepEqual(large.filter((one, at) => answers.encode('delta', answer([one]), 0).message !== sent[at]), [])
  clock.advance(10_000)
  assert.notEqual(answers.encode('delta', answer([a, b]), 0), herd)
})

test('what is kept to share goes by the memory that the process may take, within bounds, and no more than that is kept', () => {
  assert.deepEqual([0, 64 << 20, 512 * (1 << 20), 2 * (1 << 30), Infinity].map((bytes) => keptBytesWithin(bytes) >> 20), [8, 8, 32, 128, 128])
  const answers = new Answers(new SteppedClock(), 8 << 20)
  const large = Array.from({ length: 17 }, (_, at) => ({ ...resource(CLUSTER, `large-${at}`), bytes: new Uint8Array(1_000_000) }))
  const sent = large.map((one) => answers.encode('delta', answer([one]), 0))
  // Each time has room for eight: those of the time before the last are forgotten.
  const isKept = (at: number): boolean => large[at] !== undefined && answers.encode('delta', answer([large[at]]), 0) === sent[at]
  assert.deepEqual([isKept(16), isKept(8), isKept(0)], [true, true, false])
})
