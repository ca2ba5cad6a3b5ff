// The units of Go's time.ParseDuration, which is how Istio reads durations in JSON.
const UNIT_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy

/** Nanoseconds of a duration such as "10s", "1h30m" or "1.5s"; undefined when it is none. */
export function durationNs(text: string): number | undefined {
  if (text.length > 64) return undefined
  const sign = text.startsWith('-') ? -1 : 1
  const body = /^[-+]/.test(text) ? text.slice(1) : text
  if (body === '0') return 0
  let total = 0
  let read = 0
  for (const [part, amount, unit] of body.matchAll(PART)) {
    total += Number(amount) * (UNIT_NS[unit ?? ''] ?? 0)
    read += part.length
  }
  return read === body.length && read > 0 ? sign * Math.round(total) : undefined
}

/** Milliseconds of a duration that has passed validation. @throws RangeError when it is none */
export function durationMs(text: string): number {
  const ns = durationNs(text)
  if (ns === undefined) throw new RangeError(`${text} is not a duration`)
  return ns / 1e6
}
