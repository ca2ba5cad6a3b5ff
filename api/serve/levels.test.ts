import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LayeredMap } from './layered.ts'
import type { Settled } from './levels.ts'

const names = Array.from({ length: 10_000 }, (_, at) => `name-${at}`)

test('what is sent part by part is what one map would be after each part, and each part stays as it was', () => {
  const sent = new LayeredMap<string>()
  const due = new LayeredMap<boolean>()
  const plainSent = new Map<string, string>()
  const plainDue = new Map<string, boolean>(names.map((name) => [name, false]))
  for (const name of names) due.set(name, false)
  const kept: { readonly map: Settled<string>; readonly size: number; readonly last: string }[] = []
  for (let at = 0; at < names.length; at += 150) {
    for (const name of names.slice(at, at + 150)) {
      sent.set(name, `${at}`)
      plainSent.set(name, `${at}`)
      due.delete(name)
      plainDue.delete(name)
    }
    // One that went before comes once more.
    due.set('name-0', true)
    plainDue.set('name-0', true)
    sent.rest(sent.frozen())
    due.rest(due.frozen())
    assert.equal(sent.size, plainSent.size)
    assert.equal(due.size, plainDue.size)
    if (at % 1500 === 0) {
      assert.deepEqual(new Map(sent), plainSent)
      assert.deepEqual(new Map(due), plainDue)
      kept.push({ map: sent.frozen(), size: sent.size, last: names[at + 149] ?? '' })
    }
  }
  assert.deepEqual([...due], [['name-0', true]])
  due.delete('name-0')
  assert.equal(due.frozen().size, 0)
  assert.deepEqual([...due.frozen()], [])
  for (const { map, size, last } of kept) {
    assert.equal([...map].length, size)
    assert.ok(map.has(last))
  }
})

test('what is said anew again and again does not pile up', () => {
  const sent = new LayeredMap<string>()
  const plain = new Map<string, string>()
  for (const name of names.slice(0, 3000)) {
    sent.set(name, 'first')
    plain.set(name, 'first')
  }
  sent.rest(sent.frozen())
  for (let change = 0; change < 2000; change += 1) {
    for (let at = 0; at < 64; at += 1) {
      const name = names[(change * 64 + at) % 3000] ?? ''
      sent.set(name, `${change}`)
      plain.set(name, `${change}`)
    }
    const frozen = sent.frozen()
    sent.rest(frozen)
    const levels: readonly ReadonlyMap<string, unknown>[] = Reflect.get(frozen, 'levels')
    assert.ok(levels.length < 16 && levels.reduce((sum, level) => sum + level.size, 0) < 8000, `${levels.length} levels after ${change} changes`)
  }
  assert.deepEqual(new Map(sent), plain)
})
