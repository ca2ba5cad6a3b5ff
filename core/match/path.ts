import { pathOnly } from '../route/request.ts'
import type { TextPredicate } from './text.ts'
import { compileRegex } from './regex.ts'

export type PathRule =
  | { readonly kind: 'prefix' | 'exact' | 'segments'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly value: string }

const QUESTION = 63
const SLASH = 47

/**
 * Compiles a condition on a path that still has its query, which plays no part (envoy.config.route.v3.RouteMatch). `segments` is path_separated_prefix:
 * `/orders` matches `/orders` and `/orders/1`, not `/orders-old`. @throws Error for a pattern that is none
 */
export function compilePath(rule: PathRule): TextPredicate {
  const words = `path ${rule.kind} ${JSON.stringify(rule.value)}`
  if (rule.kind === 'regex') {
    const matches = compileRegex(rule.value)
    return { words, matches: (path) => matches(pathOnly(path)) }
  }
  const test = TESTS[rule.kind]
  if (!rule.ignoreCase) {
    const { value } = rule
    return { words, matches: (path) => test(path, value) }
  }
  const value = rule.value.toLowerCase()
  return { words: `${words} in any case`, matches: (path) => test(path.toLowerCase(), value) }
}

const TESTS = {
  prefix: (path: string, value: string) => path.startsWith(value),
  exact: (path: string, value: string) => path.startsWith(value) && (path.length === value.length || path.charCodeAt(value.length) === QUESTION),
  segments: (path: string, value: string) => {
    if (!path.startsWith(value)) return false
    if (path.length === value.length) return true
    const next = path.charCodeAt(value.length)
    return next === SLASH || next === QUESTION
  },
}
