import { assignLayers } from './layers.ts'
import { orderLayers } from './ordering.ts'
import { placeColumn } from './placing.ts'

/** A box to place. Sizes in world units: CSS pixels at zoom 1. */
export interface LayoutNode {
  readonly id: string
  readonly width: number
  readonly height: number
}

export interface LayoutEdge {
  readonly key: string
  readonly from: string
  readonly to: string
  /** Where on the node's height the edge leaves and arrives, from its top. */
  readonly fromOffset: number
  readonly toOffset: number
}

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Layout {
  /** Top left corners. */
  readonly positions: ReadonlyMap<string, Point>
  /** For an edge that passes whole columns: a point in the middle of each, in the order from → to. */
  readonly bends: ReadonlyMap<string, readonly Point[]>
  readonly width: number
  readonly height: number
}

/** Wide enough that a label leaves the line visible on both its sides. */
const columnGap = 216
const rowGap = 30
/** Height kept free for an edge that passes a column: enough for its label. */
const laneHeight = 36
const laneGap = 10
/** Above this, lanes would outnumber boxes and cost more than they clear up, and columns would be taller than any screen. */
const edgesWithLanesMax = 600
const boxesWithLanesMax = 200
/** A column taller than this many boxes is folded into several beside each other. */
const columnBoxesMax = 40

/**
 * Columns from left to right along the calls. Deterministic: depends on ids, pairs and sizes alone, not on their order or on rates.
 * Boxes that call nothing and that nothing calls stand in rows beneath.
 */
export function layOut(nodes: readonly LayoutNode[], edges: readonly LayoutEdge[]): Layout {
  const size = new Map(nodes.map((node) => [node.id, node]))
  const proper = [...edges].filter((edge) => edge.from !== edge.to && size.has(edge.from) && size.has(edge.to)).sort((one, other) => (one.key < other.key ? -1 : 1))
  const joined = new Set(proper.flatMap((edge) => [edge.from, edge.to]))
  const linked = nodes.filter((node) => joined.has(node.id)).map((node) => node.id).sort()
  const layer = assignLayers({ nodes: linked, edges: proper })
  const withLanes = proper.length <= edgesWithLanesMax && linked.length <= boxesWithLanesMax
  const chains = proper.map((edge) => chainOf(edge, layer, withLanes))

  const columns = initialColumns(linked, layer, chains)
  const left = new Map<string, string[]>()
  const right = new Map<string, string[]>()
  for (const chain of chains) {
    for (const [at, id] of chain.ids.entries()) {
      const following = chain.ids[at + 1]
      if (following === undefined) break
      push(right, id, following)
      push(left, following, id)
    }
  }
  const ordered = orderLayers(columns, { left, right })
  const placed = withLanes ? placeColumns(ordered, placeRows(ordered, chains, size), size) : foldColumns(ordered, size)

  const bends = new Map<string, Point[]>()
  for (const chain of chains) {
    const points = chain.ids.slice(1, -1).map((id) => placed.lanes.get(id)).filter((point) => point !== undefined)
    if (points.length > 0) bends.set(chain.edge.key, chain.backwards ? points.reverse() : points)
  }
  const loose = nodes.filter((node) => !joined.has(node.id)).sort((one, other) => (one.id < other.id ? -1 : 1))
  return finish(placed.positions, bends, loose, size)
}

interface Chain {
  readonly edge: LayoutEdge
  /** From left to right: a node, lanes, a node. */
  readonly ids: readonly string[]
  readonly backwards: boolean
}

function chainOf(edge: LayoutEdge, layer: ReadonlyMap<string, number>, withLanes: boolean): Chain {
  const from = layer.get(edge.from) ?? 0
  const to = layer.get(edge.to) ?? 0
  const backwards = from > to
  const [first, last] = backwards ? [edge.to, edge.from] : [edge.from, edge.to]
  const lanes: string[] = []
  if (withLanes) for (let at = Math.min(from, to) + 1; at < Math.max(from, to); at += 1) lanes.push(`lane ${at} ${edge.key}`)
  return { edge, ids: [first, ...lanes, last], backwards }
}

function initialColumns(linked: readonly string[], layer: ReadonlyMap<string, number>, chains: readonly Chain[]): string[][] {
  const columns: string[][] = []
  const at = (index: number): string[] => (columns[index] ??= [])
  for (const id of linked) at(layer.get(id) ?? 0).push(id)
  for (const chain of chains) {
    const start = Math.min(layer.get(chain.edge.from) ?? 0, layer.get(chain.edge.to) ?? 0)
    for (const [index, id] of chain.ids.slice(1, -1).entries()) at(start + 1 + index).push(id)
  }
  return Array.from(columns, (column) => column ?? [])
}

const isLane = (id: string): boolean => id.startsWith('lane ')

/** Middles of all boxes and lanes: each drawn to where its edges come from and lead to, in turns from either side. */
function placeRows(columns: readonly (readonly string[])[], chains: readonly Chain[], size: ReadonlyMap<string, LayoutNode>): Map<string, number> {
  const height = (id: string): number => (isLane(id) ? laneHeight : (size.get(id)?.height ?? 0))
  // Each pull: this item's middle should be that item's middle plus a difference, so that the edge between them runs level.
  const pulls = new Map<string, { to: string; difference: number; right: boolean }[]>()
  for (const chain of chains) {
    for (const [at, id] of chain.ids.entries()) {
      const other = chain.ids[at + 1]
      if (other === undefined) break
      const end = anchor(chain.edge, id, size)
      const otherEnd = anchor(chain.edge, other, size)
      push(pulls, id, { to: other, difference: otherEnd - end, right: true })
      push(pulls, other, { to: id, difference: end - otherEnd, right: false })
    }
  }
  const middle = new Map<string, number>()
  for (const column of columns) {
    let used = 0
    for (const id of column) {
      middle.set(id, used + height(id) / 2)
      used += height(id) + rowGap
    }
    // Columns start out centred on each other.
    for (const id of column) middle.set(id, (middle.get(id) ?? 0) - used / 2)
  }
  const rounds = columns.length < 2 ? 0 : 10
  for (let round = 0; round < rounds; round += 1) {
    const leftwards = round % 2 === 0
    for (const column of leftwards ? [...columns].reverse() : columns) {
      const wishes = column.map((id) => {
        const all = pulls.get(id) ?? []
        const chosen = round >= rounds - 2 ? all : all.filter((pull) => pull.right === leftwards)
        const sum = chosen.reduce((total, pull) => total + (middle.get(pull.to) ?? 0) + pull.difference, 0)
        return { middle: chosen.length === 0 ? (middle.get(id) ?? 0) : sum / chosen.length, weight: isLane(id) ? 2 : 1 + chosen.length, height: height(id) + (isLane(id) ? laneGap - rowGap : 0) }
      })
      const placed = placeColumn(wishes, rowGap)
      for (const [at, id] of column.entries()) middle.set(id, placed[at] ?? 0)
    }
  }
  return middle
}

/** How far below an item's middle the edge touches it. */
function anchor(edge: LayoutEdge, id: string, size: ReadonlyMap<string, LayoutNode>): number {
  const box = size.get(id)
  if (box === undefined) return 0
  return (id === edge.from ? edge.fromOffset : edge.toOffset) - box.height / 2
}

interface Placed {
  readonly positions: Map<string, Point>
  readonly lanes: ReadonlyMap<string, Point>
}

function placeColumns(columns: readonly (readonly string[])[], middles: ReadonlyMap<string, number>, size: ReadonlyMap<string, LayoutNode>): Placed {
  const positions = new Map<string, Point>()
  const lanes = new Map<string, Point>()
  let x = 0
  for (const column of columns) {
    const width = Math.max(0, ...column.map((id) => size.get(id)?.width ?? 0))
    for (const id of column) {
      const middle = middles.get(id) ?? 0
      const box = size.get(id)
      if (box === undefined) lanes.set(id, { x: x + width / 2, y: middle })
      else positions.set(id, { x, y: middle - box.height / 2 })
    }
    x += width + columnGap
  }
  return { positions, lanes }
}

/** For large graphs: a column of hundreds becomes a block of several narrow ones, so that the whole stays near the shape of a screen. */
function foldColumns(columns: readonly (readonly string[])[], size: ReadonlyMap<string, LayoutNode>): Placed {
  const positions = new Map<string, Point>()
  let x = 0
  for (const column of columns) {
    const folds = Math.max(1, Math.ceil(column.length / columnBoxesMax))
    const boxes = Math.ceil(column.length / folds)
    for (let fold = 0; fold < folds; fold += 1) {
      const part = column.slice(fold * boxes, (fold + 1) * boxes)
      const total = part.reduce((sum, id) => sum + (size.get(id)?.height ?? 0) + rowGap, -rowGap)
      let y = -total / 2
      for (const id of part) {
        positions.set(id, { x, y })
        y += (size.get(id)?.height ?? 0) + rowGap
      }
      x += Math.max(0, ...part.map((id) => size.get(id)?.width ?? 0)) + (fold === folds - 1 ? columnGap : rowGap * 1.5)
    }
  }
  return { positions, lanes: new Map() }
}

function finish(positions: Map<string, Point>, bends: Map<string, Point[]>, loose: readonly LayoutNode[], size: ReadonlyMap<string, LayoutNode>): Layout {
  let width = 0
  let bottom = 0
  let top = 0
  for (const [id, at] of positions) {
    width = Math.max(width, at.x + (size.get(id)?.width ?? 0))
    top = Math.min(top, at.y)
    bottom = Math.max(bottom, at.y + (size.get(id)?.height ?? 0))
  }
  for (const points of bends.values()) for (const point of points) [top, bottom] = [Math.min(top, point.y - laneHeight / 2), Math.max(bottom, point.y + laneHeight / 2)]
  const rowWidth = Math.max(width, 4 * 260, Math.sqrt(loose.length) * 320)
  let x = 0
  let y = positions.size === 0 ? 0 : bottom + 2 * rowGap
  let rowHeight = 0
  for (const box of loose) {
    if (x > 0 && x + box.width > rowWidth) {
      x = 0
      y += rowHeight + rowGap
      rowHeight = 0
    }
    positions.set(box.id, { x, y })
    x += box.width + rowGap
    rowHeight = Math.max(rowHeight, box.height)
    width = Math.max(width, x - rowGap)
    bottom = Math.max(bottom, y + rowHeight)
  }
  const lift = (point: Point): Point => ({ x: point.x, y: point.y - top })
  return {
    positions: new Map([...positions].map(([id, point]) => [id, lift(point)])),
    bends: new Map([...bends].map(([key, points]) => [key, points.map(lift)])),
    width,
    height: bottom - top,
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
