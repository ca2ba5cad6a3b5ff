import type { StoredResource } from '#db/store.ts'

/** Of an object that no one wrote: what somebody did, by field. */
const ANNOTATION = 'internal.weft.dev/written'

/** Where something stands in what somebody wrote; `field` may be empty: the object as a whole. */
export interface Written {
  /** `HTTPRoute/prod/order` */
  readonly resource: string
  /** `rules[0].matches[1]`; of a spec, as everywhere */
  readonly field: string
}

type Parts = Readonly<Record<string, readonly [resource: string, field: string]>>

/** The annotation of a derived object. Keys are its own fields, `http[0]`. */
export const writtenAnnotation = (parts: ReadonlyMap<string, Written>): Readonly<Record<string, string>> => ({
  [ANNOTATION]: JSON.stringify(Object.fromEntries([...parts].map(([field, { resource, field: own }]) => [field, [resource, own]]))),
})

const read = new WeakMap<StoredResource, Parts>()

/** What the derived object says of itself; what somebody wrote says nothing, whatever its annotations. */
function partsOf(stored: StoredResource): Parts {
  const text = stored.uid === '' ? stored.object.metadata.annotations?.[ANNOTATION] : undefined
  if (text === undefined) return {}
  const known = read.get(stored) ?? (JSON.parse(text) as Parts)
  read.set(stored, known)
  return known
}

/** The object and field that somebody wrote, behind a field of one that may be derived. */
export function writtenAt(of: { readonly id: string; readonly stored: StoredResource }, field: string): Written {
  const found = partsOf(of.stored)[field]
  return found === undefined ? { resource: of.id, field } : { resource: found[0], field: found[1] }
}

/** All that somebody wrote behind an object; itself, unless it is derived. */
export function writtenBehind(of: { readonly id: string; readonly stored: StoredResource }): string[] {
  const found = new Set(Object.values(partsOf(of.stored)).map(([resource]) => resource))
  return found.size === 0 ? [of.id] : [...found]
}
