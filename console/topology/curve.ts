import type { Point } from './layout.ts'

/** An edge as a line of short straight pieces, with the way travelled up to each point: what dots move along and the pointer is measured against. */
export interface Curve {
  /** x and y in turn. */
  readonly points: Float32Array
  /** Distance from the start to each point. */
  readonly travelled: Float32Array
  readonly length: number
}

const piecesPerBend = 18

/** A smooth line through `stops` that leaves and arrives level, in the given directions (1 to the right, -1 to the left). */
export function levelCurve(stops: readonly Point[], leave: 1 | -1, arrive: 1 | -1): Curve {
  const points: number[] = []
  for (let at = 0; at + 1 < stops.length; at += 1) {
    const from = stops[at]
    const to = stops[at + 1]
    if (from === undefined || to === undefined) break
    const along = Math.sign(to.x - from.x) || 1
    const startSide = at === 0 ? leave : along
    const endSide = at + 2 === stops.length ? arrive : along
    const reach = Math.max(36, Math.abs(to.x - from.x) / 2)
    for (let piece = at === 0 ? 0 : 1; piece <= piecesPerBend; piece += 1) {
      const t = piece / piecesPerBend
      points.push(bezier(from.x, from.x + startSide * reach, to.x - endSide * reach, to.x, t), bezier(from.y, from.y, to.y, to.y, t))
    }
  }
  return measured(points)
}

/** A call to oneself: a loop over the box's top right corner. */
export function loopCurve(from: Point, to: Point): Curve {
  const points: number[] = []
  for (let piece = 0; piece <= piecesPerBend * 2; piece += 1) {
    const t = piece / (piecesPerBend * 2)
    points.push(bezier(from.x, from.x + 70, to.x + 40, to.x, t), bezier(from.y, from.y - 30, to.y - 60, to.y, t))
  }
  return measured(points)
}

function bezier(a: number, b: number, c: number, d: number, t: number): number {
  const s = 1 - t
  return s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d
}

function measured(points: readonly number[]): Curve {
  const travelled = new Float32Array(points.length / 2)
  let length = 0
  for (let at = 1; at < travelled.length; at += 1) {
    length += Math.hypot((points[2 * at] ?? 0) - (points[2 * at - 2] ?? 0), (points[2 * at + 1] ?? 0) - (points[2 * at - 1] ?? 0))
    travelled[at] = length
  }
  return { points: Float32Array.from(points), travelled, length }
}

/** The point `distance` along the curve. */
export function pointAt(curve: Curve, distance: number): Point {
  const { points, travelled } = curve
  let low = 0
  let high = travelled.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((travelled[middle] ?? 0) <= distance) low = middle
    else high = middle
  }
  const start = travelled[low] ?? 0
  const piece = (travelled[high] ?? 0) - start
  const t = piece <= 0 ? 0 : Math.min(1, Math.max(0, (distance - start) / piece))
  const x = points[2 * low] ?? 0
  const y = points[2 * low + 1] ?? 0
  return { x: x + ((points[2 * high] ?? 0) - x) * t, y: y + ((points[2 * high + 1] ?? 0) - y) * t }
}

export const middleOf = (curve: Curve): Point => pointAt(curve, curve.length / 2)

/** How far a point lies from the curve. */
export function distanceTo(curve: Curve, at: Point): number {
  let nearest = Infinity
  for (let index = 0; index + 1 < curve.travelled.length; index += 1) {
    const x = curve.points[2 * index] ?? 0
    const y = curve.points[2 * index + 1] ?? 0
    const dx = (curve.points[2 * index + 2] ?? 0) - x
    const dy = (curve.points[2 * index + 3] ?? 0) - y
    const square = dx * dx + dy * dy
    const t = square === 0 ? 0 : Math.min(1, Math.max(0, ((at.x - x) * dx + (at.y - y) * dy) / square))
    nearest = Math.min(nearest, Math.hypot(at.x - x - t * dx, at.y - y - t * dy))
  }
  return nearest
}
