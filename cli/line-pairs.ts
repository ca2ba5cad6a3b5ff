/** A line of the first text that the second does not have. */
export const GONE = -1

/** Changes in a row for which the shortest way is looked for: beyond them the best way so far is taken, so that time grows with length alone. */
const MOST_CHANGES = 500

/** A part of each text: lines from and to, the last not in it. */
interface Part {
  readonly a: number
  readonly aEnd: number
  readonly b: number
  readonly bEnd: number
}

/**
 * For each line of the first text the line of the second that stands for it, in order, or `GONE`: as many as there can be.
 * Divides at the middle of the shortest way from one text to the other, found from both ends at once, so that memory grows with length alone
 * (Myers, "An O(ND) Difference Algorithm and Its Variations", 1986, section 4b).
 */
export function partnersOf(before: readonly string[], after: readonly string[]): Int32Array {
  const numbers = new Map<string, number>()
  const numberOf = (line: string): number => {
    const number = numbers.get(line) ?? numbers.size
    numbers.set(line, number)
    return number
  }
  const [a, b] = [Int32Array.from(before, numberOf), Int32Array.from(after, numberOf)]
  const partners = new Int32Array(a.length).fill(GONE)
  const parts: Part[] = [{ a: 0, aEnd: a.length, b: 0, bEnd: b.length }]
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const { a: from, b: to } = part
    let same = 0
    while (from + same < part.aEnd && to + same < part.bEnd && a[from + same] === b[to + same]) {
      partners[from + same] = to + same
      same += 1
    }
    let { aEnd, bEnd } = part
    while (aEnd > from + same && bEnd > to + same && a[aEnd - 1] === b[bEnd - 1]) {
      aEnd -= 1
      bEnd -= 1
      partners[aEnd] = bEnd
    }
    const left: Part = { a: from + same, aEnd, b: to + same, bEnd }
    if (left.a === left.aEnd || left.b === left.bEnd) continue
    const at = middle(a, b, left)
    parts.push({ ...left, aEnd: at.a, bEnd: at.b }, { ...left, a: at.a, b: at.b })
  }
  return partners
}

/** A point on a shortest way through a part whose ends differ. On diagonal k the first text is k lines ahead; each array holds how far in the first text a way with so many changes comes. */
function middle(a: Int32Array, b: Int32Array, { a: a0, aEnd, b: b0, bEnd }: Part): { a: number; b: number } {
  const [n, m] = [aEnd - a0, bEnd - b0]
  const apart = n - m
  const most = Math.min(Math.ceil((n + m) / 2), MOST_CHANGES)
  const zero = most + 1
  const forward = new Int32Array(2 * most + 3).fill(-1)
  const backward = new Int32Array(2 * most + 3).fill(-1)
  forward[zero + 1] = backward[zero + 1] = 0
  const at = (reach: Int32Array, k: number): number => (Math.abs(k) > most ? -1 : (reach[zero + k] ?? -1))
  const step = (reach: Int32Array, k: number, changes: number): number => {
    const [down, right] = [reach[zero + k + 1] ?? -1, (reach[zero + k - 1] ?? -1) + 1]
    return k === -changes || (k !== changes && right <= down) ? down : right
  }
  for (let changes = 0; changes <= most; changes += 1) {
    // No further than the ends of the texts.
    const [low, high] = [-changes + 2 * Math.max(0, changes - m), changes - 2 * Math.max(0, changes - n)]
    for (let k = low; k <= high; k += 2) {
      let x = step(forward, k, changes)
      while (x < n && x - k < m && a[a0 + x] === b[b0 + x - k]) x += 1
      forward[zero + k] = x
      if (apart % 2 !== 0 && Math.abs(apart - k) < changes && x + at(backward, apart - k) >= n) return { a: a0 + x, b: b0 + x - k }
    }
    for (let k = low; k <= high; k += 2) {
      let x = step(backward, k, changes)
      while (x < n && x - k < m && a[aEnd - 1 - x] === b[bEnd - 1 - x + k]) x += 1
      backward[zero + k] = x
      if (apart % 2 === 0 && Math.abs(apart - k) <= changes && x + at(forward, apart - k) >= n) return { a: aEnd - x, b: bEnd - x + k }
    }
  }
  return farthest(forward, zero, most, { a0, b0 })
}

/** Where most lines of both lie behind. */
function farthest(reach: Int32Array, zero: number, most: number, { a0, b0 }: { readonly a0: number; readonly b0: number }): { a: number; b: number } {
  let best = { a: a0, b: b0 }
  for (let k = -most; k <= most; k += 1) {
    const x = reach[zero + k] ?? -1
    const point = { a: a0 + x, b: b0 + x - k }
    if (x >= 0 && point.b >= b0 && point.a + point.b > best.a + best.b) best = point
  }
  return best
}
