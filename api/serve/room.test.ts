import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteppedClock } from '#core/time/seeded.ts'
import { Room } from './room.ts'

interface One {
  readonly share: string
  readonly name: string
}

/** Room for so many large answers, and who was called. */
function stage(answers: number) {
  const clock = new SteppedClock()
  const called: string[] = []
  const room = new Room<One>(clock, (one) => called.push(one.name), { bytesMax: answers << 20, muchMin: 64 })
  return {
    clock,
    room,
    called,
    one: (name: string, share = 'mesh'): One => ({ share, name }),
    /** Sends a large answer. */
    send: (one: One): (() => void) => {
      assert.ok(room.admits(one), `${one.name} has to wait`)
      return room.takes(one, 1 << 20)
    },
  }
}

test('as many large answers as there is room for are out, and each that is answered calls the next, whoever has begun before whoever has not', () => {
  const { room, called, one, send } = stage(2)
  const [a, b, c, d] = [one('a'), one('b'), one('c'), one('d')]
  const answerA = send(a)
  const answerB = send(b)
  assert.deepEqual([room.admits(c), room.admits(d), room.admits(a)], [false, false, false])
  answerA()
  assert.deepEqual(called, ['a'])
  const again = send(a)
  answerB()
  assert.deepEqual(called, ['a', 'c'])
  // A second time says nothing.
  answerB()
  send(c)
  again()
  assert.deepEqual(called, ['a', 'c', 'd'])
})

test('a mesh of which nothing is out does not wait for another, and waits for its own', () => {
  const { room, called, one, send } = stage(1)
  const answer = send(one('busy', 'large'))
  const [first, second] = [one('first', 'small'), one('second', 'small')]
  const answerFirst = send(first)
  assert.equal(room.admits(second), false)
  answerFirst()
  assert.deepEqual(called, ['second'])
  answer()
  assert.deepEqual(called, ['second'])
})

test('whoever does not answer is waited for a minute, one that does not send what it was promised for two seconds, and one who leaves is not waited for', () => {
  const { clock, room, called, one, send } = stage(1)
  const answer = send(one('silent'))
  const [next, gone, last] = [one('next'), one('gone'), one('last')]
  for (const each of [next, gone, last]) assert.equal(room.admits(each), false)
  clock.advance(59_999)
  assert.deepEqual(called, [])
  clock.advance(1)
  assert.deepEqual(called, ['next'])
  room.forget(gone)
  room.forget(next)
  assert.deepEqual(called, ['next', 'last'])
  answer()
  // Nor is one that does not send what it was promised.
  assert.equal(room.admits(gone), false)
  clock.advance(2000)
  assert.deepEqual(called, ['next', 'last', 'gone'])
})

test('what one was sent that is overtaken by many is put aside after two seconds, and of that as much as twice the room', () => {
  const { clock, room, called, one, send } = stage(2)
  const quick = one('quick')
  for (let slow = 1; slow <= 5; slow += 1) {
    send(one(`slow-${slow}`))
    for (let count = 0; count < 64; count += 1) send(quick)()
    clock.advance(1999)
    const answer = send(quick)
    assert.equal(room.admits(one('next')), false)
    clock.advance(1)
    // Four are put aside; the fifth keeps its room.
    assert.equal(called.length, slow <= 4 ? slow : 4)
    answer()
    // Whoever was called lets its turn pass.
    clock.advance(2000)
  }
})
