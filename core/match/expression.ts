import { compileSearch } from './regex.ts'
import type { Expression } from './expression-syntax.ts'

/** A value of CEL. `bigint` is int and uint, `number` is double; text by name is a map, such as headers. */
export type Value = bigint | number | string | boolean | null | Duration | Instant | readonly Value[] | Names

export class Duration {
  readonly ms: number
  constructor(ms: number) {
    this.ms = ms
  }
}

export class Instant {
  /** Since the epoch. */
  readonly ms: number
  constructor(ms: number) {
    this.ms = ms
  }
}

/** A map of which single values are asked for. */
export class Names {
  readonly get: (name: string) => string | undefined
  constructor(get: (name: string) => string | undefined) {
    this.get = get
  }
}

/** Undefined is CEL's error: what is not there, or operands that do not go together. It spreads, but not past what decides `&&`, `||` and `?:`. */
export type Evaluated = Value | undefined
/** What a name or a path of names, `response.code`, stands for in one request. */
export type Attribute<Facts> = (facts: Facts) => Evaluated
/** The attribute at a path; undefined: there is none such. */
export type Attributes<Facts> = (path: string) => Attribute<Facts> | undefined

/** Thrown at compilation, with the reason in few words. */
export class Unsupported extends Error {}

/** @throws Unsupported where the expression names an attribute that is not to be had, or asks for what is not done here. */
export function compileExpression<Facts>(expression: Expression, attributes: Attributes<Facts>): Attribute<Facts> {
  const compile = (one: Expression): Attribute<Facts> => compileExpression(one, attributes)
  /** What has entries: a path of names must be an attribute's. */
  const whole = (one: Expression): Attribute<Facts> => {
    const path = pathOf(one)
    if (path !== undefined && attributes(path) === undefined) throw new Unsupported(`the attribute ${path}`)
    return compile(one)
  }
  const path = pathOf(expression)
  if (path !== undefined) {
    const found = attributes(path)
    if (found !== undefined) return found
  }
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      return () => value
    }
    case 'bytes':
      throw new Unsupported('bytes')
    case 'name':
      throw new Unsupported(`the attribute ${expression.name}`)
    case 'has': {
      const read = compile({ kind: 'select', of: expression.of, field: expression.field })
      return (facts) => read(facts) !== undefined
    }
    case 'select': {
      const { field } = expression
      return entry(whole(expression.of), () => field)
    }
    case 'index':
      return entry(whole(expression.of), compile(expression.key))
    case 'list': {
      const items = expression.items.map(compile)
      return (facts) => {
        const values: Value[] = []
        for (const item of items) {
          const value = item(facts)
          if (value === undefined) return undefined
          values.push(value)
        }
        return values
      }
    }
    case 'choice': {
      const [condition, yes, no] = [compile(expression.condition), compile(expression.yes), compile(expression.no)]
      return (facts) => {
        const decided = condition(facts)
        return decided === true ? yes(facts) : decided === false ? no(facts) : undefined
      }
    }
    case 'unary': {
      const of = compile(expression.of)
      return expression.operator === '!' ? (facts) => negated(of(facts)) : (facts) => minus(of(facts))
    }
    case 'binary':
      return binary(expression.operator, compile(expression.left), compile(expression.right))
    case 'call':
      return call(expression.name, expression.target === undefined ? expression.args : [expression.target, ...expression.args], compile)
  }
}

/** `a.b` and `a['b']` alike → `a.b`; undefined: it is more than names. */
function pathOf(expression: Expression): string | undefined {
  if (expression.kind === 'name') return expression.name
  if (expression.kind !== 'select' && expression.kind !== 'index') return undefined
  const before = pathOf(expression.of)
  const last = expression.kind === 'select' ? expression.field : expression.key.kind === 'literal' && typeof expression.key.value === 'string' ? expression.key.value : undefined
  return before === undefined || last === undefined ? undefined : `${before}.${last}`
}

const negated = (value: Evaluated): Evaluated => (typeof value === 'boolean' ? !value : undefined)
const minus = (value: Evaluated): Evaluated => (typeof value === 'bigint' || typeof value === 'number' ? -value : undefined)

const entry =
  <Facts>(of: Attribute<Facts>, key: Attribute<Facts>): Attribute<Facts> =>
  (facts) => {
    const [whole, at] = [of(facts), key(facts)]
    if (whole instanceof Names) return typeof at === 'string' ? whole.get(at) : undefined
    return Array.isArray(whole) && typeof at === 'bigint' ? (whole as readonly Value[])[Number(at)] : undefined
  }

function binary<Facts>(operator: string, left: Attribute<Facts>, right: Attribute<Facts>): Attribute<Facts> {
  switch (operator) {
    case '&&':
    case '||': {
      const decides = operator === '||'
      return (facts) => {
        const first = left(facts)
        if (first === decides) return decides
        const second = right(facts)
        if (second === decides) return decides
        return typeof first === 'boolean' && typeof second === 'boolean' ? !decides : undefined
      }
    }
    case 'in':
      return (facts) => contained(left(facts), right(facts))
    case '==':
      return (facts) => equal(left(facts), right(facts))
    case '!=':
      return (facts) => negated(equal(left(facts), right(facts)))
    case '<':
    case '<=':
    case '>':
    case '>=':
      return (facts) => {
        const order = compared(left(facts), right(facts))
        if (order === undefined) return undefined
        return operator === '<' ? order < 0 : operator === '<=' ? order <= 0 : operator === '>' ? order > 0 : order >= 0
      }
    default:
      return (facts) => arithmetic(operator, left(facts), right(facts))
  }
}

function contained(value: Evaluated, whole: Evaluated): Evaluated {
  if (value === undefined) return undefined
  if (whole instanceof Names) return typeof value === 'string' ? whole.get(value) !== undefined : undefined
  return Array.isArray(whole) ? (whole as readonly Value[]).some((one) => equal(one, value) === true) : undefined
}

const isNumber = (value: Evaluated): value is bigint | number => typeof value === 'bigint' || typeof value === 'number'

/** Values of two types have no equality in CEL, but for null, which only null equals. */
function equal(left: Evaluated, right: Evaluated): boolean | undefined {
  if (left === undefined || right === undefined) return undefined
  if (left === null || right === null) return left === right
  if (typeof left === 'boolean' || typeof right === 'boolean') return typeof left === typeof right ? left === right : undefined
  if (Array.isArray(left) && Array.isArray(right)) {
    const [first, second] = [left as readonly Value[], right as readonly Value[]]
    return first.length === second.length && first.every((one, index) => equal(one, second[index]) === true)
  }
  const order = compared(left, right)
  return order === undefined ? undefined : order === 0
}

/** Below, at or above zero as left is below, equal to or above right. */
function compared(left: Evaluated, right: Evaluated): number | undefined {
  if (isNumber(left) && isNumber(right)) return left < right ? -1 : left > right ? 1 : 0
  if (typeof left === 'string' && typeof right === 'string') return left < right ? -1 : left > right ? 1 : 0
  if ((left instanceof Duration && right instanceof Duration) || (left instanceof Instant && right instanceof Instant)) return left.ms - right.ms
  return undefined
}

function arithmetic(operator: string, left: Evaluated, right: Evaluated): Evaluated {
  if (typeof left === 'string' && typeof right === 'string') return operator === '+' ? left + right : undefined
  if (left instanceof Duration && right instanceof Duration) return operator === '+' ? new Duration(left.ms + right.ms) : operator === '-' ? new Duration(left.ms - right.ms) : undefined
  if (left instanceof Instant && right instanceof Duration) return operator === '+' ? new Instant(left.ms + right.ms) : operator === '-' ? new Instant(left.ms - right.ms) : undefined
  if (left instanceof Instant && right instanceof Instant) return operator === '-' ? new Duration(left.ms - right.ms) : undefined
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    if (operator === '+') return left + right
    if (operator === '-') return left - right
    if (operator === '*') return left * right
    return right === 0n ? undefined : operator === '/' ? left / right : left % right
  }
  if (typeof left !== 'number' || typeof right !== 'number') return undefined
  if (operator === '+') return left + right
  if (operator === '-') return left - right
  if (operator === '*') return left * right
  return operator === '/' ? left / right : undefined
}

/** What is said of an instant, in UTC. */
const PARTS: Readonly<Record<string, (of: Date) => number>> = {
  getFullYear: (of) => of.getUTCFullYear(),
  getMonth: (of) => of.getUTCMonth(),
  getDate: (of) => of.getUTCDate(),
  getDayOfMonth: (of) => of.getUTCDate() - 1,
  getDayOfWeek: (of) => of.getUTCDay(),
  getHours: (of) => of.getUTCHours(),
  getMinutes: (of) => of.getUTCMinutes(),
  getSeconds: (of) => of.getUTCSeconds(),
  getMilliseconds: (of) => of.getUTCMilliseconds(),
}

function call<Facts>(name: string, args: readonly Expression[], compile: (one: Expression) => Attribute<Facts>): Attribute<Facts> {
  const [first, second, ...more] = args.map(compile)
  if (first === undefined || more.length > 0) throw new Unsupported(`${name}() of ${args.length} arguments`)
  if (name === 'matches') {
    const pattern = args[1]
    if (pattern?.kind !== 'literal' || typeof pattern.value !== 'string') throw new Unsupported('a pattern that is not written out')
    const found = searchOf(pattern.value)
    return (facts) => onText(first(facts), found)
  }
  if (second !== undefined) {
    const test = TESTS[name]
    if (test === undefined) throw new Unsupported(`${name}() of ${args.length} arguments`)
    return (facts) => {
      const part = second(facts)
      return typeof part === 'string' ? onText(first(facts), (text) => test(text, part)) : undefined
    }
  }
  const part = PARTS[name]
  if (part !== undefined) {
    return (facts) => {
      const of = first(facts)
      return of instanceof Instant ? BigInt(part(new Date(of.ms))) : undefined
    }
  }
  const convert = CONVERSIONS[name]
  if (convert === undefined) throw new Unsupported(`${name}()`)
  return (facts) => {
    const value = first(facts)
    return value === undefined ? undefined : convert(value)
  }
}

const onText = (value: Evaluated, work: (text: string) => Evaluated): Evaluated => (typeof value === 'string' ? work(value) : undefined)

function searchOf(pattern: string): (text: string) => boolean {
  try {
    return compileSearch(pattern)
  } catch {
    throw new Unsupported(`the pattern ${pattern}`)
  }
}

const TESTS: Readonly<Record<string, (text: string, part: string) => boolean>> = {
  startsWith: (text, part) => text.startsWith(part),
  endsWith: (text, part) => text.endsWith(part),
  contains: (text, part) => text.includes(part),
}

const wholeNumber = (value: Value): Evaluated => {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isFinite(value) ? BigInt(Math.trunc(value)) : undefined
  if (value instanceof Instant) return BigInt(Math.floor(value.ms / 1000))
  return typeof value === 'string' && /^-?\d+$/.test(value) ? BigInt(value) : undefined
}

const CONVERSIONS: Readonly<Record<string, (value: Value) => Evaluated>> = {
  size: (value) => (typeof value === 'string' ? BigInt([...value].length) : Array.isArray(value) ? BigInt(value.length) : undefined),
  int: wholeNumber,
  uint: (value) => {
    const number = wholeNumber(value)
    return typeof number === 'bigint' && number >= 0n ? number : undefined
  },
  double: (value) => (isNumber(value) ? Number(value) : typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : undefined),
  string: (value) => (typeof value === 'string' || typeof value === 'boolean' || isNumber(value) ? String(value) : value instanceof Duration ? `${value.ms / 1000}s` : value instanceof Instant ? new Date(value.ms).toISOString() : undefined),
  bool: (value) => (typeof value === 'boolean' ? value : value === 'true' ? true : value === 'false' ? false : undefined),
  duration: (value) => (value instanceof Duration ? value : typeof value === 'string' ? durationOf(value) : undefined),
  timestamp: (value) => (value instanceof Instant ? value : typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? new Instant(Date.parse(value)) : undefined),
}

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, ns: 1e-6 }

/** `1h30m`, `1.5s`, `-20ms`. */
function durationOf(text: string): Duration | undefined {
  if (!/^-?(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|ns))+$/.test(text)) return undefined
  let ms = 0
  for (const [, number, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)/g)) ms += Number(number) * (UNITS[unit] ?? 0)
  return new Duration(text.startsWith('-') ? -ms : ms)
}
