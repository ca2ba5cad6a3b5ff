/** An expression of the Common Expression Language, as read. Whole numbers are `bigint`, others `number`, as CEL tells them apart. */
export type Expression =
  | { readonly kind: 'literal'; readonly value: bigint | number | string | boolean | null }
  /** Bytes: read, and nothing more is made of them. */
  | { readonly kind: 'bytes' }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'select'; readonly of: Expression; readonly field: string }
  | { readonly kind: 'index'; readonly of: Expression; readonly key: Expression }
  | { readonly kind: 'has'; readonly of: Expression; readonly field: string }
  /** `target.name(args)`, or `name(args)`. */
  | { readonly kind: 'call'; readonly name: string; readonly target: Expression | undefined; readonly args: readonly Expression[] }
  | { readonly kind: 'unary'; readonly operator: string; readonly of: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'choice'; readonly condition: Expression; readonly yes: Expression; readonly no: Expression }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }

/**
 * Reads an expression (github.com/google/cel-spec/blob/master/doc/langdef.md#syntax). Why Envoy would refuse it, where it would, as text: Envoy refuses what is no expression and
 * functions that it does not have, and with it the whole listener; what an expression means, and whether its attributes are there, it finds out request by request.
 */
export function parseExpression(text: string): Expression | string {
  const tokens = tokensOf(text)
  if (tokens === undefined) return 'text, numbers, names and operators of CEL'
  const parser = new Parser(tokens)
  const read = parser.expression()
  return read !== undefined && parser.ended() ? read : (parser.complaint ?? 'an expression of CEL')
}

/** Why Envoy would refuse it; undefined: it would not. */
export function expressionComplaint(text: string): string | undefined {
  const read = parseExpression(text)
  return typeof read === 'string' ? read : undefined
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

const WORDS: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null }
const RELATIONS = ['<', '<=', '>', '>=', '==', '!=']
/** Deeper than this no one writes, and a parser may not follow. */
const DEPTH_MAX = 32

class Parser {
  complaint: string | undefined
  readonly #tokens: readonly Token[]
  #at = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  ended(): boolean {
    return this.#at === this.#tokens.length
  }

  /** Undefined: there is none. */
  expression(): Expression | undefined {
    if (++this.#depth > DEPTH_MAX) return undefined
    const read = this.#choice()
    this.#depth--
    return read
  }

  #choice(): Expression | undefined {
    const condition = this.#joined(['||'], () => this.#joined(['&&'], () => this.#relation()))
    if (condition === undefined || this.#take('?') === undefined) return condition
    const yes = this.expression()
    if (yes === undefined || this.#take(':') === undefined) return undefined
    const no = this.expression()
    return no && { kind: 'choice', condition, yes, no }
  }

  #joined(operators: readonly string[], operand: () => Expression | undefined): Expression | undefined {
    let left = operand()
    while (left !== undefined) {
      const operator = this.#takeOne(operators)
      if (operator === undefined) break
      const right = operand()
      left = right && { kind: 'binary', operator, left, right }
    }
    return left
  }

  #relation(): Expression | undefined {
    const sum = (): Expression | undefined => this.#joined(['+', '-'], () => this.#joined(['*', '/', '%'], () => this.#unary()))
    let left = sum()
    while (left !== undefined) {
      const operator = this.#takeOne(RELATIONS) ?? this.#takeIn()
      if (operator === undefined) break
      const right = sum()
      left = right && { kind: 'binary', operator, left, right }
    }
    return left
  }

  #unary(): Expression | undefined {
    const operators: string[] = []
    for (let one = this.#takeOne(['!', '-']); one !== undefined; one = this.#takeOne(['!', '-'])) operators.push(one)
    const of = this.#member()
    return of && operators.reduceRight<Expression>((inner, operator) => ({ kind: 'unary', operator, of: inner }), of)
  }

  #member(): Expression | undefined {
    let of = this.#primary()
    while (of !== undefined) {
      if (this.#take('.') !== undefined) {
        const name = this.#name()
        if (name === undefined) return undefined
        if (this.#take('(') === undefined) of = { kind: 'select', of, field: name }
        else {
          const args = this.#known(name) ? this.#list(')') : undefined
          of = args && { kind: 'call', name, target: of, args }
        }
      } else if (this.#take('[') !== undefined) {
        const key = this.expression()
        if (key === undefined || this.#take(']') === undefined) return undefined
        of = { kind: 'index', of, key }
      } else break
    }
    return of
  }

  #primary(): Expression | undefined {
    const token = this.#tokens[this.#at]
    if (token === undefined) return undefined
    if (token.kind === 'literal') {
      this.#at++
      return literalOf(token.text)
    }
    if (token.kind === 'name') {
      this.#at++
      if (this.#take('(') === undefined) return token.text in WORDS ? { kind: 'literal', value: WORDS[token.text] ?? null } : { kind: 'name', name: token.text }
      if (token.text === 'has') return this.#has()
      const args = this.#known(token.text) ? this.#list(')') : undefined
      return args && { kind: 'call', name: token.text, target: undefined, args }
    }
    if (this.#take('(') !== undefined) {
      const inner = this.expression()
      return this.#take(')') === undefined ? undefined : inner
    }
    if (this.#take('[') === undefined) return undefined
    const items = this.#list(']')
    return items && { kind: 'list', items }
  }

  /** has(a.b): whether a field is there, and nothing but a field. */
  #has(): Expression | undefined {
    const read = this.#unary()
    if (read?.kind !== 'select') {
      if (read !== undefined) this.complaint ??= 'a field, a.b, in has()'
      return undefined
    }
    return this.#take(')') === undefined ? undefined : { kind: 'has', of: read.of, field: read.field }
  }

  #known(name: string): boolean {
    if (FUNCTIONS.has(name)) return true
    this.complaint ??= `a function that Envoy has, which ${name} is not`
    return false
  }

  #list(end: string): Expression[] | undefined {
    const items: Expression[] = []
    if (this.#take(end) !== undefined) return items
    do {
      const one = this.expression()
      if (one === undefined) return undefined
      items.push(one)
    } while (this.#take(',') !== undefined)
    return this.#take(end) === undefined ? undefined : items
  }

  #name(): string | undefined {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'name') return undefined
    this.#at++
    return token.text
  }

  #take(operator: string): string | undefined {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'operator' || token.text !== operator) return undefined
    this.#at++
    return operator
  }

  #takeOne(operators: readonly string[]): string | undefined {
    for (const one of operators) if (this.#take(one) !== undefined) return one
    return undefined
  }

  #takeIn(): string | undefined {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'name' || token.text !== 'in') return undefined
    this.#at++
    return 'in'
  }
}

function literalOf(text: string): Expression {
  const quote = /["']/.exec(text)
  if (quote === null || /^\d/.test(text)) return { kind: 'literal', value: /^\d+\.|^\d+[eE]/.test(text) ? Number(text) : BigInt(text.replace(/u$/, '')) }
  const prefix = text.slice(0, quote.index).toLowerCase()
  if (prefix.includes('b')) return { kind: 'bytes' }
  const inner = text.slice(quote.index + 1, -1)
  return { kind: 'literal', value: prefix.includes('r') ? inner : unescaped(inner) }
}

const LETTERS: Readonly<Record<string, string>> = { a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

const unescaped = (text: string): string =>
  text.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))/g, (_, hex?: string, short?: string, long?: string, octal?: string, letter = ''): string => {
    const code = hex ?? short ?? long
    if (code !== undefined) return Number.parseInt(code, 16) <= 0x10ffff ? String.fromCodePoint(Number.parseInt(code, 16)) : '\ufffd'
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8))
    return LETTERS[letter] ?? letter
  })
