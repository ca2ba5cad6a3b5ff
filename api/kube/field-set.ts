import { setMember } from './json-patch.ts'

/**
 * A set of fields of an object, as server-side apply has them (KEP-555): a tree by steps in the words of FieldsV1, which are `f:NAME` into a field,
 * `k:{"KEY":VALUE}` to an item of a list that has keys, and `v:VALUE` to an item of a list that is a set.
 */
export interface FieldSet {
  /** Whether the field itself is in the set, and not only some below it. */
  readonly member: boolean
  readonly below: ReadonlyMap<string, FieldSet>
}

type Json = Readonly<Record<string, unknown>>
const isJson = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

export const NOTHING: FieldSet = { member: false, below: new Map() }
export const LEAF: FieldSet = { member: true, below: new Map() }

export const isEmpty = (set: FieldSet): boolean => !set.member && set.below.size === 0

export function fromFieldsV1(fields: unknown): FieldSet {
  if (!isJson(fields)) return NOTHING
  const below = new Map<string, FieldSet>()
  for (const [step, one] of Object.entries(fields)) {
    if (step === '.' || !isJson(one)) continue
    // A step with nothing below it stands for the field itself.
    const child = Object.keys(one).length === 0 ? LEAF : fromFieldsV1(one)
    if (!isEmpty(child)) below.set(step, child)
  }
  return { member: Object.hasOwn(fields, '.'), below }
}

export function toFieldsV1(set: FieldSet): Json {
  const fields: Record<string, unknown> = {}
  if (set.member && set.below.size > 0) fields['.'] = {}
  for (const [step, child] of set.below) setMember(fields, step, toFieldsV1(child))
  return fields
}

export function fromPaths(paths: readonly (readonly string[])[]): FieldSet {
  let set = NOTHING
  for (const path of paths) set = withPath(set, path)
  return set
}

function withPath(set: FieldSet, [step, ...rest]: readonly string[]): FieldSet {
  if (step === undefined) return { ...set, member: true }
  return { ...set, below: new Map(set.below).set(step, withPath(set.below.get(step) ?? NOTHING, rest)) }
}

function combined(one: FieldSet, other: FieldSet, member: (a: boolean, b: boolean) => boolean, steps: Iterable<string>): FieldSet {
  const below = new Map<string, FieldSet>()
  for (const step of steps) {
    const a = one.below.get(step) ?? NOTHING
    const b = other.below.get(step) ?? NOTHING
    const child = combined(a, b, member, [...new Set([...a.below.keys(), ...b.below.keys()])])
    if (!isEmpty(child)) below.set(step, child)
  }
  return { member: member(one.member, other.member), below }
}

const stepsOf = (one: FieldSet, other: FieldSet): Set<string> => new Set([...one.below.keys(), ...other.below.keys()])

export const union = (one: FieldSet, other: FieldSet): FieldSet => combined(one, other, (a, b) => a || b, stepsOf(one, other))
export const intersection = (one: FieldSet, other: FieldSet): FieldSet => combined(one, other, (a, b) => a && b, stepsOf(one, other))
export const difference = (one: FieldSet, other: FieldSet): FieldSet => combined(one, other, (a, b) => a && !b, stepsOf(one, other))

/** The set with every field that has some below it: whoever owns a field keeps what it lies in. */
export function withParents(set: FieldSet, root = true): FieldSet {
  return { member: set.member || (!root && set.below.size > 0), below: new Map([...set.below].map(([step, child]) => [step, withParents(child, false)])) }
}

/** `.spec.hosts`, `.spec.ports[port=80,protocol="TCP"].name`: paths of all members, in Kubernetes' words. */
export function pathsOf(set: FieldSet, at = ''): string[] {
  const below = [...set.below].flatMap(([step, child]) => pathsOf(child, `${at}${wordOf(step)}`))
  return set.member && at !== '' ? [at, ...below] : below
}

function wordOf(step: string): string {
  const rest = step.slice(2)
  if (step.startsWith('f:')) return `.${rest}`
  if (step.startsWith('v:')) return `[=${rest}]`
  const keys: unknown = JSON.parse(rest)
  return isJson(keys) ? `[${Object.entries(keys).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]` : `[${rest}]`
}

export const equalSets = (one: FieldSet, other: FieldSet): boolean =>
  one.member === other.member && one.below.size === other.below.size && [...one.below].every(([step, child]) => {
    const same = other.below.get(step)
    return same !== undefined && equalSets(child, same)
  })
