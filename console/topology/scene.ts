import type { TopologyEdge, TopologyNode } from '#core/contract/topology.ts'
import { latencies, percent, rate } from '../format/quantity.ts'
import { type Remembered, edgeKey } from '../live/remembered.ts'
import { type Arrangement, type Box, type Measure, arrange, arrangementKey, headerHeight, rowHeight, versionRows } from './arrangement.ts'
import { type Curve, distanceTo, middleOf } from './curve.ts'
import type { Point } from './layout.ts'
import { type Lock, type Tone, lockOf, toneOf } from './tone.ts'

export interface SceneRow {
  readonly version: string
  readonly workloads: number
  /** Share of the service's requests, 0..1; undefined while there are none. */
  readonly share: number | undefined
  readonly rate: string
  readonly errorShare: number
  /** Top of the row, from the card's. */
  readonly top: number
}

export interface SceneNode {
  readonly node: TopologyNode
  readonly box: Box
  readonly rows: readonly SceneRow[]
  readonly tone: Tone
  readonly flow: ServedFlow
  readonly rate: string
  /** Errors when there are any, else latencies, else nothing. */
  readonly aside: string
  readonly refused: boolean
}

export interface SceneEdge {
  readonly key: string
  readonly edge: TopologyEdge
  readonly curve: Curve
  readonly tone: Tone
  readonly lock: Lock
  /** Line width, world units. */
  readonly width: number
  readonly label: Point | undefined
  readonly lines: readonly string[]
}

/** Everything that is to be seen, in world units, ready to draw. */
export interface Scene {
  readonly arrangement: Arrangement
  readonly nodes: readonly SceneNode[]
  readonly edges: readonly SceneEdge[]
}

export type Target = { readonly kind: 'node'; readonly id: string } | { readonly kind: 'edge'; readonly key: string }

export const sameTarget = (one: Target | undefined, other: Target | undefined): boolean => one === other || (one !== undefined && other !== undefined && targetKey(one) === targetKey(other))
export const targetKey = (target: Target): string => (target.kind === 'node' ? target.id : target.key)

/** Keeps the arrangement of `previous` while who calls whom stays the same. `refused`: ids of services that a refused object concerns. */
export function buildScene(graph: Remembered, refused: ReadonlySet<string>, measure: Measure, previous: Scene | undefined): Scene {
  const { topology } = graph
  const arrangement = previous !== undefined && previous.arrangement.key === arrangementKey(topology) ? previous.arrangement : arrange(topology, measure)
  const nodes: SceneNode[] = []
  for (const node of topology.nodes) {
    const box = arrangement.boxes.get(node.id)
    if (box !== undefined) nodes.push(sceneNode(node, box, topology.edges, refused.has(node.id)))
  }
  const edges: SceneEdge[] = []
  for (const edge of topology.edges) {
    const key = edgeKey(edge)
    const curve = arrangement.curves.get(key)
    if (curve === undefined) continue
    const failing = edge.errorShare > 0 ? ` · ${percent(edge.errorShare)} err` : ''
    const lines = edge.requestsPerSecond <= 0 ? ['quiet'] : [`${rate(edge.requestsPerSecond)}${failing}`, ...optional(latencies(edge.p50Ms, edge.p99Ms))]
    edges.push({ key, edge, curve, tone: toneOf(edge), lock: lockOf(edge.mutualTlsShare), width: lineWidth(edge.requestsPerSecond), label: arrangement.labels.get(key), lines })
  }
  return { arrangement, nodes, edges }
}

function sceneNode(node: TopologyNode, box: Box, edges: readonly TopologyEdge[], refused: boolean): SceneNode {
  const versions = versionRows(node)
  const total = versions.reduce((sum, version) => sum + version.requestsPerSecond, 0)
  const rows = versions.map((version, at) => ({
    version: version.version === '' ? 'no version' : version.version,
    workloads: version.workloads,
    share: total > 0 ? version.requestsPerSecond / total : undefined,
    rate: rate(version.requestsPerSecond),
    errorShare: version.errorShare,
    top: headerHeight + at * rowHeight,
  }))
  const served = servedOrSent(node, edges)
  return { node, box, rows, tone: toneOf(served), flow: served, rate: rate(served.requestsPerSecond), aside: served.errorShare > 0 ? `${percent(served.errorShare)} err` : (latencies(served.p50Ms, served.p99Ms) ?? ''), refused }
}

export interface ServedFlow {
  readonly requestsPerSecond: number
  readonly errorShare: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  /** The numbers are of what it sends. */
  readonly sent: boolean
}

/** What a node serves; of one that serves nothing (a client, a gateway nobody measures from outside), what it sends. */
export function servedOrSent(node: TopologyNode, edges: readonly TopologyEdge[]): ServedFlow {
  if (node.requestsPerSecond > 0 || (node.kind !== 'workload' && node.kind !== 'gateway')) return { ...node, sent: false }
  const sent = edges.filter((edge) => edge.from === node.id)
  const requestsPerSecond = sent.reduce((sum, edge) => sum + edge.requestsPerSecond, 0)
  const failed = sent.reduce((sum, edge) => sum + edge.requestsPerSecond * edge.errorShare, 0)
  return { requestsPerSecond, errorShare: requestsPerSecond > 0 ? failed / requestsPerSecond : 0, p50Ms: null, p99Ms: null, sent: true }
}

/** 1.5 for a trickle up to 5 for thousands a second. */
const lineWidth = (requestsPerSecond: number): number => (requestsPerSecond <= 0 ? 1.25 : Math.min(5, 1.5 + 0.9 * Math.log10(1 + requestsPerSecond)))

const optional = (text: string | undefined): string[] => (text === undefined ? [] : [text])

/** What lies under a point: a card, else the nearest line within `reach` world units. */
export function hitTest(scene: Scene, at: Point, reach: number): Target | undefined {
  for (const { node, box } of scene.nodes) if (at.x >= box.x && at.x <= box.x + box.width && at.y >= box.y && at.y <= box.y + box.height) return { kind: 'node', id: node.id }
  let best: { key: string; distance: number } | undefined
  for (const { key, curve, label } of scene.edges) {
    if (label !== undefined && Math.abs(at.x - label.x) < 46 && Math.abs(at.y - label.y) < 17) return { kind: 'edge', key }
    const distance = distanceTo(curve, at)
    if (distance <= reach && distance < (best?.distance ?? Infinity)) best = { key, distance }
  }
  return best === undefined ? undefined : { kind: 'edge', key: best.key }
}

/** The target and what it touches; undefined for none, which means everything. */
export function neighbourhood(scene: Scene, target: Target | undefined): ReadonlySet<string> | undefined {
  if (target === undefined) return undefined
  const near = new Set<string>([targetKey(target)])
  for (const { key, edge } of scene.edges) {
    const touches = target.kind === 'edge' ? key === target.key : edge.from === target.id || edge.to === target.id
    if (touches) for (const id of [key, edge.from, edge.to]) near.add(id)
  }
  return near
}

/** The part of the world that shows a target: a card; of an edge, both its cards where `room` allows, else its middle. */
export function placeOf(scene: Scene, target: Target, room: { width: number; height: number }): Box | undefined {
  const { boxes } = scene.arrangement
  if (target.kind === 'node') return boxes.get(target.id)
  const found = scene.edges.find((edge) => edge.key === target.key)
  const from = found === undefined ? undefined : boxes.get(found.edge.from)
  const to = found === undefined ? undefined : boxes.get(found.edge.to)
  if (found === undefined || from === undefined || to === undefined) return undefined
  const x = Math.min(from.x, to.x)
  const y = Math.min(from.y, to.y)
  const both = { x, y, width: Math.max(from.x + from.width, to.x + to.width) - x, height: Math.max(from.y + from.height, to.y + to.height) - y }
  if (both.width <= room.width && both.height <= room.height) return both
  const middle = found.label ?? middleOf(found.curve)
  return { x: middle.x - 64, y: middle.y - 20, width: 128, height: 40 }
}
