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
export const speed = (requestsPerSecond: number): number => 42 + 30 * Math.log10(1 + requestsPerSecond)

/** Dots a second: one a request while they can be told apart, then a logarithm of the rate. */
export function dotsPerSecond(requestsPerSecond: number): number {
  if (requestsPerSecond <= 1.5) return Math.max(0, requestsPerSecond)
  return Math.min(7, 1.5 + 0.7 * Math.log2(requestsPerSecond / 1.5))
}

/** Moves what travels and lets new dots leave. A long pause (a hidden tab) counts as one short frame. */
export function advance(dots: Dots, requestsPerSecond: number, length: number, elapsedMs: number): void {
  const seconds = Math.min(0.1, elapsedMs / 1000)
  const step = speed(requestsPerSecond) * seconds
  for (let index = 0; index < dots.at.length; index += 1) dots.at[index] = (dots.at[index] ?? 0) + step
  while ((dots.at[0] ?? 0) > length) {
    dots.at.shift()
    dots.first += 1
  }
  dots.due += dotsPerSecond(requestsPerSecond) * seconds
  while (dots.due >= 1) {
    dots.due -= 1
    dots.at.push(0)
  }
}

/** As if the edge had long been there: dots all along it. `phase` 0..1 keeps edges from moving in step. */
export function settle(dots: Dots, requestsPerSecond: number, length: number, phase: number): void {
  const rate = dotsPerSecond(requestsPerSecond)
  if (rate <= 0) return
  const spacing = speed(requestsPerSecond) / rate
  dots.at.length = 0
  for (let at = length - spacing * phase; at >= 0; at -= spacing) dots.at.push(at)
  dots.due = (dots.at.at(-1) ?? 0) / spacing
}

/** Whether the dot of this number shows an error: the share of those that do is `errorShare`, evenly spread (multiples of the golden ratio). */
export const showsError = (number: number, errorShare: number): boolean => errorShare > 0 && (number * 0.618033988749895) % 1 < errorShare
