import type { ResourceObject } from '#core/resource/object.ts'
import { Refusal } from './refusal.ts'
import { invalidObject } from './status.ts'
import type { StatusAbout } from './status.ts'

// An object with finalizers is not deleted but marked; it goes when the last of them is taken out (Kubernetes' apimachinery, ObjectMeta.finalizers).

export const isGoing = (object: ResourceObject): boolean => object.metadata.deletionTimestamp !== undefined

export function marked(object: ResourceObject, nowMs: number): ResourceObject {
  return { ...object, metadata: { ...object.metadata, deletionTimestamp: new Date(nowMs).toISOString().replace(/\.\d{3}Z$/, 'Z'), deletionGracePeriodSeconds: 0 } }
}

/** `next` with the mark of what is stored: no update sets or lifts it. @throws Refusal 422 when a finalizer comes to one that is going */
export function stillGoing(about: StatusAbout, before: ResourceObject, next: ResourceObject): ResourceObject {
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, ...metadata } = next.metadata
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers: old = [] } = before.metadata
  if (deletionTimestamp === undefined) return { ...next, metadata }
  const added = (metadata.finalizers ?? []).filter((one) => !old.includes(one))
  if (added.length > 0) throw new Refusal(invalidObject(about, [{ reason: 'FieldValueForbidden', field: 'metadata.finalizers', message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}` }]))
  return { ...next, metadata: { ...metadata, deletionTimestamp, ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }) } }
}
