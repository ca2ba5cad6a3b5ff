import type { Box } from './arrangement.ts'
import type { Point } from './layout.ts'

/** screen = world · zoom + (x, y); CSS pixels. */
export interface Viewport {
  readonly x: number
  readonly y: number
  readonly zoom: number
}

const zoomMin = 0.04
const zoomMax = 2.5
/** Text stays readable down to here; a first view does not start below it. */
export const readableZoom = 0.72
const margin = 24
/** The tools above and the legend below lie on the canvas: a view starts out clear of them. */
const band = 62

/** The whole world in the middle of the screen, never larger than life and a bit. */
export function fitAll(world: { width: number; height: number }, screen: { width: number; height: number }): Viewport {
  const zoom = clamp(Math.min((screen.width - 2 * margin) / Math.max(1, world.width), (screen.height - 2 * band) / Math.max(1, world.height)), zoomMin, 1.15)
  return { zoom, x: (screen.width - world.width * zoom) / 2, y: (screen.height - world.height * zoom) / 2 }
}

/** As `fitAll` while that is readable; else readable, and from where traffic enters: the left. */
export function firstView(world: { width: number; height: number }, screen: { width: number; height: number }): Viewport {
  const all = fitAll(world, screen)
  if (all.zoom >= readableZoom || world.width > 8000 || world.height > 8000) return all
  const zoom = readableZoom
  const along = (worldSize: number, screenSize: number, free: number): number => (worldSize * zoom + 2 * free <= screenSize ? (screenSize - worldSize * zoom) / 2 : free)
  return { zoom, x: along(world.width, screen.width, margin), y: along(world.height, screen.height, band) }
}

/** Zooms by `factor` with the world's point under `at` staying there. */
export function zoomAt(view: Viewport, at: Point, factor: number): Viewport {
  const zoom = clamp(view.zoom * factor, zoomMin, zoomMax)
  const scale = zoom / view.zoom
  return { zoom, x: at.x - (at.x - view.x) * scale, y: at.y - (at.y - view.y) * scale }
}

export const toWorld = (view: Viewport, screen: Point): Point => ({ x: (screen.x - view.x) / view.zoom, y: (screen.y - view.y) / view.zoom })

/** Moves just far enough that `box` is on the screen. */
export function reveal(view: Viewport, box: Box, screen: { width: number; height: number }): Viewport {
  const shift = (start: number, size: number, room: number): number => {
    if (size + 2 * margin > room) return margin - start
    return start < margin ? margin - start : Math.min(0, room - margin - start - size)
  }
  return { ...view, x: view.x + shift(view.x + box.x * view.zoom, box.width * view.zoom, screen.width), y: view.y + shift(view.y + box.y * view.zoom, box.height * view.zoom, screen.height) }
}

export const between = (from: Viewport, to: Viewport, t: number): Viewport => ({ x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t, zoom: from.zoom + (to.zoom - from.zoom) * t })

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value))
