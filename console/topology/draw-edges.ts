import type { Curve } from './curve.ts'
import type { Scene, SceneEdge } from './scene.ts'
import type { Theme } from './theme.ts'
import type { Tone } from './tone.ts'

/** From here on lines lie so close that only thin ones let the picture through. */
const denseEdges = 600
/** Heads smaller than a pixel or two are left out. */
const headZoomMin = 0.25

/** Lines and their heads. `near`: keys that stand out, undefined for all. */
export function drawEdges(context: CanvasRenderingContext2D, scene: Scene, theme: Theme, zoom: number, near: ReadonlySet<string> | undefined, marked: ReadonlySet<string>): void {
  context.lineJoin = 'round'
  // Equal lines are stroked as one path: thousands of strokes are what makes a canvas slow.
  const groups = new Map<string, SceneEdge[]>()
  for (const edge of scene.edges) {
    const dim = near !== undefined && !near.has(edge.key)
    const group = `${edge.tone} ${edge.width.toFixed(1)} ${String(dim)} ${String(marked.has(edge.key))}`
    const list = groups.get(group)
    if (list === undefined) groups.set(group, [edge])
    else list.push(edge)
  }
  for (const edges of groups.values()) {
    const [first] = edges
    if (first === undefined) continue
    const mark = marked.has(first.key)
    context.globalAlpha = near !== undefined && !near.has(first.key) ? 0.18 : near === undefined && scene.edges.length > denseEdges ? 0.4 : 1
    context.strokeStyle = mark ? theme.accent : lineColour(theme, first.tone)
    context.lineWidth = Math.max(first.width + (mark ? 1 : 0), (mark ? 2 : 0.7) / zoom)
    context.setLineDash(first.tone === 'quiet' ? [4, 5] : [])
    context.beginPath()
    for (const { curve } of edges) trace(context, curve)
    context.stroke()
    context.setLineDash([])
    if (zoom < headZoomMin) continue
    context.fillStyle = context.strokeStyle
    context.beginPath()
    for (const { curve, width } of edges) head(context, curve, 5 + width)
    context.fill()
  }
  context.globalAlpha = 1
}

export function lineColour(theme: Theme, tone: Tone): string {
  return tone === 'bad' ? theme.bad : tone === 'warn' ? theme.warn : tone === 'good' ? theme.good : theme.quiet
}

function trace(context: CanvasRenderingContext2D, { points }: Curve): void {
  context.moveTo(points[0] ?? 0, points[1] ?? 0)
  for (let at = 2; at < points.length; at += 2) context.lineTo(points[at] ?? 0, points[at + 1] ?? 0)
}

function head(context: CanvasRenderingContext2D, { points }: Curve, size: number): void {
  const end = points.length - 2
  const x = points[end] ?? 0
  const y = points[end + 1] ?? 0
  const angle = Math.atan2(y - (points[end - 1] ?? y), x - (points[end - 2] ?? x))
  for (const [index, turn] of [0, 2.7, -2.7].entries()) {
    const reach = index === 0 ? 0 : size
    const px = x + Math.cos(angle + turn) * reach
    const py = y + Math.sin(angle + turn) * reach
    if (index === 0) context.moveTo(px, py)
    else context.lineTo(px, py)
  }
  context.closePath()
}
