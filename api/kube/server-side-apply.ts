import { isDeepStrictEqual } from 'node:util'
import type { ResourceObject } from '#core/resource/object.ts'
import { setMember } from './json-patch.ts'

// Server-side apply (KEP-555) over leaves: a leaf is a value, or a list as a whole, as Istio's definitions have their lists.
// Ownership is kept in metadata.managedFields, in Kubernetes' own form.

interface ManagedFields {
  readonly manager: string
  readonly operation: string
  readonly apiVersion: string
  readonly time?: string
  readonly fieldsType: 'FieldsV1'
  readonly fieldsV1: Readonly<Record<string, unknown>>
}

export interface FieldConflict {
  readonly path: string
  readonly manager: string
}

type Leaf = readonly string[]
const text = (leaf: Leaf): string => JSON.stringify(leaf)
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => value !== null && typeof value === 'object' && !Array.isArray(value)

// What identifies an object is nobody's to own.
const UNOWNED = new Set(['apiVersion', 'kind', 'status'].map((name) => text([name])).concat(['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'managedFields'].map((name) => text(['metadata', name]))))

function leavesOf(value: unknown, at: Leaf = []): Leaf[] {
  if (UNOWNED.has(text(at))) return []
  if (!isObject(value) || (Object.keys(value).length === 0 && at.length > 0)) return [at]
  return Object.entries(value).flatMap(([name, one]) => leavesOf(one, [...at, name]))
}

/**
 * Merges what a manager applies into what is stored: its fields are set, fields that it applied before and does not any more go, all others stay.
 * Answers the conflicts instead, when another manager owns a field with another value and `force` is not given.
 */
export function applyServerSide(
  stored: ResourceObject | undefined, applied: ResourceObject, by: { readonly manager: string; readonly force: boolean; readonly time: string },
): { object: ResourceObject } | { conflicts: FieldConflict[] } {
  const entries = ((stored?.metadata.managedFields ?? []) as readonly unknown[]).filter(isManagedFields)
  const mine = entries.find((one) => one.manager === by.manager && one.operation === 'Apply')
  const others = entries.filter((one) => one !== mine)
  const wanted = leavesOf(applied)
  const conflicts: FieldConflict[] = []
  for (const leaf of wanted) {
    if (isDeepStrictEqual(valueAt(stored, leaf), valueAt(applied, leaf))) continue
    for (const other of others) if (hasField(other.fieldsV1, leaf)) conflicts.push({ path: `.${leaf.join('.')}`, manager: other.manager })
  }
  if (conflicts.length > 0 && !by.force) return { conflicts }
  const object = structuredClone(stored ?? { apiVersion: applied.apiVersion, kind: applied.kind, metadata: { name: applied.metadata.name } }) as ResourceObject
  const wantedTexts = new Set(wanted.map(text))
  for (const leaf of mine === undefined ? [] : fieldsOf(mine.fieldsV1)) {
    if (!wantedTexts.has(text(leaf)) && !wanted.some((one) => startsWith(one, leaf)) && !others.some((other) => hasField(other.fieldsV1, leaf))) removeAt(object, leaf)
  }
  for (const leaf of wanted) setAt(object, leaf, valueAt(applied, leaf))
  const fields = fieldsV1(wanted)
  const kept = others.map((other) => (conflicts.some((one) => one.manager === other.manager) ? { ...other, fieldsV1: fieldsV1(fieldsOf(other.fieldsV1).filter((leaf) => !conflicts.some((one) => one.manager === other.manager && one.path === `.${leaf.join('.')}`))) } : other))
  const own: ManagedFields = { manager: by.manager, operation: 'Apply', apiVersion: applied.apiVersion, time: mine && isDeepStrictEqual(mine.fieldsV1, fields) ? (mine.time ?? by.time) : by.time, fieldsType: 'FieldsV1', fieldsV1: fields }
  return { object: { ...object, metadata: { ...object.metadata, name: applied.metadata.name, ...(applied.metadata.namespace === undefined ? {} : { namespace: applied.metadata.namespace }), managedFields: [...kept, own] } } }
}

const startsWith = (leaf: Leaf, prefix: Leaf): boolean => prefix.every((step, index) => leaf[index] === step)

function isManagedFields(value: unknown): value is ManagedFields {
  return isObject(value) && typeof value['manager'] === 'string' && typeof value['operation'] === 'string' && isObject(value['fieldsV1'])
}

function fieldsV1(leaves: readonly Leaf[]): Record<string, unknown> {
  const root: Record<string, unknown> = {}
  for (const leaf of leaves) {
    let at = root
    for (const step of leaf) {
      const name = `f:${step}`
      if (!Object.hasOwn(at, name)) at[name] = {}
      at = at[name] as Record<string, unknown>
    }
  }
  return root
}

function fieldsOf(fields: Readonly<Record<string, unknown>>, at: Leaf = []): Leaf[] {
  const below = Object.entries(fields).filter(([name]) => name.startsWith('f:'))
  if (below.length === 0) return at.length === 0 ? [] : [at]
  return below.flatMap(([name, one]) => (isObject(one) ? fieldsOf(one, [...at, name.slice(2)]) : []))
}

function hasField(fields: Readonly<Record<string, unknown>>, leaf: Leaf): boolean {
  let at: unknown = fields
  for (const step of leaf) {
    if (!isObject(at) || !Object.hasOwn(at, `f:${step}`)) return false
    at = at[`f:${step}`]
  }
  return true
}

function valueAt(root: unknown, leaf: Leaf): unknown {
  let at = root
  for (const step of leaf) {
    if (!isObject(at) || !Object.hasOwn(at, step)) return undefined
    at = at[step]
  }
  return at
}

function setAt(root: object, leaf: Leaf, value: unknown): void {
  let at: object = root
  for (const step of leaf.slice(0, -1)) {
    const own: unknown = Object.hasOwn(at, step) ? (at as Record<string, unknown>)[step] : undefined
    const next: object = isObject(own) ? own : {}
    if (next !== own) setMember(at, step, next)
    at = next
  }
  const last = leaf.at(-1)
  if (last !== undefined) setMember(at, last, value)
}

function removeAt(root: object, leaf: Leaf): void {
  const parent = valueAt(root, leaf.slice(0, -1))
  const last = leaf.at(-1)
  if (isObject(parent) && last !== undefined) delete (parent as Record<string, unknown>)[last]
}
