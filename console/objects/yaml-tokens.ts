type TokenKind = 'key' | 'text' | 'number' | 'word' | 'mark' | 'comment' | 'plain'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
}

/** Colours for one line of YAML as our own writer writes it. Light by design: it looks at lines, so the inside of a block text is plain. */
export function yamlTokens(line: string): Token[] {
  const parsed = /^(\s*(?:- )*)(?:("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'#][^"#]*?)(:)(?=\s|$))?(.*)$/.exec(line)
  const [, indent = '', key = '', colon = '', value = ''] = parsed ?? []
  const tokens: Token[] = []
  const add = (kind: TokenKind, text: string): void => {
    if (text !== '') tokens.push({ kind, text })
  }
  add('mark', indent)
  add('key', key)
  add('mark', colon)
  add(valueKind(value.trim()), value)
  return tokens
}

function valueKind(value: string): TokenKind {
  if (value.startsWith('#')) return 'comment'
  if (/^["']/.test(value)) return 'text'
  if (/^-?\d+(\.\d+)?$/.test(value)) return 'number'
  if (/^(true|false|null|~)$/.test(value)) return 'word'
  return /^([|>][-+]?|\[\]|\{\}|-)$/.test(value) ? 'mark' : 'plain'
}
