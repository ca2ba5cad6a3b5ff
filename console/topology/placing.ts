/** One box of a column: where it would like its middle to be, how much that counts, and what it needs. */
export interface Wish {
  readonly middle: number
  readonly weight: number
  readonly height: number
}

/**
 * Middles for the boxes of a column, in their order and at least `gap` apart, as near to their wishes as can be: the least sum of weighted squares.
 * Isotonic regression by pooling neighbours that would overlap (Ayer et al. 1955).
 */
export function placeColumn(wishes: readonly Wish[], gap: number): number[] {
  // Without the room that boxes before it need, "in order and apart" is just "not decreasing".
  const needed: number[] = []
  let used = 0
  for (const [at, wish] of wishes.entries()) {
    if (at > 0) used += (wishes[at - 1]?.height ?? 0) / 2 + gap + wish.height / 2
    needed.push(used)
  }
  const pools: { value: number; weight: number; many: number }[] = []
  for (const [at, wish] of wishes.entries()) {
    let pool = { value: wish.middle - (needed[at] ?? 0), weight: wish.weight, many: 1 }
    for (let last = pools.at(-1); last !== undefined && last.value > pool.value; last = pools.at(-1)) {
      pools.pop()
      const weight = last.weight + pool.weight
      pool = { value: (last.value * last.weight + pool.value * pool.weight) / weight, weight, many: last.many + pool.many }
    }
    pools.push(pool)
  }
  const middles: number[] = []
  for (const pool of pools) for (let index = 0; index < pool.many; index += 1) middles.push(pool.value + (needed[middles.length] ?? 0))
  return middles
}
