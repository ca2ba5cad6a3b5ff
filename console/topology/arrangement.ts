import type { Topology, TopologyNode } from '#core/contract/topology.ts'
import { edgeKey } from '../live/remembered.ts'
import { type Curve, distanceTo, levelCurve, loopCurve, pointAt } from './curve.ts'
import { type Point, layOut } from './layout.ts'

/** Width of a text in one of the page's canvas fonts, in CSS pixels. */
export type Measure = (text: string, font: 'name' | 'small') => number

export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Where everything stands: follows from who calls whom, not from how much, so it holds still while numbers change. */
export interface Arrangement {
  /** Equal for topologies that are arranged alike. */
  readonly key: string
  readonly boxes: ReadonlyMap<string, Box>
  readonly curves: ReadonlyMap<string, Curve>
  /** Middles of labels. An edge without one has no room: its label shows when it is looked at. */
  readonly labels: ReadonlyMap<string, Point>
  readonly width: number
  readonly height: number
}

export const headerHeight = 50
export const rowHeight = 38
export const cardPadding = 14
export const nameLeft = 38
/** Room for the numbers on a card's right. */
const numbersWidth = 84
const cardWidthMin = 186
const cardWidthMax = 340
const labelSize = { width: 126, height: 36 }

/** Versions that get a row: none when all that is known is one without a name. */
export const versionRows = (node: TopologyNode): readonly TopologyNode['versions'][number][] => (node.versions.some((version) => version.version !== '') ? node.versions : [])

export const arrangementKey = (topology: Topology): string =>
  JSON.stringify([topology.nodes.map((node) => [node.id, node.name, node.namespace, versionRows(node).map((version) => version.version)]), topology.edges.map(edgeKey)])

export function arrange(topology: Topology, measure: Measure): Arrangement {
  const nodes = new Map(topology.nodes.map((node) => [node.id, node]))
  const sizes = topology.nodes.map((node) => ({ id: node.id, width: cardWidth(node, measure), height: cardHeight(node) }))
  const edges = topology.edges.map((edge) => ({ key: edgeKey(edge), from: edge.from, to: edge.to, fromOffset: headerHeight / 2, toOffset: arrivalOffset(nodes.get(edge.to), edge.version) }))
  const layout = layOut(sizes, edges)
  const boxes = new Map(sizes.map((size) => [size.id, { ...(layout.positions.get(size.id) ?? { x: 0, y: 0 }), width: size.width, height: size.height }]))

  const curves = new Map<string, Curve>()
  for (const edge of edges) {
    const from = boxes.get(edge.from)
    const to = boxes.get(edge.to)
    if (from === undefined || to === undefined) continue
    if (edge.from === edge.to) {
      curves.set(edge.key, loopCurve({ x: from.x + from.width - 44, y: from.y }, { x: from.x + from.width - 8, y: from.y }))
      continue
    }
    const stops = (leave: 1 | -1): Point[] => [
      { x: leave === 1 ? from.x + from.width : from.x, y: from.y + edge.fromOffset },
      ...(layout.bends.get(edge.key) ?? []),
      { x: leave === 1 ? to.x : to.x + to.width, y: to.y + edge.toOffset },
    ]
    const side = to.x > from.x ? 1 : -1
    curves.set(edge.key, levelCurve(stops(side), side, side))
  }
  return { key: arrangementKey(topology), boxes, curves, labels: placeLabels(curves, [...boxes.values()]), width: layout.width, height: layout.height }
}

function cardWidth(node: TopologyNode, measure: Measure): number {
  const text = Math.max(measure(node.name, 'name'), measure(node.namespace, 'small'))
  return Math.ceil(Math.min(cardWidthMax, Math.max(cardWidthMin, nameLeft + text + 16 + numbersWidth)))
}

const cardHeight = (node: TopologyNode): number => {
  const rows = versionRows(node).length
  return headerHeight + rows * rowHeight + (rows > 0 ? 8 : 0)
}

function arrivalOffset(node: TopologyNode | undefined, version: string): number {
  const row = node === undefined ? -1 : versionRows(node).findIndex((one) => one.version === version)
  return row < 0 ? headerHeight / 2 : headerHeight + (row + 0.5) * rowHeight
}

/** Beyond this many edges labels are shown only for what is looked at. */
const labelledEdgesMax = 400
/** Each label is measured against each line: with more of them that would be felt. */
const curvesKeptClearMax = 60

function placeLabels(curves: ReadonlyMap<string, Curve>, obstacles: readonly Box[]): Map<string, Point> {
  const labels = new Map<string, Point>()
  if (curves.size > labelledEdgesMax) return labels
  const taken: Box[] = [...obstacles]
  for (const [key, curve] of curves) {
    const free = places(curve).filter((point) => !taken.some((other) => overlap(labelBox(point), other)))
    // A label that covers another call's line would be read as that one's.
    const others = curves.size > curvesKeptClearMax ? [] : [...curves].filter(([other]) => other !== key).map(([, other]) => other)
    const near = free.filter((point) => distanceTo(curve, point) < labelSize.height / 2)
    const at = near.find((point) => others.every((other) => distanceTo(other, point) > labelSize.height / 2 + 2)) ?? near[0] ?? free[0]
    if (at === undefined) continue
    taken.push(labelBox(at))
    labels.set(key, at)
  }
  return labels
}

/** Where a label may stand, the best first: on the curve near its middle, then further along, then a little beside it. */
function places(curve: Curve): Point[] {
  const shares = [0.5, 0.55, 0.45, 0.6, 0.4, 0.66, 0.34, 0.72, 0.28, 0.8, 0.2].map((share) => pointAt(curve, curve.length * share))
  return [0, 9, -9, 18, -18, 29, -29, 40, -40].flatMap((beside) => shares.map((point) => ({ x: point.x, y: point.y + beside })))
}

const labelBox = (middle: Point): Box => ({ x: middle.x - labelSize.width / 2, y: middle.y - labelSize.height / 2, ...labelSize })

const overlap = (one: Box, other: Box): boolean => one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height
