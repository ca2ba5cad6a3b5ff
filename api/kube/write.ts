import { randomBytes } from 'node:crypto'
import { describeFault, fault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { DOCUMENT_BOUNDS, isTooDeep } from '#core/resource/documents.ts'
import { nameComplaint } from '#core/resource/metadata.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { splitApiVersion } from '#core/resource/registry.ts'
import type { ResourceKey, StoredResource } from '#db/store.ts'
import { StoreConflict } from '#db/store.ts'
import { quotaOf, sizeFaults } from '../access/quota.ts'
import { applyChange, withEncodedStrings } from '../apply/apply.ts'
import type { Applied, Change } from '../apply/apply.ts'
import { recordUpdate } from './field-managers.ts'
import type { FieldConflict } from './field-managers.ts'
import { pathsOf } from './field-set.ts'
import { isGoing, stillGoing } from './finalizers.ts'
import { applyJsonPatch } from './json-patch.ts'
import { patchType, readableType } from './media-type.ts'
import { applyMergePatch, applyStrategicMerge } from './merge-patch.ts'
import { deleteOptions, listOptions, readVersion, writeOptions } from './options.ts'
import type { DeleteOptions, WriteOptions } from './options.ts'
import { Deletion, lostOwners, newOwners } from './ownership.ts'
import { present } from './present.ts'
import { findStored, listObjects } from './read.ts'
import { Refusal } from './refusal.ts'
import { readBody } from './request.ts'
import type { ObjectsRequest } from './request.ts'
import { applyServerSide } from './server-side-apply.ts'
import { shownList, shownObject } from './shown.ts'
import { alreadyExists, badRequest, conflicted, failure, invalidObject, notFound, preconditionFailed } from './status.ts'

export interface Written {
  readonly code: number
  readonly body?: unknown
  /** In the place of `body`: JSON. */
  readonly text?: string
  readonly warnings: readonly Fault[]
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => value !== null && typeof value === 'object' && !Array.isArray(value)

/** POST: a new object, under its own name or one that is made up from generateName. */
export async function createObject(request: ObjectsRequest): Promise<Written> {
  const options = writeOptions('CreateOptions', request.query, request.userAgent)
  const value = aligned(request, readBody(await request.body(), readableType(request.contentType)))
  if (value.metadata.resourceVersion) throw new Refusal(badRequest('resourceVersion should not be set on objects to be created'))
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, selfLink: ___, ...metadata } = withGeneratedName(value).metadata
  const named = { ...value, metadata }
  // A built-in namespace is there without being stored; of all else the store itself knows whether it is new.
  if (request.kind.kind === 'Namespace' && request.kind.group === '' && (await findStored({ ...request, name: metadata.name })) !== undefined) throw new Refusal(alreadyExists({ kind: request.kind, name: metadata.name }))
  try {
    return written(request, await put(request, recordUpdate(request.kind, undefined, withEncodedStrings(named), writer(request, options)), '', options), 201, options)
  } catch (error) {
    if (error instanceof StoreConflict) throw new Refusal(alreadyExists({ kind: request.kind, name: metadata.name }))
    throw error
  }
}

/** PUT: replaces an object that is there. Kinds that Kubernetes defines itself may be replaced without saying which version was read. */
export async function replaceObject(request: ObjectsRequest): Promise<Written> {
  const options = writeOptions('UpdateOptions', request.query, request.userAgent)
  const value = aligned(request, readBody(await request.body(), readableType(request.contentType)))
  const stored = await findStored(request)
  if (stored === undefined) throw new Refusal(notFound(request))
  const said = readVersion(value.metadata.resourceVersion)
  if (!said && request.kind.group !== '') throw new Refusal(invalidObject(request, [{ reason: 'FieldValueInvalid', field: 'metadata.resourceVersion', message: 'Invalid value: 0: must be specified for an update' }]))
  return update(request, stored, value, options)
}

const PATCH_ATTEMPTS = 5

/** PATCH, in four languages. Without a resourceVersion of its own it is tried again when another write came between. */
export async function patchObject(request: ObjectsRequest): Promise<Written> {
  const type = patchType(request.contentType, request.kind.group === '')
  const options = writeOptions('PatchOptions', request.query, request.userAgent, type === 'application/apply-patch+yaml')
  const patch = readBody(await request.body(), type)
  for (let attempt = 1; ; attempt += 1) {
    const stored = await findStored(request)
    try {
      return await patchStored(request, type, patch, stored, options)
    } catch (error) {
      const pinned = isObject(patch) && isObject(patch['metadata']) && patch['metadata']['resourceVersion'] !== undefined
      if (!(error instanceof StoreConflict) || pinned || attempt === PATCH_ATTEMPTS) throw error
    }
  }
}

async function patchStored(request: ObjectsRequest, type: string, patch: unknown, stored: StoredResource | undefined, options: WriteOptions): Promise<Written> {
  const base = stored === undefined ? undefined : seen(request, stored)
  if (type === 'application/apply-patch+yaml') return applyPatch(request, patch, stored, base, options)
  if (stored === undefined || base === undefined) throw new Refusal(notFound(request))
  return update(request, stored, aligned(request, patched(type, base, patch), true), options)
}

async function applyPatch(request: ObjectsRequest, patch: unknown, stored: StoredResource | undefined, base: ResourceObject | undefined, options: WriteOptions): Promise<Written> {
  const { kind, target } = request
  // Ownership is kept by leaf: what would be too large in the end is not taken apart.
  const tooLarge = sizeFaults(quotaOf(target.organization), [{ path: '', value: patch, resource: `${kind.kind}/${request.name}` }])
  if (tooLarge.length > 0) throw new Faults(tooLarge)
  const applied = aligned(request, patch)
  if (applied.metadata.managedFields !== undefined) throw new Refusal(badRequest('metadata.managedFields must be nil'))
  const said = readVersion(applied.metadata.resourceVersion)
  if (said !== undefined && said !== (stored?.revision ?? 0)) throw new Refusal(conflicted(request))
  const { resourceVersion: _, ...metadata } = applied.metadata
  const merged = applyServerSide(kind, base, withEncodedStrings({ ...applied, metadata }), { ...writer(request, options), force: options.force })
  if ('conflicts' in merged) throw new Refusal(fieldConflicts(merged.conflicts))
  if (stored === undefined || base === undefined) return written(request, await put(request, merged.object, '', options), 201, options)
  return update(request, stored, merged.object, options, 'recorded')
}

function fieldConflicts(conflicts: readonly FieldConflict[]) {
  const causes = conflicts.flatMap(({ manager, fields }) => {
    const name = `${JSON.stringify(manager.manager)}${manager.operation === 'Update' ? ` using ${manager.apiVersion}${manager.time === undefined ? '' : ` at ${manager.time}`}` : ''}`
    return pathsOf(fields).map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${name}`, field }))
  })
  const list = causes.map((one) => `${one.message}: ${one.field}`).join('; ')
  return failure(409, 'Conflict', `Apply failed with ${causes.length} conflict${causes.length === 1 ? '' : 's'}: ${list}`, {}, causes)
}

/** What a reader sees of the stored object, without status: patches apply to that, so that none can test for a hidden value; hidden ones are restored on the way in. */
function seen({ doors, target, kind, version }: ObjectsRequest, stored: StoredResource): ResourceObject {
  return withoutStatus(present(doors, target.mesh, kind, stored, version))
}

function withoutStatus(object: ResourceObject): ResourceObject {
  const { status: _, ...rest } = object
  return rest
}

function patched(type: string, base: ResourceObject, patch: unknown): unknown {
  if (type === 'application/json-patch+json') return jsonPatched(base, patch)
  if (!isObject(patch)) throw new Refusal(badRequest('a patch of this type is an object'))
  return type === 'application/merge-patch+json' ? applyMergePatch(base, patch) : applyStrategicMerge(base, patch)
}

function jsonPatched(base: ResourceObject, patch: unknown): unknown {
  try {
    return applyJsonPatch(base, patch)
  } catch (error) {
    const [first] = error instanceof Faults ? error.faults : []
    if (first?.code !== 'object.field-conflict') throw error
    // Kubernetes tells this apart from a patch that cannot be read, and says no more of the object.
    throw new Refusal(failure(422, 'Invalid', `the server rejected our request due to an error in our request: ${describeFault(first)}`))
  }
}

/** A stored object becomes `next`; with it goes what waited for its last finalizer. `recorded`: who owns what stands in `next` already. */
async function update(request: ObjectsRequest, stored: StoredResource, next: ResourceObject, options: WriteOptions, recorded?: 'recorded'): Promise<Written> {
  const { uid } = next.metadata
  if (uid && uid !== stored.uid) throw new Refusal(conflicted(request))
  const base = seen(request, stored)
  const value = stillGoing(request, base, withEncodedStrings(next))
  const result = recorded ? value : recordUpdate(request.kind, base, value, writer(request, options))
  const expected = expectation(result, stored)
  const deletion = deletionOf(request)
  if (isGoing(result) && (result.metadata.finalizers ?? []).length === 0) {
    await deletion.gone(stored)
    const applied = await apply(request, deletion.writes, options, { key: stored.key, expected })
    return answered(request, { ...stored, object: result }, applied)
  }
  const lost = lostOwners(stored.object, result)
  if (lost.length === 0) return written(request, await put(request, result, expected, options, stored), 200, { ...options, before: stored })
  // An owner that waited for this one alone goes with it.
  await deletion.released(stored, lost, result)
  const fate = deletion.fateOf(stored)
  if (fate === null) return answered(request, { ...stored, object: result }, await apply(request, deletion.writes, options))
  const { puts, removals } = deletion.writesBeside(stored)
  const applied = await apply(request, { puts: [...puts, { value: fate ?? result, expectedVersion: expected, ...readBefore(stored) }], removals }, options)
  return written(request, { ...applied, results: applied.results.slice(0, puts.length + 1) }, 200, { ...options, before: stored })
}

/** DELETE: at once, or, while there are finalizers, by a mark; with all that follows for what it owns. */
export async function deleteObject(request: ObjectsRequest): Promise<Written> {
  const options = await readDeleteOptions(request)
  return again(async () => {
    const stored = await findStored(request)
    if (stored === undefined) throw new Refusal(notFound(request))
    if (options.uid !== undefined && options.uid !== stored.uid) throw new Refusal(preconditionFailed(request, `UID in precondition: ${options.uid}, UID in object meta: ${stored.uid}`))
    if (options.resourceVersion !== undefined && options.resourceVersion !== String(stored.revision)) throw new Refusal(preconditionFailed(request, `ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${stored.revision}`))
    if (isGoing(stored.object)) return { code: 200, body: shownObject(request, present(request.doors, request.target.mesh, request.kind, stored, request.version)), warnings: [] }
    const deletion = deletionOf(request)
    const going = await deletion.delete(stored, options.propagation)
    const applied = await apply(request, deletion.writes, options)
    if (going === undefined) return removed(request, stored, applied)
    // The mark counts as a change of what the object is for.
    return answered(request, { ...stored, object: going, generation: stored.generation + 1, revision: options.dryRun ? stored.revision : applied.revision }, options.dryRun ? { ...applied, results: [] } : applied)
  })
}

/** Kinds whose deletion answers the object that was deleted, as their own strategies in Kubernetes have it. */
const ANSWERS_OBJECT = new Set(['Service', 'ServiceAccount'])

function removed(request: ObjectsRequest, stored: StoredResource, applied: Applied): Written {
  const { kind } = request
  if (kind.group === '' && ANSWERS_OBJECT.has(kind.kind)) return answered(request, { ...stored, revision: applied.revision }, applied)
  const details = { name: request.name, ...(kind.group ? { group: kind.group } : {}), kind: kind.plural, uid: stored.uid }
  return { code: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details }, warnings: applied.warnings }
}

/** An object that is going, or gone: as it was written last, where it still is. */
function answered(request: ObjectsRequest, shown: StoredResource, { results, warnings }: Applied): Written {
  const { generation, revision } = results.find((one) => one.stored?.uid === shown.uid)?.stored ?? shown
  const { managedFields = [], ...metadata } = shown.object.metadata
  const object = { ...shown.object, metadata: managedFields.length === 0 ? metadata : { ...metadata, managedFields } }
  return { code: 200, body: shownObject(request, present(request.doors, request.target.mesh, request.kind, { ...shown, object, generation, revision }, request.version)), warnings }
}

const deletionOf = ({ doors, target }: ObjectsRequest): Deletion => new Deletion(doors.store, target.mesh, doors.wallMs())

/** What was read for a write may have changed by then: it is read again. */
async function again(attempt: () => Promise<Written>): Promise<Written> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof StoreConflict) || attempts === PATCH_ATTEMPTS) throw error
    }
  }
}

/** DELETE of a list: all that the selectors find, in one transaction; what has finalizers is marked. Answers what was deleted. */
export async function deleteCollection(request: ObjectsRequest): Promise<Written> {
  const options = await readDeleteOptions(request)
  return again(async () => {
    const list = await listObjects(request, { ...listOptions(request.query), limit: 0, continue: undefined })
    const found = list.stored
    const deletion = deletionOf(request)
    await deletion.expect(found.map((one) => one.uid))
    for (const one of found) await deletion.delete(one, options.propagation)
    const { warnings } = await apply(request, deletion.writes, options)
    return { code: 200, text: shownList(request, list), warnings }
  })
}

async function readDeleteOptions(request: ObjectsRequest): Promise<DeleteOptions> {
  const body = await request.body()
  return deleteOptions(body.length === 0 ? undefined : readBody(body, readableType(request.contentType)), request.query)
}

/** Who writes, and within which bounds. */
const bounds = ({ target, query }: ObjectsRequest) => ({ by: { author: target.actor.name, message: query('fieldManager') ?? '' }, namespaces: target.actor.namespaces, quota: quotaOf(target.organization) })

const writer = ({ doors }: ObjectsRequest, { fieldManager }: WriteOptions) => ({ manager: fieldManager, time: new Date(doors.wallMs()).toISOString().replace(/\.\d{3}Z$/, 'Z') })

async function put(request: ObjectsRequest, value: ResourceObject, expectedVersion: string, options: { readonly dryRun: boolean }, before?: StoredResource): Promise<Applied> {
  const applied = await apply(request, { puts: [{ value, expectedVersion, ...readBefore(before) }], removals: [] }, options)
  const stored = applied.results.at(-1)?.stored
  // Looked at once it is stored: an owner that goes from now on finds it.
  if (!options.dryRun && stored !== undefined && newOwners(before?.object, stored.object).length > 0) await collect(request, (deletion) => deletion.late(stored))
  return applied
}

/** What follows from an end that others have brought about meanwhile. As by Kubernetes' collector, whoever wrote is answered what they wrote. */
async function collect(request: ObjectsRequest, look: (deletion: Deletion) => Promise<void>): Promise<void> {
  const deletion = deletionOf(request)
  await look(deletion)
  const { puts, removals } = deletion.writes
  if (puts.length + removals.length === 0) return
  await apply(request, { puts, removals }, { dryRun: false }).catch((error: unknown) => {
    // Whoever wrote it meanwhile has looked at its owners, too.
    if (!(error instanceof StoreConflict)) throw error
  })
}

/** What was read need not be read again; a built-in namespace that nobody wrote is not stored. */
const readBefore = (stored: StoredResource | undefined): { readonly before?: StoredResource } => (stored === undefined || stored.revision === 0 ? {} : { before: stored })

/** @param as the version that whoever asks expects of one of those that go, where that is not what was read */
async function apply(request: ObjectsRequest, { puts, removals }: Pick<Change, 'puts' | 'removals'>, { dryRun }: { readonly dryRun: boolean }, as?: { readonly key: ResourceKey; readonly expected: string }): Promise<Applied> {
  const told = as === undefined ? removals : removals.map((one) => (one.key === as.key ? { ...one, expectedVersion: as.expected } : one))
  const applied = await applyChange(request.doors, request.target.mesh, { puts, removals: told, ...bounds(request), dryRun })
  const gone = dryRun ? [] : applied.results.flatMap(({ verdict, before }) => (verdict === 'deleted' && before !== undefined ? [before.uid] : []))
  // What came to be owned by them after their dependents were read.
  if (gone.length > 0) await collect(request, (deletion) => deletion.left(gone))
  return applied
}

/** @param before what was stored, for a dry run: no version is given away that the object will not have */
function written(request: ObjectsRequest, applied: Applied, code: number, { dryRun, before }: { readonly dryRun: boolean; readonly before?: StoredResource }): Written {
  const stored = applied.results.at(-1)?.stored
  if (stored === undefined) throw new Error('a write that was not refused left an object')
  const object = present(request.doors, request.target.mesh, request.kind, stored, request.version)
  return { code, body: shownObject(request, dryRun ? atVersion(object, before?.revision) : object), warnings: applied.warnings }
}

function atVersion(object: ResourceObject, revision: number | undefined): ResourceObject {
  const { resourceVersion: _, ...metadata } = object.metadata
  return { ...object, metadata: { ...metadata, ...(revision === undefined ? {} : { resourceVersion: String(revision) }) } }
}

/** The version that must be stored: what the writer says, or what was read. A built-in namespace is not stored before it is written. */
function expectation(value: ResourceObject, stored: StoredResource): string {
  const said = value.metadata.resourceVersion
  const read = stored.revision === 0 ? '' : String(stored.revision)
  return said === undefined || said === '' || said === '0' ? read : said
}

/** The body as an object of the path's kind, namespace and name, which may not contradict the path; kinds that Kubernetes defines itself need not be named. */
function aligned(request: ObjectsRequest, value: unknown, patched = false): ResourceObject {
  if (!isObject(value)) throw new Faults([fault('object.unreadable', { path: '', rule: 'an object' })])
  // A patch can nest what none of its parts does.
  if (isTooDeep(value)) throw new Faults([fault('object.unreadable', { path: '', rule: `nested at most ${DOCUMENT_BOUNDS.depthMax} deep` })])
  const { kind } = request
  const metadata = isObject(value['metadata']) ? value['metadata'] : {}
  const served = kind.group === '' ? request.version : `${kind.group}/${request.version}`
  const { apiVersion = kind.group === '' ? served : undefined, kind: given = kind.group === '' ? kind.kind : undefined } = value
  if (typeof given !== 'string' || given === '') throw new Refusal(badRequest("Object 'Kind' is missing"))
  if (typeof apiVersion !== 'string' || apiVersion === '') throw new Refusal(badRequest("Object 'apiVersion' is missing"))
  if (given !== kind.kind && splitApiVersion(apiVersion).group === kind.group && kind.group !== '') throw new Refusal(wrongKind(kind, given, metadata['name']))
  if (apiVersion !== served || given !== kind.kind) {
    if (patched) throw new Refusal(wrongKind(kind, given, metadata['name']))
    throw new Refusal(badRequest(`the API version in the data (${apiVersion}, ${given}) does not match the expected API version (${served}, ${kind.kind})`))
  }
  const faults: Fault[] = []
  if (kind.namespaced && metadata['namespace'] && request.namespace !== undefined && metadata['namespace'] !== request.namespace) faults.push(fault('request.invalid', { path: 'metadata.namespace', value: metadata['namespace'], rule: `${request.namespace}, as in the path` }))
  if (request.name !== '' && metadata['name'] !== undefined && metadata['name'] !== request.name) faults.push(fault('request.invalid', { path: 'metadata.name', value: metadata['name'], rule: `${request.name}, as in the path` }))
  const strict = typeof metadata['name'] === 'string' && metadata['name'] !== '' ? nameComplaint(kind.kind, metadata['name']) : undefined
  if (strict !== undefined) faults.push(fault('object.name', { path: 'metadata.name', value: metadata['name'], rule: strict, resource: `${kind.kind}/${String(metadata['name'])}` }))
  if (faults.length > 0) throw new Faults(faults)
  // A new object that is refused is named by what it says.
  request.named(typeof metadata['name'] === 'string' ? metadata['name'] : '')
  const name = request.name === '' ? (typeof metadata['name'] === 'string' ? metadata['name'] : '') : request.name
  return {
    ...value,
    apiVersion,
    kind: kind.kind,
    metadata: { ...metadata, ...(kind.namespaced && request.namespace !== undefined ? { namespace: request.namespace } : {}), name },
  }
}

const wrongKind = (kind: ObjectsRequest['kind'], given: string, name: unknown) =>
  invalidObject({ kind: { ...kind, kind: given }, ...(typeof name === 'string' ? { name } : {}) }, [{ reason: 'FieldValueInvalid', field: 'kind', message: `Invalid value: ${JSON.stringify(given)}: must be ${kind.kind}` }])

/** As much of generateName as leaves room for the suffix within the 63 characters of a label. */
const GENERATED_PREFIX_MAX = 58

function withGeneratedName(value: ResourceObject): ResourceObject {
  const { generateName } = value.metadata
  if (value.metadata.name !== '' || !generateName) return value
  const letters = 'bcdfghjklmnpqrstvwxz2456789'
  const suffix = [...randomBytes(5)].map((byte) => letters[byte % letters.length]).join('')
  return { ...value, metadata: { ...value.metadata, name: `${generateName.slice(0, GENERATED_PREFIX_MAX)}${suffix}` } }
}
