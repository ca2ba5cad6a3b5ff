import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '#core/time/seeded.ts'
import { LayeredMap } from './layered.ts'
import type { Settled } from './levels.ts'

test('a layered map is what a map would be, whatever happens to it, and its base stays as it was', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seededRandom(seed)
    const below = (limit: number): number => Math.floor(random.draw() * limit)
    let base: Settled<string> = new Map(Array.from({ length: below(6) }, (_, at) => [`n${at}`, `${below(3)}`]))
    const layered = new LayeredMap(base)
    const plain = new Map(base)
    for (let step = 0; step < 60; step += 1) {
      const name = `n${below(8)}`
      const what = below(12)
      if (what < 6) {
        const value = `${below(3)}`
        layered.set(name, value)
        plain.set(name, value)
      } else if (what < 10) assert.equal(layered.delete(name), plain.delete(name))
      else if (what === 10) {
        base = layered.frozen()
        layered.rest(base)
      } else {
        // Another base, and what is its own kept above it.
        const own = new Map(layered.changes())
        const other = new Map([['n0', '2'], ['n9', '1']])
        layered.rest(other, layered.own)
        base = other
        plain.clear()
        for (const [at, value] of other) plain.set(at, value)
        for (const [at, value] of own) {
          if (value === undefined) plain.delete(at)
          else plain.set(at, value)
        }
      }
      assert.equal(layered.size, plain.size, `seed ${seed}`)
      assert.deepEqual(new Map(layered), plain, `seed ${seed}`)
      assert.equal(layered.get(name), plain.get(name))
    }
    const before = new Map([...base])
    for (let at = 0; at < 10; at += 1) layered.set(`n${at}`, 'x')
    assert.deepEqual(new Map([...base]), before)
  }
})
