import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { HashPlan } from '../plan/route.ts'
import { requestFrom } from '../route/request.ts'
import { buildMaglev, buildRing, cookieValue, pickFromRing, requestHash } from './hash.ts'
import { xxHash64Text } from './xxhash.ts'

const buckets = (keys: readonly string[]) => keys.map((key) => ({ key, weight: 1 }))
const keys = fc.uniqueArray(fc.stringMatching(/^10\.0\.[0-9]{1,2}\.[0-9]{1,2}:80$/), { minLength: 2, maxLength: 10 })
const hashes = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const ring = (sizeMin: number) => ({ sizeMin, sizeMax: 8_388_608, hash: 'xx' as const })

test('a host that goes takes only its own keys from a ring', () => {
  fc.assert(
    fc.property(keys, fc.array(hashes, { minLength: 50, maxLength: 50 }), (all, points) => {
      const [gone, ...left] = all
      // Equal counts of points a host, so that the rings differ by the lost host alone.
      const before = buildRing(buckets(all), ring(all.length * 64))
      const after = buildRing(buckets(left), ring(left.length * 64))
      for (const point of points) {
        const was = all[pickFromRing(before, point)]
        if (was !== gone) assert.equal(left[pickFromRing(after, point)], was)
      }
    }),
    { numRuns: 50 },
  )
})

test('the order in which hosts are listed changes no ring of equal weights, and no table', () => {
  fc.assert(
    fc.property(keys, hashes, (all, point) => {
      const turned = [...all].reverse()
      const size = ring(all.length * 64)
      assert.equal(turned[pickFromRing(buildRing(buckets(turned), size), point)], all[pickFromRing(buildRing(buckets(all), size), point)])
      const slot = Number(point % 251n)
      assert.equal(turned[buildMaglev(buckets(turned), 251)[slot] ?? -1], all[buildMaglev(buckets(all), 251)[slot] ?? -1])
    }),
    { numRuns: 50 },
  )
})

test("Maglev's table is full and even", () => {
  const table = buildMaglev(buckets(['a', 'b', 'c']), 65537)
  for (const owner of [0, 1, 2]) {
    const share = table.filter((one) => one === owner).length / table.length
    assert.ok(Math.abs(share - 1 / 3) < 0.01, String(share))
  }
})

test('an empty ring has no owner', () => {
  assert.equal(pickFromRing(buildRing([], ring(1024)), 5n), -1)
})

const policy = (by: HashPlan['by'], name: string, terminal = false): HashPlan => ({ by, name, ttlMs: undefined, path: '', terminal })

test('a request is hashed by header, cookie, query or address; a terminal policy that found something ends the list', () => {
  const request = requestFrom({ authority: 'x', path: '/?u=q', headers: { 'x-user': 'a', cookie: 'b=1; s="c"' } })
  assert.equal(requestHash([policy('header', 'x-user')], request, ''), xxHash64Text('a'))
  assert.equal(requestHash([policy('cookie', 's')], request, ''), xxHash64Text('c'))
  assert.equal(requestHash([policy('query-parameter', 'u')], request, ''), xxHash64Text('q'))
  assert.equal(requestHash([policy('source-address', '')], request, '10.0.0.1'), xxHash64Text('10.0.0.1'))
  assert.equal(requestHash([policy('header', 'none')], request, ''), undefined)
  assert.equal(requestHash([policy('header', 'x-user', true), policy('cookie', 's')], request, ''), xxHash64Text('a'))
  assert.notEqual(requestHash([policy('header', 'x-user'), policy('cookie', 's')], request, ''), xxHash64Text('a'))
})

test('a cookie is found by its whole name', () => {
  assert.equal(cookieValue('aa=1; a=2', 'a'), '2')
  assert.equal(cookieValue('a=', 'a'), '')
  assert.equal(cookieValue('ab=1', 'a'), undefined)
  assert.equal(cookieValue(undefined, 'a'), undefined)
})
