import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { compileCidr, isAddress, maskAddress, plainAddress } from './cidr.ts'
import { compilePath } from './path.ts'
import { queryParameter } from './query.ts'
import { compileSubstitution } from './regex.ts'
import { compileText } from './text.ts'

test('prefix, suffix, contains and exact are what they say, for any text', () => {
  const texts = fc.string({ maxLength: 6, unit: fc.constantFrom('a', 'b', 'B', '/') })
  fc.assert(
    fc.property(texts, texts, fc.boolean(), (value, text, ignoreCase) => {
      const [v, t] = ignoreCase ? [value.toLowerCase(), text.toLowerCase()] : [value, text]
      const test = (kind: 'exact' | 'prefix' | 'suffix' | 'contains') => compileText({ kind, value, ignoreCase }).matches(text)
      assert.deepEqual([test('exact'), test('prefix'), test('suffix'), test('contains')], [t === v, t.startsWith(v), t.endsWith(v), t.includes(v)])
    }),
  )
})

test('a path is matched without its query, whatever that holds', () => {
  const paths = fc.stringMatching(/^\/[ab/]{0,4}$/)
  fc.assert(
    fc.property(paths, paths, fc.string(), (value, path, query) => {
      const test = (kind: 'exact' | 'prefix' | 'segments') => compilePath({ kind, value, ignoreCase: false }).matches(`${path}?${query}`)
      assert.equal(test('exact'), path === value)
      assert.equal(test('prefix'), path.startsWith(value))
      assert.equal(test('segments'), path === value || path.startsWith(`${value}/`))
    }),
  )
})

test('an address is in a range exactly when its leading bits are those of the range', () => {
  const address = fc.integer({ min: 0, max: 2 ** 32 - 1 })
  const text = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
  fc.assert(
    fc.property(address, address, fc.integer({ min: 0, max: 32 }), (a, b, length) => {
      const same = length === 0 || (a ^ b) >>> (32 - length) === 0
      assert.equal(compileCidr(text(a), length)?.matches(text(b)), same)
      assert.equal(compileCidr(text(a), length)?.matches(`::ffff:${text(b)}`), same)
    }),
  )
})

test('IPv6 addresses are read in all their forms', () => {
  const range = compileCidr('2001:db8::', 32)
  assert.deepEqual(['2001:db8::1', '2001:0DB8:0:0:1:2:3:4', '2001:db9::1', '10.0.0.1', ''].map((one) => range?.matches(one)), [true, true, false, false, false])
  assert.deepEqual(['::', '::1', '1::', '1:2:3:4:5:6:7:8', '::1.2.3.4'].map(isAddress), [true, true, true, true, true])
  assert.deepEqual(['1', '1.2.3', '01.2.3.4', '256.1.1.1', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '12345::', '1.2.3.4.5', 'a.com', '1:'].filter(isAddress), [])
  assert.equal(compileCidr('10.0.0.0', 33), undefined)
})

test('a query parameter is found by its whole name, first value first', () => {
  assert.equal(queryParameter('/?a=1&a=2', 'a'), '1')
  assert.equal(queryParameter('/?aa=1&a', 'a'), '')
  assert.equal(queryParameter('/a=1', 'a'), undefined)
  assert.equal(queryParameter('/?b=a=1', 'a'), undefined)
})

test('a substitution knows groups and escaped backslashes, and refuses groups that are not there', () => {
  assert.equal(compileSubstitution('(a)(b)?', '<\\1\\2\\0>\\\\')('xabya'), 'x<abab>\\y<aa>\\')
  assert.throws(() => compileSubstitution('a', '\\1'))
})

test('the network of an address is written as RFC 5952 writes it', () => {
  const cases: readonly (readonly [address: string, length: number, network: string])[] = [
    ['192.0.2.77', 24, '192.0.2.0/24'],
    ['192.0.2.77', 32, '192.0.2.77/32'],
    ['10.255.3.4', 9, '10.128.0.0/9'],
    ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::/64'],
    ['2001:DB8::1', 128, '2001:db8::1/128'],
    ['2001:0:0:1:0:0:0:1', 128, '2001:0:0:1::1/128'],
    ['::1', 128, '::1/128'],
    ['fe80::1', 0, '::/0'],
    ['unknown', 8, 'unknown'],
  ]
  for (const [address, length, network] of cases) assert.equal(maskAddress(address, length), network)
})

test('an address has one form, however it is written', () => {
  assert.deepEqual(['FD00:0:0::7', '10.0.0.1', 'order.example.com'].map(plainAddress), ['fd00::7', '10.0.0.1', 'order.example.com'])
})
