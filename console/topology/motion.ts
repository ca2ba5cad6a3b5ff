/** The dots that travel along one edge. Plain numbers; written to in place, frame by frame. */
export interface Dots {
  /** Distances from the start of the edge, the farthest first. */
  readonly at: number[]
  /** The number of the dot that is farthest along: which ones show an error follows from it. */
  first: number
  /** Dots owed: at 1 the next one leaves. */
  due: number
}

export const noDots = (): Dots => ({ at: [], first: 0, due: 0 })

/** World units a second. Busier is faster, gently. */
const speed = (requestsPerSecond: number): number => 42 + 30 * Math.log10(1 + requestsPerSecond)

/** Dots a second: one a request while they can be told apart, then a logarithm of the rate. */
export function dotsPerSecond(requestsPerSecond: number): number {
  if (requestsPerSecond <= 1.5) return Math.max(0, requestsPerSecond)
  return Math.min(7, 1.5 + 0.7 * Math.log2(requestsPerSecond / 1.5))
}

/** How a whole scene's dots are held in bounds: `pace` multiplies their speed, `density` how many leave. */
export interface Flow {
  readonly pace: number
  readonly density: number
}

/** Dots under way at any time, all edges together: more cost frames, and tell no more. */
const dotsMax = 2400
/** A world this wide is crossed at the plain pace; a wider one is shown smaller, so its dots go faster. */
const plainWidth = 2600

export function flowOf(edges: readonly { readonly requestsPerSecond: number; readonly length: number }[], width: number): Flow {
  const pace = Math.max(1, width / plainWidth)
  const underWay = edges.reduce((sum, edge) => sum + (dotsPerSecond(edge.requestsPerSecond) * edge.length) / (speed(edge.requestsPerSecond) * pace), 0)
  return { pace, density: Math.min(1, dotsMax / Math.max(1, underWay)) }
}

/** Moves what travels and lets new dots leave. A long pause (a hidden tab) counts as one short frame. */
export function advance(dots: Dots, requestsPerSecond: number, length: number, elapsedMs: number, flow: Flow): void {
  const seconds = Math.min(0.1, elapsedMs / 1000)
  const step = speed(requestsPerSecond) * flow.pace * seconds
  for (let index = 0; index < dots.at.length; index += 1) dots.at[index] = (dots.at[index] ?? 0) + step
  while ((dots.at[0] ?? 0) > length) {
    dots.at.shift()
    dots.first += 1
  }
  dots.due += dotsPerSecond(requestsPerSecond) * flow.density * seconds
  while (dots.due >= 1) {
    dots.due -= 1
    dots.at.push(0)
  }
}

/** As if the edge had long been there: dots all along it. `phase` 0..1 keeps edges from moving in step. */
export function settle(dots: Dots, requestsPerSecond: number, length: number, phase: number, flow: Flow): void {
  const rate = dotsPerSecond(requestsPerSecond) * flow.density
  if (rate <= 0) return
  const spacing = (speed(requestsPerSecond) * flow.pace) / rate
  dots.at.length = 0
  for (let at = length - spacing * phase; at >= 0; at -= spacing) dots.at.push(at)
  dots.due = Math.min(1, (dots.at.at(-1) ?? spacing * phase) / spacing)
}

/** Whether the dot of this number shows an error: the share of those that do is `errorShare`, evenly spread (multiples of the golden ratio). */
export const showsError = (number: number, errorShare: number): boolean => errorShare > 0 && (number * 0.618033988749895) % 1 < errorShare
