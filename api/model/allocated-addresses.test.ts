import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AllocatedAddresses } from './allocated-addresses.ts'

type Entry = readonly [id: string, sinceMs: number]
const key = (id: string): string => `prod/${id}.example.com`
const addressesOf = (book: AllocatedAddresses, entries: Iterable<Entry>) => Object.fromEntries([...entries].map(([id]) => [id, book.addressesOf(id, key(id))?.[0]]))

/** More hosts than are needed for many to want the same slot (√65024 ≈ 255). */
const crowd: Entry[] = Array.from({ length: 3000 }, (_, at): Entry => [`host-${at}`, 1000 + (at % 7)])

test('an address is the same on every replica and after every start', () => {
  const book = new AllocatedAddresses()
  book.declare('one', ['prod/db.example.com'], 5)
  assert.deepEqual(book.addressesOf('one', 'prod/db.example.com'), ['240.240.62.97', '2001:2::f0f0:3e61'])
})

test('no two hosts share an address, in whatever order they come', () => {
  const forth = new AllocatedAddresses()
  const back = new AllocatedAddresses()
  for (const [id, since] of crowd) forth.declare(id, [key(id)], since)
  for (const [id, since] of crowd.toReversed()) back.declare(id, [key(id)], since)
  const found = addressesOf(forth, crowd)
  assert.equal(new Set(Object.values(found)).size, crowd.length)
  assert.deepEqual(addressesOf(back, crowd), found)
})

test('a new host moves none of those there were', () => {
  const book = new AllocatedAddresses()
  for (const [id, since] of crowd) book.declare(id, [key(id)], since)
  const before = addressesOf(book, crowd)
  for (let at = 0; at < 3000; at++) assert.equal(book.declare(`new-${at}`, [key(`new-${at}`)], 2000 + at).size, 0)
  assert.deepEqual(addressesOf(book, crowd), before)
})

test('whatever came and went, the addresses are those of what is left', () => {
  const steps = fc.array(fc.record({ at: fc.nat(2999), there: fc.boolean() }), { maxLength: 300 })
  const half = crowd.slice(0, 1500)
  fc.assert(
    fc.property(steps, (changes) => {
      const book = new AllocatedAddresses()
      const there = new Map<string, number>(half)
      for (const [id, since] of half) book.declare(id, [key(id)], since)
      for (const one of changes) {
        const [id, since] = crowd[one.at] ?? ['', 0]
        const now = one.there ? since : undefined
        const known = addressesOf(book, there)
        const told = book.declare(id, now === undefined ? [] : [key(id)], since)
        if (now === undefined) there.delete(id)
        else there.set(id, now)
        for (const [other, address] of Object.entries(addressesOf(book, there))) if (other !== id && address !== known[other]) assert.ok(told.has(other), `${other} moved and nobody was told`)
      }
      const anew = new AllocatedAddresses()
      for (const [id, since] of there) anew.declare(id, [key(id)], since)
      assert.deepEqual(addressesOf(book, there), addressesOf(anew, there))
    }),
    { numRuns: 5 },
  )
})

test('entries of one host share its address as long as one of them is there', () => {
  const book = new AllocatedAddresses()
  book.declare('http', ['prod/a.example.com'], 10)
  book.declare('https', ['prod/a.example.com'], 20)
  const address = book.addressesOf('http', 'prod/a.example.com')
  assert.deepEqual(book.addressesOf('https', 'prod/a.example.com'), address)
  book.declare('http', [], 10)
  assert.equal(book.addressesOf('http', 'prod/a.example.com'), undefined)
  assert.deepEqual(book.addressesOf('https', 'prod/a.example.com'), address)
})
