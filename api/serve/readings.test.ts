import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteppedClock } from '#core/time/seeded.ts'
import { Readings } from './readings.ts'

/** Callers that bring requests of 3 ms each, read as sessions read them, in turns that are taken by hand. */
function stage() {
  const clock = new SteppedClock()
  const turns: (() => void)[] = []
  const readings = new Readings(clock, (run) => turns.push(run))
  const read: string[] = []
  const callers = new Map<string, { share: string; waitingBytes: number; read(): void }>()
  return {
    readings,
    read,
    callers,
    brings(name: string, share: string, waitingBytes = 100): void {
      const caller = {
        share,
        waitingBytes,
        read() {
          read.push(name)
          clock.advance(3)
        },
      }
      callers.set(name, caller)
      if (readings.isOpen) caller.read()
      else readings.wait(caller)
    },
    /** Takes one turn, and answers who was read in it. */
    turn(): string[] {
      const before = read.length
      turns.shift()?.()
      return read.slice(before)
    },
    get isOver(): boolean {
      return turns.length === 0
    },
  }
}

test('what comes at once is read until the turn has taken its time, and the rest in the turns that follow, meshes by turns', () => {
  const all = stage()
  for (const name of ['a', 'b', 'c', 'd', 'e']) all.brings(name, 'busy')
  all.brings('other', 'quiet')
  assert.deepEqual(all.read, ['a', 'b'])
  assert.deepEqual([all.turn(), all.turn()], [['c', 'other'], ['d', 'e']])
})

test('who comes while others wait is read after them, and who is gone is not read', () => {
  const all = stage()
  for (const name of ['a', 'b', 'c', 'd']) all.brings(name, 'mesh')
  const gone = all.callers.get('c')
  assert.ok(gone)
  all.readings.forget(gone)
  all.brings('e', 'mesh')
  assert.deepEqual(all.turn(), ['d', 'e'])
})

test('after a turn in which nothing waits no other is asked for', () => {
  const all = stage()
  all.brings('a', 'mesh')
  assert.deepEqual(all.turn(), [])
  assert.ok(all.isOver)
  all.brings('b', 'mesh')
  assert.deepEqual(all.read, ['a', 'b'])
})

test('large requests of many at once are read within the turn, down to what may wait', () => {
  const all = stage()
  const large = 6 << 20
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) all.brings(name, 'mesh', large)
  assert.deepEqual(all.read, ['a', 'b'])
  // Of five that wait, three would be more than 16 MiB after the first two.
  assert.deepEqual(all.turn(), ['c', 'd', 'e'])
  assert.deepEqual(all.turn(), ['f', 'g'])
})
