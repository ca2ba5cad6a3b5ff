/** A directed graph as the layout sees it: ids and pairs. Edges whose ends are the same node are left out by the caller. */
export interface Digraph {
  readonly nodes: readonly string[]
  readonly edges: readonly { readonly from: string; readonly to: string }[]
}

/**
 * A layer for each node, 0 leftmost: the longest way to it from a node that nothing calls. Calls that close a cycle do not count;
 * which of a cycle's calls that is depends on the ids alone, so the same graph is always laid out the same way.
 */
export function assignLayers(graph: Digraph): Map<string, number> {
  const next = new Map<string, string[]>(graph.nodes.map((id) => [id, []]))
  const called = new Set<string>()
  for (const { from, to } of graph.edges) {
    next.get(from)?.push(to)
    called.add(to)
  }
  for (const targets of next.values()) targets.sort()
  // Nodes that nothing calls come first, so that a cycle is entered where its traffic enters it.
  const starts = [...graph.nodes].sort((one, other) => Number(called.has(one)) - Number(called.has(other)) || (one < other ? -1 : 1))
  const finished = finishOrder(starts, next)
  const place = new Map(finished.map((id, at) => [id, at]))
  const layer = new Map<string, number>(graph.nodes.map((id) => [id, 0]))
  // Reverse finishing order of a depth-first search is topological but for the edges that lead back.
  for (const id of finished.toReversed()) {
    for (const target of next.get(id) ?? []) {
      if ((place.get(target) ?? 0) >= (place.get(id) ?? 0)) continue
      layer.set(target, Math.max(layer.get(target) ?? 0, (layer.get(id) ?? 0) + 1))
    }
  }
  return layer
}

/** Depth-first, without recursion: a chain of 10 000 services must not end the page. */
function finishOrder(starts: readonly string[], next: ReadonlyMap<string, readonly string[]>): string[] {
  const finished: string[] = []
  const seen = new Set<string>()
  for (const start of starts) {
    if (seen.has(start)) continue
    seen.add(start)
    const stack = [{ id: start, at: 0 }]
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const target = next.get(top.id)?.[top.at]
      top.at += 1
      if (target === undefined) {
        finished.push(top.id)
        stack.pop()
      } else if (!seen.has(target)) {
        seen.add(target)
        stack.push({ id: target, at: 0 })
      }
    }
  }
  return finished
}
