import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteppedClock } from '#core/time/seeded.ts'
import { Publisher } from './publisher.ts'

/** A publisher whose turns are taken by hand, and streams that write down that they were served. */
function stage() {
  const clock = new SteppedClock()
  const turns: (() => void)[] = []
  const publisher = new Publisher(clock, (run) => turns.push(run))
  const served: string[] = []
  return {
    clock,
    publisher,
    served,
    stream: (name: string, costMs = 0, share = 'mesh') => ({
      share,
      pump() {
        served.push(name)
        clock.advance(costMs)
      },
    }),
    /** Takes one turn; false when none is due. */
    turn(): boolean {
      const run = turns.shift()
      run?.()
      return run !== undefined
    },
  }
}

test('rule 26: the first change leaves in the very next turn, and a stream woken many times has one turn', () => {
  const { publisher, served, stream, turn } = stage()
  const one = stream('one')
  for (let count = 0; count < 10; count += 1) publisher.wake(one, 'change')
  assert.ok(turn())
  assert.deepEqual(served, ['one'])
  assert.equal(turn(), false)
})

test('rule 26: a herd of new streams leaves the connected ones their turns, and still gets in', () => {
  const { publisher, served, stream, turn } = stage()
  for (let count = 0; count < 500; count += 1) publisher.wake(stream('new'), 'first')
  const connected = stream('connected')
  for (let round = 1; round <= 50; round += 1) {
    publisher.wake(connected, 'change')
    turn()
    assert.equal(served.filter((name) => name === 'connected').length, round)
  }
  assert.equal(served.filter((name) => name === 'new').length, 200)
})

test('rule 26: new streams whose first answers take longer than a turn leave the connected ones theirs', () => {
  const { publisher, served, stream, turn } = stage()
  for (let count = 0; count < 500; count += 1) publisher.wake(stream('new', 50), 'first')
  const [connected, endpoints] = [stream('connected'), stream('endpoints')]
  for (let round = 1; round <= 50; round += 1) {
    publisher.wake(connected, 'change')
    publisher.wake(endpoints, 'endpoints')
    turn()
    assert.deepEqual(['connected', 'endpoints'].map((name) => served.filter((one) => one === name).length), [round, round])
  }
})

test('rule 26: endpoints jump the queue', () => {
  const { publisher, served, stream, turn } = stage()
  publisher.wake(stream('routes'), 'change')
  publisher.wake(stream('endpoints'), 'endpoints')
  turn()
  assert.deepEqual(served, ['endpoints', 'routes'])
})

test('rule 26: of meshes each has its turn: a thousand busy streams of one, endpoints too, delay a stream of another by one of theirs', () => {
  const { publisher, served, stream, turn } = stage()
  const busy = Array.from({ length: 1000 }, () => stream('busy', 10, 'busy'))
  const quiet = stream('quiet', 0, 'quiet')
  const late: number[] = []
  for (let round = 0; round < 50; round += 1) {
    // They are never done.
    for (const one of busy) publisher.wake(one, round % 2 === 0 ? 'endpoints' : 'change')
    publisher.wake(quiet, 'change')
    const before = served.length
    turn()
    const after = served.slice(before)
    assert.ok(after.includes('quiet'), 'in the very next turn')
    late.push(after.indexOf('quiet'))
  }
  assert.ok(Math.max(...late) <= 2, `behind ${late.join(' ')}`)
})

test('a turn ends early when streams are costly, and goes on with those who did not have theirs', () => {
  const { publisher, served, stream, turn } = stage()
  publisher.wake(stream('opening'), 'change')
  for (const name of ['a', 'b', 'c', 'd']) publisher.wake(stream(name, 5), 'change')
  turn()
  turn()
  assert.deepEqual(served, ['opening', 'a', 'b', 'c'])
  turn()
  assert.deepEqual(served, ['opening', 'a', 'b', 'c', 'd'])
  assert.equal(turn(), false)
})

test('the first turn after a rest ends after a millisecond, for what was written to leave: the next are longer', () => {
  const { publisher, served, stream, turn } = stage()
  for (let rest = 0; rest < 2; rest += 1) {
    served.length = 0
    for (let count = 0; count < 12; count += 1) publisher.wake(stream('one', 0.5), 'change')
    turn()
    assert.ok(served.length < 6, `${served.length} had their turn`)
    turn()
    assert.equal(served.length, 12)
    assert.equal(turn(), false)
  }
})
