export interface DiffLine {
  readonly side: 'both' | 'removed' | 'added'
  readonly text: string
}

/** Lines of which more than this differ are shown as removed and added whole. */
const cellsMax = 4_000_000

/** What makes `after` of `before`, line by line: a longest common subsequence between the first and the last line that differ. */
export function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1
  let end = 0
  while (end < before.length - start && end < after.length - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1
  const removed = before.slice(start, before.length - end)
  const added = after.slice(start, after.length - end)
  const both = (lines: readonly string[]): DiffLine[] => lines.map((text) => ({ side: 'both', text }))
  return [...both(before.slice(0, start)), ...middle(removed, added), ...both(before.slice(before.length - end))]
}

function middle(removed: readonly string[], added: readonly string[]): DiffLine[] {
  const lines: DiffLine[] = []
  const width = added.length + 1
  if (removed.length * added.length > cellsMax) return [...removed.map((text): DiffLine => ({ side: 'removed', text })), ...added.map((text): DiffLine => ({ side: 'added', text }))]
  const longest = new Uint32Array((removed.length + 1) * width)
  for (let row = removed.length - 1; row >= 0; row -= 1) {
    for (let column = added.length - 1; column >= 0; column -= 1) {
      const at = row * width + column
      longest[at] = removed[row] === added[column] ? (longest[at + width + 1] ?? 0) + 1 : Math.max(longest[at + width] ?? 0, longest[at + 1] ?? 0)
    }
  }
  let row = 0
  let column = 0
  while (row < removed.length || column < added.length) {
    const old = removed[row]
    const fresh = added[column]
    if (old !== undefined && old === fresh) {
      lines.push({ side: 'both', text: old })
      row += 1
      column += 1
    } else if (fresh === undefined || (old !== undefined && (longest[(row + 1) * width + column] ?? 0) >= (longest[row * width + column + 1] ?? 0))) {
      lines.push({ side: 'removed', text: old ?? '' })
      row += 1
    } else {
      lines.push({ side: 'added', text: fresh })
      column += 1
    }
  }
  return lines
}
