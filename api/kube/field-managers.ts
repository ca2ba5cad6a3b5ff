import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { difference, equalSets, fromFieldsV1, intersection, isEmpty, NOTHING, toFieldsV1, union } from './field-set.ts'
import type { FieldSet } from './field-set.ts'
import { shapeOf } from './field-shape.ts'
import { compareFields, fieldsOf, owned } from './field-values.ts'
import type { Comparison } from './field-values.ts'

/** Who owns which fields of an object, in metadata.managedFields (KEP-555). */
export interface Manager {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  readonly time: string | undefined
  readonly fields: FieldSet
}

/** Who writes now: its name, and when (RFC 3339 in seconds). */
export interface Writer {
  readonly manager: string
  readonly time: string
}

/** Managers of updates that are told apart; the oldest beyond them go into one. */
const UPDATERS_MAX = 10
const ANCIENT = 'ancient-changes'
const BEFORE_APPLY = 'before-first-apply'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => value !== null && typeof value === 'object' && !Array.isArray(value)

function readManagers(object: ResourceObject | undefined): Manager[] {
  const given: readonly unknown[] = object?.metadata.managedFields ?? []
  return given.flatMap((one): Manager[] => {
    if (!isObject(one)) return []
    const { manager, operation, apiVersion, time, fieldsV1 } = one
    if (typeof manager !== 'string' || (operation !== 'Apply' && operation !== 'Update') || typeof apiVersion !== 'string') return []
    return [{ manager, operation, apiVersion, time: typeof time === 'string' ? time : undefined, fields: fromFieldsV1(fieldsV1) }]
  })
}

/** In Kubernetes' order: those that apply first, then by time and name. */
function writeManagers(managers: readonly Manager[]): NonNullable<ResourceObject['metadata']['managedFields']> {
  const order = (one: Manager): string => JSON.stringify([one.operation, one.time ?? '', one.manager, one.apiVersion])
  return withoutAncient(managers.filter((one) => !isEmpty(one.fields)))
    .sort((a, b) => (order(a) < order(b) ? -1 : 1))
    .map(({ manager, operation, apiVersion, time, fields }) => ({ manager, operation, apiVersion, ...(time === undefined ? {} : { time }), fieldsType: 'FieldsV1', fieldsV1: toFieldsV1(fields) }))
}

function withoutAncient(managers: readonly Manager[]): Manager[] {
  const updaters = managers.filter((one) => one.operation === 'Update').sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? -1 : 1))
  const surplus = updaters.slice(0, Math.max(0, updaters.length - UPDATERS_MAX))
  const newest = surplus.at(-1)
  if (newest === undefined) return [...managers]
  const fields = surplus.reduce((all, one) => union(all, one.fields), NOTHING)
  return [...managers.filter((one) => !surplus.includes(one)), { ...newest, manager: ANCIENT, fields }]
}

const sameEntry = (one: Manager, other: Pick<Manager, 'manager' | 'operation' | 'apiVersion'>): boolean =>
  one.manager === other.manager && one.operation === other.operation && (one.operation === 'Apply' || one.apiVersion === other.apiVersion)

/** What others own after a change: nothing of what was changed or taken away by someone else. */
const afterChange = (others: readonly Manager[], { added, modified, removed }: Comparison): Manager[] => others.map((one) => ({ ...one, fields: difference(difference(one.fields, union(added, modified)), removed) }))

/**
 * The object with the record of an update: its writer owns what it changed, and nobody what is gone.
 * `live` undefined: it is made now. What was cleared, or never recorded, stays so until someone applies.
 */
export function recordUpdate(kind: ResourceKind, live: ResourceObject | undefined, next: ResourceObject, by: Writer): ResourceObject {
  const given = readManagers(next)
  // One empty entry is Kubernetes' way to clear the record.
  const cleared = (next.metadata.managedFields ?? []).length > 0 && (next.metadata.managedFields ?? []).every((one) => isObject(one) && Object.keys(one).length === 0)
  const before = given.length > 0 ? given : readManagers(live)
  if (cleared || (live !== undefined && before.length === 0)) return withManagers(next, [])
  const change = compareFields(shapeOf(kind), live ?? { metadata: {} }, next)
  if (isEmpty(change.added) && isEmpty(change.modified) && isEmpty(change.removed)) return withManagers(next, before)
  const own: Pick<Manager, 'manager' | 'operation' | 'apiVersion'> = { manager: by.manager, operation: 'Update', apiVersion: next.apiVersion }
  const mine = before.find((one) => sameEntry(one, own))
  const fields = owned(union(union(difference(mine?.fields ?? NOTHING, change.removed), change.modified), change.added))
  return withManagers(next, [...afterChange(before.filter((one) => one !== mine), change), timed(mine, { ...own, time: by.time, fields })])
}

/** Whoever was there before anyone applied, when nobody kept a record. */
export function managersBeforeApply(kind: ResourceKind, live: ResourceObject): Manager[] {
  const managers = readManagers(live)
  if (managers.length > 0) return managers
  return [{ manager: BEFORE_APPLY, operation: 'Update', apiVersion: live.apiVersion, time: undefined, fields: owned(fieldsOf(shapeOf(kind), live)) }]
}

export interface FieldConflict {
  readonly manager: Manager
  readonly fields: FieldSet
}

/** Fields of others that a change would take. */
export function conflictsWith(others: readonly Manager[], { added, modified }: Comparison): FieldConflict[] {
  const taken = union(added, modified)
  return others.map((manager) => ({ manager, fields: intersection(manager.fields, taken) })).filter(({ fields }) => !isEmpty(fields))
}

/** Who owns what after `fields` were applied. */
export function managersAfterApply(others: readonly Manager[], change: Comparison, mine: Manager | undefined, own: Omit<Manager, 'operation'>): Manager[] {
  return [...afterChange(others, change), timed(mine, { ...own, operation: 'Apply' })]
}

/** An entry that says the same keeps its time. */
const timed = (before: Manager | undefined, now: Manager): Manager => (before !== undefined && before.apiVersion === now.apiVersion && equalSets(before.fields, now.fields) ? { ...now, time: before.time } : now)

/** The object with this record; an empty one says that nobody owns anything. */
export function withManagers(object: ResourceObject, managers: readonly Manager[]): ResourceObject {
  return { ...object, metadata: { ...object.metadata, managedFields: writeManagers(managers) } }
}
