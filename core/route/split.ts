import type { WeightedCluster, WeightedClusters } from '../plan/route.ts'

/** Sums the weights once, so that a request costs one comparison per entry. */
export function weighted(entries: readonly WeightedCluster[]): WeightedClusters {
  const cumulative: number[] = []
  let total = 0
  for (const entry of entries) cumulative.push((total += entry.weight))
  return { entries, cumulative, total }
}

/**
 * One cluster, in proportion to the weights. `draw` is uniform in [0, 1).
 * When all weights are 0 the first entry is taken: plan readers refuse that, so it can only be a single cluster.
 */
export function pickCluster(clusters: WeightedClusters, draw: number): WeightedCluster {
  const { entries, cumulative } = clusters
  const point = draw * clusters.total
  for (let at = 0; at < cumulative.length; at++) {
    const entry = entries[at]
    if (entry !== undefined && point < (cumulative[at] ?? 0)) return entry
  }
  const first = entries[0]
  if (first === undefined) throw new Error('a route without a cluster was compiled')
  return first
}
