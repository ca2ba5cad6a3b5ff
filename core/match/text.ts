import { compileRegex } from './regex.ts'

/** A condition on a text, compiled, with the words that explain it: `prefix "/orders"`. */
export interface TextPredicate {
  readonly words: string
  matches(text: string): boolean
}

export type TextRule =
  | { readonly kind: 'exact' | 'prefix' | 'suffix' | 'contains'; readonly value: string; readonly ignoreCase: boolean }
  /** Of the whole text, RE2 syntax; case is the pattern's own affair (`(?i)`). */
  | { readonly kind: 'regex'; readonly value: string }

/** Compiles a rule (envoy.type.matcher.v3.StringMatcher). @throws Error with RE2's reason for a pattern that is none */
export function compileText(rule: TextRule): TextPredicate {
  const words = `${rule.kind} ${JSON.stringify(rule.value)}${rule.kind !== 'regex' && rule.ignoreCase ? ' in any case' : ''}`
  if (rule.kind === 'regex') return { words, matches: compileRegex(rule.value) }
  const test = TESTS[rule.kind]
  const value = rule.ignoreCase ? rule.value.toLowerCase() : rule.value
  return { words, matches: rule.ignoreCase ? (text) => test(text.toLowerCase(), value) : test === TESTS.exact ? (text) => text === value : (text) => test(text, value) }
}

const TESTS = {
  exact: (text: string, value: string) => text === value,
  prefix: (text: string, value: string) => text.startsWith(value),
  suffix: (text: string, value: string) => text.endsWith(value),
  contains: (text: string, value: string) => text.includes(value),
}
