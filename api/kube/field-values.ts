import { isDeepStrictEqual } from 'node:util'
import { fromPaths, LEAF, NOTHING } from './field-set.ts'
import type { FieldSet } from './field-set.ts'
import { isWhole, itemsOf } from './field-shape.ts'
import type { ShapeOf } from './field-shape.ts'
import { setMember } from './json-patch.ts'

type Json = Readonly<Record<string, unknown>>
const isJson = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

/** Children of a value by their steps; undefined for what counts as a whole. */
function childrenOf(shape: ShapeOf, value: unknown, path: string): Map<string, unknown> | undefined {
  if (Array.isArray(value)) return itemsOf(shape(path), value)
  if (!isJson(value) || isWhole(shape(path))) return undefined
  return new Map(Object.entries(value).map(([name, one]) => [`f:${name}`, one]))
}

const below = (path: string, step: string): string => (step.startsWith('f:') ? (path === '' ? step.slice(2) : `${path}.${step.slice(2)}`) : path)

/** What identifies an object, or is the server's to give, is nobody's to own. */
const UNOWNED = new Set(['apiVersion', 'kind', 'status', 'metadata'].map((name) => `f:${name}`))
const UNOWNED_METADATA = new Set(['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields', 'resourceVersion'].map((name) => `f:${name}`))

/** The set without fields that nobody owns. */
export function owned(set: FieldSet): FieldSet {
  const steps = new Map<string, FieldSet>()
  for (const [step, child] of set.below) {
    if (step === 'f:metadata') {
      const metadata: FieldSet = { member: false, below: new Map([...child.below].filter(([name]) => !UNOWNED_METADATA.has(name))) }
      if (metadata.below.size > 0) steps.set(step, metadata)
    } else if (!UNOWNED.has(step)) steps.set(step, child)
  }
  return { member: false, below: steps }
}

/** All fields of an object that is applied. */
export function fieldsOf(shape: ShapeOf, value: unknown, path = ''): FieldSet {
  const children = childrenOf(shape, value, path)
  if (children === undefined) return LEAF
  const steps = new Map<string, FieldSet>()
  for (const [step, one] of children) {
    const child = fieldsOf(shape, one, below(path, step))
    const whole = child.member || !step.startsWith('f:') || (isJson(one) && Object.keys(one).length === 0)
    if (whole || child.member || child.below.size > 0) steps.set(step, whole ? { ...child, member: true } : child)
  }
  return { member: false, below: steps }
}

export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/** In which fields two objects differ. Of a part that comes or goes, each field within it and the part itself. */
export function compareFields(shape: ShapeOf, before: unknown, after: unknown): Comparison {
  const added: string[][] = []
  const modified: string[][] = []
  const removed: string[][] = []
  const walk = (old: unknown, now: unknown, path: string, at: readonly string[]): void => {
    if (old === undefined && now === undefined) return
    const olds = old === undefined ? undefined : childrenOf(shape, old, path)
    const nows = now === undefined ? undefined : childrenOf(shape, now, path)
    const whole = (old !== undefined && olds === undefined) || (now !== undefined && nows === undefined)
    if (old === undefined) added.push([...at])
    else if (now === undefined) removed.push([...at])
    else if (whole && !isDeepStrictEqual(old, now)) modified.push([...at])
    if (whole) return
    for (const step of new Set([...(olds?.keys() ?? []), ...(nows?.keys() ?? [])])) walk(olds?.get(step), nows?.get(step), below(path, step), [...at, step])
  }
  walk(before ?? {}, after ?? {}, '', [])
  return { added: owned(fromPaths(added)), modified: owned(fromPaths(modified)), removed: owned(fromPaths(removed)) }
}

/** What is applied, laid over what is there: maps and lists with keys are merged, all else is replaced. */
export function mergeFields(shape: ShapeOf, live: unknown, applied: unknown, path = ''): unknown {
  if (live === undefined) return structuredClone(applied)
  if (Array.isArray(live) && Array.isArray(applied)) return mergeLists(shape, live, applied, path)
  if (!isJson(live) || !isJson(applied) || isWhole(shape(path))) return structuredClone(applied)
  const merged: Record<string, unknown> = { ...live }
  for (const [name, one] of Object.entries(applied)) setMember(merged, name, mergeFields(shape, Object.hasOwn(live, name) ? live[name] : undefined, one, below(path, `f:${name}`)))
  return merged
}

function mergeLists(shape: ShapeOf, live: readonly unknown[], applied: readonly unknown[], path: string): unknown {
  const there = itemsOf(shape(path), live)
  const wanted = itemsOf(shape(path), applied)
  if (there === undefined || wanted === undefined) return structuredClone(applied)
  const merged = new Map(there)
  for (const [step, item] of wanted) merged.set(step, mergeFields(shape, there.get(step), item, path))
  return [...merged.values()]
}

/** Takes fields away, but for those that `kept` holds, and what they lie in. */
export function withoutFields(shape: ShapeOf, value: unknown, gone: FieldSet, kept: FieldSet, path = ''): unknown {
  const children = childrenOf(shape, value, path)
  if (children === undefined) return value
  const left = new Map<string, unknown>()
  for (const [step, one] of children) {
    const going = gone.below.get(step)
    if (going === undefined) left.set(step, one)
    else if (!going.member) left.set(step, withoutFields(shape, one, going, kept.below.get(step) ?? NOTHING, below(path, step)))
    else if (kept.below.has(step)) left.set(step, withoutFields(shape, one, going, kept.below.get(step) ?? NOTHING, below(path, step)))
  }
  if (Array.isArray(value)) return [...left.values()]
  const object: Record<string, unknown> = {}
  for (const [step, one] of left) setMember(object, step.slice(2), one)
  return object
}

