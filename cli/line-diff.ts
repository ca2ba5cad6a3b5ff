import { GONE, partnersOf } from './line-pairs.ts'

const CONTEXT = 3

/**
 * The difference of two texts in the unified form of diff(1), with three lines around each change; empty when they are equal.
 * It is the shortest there is, but for texts that have next to nothing in common.
 */
export function unifiedDiff(before: string, after: string, names: { readonly before: string; readonly after: string }): string {
  if (before === after) return ''
  const edits = editsOf(linesOf(before), linesOf(after))
  const hunks: string[] = []
  let from = 0
  for (let at = nextChange(edits, 0); at < edits.length; at = nextChange(edits, from)) {
    let last = at
    for (let next = at; next < edits.length && next <= last + 2 * CONTEXT; next += 1) if (edits[next]?.sign !== ' ') last = next
    const end = Math.min(edits.length, last + CONTEXT + 1)
    hunks.push(...hunkOf(edits.slice(Math.max(from, at - CONTEXT), end)))
    from = end
  }
  return [`--- ${names.before}`, `+++ ${names.after}`, ...hunks, ''].join('\n')
}

interface Edit {
  readonly sign: ' ' | '-' | '+'
  readonly line: string
  /** Lines of each text before this one. */
  readonly before: number
  readonly after: number
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'))

function nextChange(edits: readonly Edit[], from: number): number {
  let at = from
  while (at < edits.length && edits[at]?.sign === ' ') at += 1
  return at
}

function hunkOf(hunk: readonly Edit[]): string[] {
  const range = (sign: '-' | '+', start: number): string => {
    const count = hunk.filter((one) => one.sign === ' ' || one.sign === sign).length
    // Of no lines diff(1) names the one before them.
    return `${sign}${count === 0 ? start : start + 1},${count}`
  }
  return [`@@ ${range('-', hunk[0]?.before ?? 0)} ${range('+', hunk[0]?.after ?? 0)} @@`, ...hunk.map((one) => `${one.sign}${one.line}`)]
}

/** Lines that went stand before those that came in their place. */
function editsOf(before: readonly string[], after: readonly string[]): Edit[] {
  const partners = partnersOf(before, after)
  const edits: Edit[] = []
  let j = 0
  const come = (i: number, until: number): void => {
    for (; j < until; j += 1) edits.push({ sign: '+', line: after[j] ?? '', before: i, after: j })
  }
  for (const [i, line] of before.entries()) {
    const partner = partners[i] ?? GONE
    if (partner !== GONE) come(i, partner)
    edits.push({ sign: partner === GONE ? '-' : ' ', line, before: i, after: j })
    if (partner !== GONE) j += 1
  }
  come(before.length, after.length)
  return edits
}
