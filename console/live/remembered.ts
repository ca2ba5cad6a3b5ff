import type { Topology, TopologyEdge, TopologyNode } from '#core/contract/topology.ts'

/** A topology in which what has just fallen silent still stands, so that the picture does not jump whenever a slow flow pauses. */
export interface Remembered {
  readonly topology: Topology
  /** Keys of nodes and edges that the newest report no longer names, with the time it last did (the report's own clock). */
  readonly quietSinceMs: ReadonlyMap<string, number>
}

/** How long something silent is kept. */
export const quietKeptMs = 120_000

export const edgeKey = (edge: { from: string; to: string; version: string }): string => `${edge.from} → ${edge.to} ${edge.version}`.trimEnd()

/** Folds the newest report into what is known. Rates of what is silent are 0; nothing else about it is invented. */
export function remember(known: Remembered | undefined, newest: Topology): Remembered {
  const quiet = new Map<string, number>()
  const nodes = [...newest.nodes]
  const edges = [...newest.edges]
  const present = new Set([...nodes.map((node) => node.id), ...edges.map(edgeKey)])
  for (const node of known?.topology.nodes ?? []) {
    if (present.has(node.id)) continue
    const since = known?.quietSinceMs.get(node.id) ?? known?.topology.atMs ?? newest.atMs
    if (newest.atMs - since > quietKeptMs) continue
    quiet.set(node.id, since)
    nodes.push(silentNode(node))
  }
  const ids = new Set(nodes.map((node) => node.id))
  for (const edge of known?.topology.edges ?? []) {
    const key = edgeKey(edge)
    if (present.has(key) || !ids.has(edge.from) || !ids.has(edge.to)) continue
    const since = known?.quietSinceMs.get(key) ?? known?.topology.atMs ?? newest.atMs
    if (newest.atMs - since > quietKeptMs) continue
    quiet.set(key, since)
    edges.push(silentEdge(edge))
  }
  nodes.sort((one, other) => (one.id < other.id ? -1 : 1))
  edges.sort((one, other) => (edgeKey(one) < edgeKey(other) ? -1 : 1))
  return { topology: { ...newest, nodes, edges: edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to)) }, quietSinceMs: quiet }
}

const silence = { requestsPerSecond: 0, errorShare: 0, p50Ms: null, p99Ms: null }
const silentNode = (node: TopologyNode): TopologyNode => ({ ...node, ...silence, versions: node.versions.map((version) => ({ ...version, ...silence })) })
const silentEdge = (edge: TopologyEdge): TopologyEdge => ({ ...edge, ...silence, mutualTlsShare: null })
