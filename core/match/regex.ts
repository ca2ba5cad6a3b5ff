import { RE2JS } from 're2js'

/**
 * Compiles an RE2 pattern into a test of the whole string, as Envoy's `safe_regex` does. Time is linear in the input, whatever the pattern.
 * @throws Error with RE2's reason when the pattern is not valid
 */
export function compileRegex(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern)
  return (text) => compiled.matches(text)
}

/**
 * The same anywhere in the string, as CEL's `matches` looks.
 * @throws Error with RE2's reason when the pattern is not valid
 */
export function compileSearch(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern)
  return (text) => compiled.matcher(text).find()
}

/**
 * Compiles a replacement of every match, `\1` standing for the first group and `\0` for the match (RE2::GlobalReplace, which Envoy's `regex_rewrite` is).
 * @throws Error when the pattern is not valid, or the substitution names a group that it does not have
 */
export function compileSubstitution(pattern: string, substitution: string): (text: string) => string {
  const compiled = RE2JS.compile(pattern)
  const pieces = substitution.split(/(\\[\d\\])/).filter((piece) => piece !== '')
  const groups = compiled.groupCount()
  const parts = pieces.map((piece): string | number => {
    if (piece === '\\\\') return '\\'
    if (!piece.startsWith('\\') || piece.length !== 2) return piece
    const group = Number(piece[1])
    if (group > groups) throw new Error(`the substitution names group ${group} of ${groups}`)
    return group
  })
  return (text) => {
    const matcher = compiled.matcher(text)
    let result = ''
    let end = 0
    while (matcher.find()) {
      result += text.slice(end, matcher.start())
      for (const part of parts) result += typeof part === 'string' ? part : (matcher.group(part) ?? '')
      end = matcher.end()
    }
    return result + text.slice(end)
  }
}
