import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { unifiedDiff } from './line-diff.ts'

const names = { before: 'a', after: 'b' }
const textOf = (lines: readonly string[]): string => lines.map((one) => `${one}\n`).join('')

/** What patch(1) makes of a text by a difference: each hunk stands where it says, and what it takes away is there. */
function patched(before: readonly string[], diff: string): string[] {
  const result: string[] = []
  let at = 0
  for (const line of diff.split('\n').slice(2, -1)) {
    const head = /^@@ -(\d+),(\d+) \+(\d+),(\d+) @@$/.exec(line)
    if (head !== null) {
      const start = Number(head[1]) - (head[2] === '0' ? 0 : 1)
      while (at < start) result.push(before[at++] ?? '')
      assert.equal(result.length, Number(head[3]) - (head[4] === '0' ? 0 : 1), line)
      continue
    }
    if (line.startsWith('+')) result.push(line.slice(1))
    else {
      assert.equal(before[at], line.slice(1))
      if (line.startsWith(' ')) result.push(line.slice(1))
      at += 1
    }
  }
  return [...result, ...before.slice(at)]
}

/** Lines that both have in order, by a table. */
function common(a: readonly string[], b: readonly string[]): number {
  let below = b.map(() => 0)
  for (const one of a.toReversed()) {
    const row = b.map(() => 0)
    for (let j = b.length - 1; j >= 0; j -= 1) row[j] = one === b[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0)
    below = row
  }
  return below[0] ?? 0
}

const changesIn = (diff: string): number => diff.split('\n').slice(2).filter((line) => /^[-+]/.test(line)).length

test('a difference leads from one text to the other, by as few lines as can be', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 40 })
  fc.assert(
    fc.property(lines, lines, (a, b) => {
      const diff = unifiedDiff(textOf(a), textOf(b), names)
      if (diff === '') return assert.deepEqual(a, b)
      assert.deepEqual(patched(a, diff), b)
      assert.equal(changesIn(diff), a.length + b.length - 2 * common(a, b))
    }),
    { numRuns: 500 },
  )
})

test('three lines stand around a change, and two changes that are near are one hunk', () => {
  const before = Array.from({ length: 30 }, (_, index) => `${index}`)
  const after = before.map((one) => (['5', '10', '25'].includes(one) ? `${one}!` : one))
  assert.equal(
    unifiedDiff(textOf(before), textOf(after), names),
    '--- a\n+++ b\n@@ -3,12 +3,12 @@\n 2\n 3\n 4\n-5\n+5!\n 6\n 7\n 8\n 9\n-10\n+10!\n 11\n 12\n 13\n@@ -23,7 +23,7 @@\n 22\n 23\n 24\n-25\n+25!\n 26\n 27\n 28\n',
  )
  assert.equal(unifiedDiff('', 'a\n', names), '--- a\n+++ b\n@@ -0,0 +1,1 @@\n+a\n')
})

test('texts of many lines with nothing in common, or with every tenth line changed, are told apart', () => {
  const many = Array.from({ length: 30_000 }, (_, index) => `before ${index}`)
  const others = many.map((one) => `not ${one}`)
  assert.equal(changesIn(unifiedDiff(textOf(many), textOf(others), names)), 60_000)
  const some = many.map((one, index) => (index % 10 === 0 ? `${one}!` : one))
  const diff = unifiedDiff(textOf(many), textOf(some), names)
  assert.deepEqual(patched(many, diff), some)
  assert.equal(changesIn(diff), 6_000)
})
