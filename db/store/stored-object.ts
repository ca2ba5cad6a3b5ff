import type { ObjectMeta, ResourceObject } from '#core/resource/object.ts'
import type { Seal } from '../seal.ts'
import type { ResourceKey } from '../store.ts'

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

/** Of a Secret, what may lie in the clear; all its other fields are sealed together. */
const CLEAR_FIELDS = new Set(['apiVersion', 'kind', 'metadata', 'type', 'immutable'])

const isSecret = (key: ResourceKey): boolean => key.group === '' && key.kind === 'Secret'

/** What the author says and nothing that the store itself decides, so that an object read from Weft and applied again is unchanged. Plain JSON, as it will be read back. */
export function authored(object: ResourceObject): ResourceObject {
  const plain: ResourceObject = JSON.parse(JSON.stringify(object))
  const { uid: _uid, resourceVersion: _version, generation: _generation, creationTimestamp: _created, ...metadata } = plain.metadata
  return { ...plain, metadata }
}

/** The text for an `object` column. */
export function writeObject(seal: Seal, meshId: string, key: ResourceKey, object: ResourceObject): string {
  if (!isSecret(key)) return JSON.stringify(object)
  const clear: Record<string, unknown> = {}
  const fields: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(object)) (CLEAR_FIELDS.has(field) ? clear : fields)[field] = value
  // kubectl apply copies the whole object, data included, into this annotation.
  const lastApplied = object.metadata.annotations?.[LAST_APPLIED]
  const sealed: Sealed = { fields, ...(lastApplied === undefined ? {} : { lastApplied }) }
  return JSON.stringify({ ...clear, metadata: withoutLastApplied(object.metadata), sealed: seal.close(JSON.stringify(sealed), placeOf(meshId, key)) })
}

export function readObject(seal: Seal, meshId: string, key: ResourceKey, stored: ResourceObject): ResourceObject {
  if (!isSecret(key)) return stored
  const { sealed, ...clear } = stored
  if (typeof sealed !== 'string') return stored
  const { fields, lastApplied }: Sealed = JSON.parse(seal.open(sealed, placeOf(meshId, key)))
  const metadata = lastApplied === undefined ? clear.metadata : { ...clear.metadata, annotations: { ...clear.metadata.annotations, [LAST_APPLIED]: lastApplied } }
  return { ...clear, ...fields, metadata }
}

interface Sealed {
  readonly fields: Readonly<Record<string, unknown>>
  readonly lastApplied?: string
}

function withoutLastApplied(metadata: ObjectMeta): ObjectMeta {
  if (metadata.annotations?.[LAST_APPLIED] === undefined) return metadata
  const { [LAST_APPLIED]: _sealed, ...annotations } = metadata.annotations
  return { ...metadata, annotations }
}

const placeOf = (meshId: string, key: ResourceKey): string => JSON.stringify([meshId, key.group, key.kind, key.namespace, key.name])
