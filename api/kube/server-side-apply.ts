import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { conflictsWith, managersAfterApply, managersBeforeApply, withManagers } from './field-managers.ts'
import type { FieldConflict, Writer } from './field-managers.ts'
import { difference, fromPaths, NOTHING, union, withParents } from './field-set.ts'
import { shapeOf } from './field-shape.ts'
import { compareFields, fieldsOf, mergeFields, owned, withoutFields } from './field-values.ts'

const METADATA = fromPaths([['f:metadata']])

/**
 * Server-side apply (KEP-555): fields of what is applied are set, fields that its manager applied before and does not any more go unless another owns them, all others stay.
 * Answers the conflicts instead, when another manager owns a field with another value and `force` is not given.
 */
export function applyServerSide(kind: ResourceKind, live: ResourceObject | undefined, applied: ResourceObject, by: Writer & { readonly force: boolean }): { object: ResourceObject } | { conflicts: FieldConflict[] } {
  const shape = shapeOf(kind)
  const managers = live === undefined ? [] : managersBeforeApply(kind, live)
  const mine = managers.find((one) => one.operation === 'Apply' && one.manager === by.manager)
  const others = managers.filter((one) => one !== mine)
  const fields = owned(fieldsOf(shape, applied))
  const merged = mergeFields(shape, live, applied)
  // Metadata stays in any case: it holds what names the object.
  const gone = difference(withParents(mine?.fields ?? NOTHING), withParents(union(fields, METADATA)))
  const kept = others.reduce((all, one) => union(all, one.fields), fields)
  const object = withoutFields(shape, merged, gone, kept) as ResourceObject
  const change = compareFields(shape, live ?? { metadata: {} }, object)
  const conflicts = conflictsWith(others, change)
  if (conflicts.length > 0 && !by.force) return { conflicts }
  const named = { ...object, apiVersion: applied.apiVersion, kind: applied.kind }
  return { object: withManagers(named, managersAfterApply(others, change, mine, { manager: by.manager, apiVersion: applied.apiVersion, time: by.time, fields })) }
}
