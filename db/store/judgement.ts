import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { ResourceObject } from '#core/resource/object.ts'
import { StoreConflict } from '../store.ts'
import type { ApplyOutcome, ResourceKey, ResourceWrite, StoredResource } from '../store.ts'
import { keyText } from './resource-row.ts'
import { authored } from './stored-object.ts'

/** One object before the batch and after the writes so far. */
export interface Standing {
  readonly key: ResourceKey
  readonly before: StoredResource | undefined
  now: StoredResource | undefined
}

/** What a batch of writes does. */
export interface Judged {
  readonly results: ApplyOutcome['results']
  /** Those that are another thing in the end. */
  readonly changed: readonly Standing[]
}

/**
 * @param standings of every key that is written, and brought up to date
 * @param revision of what changes
 * @throws StoreConflict for the first write whose expectation does not hold
 */
export function judgeWrites(standings: ReadonlyMap<string, Standing>, writes: readonly ResourceWrite[], revision: number, nowMs: number): Judged {
  const results = writes.map((write) => {
    const standing = standings.get(keyText(write.key))
    if (!standing) throw new Error('every written key was read')
    const before = standing.now
    return { key: write.key, verdict: judge(standing, write, revision, nowMs), before, stored: standing.now }
  })
  return { results, changed: [...standings.values()].filter(({ before, now }) => before !== now) }
}

/** What stands where the writers themselves say what they have read: each object once, and at the version that is expected. Undefined where one does not say. */
export function standingsSaid(writes: readonly ResourceWrite[]): Map<string, Standing> | undefined {
  const said = new Map<string, Standing>()
  for (const { key, object, before, expectedVersion } of writes) {
    const text = keyText(key)
    if (said.has(text)) return undefined
    if (before === undefined ? expectedVersion !== '' || object === null : expectedVersion !== String(before.revision)) return undefined
    said.set(text, { key, before, now: before })
  }
  return said
}

/** The same at the revision that it was given in the end. */
export function atRevision({ results, changed }: Judged, revision: number): Judged {
  const dated = (one: StoredResource | undefined): StoredResource | undefined => one && { ...one, revision }
  const nows = new Map(changed.map((one) => [one.now, dated(one.now)]))
  return {
    results: results.map((one) => (one.stored !== undefined && nows.has(one.stored) ? { ...one, stored: nows.get(one.stored) } : one)),
    changed: changed.map((one) => ({ ...one, now: nows.get(one.now) })),
  }
}

/** What the write does to the object; brings `standing.now` up to date. */
function judge(standing: Standing, write: ResourceWrite, revision: number, nowMs: number): ApplyOutcome['results'][number]['verdict'] {
  const { now } = standing
  const { expectedVersion } = write
  const storedVersion = now && String(now.revision)
  if (expectedVersion !== undefined && expectedVersion !== (storedVersion ?? '')) throw new StoreConflict(write.key, storedVersion)
  if (write.object === null) {
    standing.now = undefined
    return now ? 'deleted' : 'absent'
  }
  const object = withManagersOf(authored(write.object), now?.object)
  if (!now) {
    standing.now = { key: write.key, uid: randomUUID(), revision, generation: 1, createdAtMs: write.createdAtMs ?? nowMs, object }
    return 'created'
  }
  if (isDeepStrictEqual(now.object, object)) return 'unchanged'
  const generation = isDeepStrictEqual(specOf(now.object), specOf(object)) ? now.generation : now.generation + 1
  standing.now = { ...now, revision, generation, object }
  return 'configured'
}

/** Who owns which field is kept by a writer that says nothing of it, and is forgotten where one says that nobody does. */
function withManagersOf(object: ResourceObject, before: ResourceObject | undefined): ResourceObject {
  const { managedFields = before?.metadata.managedFields, ...metadata } = object.metadata
  return { ...object, metadata: managedFields === undefined || managedFields.length === 0 ? metadata : { ...metadata, managedFields } }
}

/** What a generation counts: all but the object's labels and state, and that it is to go. */
function specOf(object: ResourceObject): unknown {
  const { apiVersion: _version, kind: _kind, metadata, status: _status, ...spec } = object
  return { spec, going: metadata.deletionTimestamp !== undefined }
}
