/**
 * Why Envoy would refuse an expression of the Common Expression Language; undefined: it would not. Envoy refuses what is no expression and functions that it does not have,
 * and with it the whole listener; what an expression means, and whether its attributes are there, it finds out request by request.
 * github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
 */
export function celComplaint(expression: string): string | undefined {
  const tokens = tokensOf(expression)
  if (tokens === undefined) return 'text, numbers, names and operators of CEL'
  const parser = new Parser(tokens)
  return parser.expression() && parser.ended() ? undefined : (parser.complaint ?? 'an expression of CEL')
}

interface Token {
  readonly kind: 'name' | 'literal' | 'operator'
  readonly text: string
}

const TOKEN = /\s*(?:([bB]?[rR]?"(?:[^"\\\n]|\\.)*"|[bB]?[rR]?'(?:[^'\\\n]|\\.)*'|0x[0-9a-fA-F]+u?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?u?)|([A-Za-z_][A-Za-z0-9_]*)|(&&|\|\||[<>=!]=|[-+*/%<>!?:.,()[\]{}]))/y

function tokensOf(expression: string): Token[] | undefined {
  const tokens: Token[] = []
  const text = expression.trimEnd()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const [, literal, name, operator] = TOKEN.exec(text) ?? []
    if (literal !== undefined) tokens.push({ kind: 'literal', text: literal })
    else if (name !== undefined) tokens.push({ kind: 'name', text: name })
    else if (operator !== undefined) tokens.push({ kind: 'operator', text: operator })
    else return undefined
  }
  return tokens
}

/** Those that Envoy has. Comprehensions (all, exists, map, filter) it has switched off. */
const FUNCTIONS: ReadonlySet<string> = new Set(['size', 'has', 'startsWith', 'endsWith', 'contains', 'matches', 'int', 'uint', 'double', 'string', 'bytes', 'bool', 'duration', 'timestamp', 'type', 'getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear', 'getHours', 'getMinutes', 'getSeconds', 'getMilliseconds'])

const RELATIONS = ['<', '<=', '>', '>=', '==', '!=']
/** Deeper than this no one writes, and a parser may not follow. */
const DEPTH_MAX = 32

class Parser {
  complaint: string | undefined
  readonly #tokens: readonly Token[]
  #at = 0
  #depth = 0
  /** What was read last chose a field. */
  #selected = false

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  ended(): boolean {
    return this.#at === this.#tokens.length
  }

  expression(): boolean {
    if (++this.#depth > DEPTH_MAX) return false
    const parsed = this.#joined(['||'], () => this.#joined(['&&'], () => this.#relation())) && (!this.#take('?') || (this.expression() && this.#take(':') && this.expression()))
    this.#depth--
    return parsed
  }

  #joined(operators: readonly string[], operand: () => boolean): boolean {
    if (!operand()) return false
    while (operators.some((one) => this.#take(one))) if (!operand()) return false
    return true
  }

  #relation(): boolean {
    const sum = (): boolean => this.#joined(['+', '-'], () => this.#joined(['*', '/', '%'], () => this.#unary()))
    if (!sum()) return false
    while (RELATIONS.some((one) => this.#take(one)) || this.#takeName('in')) if (!sum()) return false
    return true
  }

  #unary(): boolean {
    while (this.#take('!') || this.#take('-')) continue
    if (!this.#primary()) return false
    for (;;) {
      if (this.#take('.')) {
        const name = this.#name()
        if (name === undefined) return false
        this.#selected = !this.#take('(')
        if (!this.#selected && !(this.#known(name) && this.#list(')'))) return false
      } else if (this.#take('[')) {
        if (!(this.expression() && this.#take(']'))) return false
        this.#selected = false
      } else return true
    }
  }

  #primary(): boolean {
    const token = this.#tokens[this.#at]
    if (token === undefined) return false
    if (token.kind === 'literal') {
      this.#at++
      return true
    }
    if (token.kind === 'name') {
      this.#at++
      this.#selected = false
      if (!this.#take('(')) return true
      return token.text === 'has' ? this.#has() : this.#known(token.text) && this.#list(')')
    }
    if (this.#take('(')) return this.expression() && this.#take(')')
    if (this.#take('[')) return this.#list(']')
    return false
  }

  /** has(a.b): whether a field is there, and nothing but a field. */
  #has(): boolean {
    const parsed = this.#unary()
    if (parsed && !this.#selected) this.complaint ??= 'a field, a.b, in has()'
    const whole = parsed && this.#selected && this.#take(')')
    this.#selected = false
    return whole
  }

  #known(name: string): boolean {
    if (FUNCTIONS.has(name)) return true
    this.complaint ??= `a function that Envoy has, which ${name} is not`
    return false
  }

  #list(end: string): boolean {
    if (this.#take(end)) return true
    do if (!this.expression()) return false
    while (this.#take(','))
    return this.#take(end)
  }

  #name(): string | undefined {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'name') return undefined
    this.#at++
    return token.text
  }

  #take(operator: string): boolean {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'operator' || token.text !== operator) return false
    this.#at++
    return true
  }

  #takeName(name: string): boolean {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'name' || token.text !== name) return false
    this.#at++
    return true
  }
}
