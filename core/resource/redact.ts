import type { ResourceObject } from './object.ts'
import { kindOf } from './registry.ts'

/** Stands where a value is kept but not shown; base64 of "(hidden)", so that clients which decode it get a word. Its length says nothing of the value's. */
export const HIDDEN = 'KGhpZGRlbik='
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

/** The object as readers get it: values of secret fields replaced, names kept; in the copy that kubectl keeps in an annotation, too. */
export function redact(object: ResourceObject): ResourceObject {
  const fields = kindOf(object.apiVersion, object.kind)?.secretFields ?? []
  if (fields.length === 0) return object
  return { ...object, ...hiddenFields(object, fields), metadata: withHiddenCopy(object.metadata, fields) }
}

/** What came back from a reader, with the stored value wherever the placeholder stands. */
export function restoreHidden(object: ResourceObject, stored: ResourceObject | undefined): ResourceObject {
  const fields = kindOf(object.apiVersion, object.kind)?.secretFields ?? []
  if (fields.length === 0 || stored === undefined) return object
  const restored: Record<string, unknown> = {}
  for (const field of fields) {
    const values = object[field]
    const kept = stored[field]
    if (values === null || typeof values !== 'object' || kept === null || typeof kept !== 'object') continue
    restored[field] = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === HIDDEN && Object.hasOwn(kept, name) ? (kept as Record<string, unknown>)[name] : value]))
  }
  return { ...object, ...restored }
}

/** Names of secret values, `data["tls.key"]`, that are the placeholder still: nothing was stored to put in its place. */
export function hiddenLeft(object: ResourceObject): string[] {
  const fields = kindOf(object.apiVersion, object.kind)?.secretFields ?? []
  return fields.flatMap((field) => Object.entries((object[field] ?? {}) as Record<string, unknown>).flatMap(([name, value]) => (value === HIDDEN ? [`${field}[${JSON.stringify(name)}]`] : [])))
}

// kubectl keeps a copy of all that it applied in an annotation, values included; without one it would complain of its absence.
function withHiddenCopy(metadata: ResourceObject['metadata'], fields: readonly string[]): ResourceObject['metadata'] {
  const copy = metadata.annotations?.[LAST_APPLIED]
  if (copy === undefined) return metadata
  const { [LAST_APPLIED]: _, ...annotations } = metadata.annotations ?? {}
  try {
    const applied: unknown = JSON.parse(copy)
    if (applied !== null && typeof applied === 'object') {
      const shown = { ...applied, ...hiddenFields(applied, fields) }
      return { ...metadata, annotations: { ...annotations, [LAST_APPLIED]: `${JSON.stringify(shown)}\n` } }
    }
  } catch {
    // Not what kubectl writes, so it is left out like any text that may hold a secret.
  }
  return { ...metadata, annotations }
}

function hiddenFields(object: object, fields: readonly string[]): Record<string, unknown> {
  const hidden: Record<string, unknown> = {}
  for (const field of fields) {
    const values = (object as Record<string, unknown>)[field]
    if (values === undefined) continue
    hidden[field] = values !== null && typeof values === 'object' ? Object.fromEntries(Object.keys(values).map((name) => [name, HIDDEN])) : HIDDEN
  }
  return hidden
}
