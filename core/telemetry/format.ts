/** One piece of a format string with Envoy's command operators. */
export type FormatToken =
  | { readonly kind: 'text'; readonly text: string }
  /** `%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):10%`: name REQ, argument x-envoy-original-path, alternative path, lengthMax 10. */
  | { readonly kind: 'operator'; readonly name: string; readonly argument: string; readonly alternative: string | undefined; readonly lengthMax: number | undefined }

const OPERATOR = /%(?:%|([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::(\d+))?%)/y

/** Operators whose argument is one header name, or two with `?:` between. */
const OF_HEADERS: ReadonlySet<string> = new Set(['REQ', 'RESP', 'TRAILER', 'REQ_WITHOUT_QUERY'])

/**
 * Splits a format, of an access log field or a header value. `%%` is a percent sign. Undefined when an operator is malformed
 * (envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators).
 */
export function parseFormat(format: string): readonly FormatToken[] | undefined {
  const tokens: FormatToken[] = []
  let text = ''
  let from = 0
  for (;;) {
    const percent = format.indexOf('%', from)
    if (percent < 0) break
    text += format.slice(from, percent)
    OPERATOR.lastIndex = percent
    const found = OPERATOR.exec(format)
    if (found === null) return undefined
    from = OPERATOR.lastIndex
    const [, name, argument = '', lengthMax] = found
    if (name === undefined) {
      text += '%'
      continue
    }
    if (text !== '') tokens.push({ kind: 'text', text })
    text = ''
    const [first = '', alternative] = OF_HEADERS.has(name) ? argument.toLowerCase().split('?:') : [argument]
    tokens.push({ kind: 'operator', name, argument: first, alternative, lengthMax: lengthMax === undefined ? undefined : Number(lengthMax) })
  }
  text += format.slice(from)
  if (text !== '') tokens.push({ kind: 'text', text })
  return tokens
}

/** The text of a format without operators; undefined when it has some. */
export function constantText(tokens: readonly FormatToken[]): string | undefined {
  const [first] = tokens
  if (first === undefined) return ''
  return tokens.length === 1 && first.kind === 'text' ? first.text : undefined
}
