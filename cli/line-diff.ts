const CONTEXT = 3

/**
 * The difference of two texts in the unified form of diff(1), with three lines around each change; empty when they are equal.
 * Longest common subsequence by table: texts are single objects, a few hundred lines.
 */
export function unifiedDiff(before: string, after: string, names: { readonly before: string; readonly after: string }): string {
  if (before === after) return ''
  const edits = editsOf(linesOf(before), linesOf(after))
  const hunks: string[] = []
  for (let at = edits.findIndex((one) => one.sign !== ' '); at >= 0; ) {
    const from = Math.max(0, at - CONTEXT)
    let to = at
    for (let next = at; next < edits.length && next <= to + 2 * CONTEXT; next += 1) if (edits[next]?.sign !== ' ') to = next
    const end = Math.min(edits.length, to + CONTEXT + 1)
    const hunk = edits.slice(from, end)
    const first = hunk[0]
    const count = (sign: string): number => hunk.filter((one) => one.sign === ' ' || one.sign === sign).length
    hunks.push(`@@ -${(first?.before ?? 0) + 1},${count('-')} +${(first?.after ?? 0) + 1},${count('+')} @@`, ...hunk.map((one) => `${one.sign}${one.line}`))
    const next = edits.findIndex((one, index) => index >= end && one.sign !== ' ')
    at = next
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

function editsOf(before: readonly string[], after: readonly string[]): Edit[] {
  const width = after.length + 1
  const common = new Uint32Array((before.length + 1) * width)
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = before[i] === after[j] ? (common[(i + 1) * width + j + 1] ?? 0) + 1 : Math.max(common[(i + 1) * width + j] ?? 0, common[i * width + j + 1] ?? 0)
    }
  }
  const edits: Edit[] = []
  let i = 0
  let j = 0
  while (i < before.length || j < after.length) {
    const place = { before: i, after: j }
    if (i < before.length && j < after.length && before[i] === after[j]) {
      edits.push({ sign: ' ', line: before[i] ?? '', ...place })
      i += 1
      j += 1
    } else if (j >= after.length || (i < before.length && (common[(i + 1) * width + j] ?? 0) >= (common[i * width + j + 1] ?? 0))) {
      edits.push({ sign: '-', line: before[i] ?? '', ...place })
      i += 1
    } else {
      edits.push({ sign: '+', line: after[j] ?? '', ...place })
      j += 1
    }
  }
  return edits
}
