/** Links between items of neighbouring layers, in both directions. */
export interface Links {
  readonly left: ReadonlyMap<string, readonly string[]>
  readonly right: ReadonlyMap<string, readonly string[]>
}

const sweeps = 12

/**
 * Orders each layer so that few edges cross: the barycenter heuristic (Sugiyama, Tagawa, Toda 1981), the best of several sweeps.
 * `layers` come in their present order, which decides between equals: a layout that is handed its own result returns it.
 */
export function orderLayers(layers: readonly (readonly string[])[], links: Links): string[][] {
  let current = layers.map((layer) => [...layer])
  let best = current
  let fewest = countCrossings(current, links)
  for (let sweep = 0; sweep < sweeps && fewest > 0; sweep += 1) {
    const rightwards = sweep % 2 === 0
    const next = current.map((layer) => [...layer])
    const order = rightwards ? next.keys() : [...next.keys()].reverse()
    for (const at of order) {
      const beside = next[rightwards ? at - 1 : at + 1]
      const layer = next[at]
      if (beside === undefined || layer === undefined) continue
      const position = new Map(beside.map((id, index) => [id, index]))
      const pull = rightwards ? links.left : links.right
      const wish = new Map(layer.map((id, index) => [id, barycenter(pull.get(id) ?? [], position) ?? index * (beside.length / Math.max(1, layer.length))]))
      const place = new Map(layer.map((id, index) => [id, index]))
      layer.sort((one, other) => (wish.get(one) ?? 0) - (wish.get(other) ?? 0) || (place.get(one) ?? 0) - (place.get(other) ?? 0))
    }
    current = next
    const crossings = countCrossings(current, links)
    if (crossings < fewest) {
      fewest = crossings
      best = current
    }
  }
  return best
}

function barycenter(neighbours: readonly string[], position: ReadonlyMap<string, number>): number | undefined {
  let sum = 0
  let found = 0
  for (const id of neighbours) {
    const at = position.get(id)
    if (at === undefined) continue
    sum += at
    found += 1
  }
  return found === 0 ? undefined : sum / found
}

/** Pairs of edges between neighbouring layers that cross: inversions, counted with a Fenwick tree in O(e log n). */
export function countCrossings(layers: readonly (readonly string[])[], links: Links): number {
  let crossings = 0
  for (const [at, layer] of layers.entries()) {
    const beside = layers[at + 1]
    if (beside === undefined) break
    const position = new Map(beside.map((id, index) => [id, index]))
    const tree = new Int32Array(beside.length + 1)
    let placed = 0
    for (const id of layer) {
      const ends = (links.right.get(id) ?? []).map((target) => position.get(target)).filter((end) => end !== undefined)
      for (const end of ends) crossings += placed - sumUpTo(tree, end + 1)
      for (const end of ends) {
        for (let index = end + 1; index < tree.length; index += index & -index) tree[index] = (tree[index] ?? 0) + 1
        placed += 1
      }
    }
  }
  return crossings
}

function sumUpTo(tree: Int32Array, end: number): number {
  let sum = 0
  for (let index = end; index > 0; index -= index & -index) sum += tree[index] ?? 0
  return sum
}
