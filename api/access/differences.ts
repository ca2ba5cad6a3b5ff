import { isDeepStrictEqual } from 'node:util'

/** One leaf that differs; `before` or `after` is absent where it was or is not there. */
export interface Difference {
  /** `spec.http[0].timeout` */
  readonly path: string
  readonly before?: unknown
  readonly after?: unknown
}

/** A value that is longer as JSON is cut: an entry of a log is to be read. */
const VALUE_MAX = 500

/** What differs between two JSON values, leaf by leaf, at most `most` of them. Of what is there on one side alone, the whole is one difference. */
export function differences(before: unknown, after: unknown, most: number): Difference[] {
  const found: Difference[] = []
  const walk = (path: string, one: unknown, other: unknown): void => {
    if (found.length >= most || isDeepStrictEqual(one, other)) return
    if (isRecord(one) && isRecord(other)) {
      for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) walk(path === '' ? name : `${path}.${name}`, own(one, name), own(other, name))
      return
    }
    if (Array.isArray(one) && Array.isArray(other)) {
      for (let at = 0; at < Math.max(one.length, other.length); at += 1) walk(`${path}[${at}]`, one[at], other[at])
      return
    }
    found.push({ path, ...(one === undefined ? {} : { before: cut(one) }), ...(other === undefined ? {} : { after: cut(other) }) })
  }
  walk('', before, after)
  return found
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => value !== null && typeof value === 'object' && !Array.isArray(value)
const own = (of: Readonly<Record<string, unknown>>, name: string): unknown => (Object.hasOwn(of, name) ? of[name] : undefined)

function cut(value: unknown): unknown {
  const text = JSON.stringify(value) ?? ''
  return text.length <= VALUE_MAX ? value : `${text.slice(0, VALUE_MAX)}…`
}
