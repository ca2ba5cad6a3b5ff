import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inOrder, prefixRange, withoutTwins } from './range-chains.ts'
import type { ChainInit } from './range-chains.ts'

const chain = (name: string, ranges: readonly string[], serverNames: string[] = []): ChainInit => ({ name, filterChainMatch: { serverNames, prefixRanges: ranges.map(prefixRange) }, filters: [] })

/** `NAME: RANGES SERVER NAMES` of each chain. */
const told = (chains: readonly ChainInit[]): string[] =>
  chains.map(({ name, filterChainMatch: { prefixRanges = [], serverNames = [] } = {} }) => [`${name}:`, ...prefixRanges.map((one) => `${one.addressPrefix}/${one.prefixLen}`), ...serverNames].join(' '))

test('what holds everywhere stands again in a range that a later chain names', () => {
  assert.deepEqual(told(inOrder([chain('all', [], ['a.example']), chain('some', ['10.0.0.0/8'])])), ['all: a.example', 'all: 10.0.0.0/8 a.example', 'some: 10.0.0.0/8'])
})

test('an earlier chain of a wide range wins in the narrow one of a later', () => {
  assert.deepEqual(told(inOrder([chain('wide', ['10.0.0.0/8']), chain('narrow', ['10.1.0.0/16', '192.0.2.0/24'])])), ['wide: 10.0.0.0/8 10.1.0.0/16', 'narrow: 192.0.2.0/24'])
})

test('a later chain of a wide range leaves the narrow one to an earlier', () => {
  assert.deepEqual(told(inOrder([chain('narrow', ['10.1.0.0/16']), chain('wide', ['10.0.0.0/8'])])), ['narrow: 10.1.0.0/16', 'wide: 10.0.0.0/8'])
})

test('of server names that two chains have, each goes to the first, range by range', () => {
  assert.deepEqual(told(inOrder([chain('some', ['2001:db8::/32'], ['a.example']), chain('all', [], ['a.example', 'b.example'])])), ['some: 2001:db8::/32 a.example', 'all: a.example b.example', 'all: 2001:db8::/32 b.example'])
})

test('ranges of one family are nothing to the other', () => {
  assert.deepEqual(told(inOrder([chain('six', ['::/0']), chain('four', ['0.0.0.0/0'])])), ['six: ::/0', 'four: 0.0.0.0/0'])
})

test('of chains for one range, however it is written, the first has it, and the others what is left', () => {
  assert.deepEqual(told(withoutTwins([chain('first', ['10.1.0.0/16']), chain('same', ['10.1.9.9/16']), chain('more', ['10.1.0.0/16', '10.0.0.0/8'])])), ['first: 10.1.0.0/16', 'more: 10.0.0.0/8'])
  assert.deepEqual(told(withoutTwins([chain('first', ['10.0.0.0/8'], ['a.example']), chain('second', ['10.0.0.0/8'], ['a.example', 'b.example']), chain('any', ['10.0.0.0/8'])])), ['first: 10.0.0.0/8 a.example', 'second: 10.0.0.0/8 b.example', 'any: 10.0.0.0/8'])
})
