import { isIP, isIPv4, isIPv6 } from 'node:net'
import { RE2JS } from 're2js'

/** Rules of one kind of value, by their names in validate.proto; only those that are set. */
export type ValueRules = ReadonlyMap<string, unknown>

type Check = (value: never, wanted: never) => boolean

const same = (a: unknown, b: unknown): boolean => (a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : a === b)
const isIn = (value: unknown, list: Iterable<unknown>): boolean => [...list].some((one) => same(one, value))

const letters = (text: string): number => [...text].length
const bytes = (text: string): number => Buffer.byteLength(text)

const LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/
const isHostname = (text: string): boolean => {
  const name = text.replace(/\.$/, '')
  return name.length <= 253 && name.split('.').every((label) => LABEL.test(label))
}
const isEmail = (text: string): boolean => {
  const at = text.lastIndexOf('@')
  return at > 0 && at <= 64 && text.length <= 254 && isHostname(text.slice(at + 1))
}

/** HTTP_HEADER_NAME of `well_known_regex`; the other one is HTTP_HEADER_VALUE. */
const HEADER_NAME = 1
const isHeaderName = (text: string): boolean => /^:?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+$/.test(text)
/** A tab is no control character here. */
const isHeaderValue = (text: string): boolean => [...text].every((one) => one === '\t' || (one >= ' ' && one !== '\x7f'))
const endsNoLine = (text: string): boolean => [...text].every((one) => !['\0', '\n', '\r'].includes(one))

const texts: Readonly<Record<string, (value: string, wanted: never) => boolean>> = {
  len: (value, wanted: bigint) => letters(value) === Number(wanted),
  min_len: (value, wanted: bigint) => letters(value) >= Number(wanted),
  max_len: (value, wanted: bigint) => letters(value) <= Number(wanted),
  len_bytes: (value, wanted: bigint) => bytes(value) === Number(wanted),
  min_bytes: (value, wanted: bigint) => bytes(value) >= Number(wanted),
  max_bytes: (value, wanted: bigint) => bytes(value) <= Number(wanted),
  pattern: (value, wanted: string) => RE2JS.compile(wanted).matcher(value).find(),
  prefix: (value, wanted: string) => value.startsWith(wanted),
  suffix: (value, wanted: string) => value.endsWith(wanted),
  contains: (value, wanted: string) => value.includes(wanted),
  not_contains: (value, wanted: string) => !value.includes(wanted),
  email: isEmail,
  hostname: isHostname,
  ip: (value) => isIP(value) !== 0,
  ipv4: (value) => isIPv4(value),
  ipv6: (value) => isIPv6(value),
  uri: (value) => URL.canParse(value),
  uri_ref: (value) => URL.canParse(value, 'http://base.example/'),
  address: (value) => isHostname(value) || isIP(value) !== 0,
  uuid: (value) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value),
}

const octets: Readonly<Record<string, (value: Uint8Array, wanted: never) => boolean>> = {
  len: (value, wanted: bigint) => value.length === Number(wanted),
  min_len: (value, wanted: bigint) => value.length >= Number(wanted),
  max_len: (value, wanted: bigint) => value.length <= Number(wanted),
  pattern: (value, wanted: string) => RE2JS.compile(wanted).matcher(Buffer.from(value).toString('latin1')).find(),
  prefix: (value, wanted: Uint8Array) => Buffer.from(value).subarray(0, wanted.length).equals(wanted),
  suffix: (value, wanted: Uint8Array) => value.length >= wanted.length && Buffer.from(value).subarray(value.length - wanted.length).equals(wanted),
  contains: (value, wanted: Uint8Array) => Buffer.from(value).includes(wanted),
  ip: (value) => value.length === 4 || value.length === 16,
  ipv4: (value) => value.length === 4,
  ipv6: (value) => value.length === 16,
}

/** Those that any value may have. */
const common: Readonly<Record<string, Check>> = {
  const: (value: unknown, wanted: unknown) => same(value, wanted),
  in: (value: unknown, wanted: Iterable<unknown>) => isIn(value, wanted),
  not_in: (value: unknown, wanted: Iterable<unknown>) => !isIn(value, wanted),
}

const BOUNDS = ['lt', 'lte', 'gt', 'gte']
/** Flags and companions of other rules, no rules themselves. */
const MODIFIERS = ['ignore_empty', 'strict', 'well_known_regex', 'defined_only', 'required', 'lt_now', 'gt_now', 'within']

/**
 * Where a value breaks the rules of its kind (float … sfixed64, bool, string, bytes, enum; nanoseconds for a Duration or Timestamp), in words; empty when it keeps them.
 * The rules are those of protoc-gen-validate, and their meaning that of the C++ that Envoy is built with.
 * @throws when there is a rule that this does not know
 */
export function brokenBy(kind: string, rules: ValueRules, value: unknown): string[] {
  if (rules.get('ignore_empty') === true && isEmpty(value)) return []
  const checks: Readonly<Record<string, Check>> = kind === 'string' ? { ...common, ...texts } : kind === 'bytes' ? { ...common, ...octets } : common
  const broken = brokenBounds(rules, value as number | bigint)
  for (const [name, wanted] of rules) {
    if (BOUNDS.includes(name) || MODIFIERS.includes(name)) continue
    const check = checks[name]
    if (check === undefined) throw new Error(`there is no rule ${kind}.${name}`)
    if (wanted !== false && !check(value as never, wanted as never)) broken.push(`${name} ${said(wanted)}`)
  }
  const known = rules.get('well_known_regex')
  if (typeof known === 'number' && known !== 0) {
    const holds = rules.get('strict') === false ? endsNoLine : known === HEADER_NAME ? isHeaderName : isHeaderValue
    if (!holds(String(value))) broken.push(`well_known_regex ${known}`)
  }
  return broken
}

/** A lower bound above the upper one means all that is not between them. */
function brokenBounds(rules: ValueRules, value: number | bigint): string[] {
  const bound = (exclusive: string, inclusive: string): { at: number | bigint; inclusive: boolean } | undefined => {
    const at = rules.get(exclusive) ?? rules.get(inclusive)
    return typeof at === 'number' || typeof at === 'bigint' ? { at, inclusive: !rules.has(exclusive) } : undefined
  }
  const [below, above] = [bound('lt', 'lte'), bound('gt', 'gte')]
  const isBelow = below === undefined || value < below.at || (below.inclusive && value === below.at)
  const isAbove = above === undefined || value > above.at || (above.inclusive && value === above.at)
  const either = below !== undefined && above !== undefined && above.at > below.at
  if (either ? isBelow || isAbove : isBelow && isAbove) return []
  return [BOUNDS.filter((name) => rules.has(name)).map((name) => `${name} ${said(rules.get(name))}`).join(' and ')]
}

const isEmpty = (value: unknown): boolean => value === 0 || value === 0n || value === '' || value === false || (value instanceof Uint8Array && value.length === 0)

const said = (value: unknown): string => (typeof value === 'object' && value !== null && Symbol.iterator in value ? `[${[...(value as Iterable<unknown>)].map(String).join(' ')}]` : String(value))
