import type { TopologyNode } from '#core/contract/topology.ts'
import { percent } from '../format/quantity.ts'
import { type Box, cardPadding, nameLeft } from './arrangement.ts'
import { middleOf } from './curve.ts'
import { lineColour } from './draw-edges.ts'
import type { Scene, SceneEdge, SceneNode, SceneRow } from './scene.ts'
import { type Theme, nameFont, smallBoldFont, smallFont } from './theme.ts'
import { badShare } from './tone.ts'

/** What stands out: everything else is drawn faintly. */
export interface Emphasis {
  readonly near: ReadonlySet<string> | undefined
  readonly selected: string | undefined
  readonly hovered: string | undefined
  readonly focused: string | undefined
}

/** Below this zoom text could not be read, and is left out. */
const textZoomMin = 0.45

export function drawCards(context: CanvasRenderingContext2D, scene: Scene, theme: Theme, zoom: number, emphasis: Emphasis): void {
  for (const card of scene.nodes) {
    context.globalAlpha = emphasis.near !== undefined && !emphasis.near.has(card.node.id) ? 0.35 : 1
    drawCard(context, card, theme, zoom, emphasis)
  }
  context.globalAlpha = 1
}

function drawCard(context: CanvasRenderingContext2D, card: SceneNode, theme: Theme, zoom: number, emphasis: Emphasis): void {
  const { box, node } = card
  const chosen = emphasis.selected === node.id
  context.fillStyle = theme.surface
  context.shadowColor = zoom > textZoomMin ? theme.shadow : 'transparent'
  context.shadowBlur = 10 * zoom
  context.shadowOffsetY = 2 * zoom
  rounded(context, box, 10)
  context.fill()
  context.shadowColor = 'transparent'
  context.lineWidth = chosen ? 2 : 1
  context.strokeStyle = chosen ? theme.accent : emphasis.hovered === node.id ? theme.muted : card.refused || card.tone === 'bad' ? theme.bad : theme.line
  context.stroke()
  if (emphasis.focused === node.id) ring(context, box, theme, zoom)
  if (zoom < textZoomMin) {
    drawFromAfar(context, card, theme, zoom)
    return
  }
  drawHeader(context, card, theme)
  for (const row of card.rows) drawRow(context, box, row, theme)
  if (card.refused) badge(context, { x: box.x + box.width, y: box.y }, theme)
}

/** A stripe of its tone, and its name in letters of a readable size on the screen while they fit. */
function drawFromAfar(context: CanvasRenderingContext2D, { box, node, tone }: SceneNode, theme: Theme, zoom: number): void {
  const stripe = Math.min(box.height / 4, 4 / zoom)
  context.fillStyle = lineColour(theme, tone)
  rounded(context, { x: box.x, y: box.y, width: box.width, height: stripe }, 4)
  context.fill()
  if (box.width * zoom < 46) return
  const size = Math.min(10.5 / zoom, (box.height - stripe) * 0.8)
  context.font = `600 ${size}px ${theme.family}`
  context.fillStyle = theme.ink
  context.fillText(shortened(context, node.name, box.width - 10 / zoom), box.x + 5 / zoom, box.y + stripe + (box.height - stripe) / 2 + size * 0.35)
}

function drawHeader(context: CanvasRenderingContext2D, { box, node, rate, aside, tone }: SceneNode, theme: Theme): void {
  glyph(context, node.kind, box.x + cardPadding, box.y + 17, theme)
  const right = box.x + box.width - cardPadding
  context.textAlign = 'right'
  context.font = nameFont(theme)
  context.fillStyle = theme.ink
  context.fillText(rate, right, box.y + 22)
  const rateWidth = context.measureText(rate).width
  context.font = smallFont(theme)
  context.fillStyle = tone === 'bad' ? theme.badInk : tone === 'warn' ? theme.warnInk : theme.muted
  context.fillText(aside, right, box.y + 38)
  const asideWidth = context.measureText(aside).width
  context.textAlign = 'left'
  context.fillStyle = theme.muted
  const left = box.x + nameLeft
  context.fillText(shortened(context, node.namespace === '' ? kindWord[node.kind] : node.namespace, right - asideWidth - 10 - left), left, box.y + 38)
  context.font = nameFont(theme)
  context.fillStyle = theme.ink
  context.fillText(shortened(context, node.name, right - rateWidth - 10 - left), left, box.y + 22)
}

const kindWord: Readonly<Record<TopologyNode['kind'], string>> = { service: 'service', workload: 'client', gateway: 'gateway', external: 'outside the mesh' }

function drawRow(context: CanvasRenderingContext2D, box: Box, row: SceneRow, theme: Theme): void {
  const left = box.x + cardPadding
  const right = box.x + box.width - cardPadding
  const base = box.y + row.top + 18
  context.font = smallBoldFont(theme)
  context.fillStyle = theme.ink
  context.textAlign = 'right'
  context.fillText(row.rate, right, base)
  context.textAlign = 'left'
  const name = shortened(context, row.version, box.width - 130)
  context.fillText(name, left, base)
  const after = left + context.measureText(name).width + 7
  context.font = smallFont(theme)
  context.fillStyle = row.errorShare >= badShare ? theme.badInk : theme.muted
  const words = [...(row.workloads > 1 ? [`×${row.workloads}`] : []), ...(row.share === undefined ? [] : [percent(row.share)]), ...(row.errorShare > 0 ? [`${percent(row.errorShare)} err`] : [])]
  context.fillText(shortened(context, words.join('  '), right - 46 - after), after, base)
  const bar = { x: left, y: base + 7, width: right - left, height: 4 }
  context.fillStyle = theme.track
  rounded(context, bar, 2)
  context.fill()
  if (row.share === undefined || row.share <= 0) return
  const width = Math.max(4, bar.width * row.share)
  context.fillStyle = theme.accent
  rounded(context, { ...bar, width }, 2)
  context.fill()
  if (row.errorShare <= 0) return
  const failed = Math.max(2, width * row.errorShare)
  context.fillStyle = theme.bad
  rounded(context, { ...bar, x: bar.x + width - failed, width: failed }, 2)
  context.fill()
}

/** Edge labels. What is looked at shows its label even where it found no room of its own. */
export function drawLabels(context: CanvasRenderingContext2D, scene: Scene, theme: Theme, zoom: number, emphasis: Emphasis): void {
  const looked = [emphasis.hovered, emphasis.selected, emphasis.focused]
  const late: SceneEdge[] = []
  for (const edge of scene.edges) {
    if (looked.includes(edge.key)) late.push(edge)
    else if (edge.label !== undefined && zoom >= textZoomMin) {
      drawLabel(context, edge, edge.label, theme, emphasis.near !== undefined && !emphasis.near.has(edge.key) ? 'faint' : 'plain')
    }
  }
  for (const edge of late) {
    const at = edge.label ?? middleOf(edge.curve)
    drawLabel(context, edge, at, theme, 'strong')
    if (emphasis.focused === edge.key) ring(context, labelBox(context, edge, at, theme), theme, zoom)
  }
}

function labelBox(context: CanvasRenderingContext2D, edge: SceneEdge, at: { x: number; y: number }, theme: Theme): Box {
  context.font = smallBoldFont(theme)
  const first = context.measureText(edge.lines[0] ?? '').width + (edge.lock === 'unknown' ? 0 : 15)
  context.font = smallFont(theme)
  const second = context.measureText(edge.lines[1] ?? '').width
  // A width in steps does not twitch with every digit.
  const width = Math.ceil((Math.max(first, second) + 16) / 8) * 8
  const height = edge.lines.length > 1 ? 34 : 20
  return { x: at.x - width / 2, y: at.y - height / 2, width, height }
}

function drawLabel(context: CanvasRenderingContext2D, edge: SceneEdge, at: { x: number; y: number }, theme: Theme, look: 'faint' | 'plain' | 'strong'): void {
  const box = labelBox(context, edge, at, theme)
  context.fillStyle = theme.canvas
  context.strokeStyle = look === 'strong' ? theme.accent : theme.line
  context.lineWidth = 1
  rounded(context, box, 8)
  // The ground stays opaque, or the line would show through the numbers.
  context.fill()
  if (look === 'faint') context.globalAlpha = 0.3
  context.stroke()
  context.font = smallBoldFont(theme)
  context.fillStyle = edge.tone === 'bad' ? theme.badInk : edge.tone === 'warn' ? theme.warnInk : edge.tone === 'quiet' ? theme.muted : theme.ink
  const text = edge.lines[0] ?? ''
  const lockWidth = edge.lock === 'unknown' ? 0 : 15
  const textWidth = context.measureText(text).width
  const left = at.x - (textWidth + lockWidth) / 2
  context.textAlign = 'left'
  context.fillText(text, left + lockWidth, box.y + 14)
  if (edge.lock !== 'unknown') padlock(context, left, box.y + 4.5, edge.lock === 'closed', edge.lock === 'closed' ? theme.goodInk : theme.warnInk)
  const second = edge.lines[1]
  if (second !== undefined) {
    context.font = smallFont(theme)
    context.fillStyle = theme.muted
    context.textAlign = 'center'
    context.fillText(second, at.x, box.y + 28)
    context.textAlign = 'left'
  }
  context.globalAlpha = 1
}

/** 10 × 11. An open one has its shackle swung out. */
function padlock(context: CanvasRenderingContext2D, x: number, y: number, closed: boolean, colour: string): void {
  context.fillStyle = colour
  context.strokeStyle = colour
  context.lineWidth = 1.5
  rounded(context, { x: x + 0.5, y: y + 4.5, width: 9, height: 6.5 }, 1.5)
  context.fill()
  context.beginPath()
  if (closed) {
    context.moveTo(x + 2.5, y + 5)
    context.lineTo(x + 2.5, y + 3)
    context.arc(x + 5, y + 3, 2.5, Math.PI, 0)
    context.lineTo(x + 7.5, y + 5)
  } else {
    context.moveTo(x + 7.5, y + 5)
    context.lineTo(x + 7.5, y + 2.5)
    context.arc(x + 10, y + 2.5, 2.5, Math.PI, 0)
  }
  context.stroke()
}

/** 16 × 16, drawn, so that no font has to have it. */
function glyph(context: CanvasRenderingContext2D, kind: TopologyNode['kind'], x: number, y: number, theme: Theme): void {
  context.strokeStyle = theme.muted
  context.lineWidth = 1.5
  context.lineJoin = 'round'
  context.beginPath()
  if (kind === 'service') {
    // A hexagon: the field's sign for a service.
    for (let corner = 0; corner < 6; corner += 1) {
      const angle = (Math.PI / 3) * corner + Math.PI / 6
      const point: [number, number] = [x + 8 + 7.5 * Math.cos(angle), y + 8 + 7.5 * Math.sin(angle)]
      if (corner === 0) context.moveTo(...point)
      else context.lineTo(...point)
    }
    context.closePath()
  } else if (kind === 'gateway') {
    context.rect(x + 1, y + 1, 14, 14)
    context.moveTo(x + 4, y + 8)
    context.lineTo(x + 12, y + 8)
    context.moveTo(x + 9, y + 5)
    context.lineTo(x + 12, y + 8)
    context.lineTo(x + 9, y + 11)
  } else if (kind === 'workload') {
    context.roundRect(x + 1, y + 2, 14, 10, 2)
    context.moveTo(x + 5, y + 15)
    context.lineTo(x + 11, y + 15)
  } else {
    context.arc(x + 8, y + 8, 7, 0, 2 * Math.PI)
    context.moveTo(x + 1, y + 8)
    context.lineTo(x + 15, y + 8)
    context.ellipse(x + 8, y + 8, 3, 7, 0, 0, 2 * Math.PI)
  }
  context.stroke()
}

function badge(context: CanvasRenderingContext2D, at: { x: number; y: number }, theme: Theme): void {
  context.fillStyle = theme.bad
  context.beginPath()
  context.arc(at.x - 2, at.y + 2, 9, 0, 2 * Math.PI)
  context.fill()
  context.fillStyle = theme.surface
  context.fillRect(at.x - 3, at.y - 3.5, 2, 6.5)
  context.fillRect(at.x - 3, at.y + 4.5, 2, 2)
}

function ring(context: CanvasRenderingContext2D, box: Box, theme: Theme, zoom: number): void {
  context.strokeStyle = theme.accent
  context.lineWidth = 3 / Math.max(0.5, zoom)
  rounded(context, { x: box.x - 5, y: box.y - 5, width: box.width + 10, height: box.height + 10 }, 14)
  context.stroke()
}

function rounded(context: CanvasRenderingContext2D, box: Box, radius: number): void {
  context.beginPath()
  context.roundRect(box.x, box.y, box.width, box.height, Math.min(radius, box.height / 2, box.width / 2))
}

function shortened(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text
  let low = 0
  let high = text.length
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle
    else high = middle - 1
  }
  return low === 0 ? '' : `${text.slice(0, low)}…`
}
