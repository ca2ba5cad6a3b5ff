/** Numbers as people read them on the page. Pure; English; never more digits than the measurement is worth. */

/** Requests per second: `0/s`, `<0.1/s`, `4.2/s`, `38/s`, `1.3k/s`. */
export function rate(perSecond: number): string {
  if (perSecond <= 0) return '0/s'
  if (perSecond < 0.1) return '<0.1/s'
  if (perSecond < 9.95) return `${perSecond.toFixed(1)}/s`
  if (perSecond < 999.5) return `${Math.round(perSecond)}/s`
  if (perSecond < 9950) return `${(perSecond / 1000).toFixed(1)}k/s`
  return `${Math.round(perSecond / 1000)}k/s`
}

/** A share 0..1: `0%`, `<0.1%`, `2.4%`, `90%`, `>99.9%`. Only what is exactly nothing or everything says so. */
export function percent(share: number): string {
  if (share <= 0) return '0%'
  if (share >= 1) return '100%'
  if (share < 0.001) return '<0.1%'
  if (share > 0.999) return '>99.9%'
  const hundredths = share * 100
  return hundredths < 9.95 || hundredths > 99 ? `${hundredths.toFixed(1)}%` : `${Math.round(hundredths)}%`
}

/** A duration in ms: `0.4 ms`, `18 ms`, `1.2 s`. */
export function milliseconds(ms: number): string {
  const [number, unit] = parts(ms)
  return `${number} ${unit}`
}

/** The two latencies of a flow, `4 / 18 ms` or `120 ms / 1.2 s`; undefined when nothing reported a duration. */
export function latencies(p50Ms: number | null, p99Ms: number | null): string | undefined {
  if (p50Ms === null && p99Ms === null) return undefined
  const [first, firstUnit] = p50Ms === null ? ['–', undefined] : parts(p50Ms)
  const [second, secondUnit] = p99Ms === null ? ['–', undefined] : parts(p99Ms)
  if (firstUnit === secondUnit || firstUnit === undefined || secondUnit === undefined) return `${first} / ${second} ${firstUnit ?? secondUnit ?? 'ms'}`
  return `${first} ${firstUnit} / ${second} ${secondUnit}`
}

function parts(ms: number): [string, string] {
  if (ms < 9.95) return [ms < 0.05 ? '<0.1' : ms.toFixed(1).replace(/\.0$/, ''), 'ms']
  if (ms < 999.5) return [String(Math.round(ms)), 'ms']
  return [(ms / 1000).toFixed(ms < 9950 ? 1 : 0), 's']
}

/** How long ago, coarse enough not to flicker: `now`, `12 s`, `3 min`, `2 h`, `4 d`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 2) return 'now'
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h`
  return `${Math.floor(hours / 24)} d`
}

/** `1 proxy`, `3 proxies`. */
export const count = (many: number, one: string, more: string): string => `${many} ${many === 1 ? one : more}`
