import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { normalizePath, type PathRules } from './normalize.ts'

const base: PathRules = { normalize: true, mergeSlashes: false, escapedSlashes: 'keep' }

const cases: [string, string | undefined, Partial<PathRules>?][] = [
  ['/a/b', '/a/b'],
  ['/a/./b', '/a/b'],
  ['/a/../b', '/b'],
  ['/../../b', '/b'],
  ['/a/b/..', '/a/'],
  ['/a/.', '/a/'],
  ['/a/%2e%2E/b', '/b'],
  ['/%61dmin', '/admin'],
  ['/a%2Fb', '/a%2Fb'],
  ['/a\\b', '/a/b'],
  ['/a/..?b=/../c', '/?b=/../c'],
  ['/a//b', '/a//b'],
  ['/a//../b', '/a/b'],
  ['//a///b', '/a/b', { mergeSlashes: true }],
  ['/a/../b', '/a/../b', { normalize: false }],
  ['/a%00b', undefined],
  ['/a#b', undefined],
  ['*', '*'],
  ['/a%2F..%2fb', undefined, { escapedSlashes: 'reject' }],
  ['/a%2F..%2fb', '/b', { escapedSlashes: 'unescape-forward' }],
  ['/a%5Cb', '/a/b', { escapedSlashes: 'unescape-forward' }],
  ['/?a=%2F', '/?a=%2F', { escapedSlashes: 'reject' }],
  ['/...', '/...'],
]
for (const [path, wanted, rules] of cases) {
  test(`${path} becomes ${wanted ?? 'a 400'}${rules === undefined ? '' : ` with ${JSON.stringify(rules)}`}`, () => {
    assert.equal(normalizePath(path, { ...base, ...rules }), wanted)
  })
}

test('escaped slashes can be answered with a redirect', () => {
  assert.deepEqual(normalizePath('/a%2fb?c', { ...base, escapedSlashes: 'unescape-redirect' }), { redirect: '/a/b?c' })
})

test('a normal path stays as it is, and has no dot segments', () => {
  const piece = fc.constantFrom('a', '.', '..', '%2e', '%2E%2e', '', '%61', 'b.c', '\\', '%5c')
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const once = normalizePath(`/${pieces.join('/')}`, base)
      assert.ok(typeof once === 'string')
      assert.equal(normalizePath(once, base), once)
      assert.ok(!once.split('/').some((segment) => segment === '.' || segment === '..'))
    }),
  )
})
