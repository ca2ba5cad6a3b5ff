import type { ResourceObject } from './object.ts'
import { kindOf } from './registry.ts'

/** Stands where a value is kept but not shown; base64 of "(hidden)", so that clients which decode it get a word. Its length says nothing of the value's. */
export const HIDDEN = 'KGhpZGRlbik='
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

/** The object as readers get it: values of secret fields replaced, names kept. Also without the copy that kubectl keeps in an annotation. */
export function redact(object: ResourceObject): ResourceObject {
  const fields = kindOf(object.apiVersion, object.kind)?.secretFields ?? []
  if (fields.length === 0) return object
  const shown: Record<string, unknown> = {}
  for (const field of fields) {
    const values = object[field]
    if (values === null || typeof values !== 'object') continue
    shown[field] = Object.fromEntries(Object.keys(values).map((name) => [name, HIDDEN]))
  }
  return { ...object, ...shown, metadata: withoutLastApplied(object.metadata) }
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

function withoutLastApplied(metadata: ResourceObject['metadata']): ResourceObject['metadata'] {
  if (metadata.annotations?.[LAST_APPLIED] === undefined) return metadata
  const { [LAST_APPLIED]: _, ...annotations } = metadata.annotations
  const { annotations: __, ...rest } = metadata
  return Object.keys(annotations).length === 0 ? rest : { ...rest, annotations }
}
