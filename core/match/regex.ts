import { RE2JS } from 're2js'

/**
 * Compiles an RE2 pattern into a test of the whole string, as Envoy's `safe_regex` does. Time is linear in the input, whatever the pattern.
 * @throws Error with RE2's reason when the pattern is not valid
 */
export function compileRegex(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern)
  return (text) => compiled.matches(text)
}
