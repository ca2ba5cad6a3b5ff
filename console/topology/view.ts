import { pointAt } from './curve.ts'
import { drawCards, drawLabels, type Emphasis } from './draw-cards.ts'
import { drawEdges, lineColour } from './draw-edges.ts'
import type { Point } from './layout.ts'
import { type Dots, type Flow, advance, flowOf, noDots, settle, showsError } from './motion.ts'
import { type Scene, type Target, hitTest, neighbourhood, placeOf, sameTarget, targetKey } from './scene.ts'
import { type Theme, readTheme } from './theme.ts'
import { type Viewport, between, firstView, fitAll, reveal, toWorld, zoomAt } from './viewport.ts'

export interface ViewEvents {
  selected(target: Target | undefined): void
}

const glideMs = 280
/** Below this a dot is a few pixels: whether it is round cannot be seen, only paid for. */
const smallZoom = 0.4

/**
 * The canvas of the topology, from its element's first to its last moment. Three sheets lie on each other: lines, the dots that travel along them,
 * cards and labels. Only the dots are drawn at every frame; the other two when something has changed.
 */
export class TopologyView {
  readonly #host: HTMLElement
  readonly #events: ViewEvents
  readonly #lines: CanvasRenderingContext2D
  readonly #motion: CanvasRenderingContext2D
  readonly #cards: CanvasRenderingContext2D
  readonly #dots = new Map<string, Dots>()
  readonly #end = new AbortController()
  readonly #resized: ResizeObserver
  #theme: Theme
  #flow: Flow = { pace: 1, density: 1 }
  #scene: Scene | undefined
  #view: Viewport = { x: 0, y: 0, zoom: 1 }
  #glide: { from: Viewport; to: Viewport; startMs: number } | undefined
  #size = { width: 0, height: 0 }
  #ratio = 1
  #selected: Target | undefined
  #hovered: Target | undefined
  #focused: Target | undefined
  #matching: ReadonlySet<string> | undefined
  /** Set once a person has moved the view: from then on it stays where they put it. */
  #moved = false
  #dirty = true
  #stillness: MediaQueryList
  #frameMs = 0
  #frame = 0

  constructor(host: HTMLElement, events: ViewEvents) {
    this.#host = host
    this.#events = events
    ;[this.#lines, this.#motion, this.#cards] = [sheet(host), sheet(host), sheet(host)]
    this.#theme = readTheme(host)
    this.#stillness = matchMedia('(prefers-reduced-motion: reduce)')
    this.#resized = new ResizeObserver(() => this.#resize())
    this.#resized.observe(host)
    this.#resize()
    this.#listen()
    this.#frame = requestAnimationFrame(this.#tick)
  }

  close(): void {
    this.#end.abort()
    this.#resized.disconnect()
    cancelAnimationFrame(this.#frame)
    this.#host.replaceChildren()
  }

  show(scene: Scene): void {
    const rearranged = this.#scene?.arrangement !== scene.arrangement
    const first = this.#scene === undefined
    this.#scene = scene
    this.#flow = flowOf(scene.edges.map(({ edge, curve }) => ({ requestsPerSecond: edge.requestsPerSecond, length: curve.length })), scene.arrangement.width)
    const keys = new Set(scene.edges.map((edge) => edge.key))
    for (const key of this.#dots.keys()) if (!keys.has(key)) this.#dots.delete(key)
    for (const [at, { key, edge, curve }] of scene.edges.entries()) {
      if (this.#dots.has(key)) continue
      const dots = noDots()
      settle(dots, edge.requestsPerSecond, curve.length, (at * 0.618) % 1, this.#flow)
      this.#dots.set(key, dots)
    }
    if (rearranged && !this.#moved) this.#moveTo(firstView(scene.arrangement, this.#size), first)
    this.#dirty = true
  }

  select(target: Target | undefined): void {
    if (sameTarget(target, this.#selected)) return
    this.#selected = target
    this.#dirty = true
    if (target !== undefined) this.#reveal(target)
  }

  /** What the keyboard is at, in the list beside the canvas. */
  focus(target: Target | undefined): void {
    this.#focused = target
    this.#dirty = true
    if (target !== undefined) this.#reveal(target)
  }

  /** Ids of nodes that a search matches; undefined when nothing is searched for. */
  match(ids: ReadonlySet<string> | undefined): void {
    this.#matching = ids
    this.#dirty = true
  }

  fit(): void {
    this.#moved = false
    if (this.#scene !== undefined) this.#moveTo(fitAll(this.#scene.arrangement, this.#size), false)
  }

  zoomBy(factor: number): void {
    this.#moved = true
    this.#moveTo(zoomAt(this.#glide?.to ?? this.#view, { x: this.#size.width / 2, y: this.#size.height / 2 }, factor), false)
  }

  #reveal(target: Target): void {
    const scene = this.#scene
    const box = scene === undefined ? undefined : placeOf(scene, target, { width: this.#size.width / this.#view.zoom - 60, height: this.#size.height / this.#view.zoom - 60 })
    if (box === undefined) return
    const wanted = reveal(this.#glide?.to ?? this.#view, box, this.#size)
    if (wanted.x !== this.#view.x || wanted.y !== this.#view.y) this.#moveTo(wanted, false)
  }

  #moveTo(to: Viewport, atOnce: boolean): void {
    if (atOnce || this.#stillness.matches) {
      this.#view = to
      this.#glide = undefined
    } else this.#glide = { from: this.#view, to, startMs: performance.now() }
    this.#dirty = true
  }

  #resize(): void {
    const { width, height } = this.#host.getBoundingClientRect()
    this.#size = { width, height }
    this.#ratio = Math.min(3, window.devicePixelRatio || 1)
    for (const { canvas } of [this.#lines, this.#motion, this.#cards]) {
      canvas.width = Math.max(1, Math.round(width * this.#ratio))
      canvas.height = Math.max(1, Math.round(height * this.#ratio))
    }
    if (this.#scene !== undefined && !this.#moved) this.#moveTo(firstView(this.#scene.arrangement, this.#size), true)
    if (this.#selected !== undefined) this.#reveal(this.#selected)
    this.#dirty = true
    // A resized canvas is blank until it is drawn on: do it in this very frame, so that nothing flickers.
    if (this.#frameMs > 0) this.#draw(0)
  }

  readonly #tick = (nowMs: number): void => {
    const elapsedMs = this.#frameMs === 0 ? 16 : nowMs - this.#frameMs
    this.#frameMs = nowMs
    if (this.#glide !== undefined) {
      const t = Math.min(1, (nowMs - this.#glide.startMs) / glideMs)
      this.#view = between(this.#glide.from, this.#glide.to, 1 - (1 - Math.max(0, t)) ** 3)
      if (t >= 1) this.#glide = undefined
      this.#dirty = true
    }
    this.#draw(elapsedMs)
    this.#frame = requestAnimationFrame(this.#tick)
  }

  #draw(elapsedMs: number): void {
    const scene = this.#scene
    if (scene === undefined) return
    if (this.#dirty) {
      this.#dirty = false
      const near = neighbourhood(scene, this.#selected) ?? this.#matching
      const emphasis: Emphasis = { near, selected: key(this.#selected), hovered: key(this.#hovered), focused: key(this.#focused) }
      const marked = new Set([emphasis.selected, emphasis.hovered].filter((one) => one !== undefined))
      this.#clear(this.#lines)
      drawEdges(this.#lines, scene, this.#theme, this.#view.zoom, near, marked)
      this.#clear(this.#cards)
      drawLabels(this.#cards, scene, this.#theme, this.#view.zoom, emphasis)
      drawCards(this.#cards, scene, this.#theme, this.#view.zoom, emphasis)
    }
    if (!this.#stillness.matches) this.#drawDots(scene, elapsedMs)
  }

  #drawDots(scene: Scene, elapsedMs: number): void {
    this.#clear(this.#motion)
    const near = neighbourhood(scene, this.#selected) ?? this.#matching
    const { zoom } = this.#view
    const radius = Math.max(2.6, 1.3 / zoom)
    const paths = new Map<string, Path2D>()
    for (const { key, edge, curve, tone } of scene.edges) {
      const dots = this.#dots.get(key)
      if (dots === undefined) continue
      advance(dots, edge.requestsPerSecond, curve.length, elapsedMs, this.#flow)
      if (near !== undefined && !near.has(key)) continue
      for (const [at, distance] of dots.at.entries()) {
        const colour = showsError(dots.first + at, edge.errorShare) ? this.#theme.bad : lineColour(this.#theme, tone === 'quiet' ? 'quiet' : 'good')
        let path = paths.get(colour)
        if (path === undefined) paths.set(colour, (path = new Path2D()))
        const point = pointAt(curve, distance)
        if (zoom < smallZoom) path.rect(point.x - radius, point.y - radius, 2 * radius, 2 * radius)
        else {
          path.moveTo(point.x + radius, point.y)
          path.arc(point.x, point.y, radius, 0, 2 * Math.PI)
        }
      }
    }
    this.#motion.strokeStyle = this.#theme.canvas
    this.#motion.lineWidth = 1.5
    for (const [colour, path] of paths) {
      this.#motion.fillStyle = colour
      if (zoom >= smallZoom) this.#motion.stroke(path)
      this.#motion.fill(path)
    }
  }

  #clear(context: CanvasRenderingContext2D): void {
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, context.canvas.width, context.canvas.height)
    const { x, y, zoom } = this.#view
    context.setTransform(zoom * this.#ratio, 0, 0, zoom * this.#ratio, x * this.#ratio, y * this.#ratio)
  }

  #listen(): void {
    const { signal } = this.#end
    const host = this.#host
    const pointers = new Map<number, Point>()
    let travelled = 0
    host.addEventListener('pointerdown', (event) => {
      host.setPointerCapture(event.pointerId)
      pointers.set(event.pointerId, this.#at(event))
      travelled = 0
    }, { signal })
    host.addEventListener('pointermove', (event) => {
      const at = this.#at(event)
      const before = pointers.get(event.pointerId)
      if (before === undefined) return this.#hover(this.#hit(at))
      const others = [...pointers].filter(([id]) => id !== event.pointerId)
      travelled += Math.hypot(at.x - before.x, at.y - before.y)
      pointers.set(event.pointerId, at)
      if (travelled < 4) return
      this.#moved = true
      this.#glide = undefined
      this.#view = { ...this.#view, x: this.#view.x + (at.x - before.x) / pointers.size, y: this.#view.y + (at.y - before.y) / pointers.size }
      const other = others[0]?.[1]
      if (other !== undefined) this.#view = zoomAt(this.#view, { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 }, Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y)))
      host.classList.add('dragging')
      this.#dirty = true
    }, { signal })
    host.addEventListener('pointerup', (event) => {
      pointers.delete(event.pointerId)
      host.classList.remove('dragging')
      if (travelled < 4) this.#events.selected(this.#hit(this.#at(event)))
    }, { signal })
    host.addEventListener('pointercancel', (event) => pointers.delete(event.pointerId), { signal })
    host.addEventListener('pointerleave', () => this.#hover(undefined), { signal })
    host.addEventListener('wheel', (event) => {
      event.preventDefault()
      this.#moved = true
      this.#glide = undefined
      // Lines and pages (Firefox, mice) count as that many pixels.
      const pixels = event.deltaY * (event.deltaMode === 0 ? 1 : event.deltaMode === 1 ? 20 : 200)
      this.#view = zoomAt(this.#view, this.#at(event), Math.exp(-Math.max(-200, Math.min(200, pixels)) * (event.ctrlKey ? 0.01 : 0.002)))
      this.#dirty = true
    }, { signal, passive: false })
    const recolour = (): void => {
      this.#theme = readTheme(host)
      this.#dirty = true
    }
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour, { signal })
    this.#stillness.addEventListener('change', () => this.#clear(this.#motion), { signal })
  }

  #at(event: MouseEvent): Point {
    const { left, top } = this.#host.getBoundingClientRect()
    return { x: event.clientX - left, y: event.clientY - top }
  }

  #hit(at: Point): Target | undefined {
    return this.#scene === undefined ? undefined : hitTest(this.#scene, toWorld(this.#view, at), 7 / this.#view.zoom)
  }

  #hover(target: Target | undefined): void {
    if (sameTarget(target, this.#hovered)) return
    this.#hovered = target
    this.#host.classList.toggle('pointing', target !== undefined)
    // Names that are too long for their card are read here.
    this.#host.title = target?.kind === 'node' ? (this.#scene?.nodes.find(({ node }) => node.id === target.id)?.node.name ?? '') : ''
    this.#dirty = true
  }
}

const key = (target: Target | undefined): string | undefined => (target === undefined ? undefined : targetKey(target))

function sheet(host: HTMLElement): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas')
  canvas.setAttribute('aria-hidden', 'true')
  host.append(canvas)
  const context = canvas.getContext('2d')
  if (context === null) throw new Error('this browser has no 2D canvas')
  return context
}
