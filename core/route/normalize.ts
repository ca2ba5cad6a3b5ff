/** What an HttpPlan says about paths. */
export interface PathRules {
  readonly normalize: boolean
  readonly mergeSlashes: boolean
  readonly escapedSlashes: 'keep' | 'reject' | 'unescape-redirect' | 'unescape-forward'
}

/**
 * The path by which routes and policies are chosen, query untouched: escaped slashes, then RFC 3986 §6.2.2 (dot segments, escaped or not; escaped unreserved
 * characters; `\` counts as `/`), then runs of slashes, in Envoy's order. Undefined: answer 400. `redirect`: answer 307 with that path.
 */
export function normalizePath(path: string, rules: PathRules): string | undefined | { readonly redirect: string } {
  if (path.includes('#')) return undefined
  // Most paths hold nothing to do; one scan finds out.
  if (!SUSPECT.test(path)) return path
  const query = path.indexOf('?')
  let bare = query < 0 ? path : path.slice(0, query)
  const search = query < 0 ? '' : path.slice(query)
  // `*` of OPTIONS and absolute forms have no dot segments.
  if (!bare.startsWith('/') && !bare.startsWith('\\')) return path
  let redirect = false
  if (rules.escapedSlashes !== 'keep') {
    const unescaped = bare.replace(ESCAPED_SLASH, (found) => (found.charCodeAt(1) === 50 ? '/' : '\\'))
    if (unescaped !== bare) {
      if (rules.escapedSlashes === 'reject') return undefined
      redirect = rules.escapedSlashes === 'unescape-redirect'
      bare = unescaped
    }
  }
  if (rules.normalize) {
    if (BAD_ESCAPE.test(bare)) return undefined
    bare = removeDotSegments(bare.replace(ESCAPED_UNRESERVED, unescape).replaceAll('\\', '/'))
  }
  if (rules.mergeSlashes) bare = bare.replace(SLASHES, '/')
  return redirect ? { redirect: bare + search } : bare + search
}

const SUSPECT = /[%\\]|\/\/|\/\./
const ESCAPED_SLASH = /%2f|%5c/gi
const BAD_ESCAPE = /%00/
// RFC 3986 §2.3: ALPHA DIGIT - . _ ~
const ESCAPED_UNRESERVED = /%(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/gi
const SLASHES = /\/{2,}/g

const unescape = (found: string): string => String.fromCharCode(Number.parseInt(found.slice(1), 16))

/** A segment of dots, with parameters or without: `..;a=1` is `..` to servers that know path parameters, which is how policies were walked around. Envoy's URL library thinks so too. */
const DOTS = /^(\.\.?)(?:;.*)?$/

/** RFC 3986 §5.2.4 for an absolute path. Empty segments stay: `/a//../b` is `/a/b`. */
function removeDotSegments(path: string): string {
  const kept: string[] = []
  const segments = path.slice(1).split('/')
  for (const [at, segment] of segments.entries()) {
    const last = at === segments.length - 1
    const dots = DOTS.exec(segment)?.[1]
    if (dots === '..') kept.pop()
    if (dots === undefined) kept.push(segment)
    else if (last) kept.push('')
  }
  return `/${kept.join('/')}`
}
