import { randomBytes } from 'node:crypto'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { DOCUMENT_BOUNDS, isTooDeep } from '#core/resource/documents.ts'
import { nameComplaint } from '#core/resource/metadata.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { splitApiVersion } from '#core/resource/registry.ts'
import type { ResourceKey, StoredResource } from '#db/store.ts'
import { StoreConflict } from '#db/store.ts'
import { quotaOf, sizeFaults } from '../access/quota.ts'
import { applyChange } from '../apply/apply.ts'
import type { Applied } from '../apply/apply.ts'
import { applyJsonPatch } from './json-patch.ts'
import { applyMergePatch, applyStrategicMerge } from './merge-patch.ts'
import { present } from './present.ts'
import { findStored, listObjects } from './read.ts'
import { isDryRun, readBody } from './request.ts'
import type { ObjectsRequest } from './request.ts'
import { applyServerSide } from './server-side-apply.ts'
import { alreadyExists, conflicted, failure, notFound } from './status.ts'
import type { Status } from './status.ts'

export interface Written {
  readonly code: number
  readonly body: unknown
  readonly warnings: readonly Fault[]
}

const refused = (status: Status): Written => ({ code: status.code, body: status, warnings: [] })
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => value !== null && typeof value === 'object' && !Array.isArray(value)

/** POST: a new object, under its own name or one that is made up from generateName. */
export async function createObject(request: ObjectsRequest): Promise<Written> {
  const value = aligned(request, readBody(await request.body(), request.contentType))
  const named = withGeneratedName(value)
  const name = named.metadata.name
  const existing = name === '' ? undefined : await findStored({ ...request, name })
  if (existing !== undefined) return refused(alreadyExists({ kind: request.kind, name }))
  try {
    return written(request, await put(request, named, ''), 201)
  } catch (error) {
    if (error instanceof StoreConflict) return refused(alreadyExists({ kind: request.kind, name }))
    throw error
  }
}

/** PUT: replaces an object that is there; with a resourceVersion only that one. */
export async function replaceObject(request: ObjectsRequest): Promise<Written> {
  const value = aligned(request, readBody(await request.body(), request.contentType))
  const stored = await findStored(request)
  if (stored === undefined) return refused(notFound(request))
  return written(request, await put(request, value, expectation(value, stored)), 200)
}

const PATCH_ATTEMPTS = 5

/** PATCH, in four languages. Without a resourceVersion of its own it is tried again when another write came between. */
export async function patchObject(request: ObjectsRequest): Promise<Written> {
  const type = (request.contentType.split(';')[0] ?? '').trim()
  const patch = readBody(await request.body(), type)
  for (let attempt = 1; ; attempt += 1) {
    const stored = await findStored(request)
    try {
      return await patchStored(request, type, patch, stored)
    } catch (error) {
      const pinned = isObject(patch) && isObject(patch['metadata']) && patch['metadata']['resourceVersion'] !== undefined
      if (!(error instanceof StoreConflict) || pinned || attempt === PATCH_ATTEMPTS) throw error
    }
  }
}

async function patchStored(request: ObjectsRequest, type: string, patch: unknown, stored: StoredResource | undefined): Promise<Written> {
  const { doors, target, kind, version } = request
  // Patches apply to what a reader sees, so that none can test for a hidden value; hidden ones are restored on the way in.
  const base = stored === undefined ? undefined : present(doors, target.mesh, kind, stored, version)
  if (type === 'application/apply-patch+yaml') {
    // Ownership is kept by leaf: what would be too large in the end is not taken apart.
    const tooLarge = sizeFaults(quotaOf(target.organization), [{ path: '', value: patch, resource: `${kind.kind}/${request.name}` }])
    if (tooLarge.length > 0) throw new Faults(tooLarge)
    const manager = request.query('fieldManager')
    if (!manager) throw new Faults([fault('request.invalid', { path: 'fieldManager', rule: 'needed for server-side apply' })])
    const by = { manager, force: request.query('force') === 'true', time: new Date(doors.wallMs()).toISOString().replace(/\.\d{3}Z$/, 'Z') }
    const merged = applyServerSide(base, aligned(request, patch), by)
    if ('conflicts' in merged) {
      const causes = merged.conflicts.map((one) => ({ reason: 'FieldManagerConflict', message: `conflict with ${JSON.stringify(one.manager)}`, field: one.path }))
      const list = merged.conflicts.map((one) => `conflict with ${JSON.stringify(one.manager)}: ${one.path}`).join('; ')
      return refused(failure(409, 'Conflict', `Apply failed with ${causes.length} conflict${causes.length === 1 ? '' : 's'}: ${list}`, request, causes))
    }
    return written(request, await put(request, merged.object, stored === undefined ? '' : expectation(merged.object, stored)), stored === undefined ? 201 : 200)
  }
  if (stored === undefined || base === undefined) return refused(notFound(request))
  const value = aligned(request, patched(type, base, patch))
  return written(request, await put(request, value, expectation(value, stored)), 200)
}

function patched(type: string, base: ResourceObject, patch: unknown): unknown {
  switch (type) {
    case 'application/merge-patch+json':
      return applyMergePatch(base, patch)
    case 'application/json-patch+json':
      return applyJsonPatch(base, patch)
    case 'application/strategic-merge-patch+json':
      return applyStrategicMerge(base, patch)
    default:
      throw new Faults([fault('request.invalid', { path: 'content-type', value: type, rule: 'application/merge-patch+json, json-patch+json, strategic-merge-patch+json or apply-patch+yaml' })])
  }
}

export async function deleteObject(request: ObjectsRequest): Promise<Written> {
  const options = await deleteOptions(request)
  const stored = await findStored(request)
  if (stored === undefined) return refused(notFound(request))
  if (options.uid !== undefined && options.uid !== stored.uid) return refused(conflicted(request))
  if (options.resourceVersion !== undefined && options.resourceVersion !== String(stored.revision)) return refused(conflicted(request))
  const applied = await applyChange(request.doors, request.target.mesh, {
    puts: [],
    removals: [{ key: stored.key, ...(options.resourceVersion === undefined ? {} : { expectedVersion: options.resourceVersion }) }],
    ...bounds(request),
    dryRun: isDryRun(request.query) || options.dryRun,
  })
  const body: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name: request.name, ...(request.kind.group ? { group: request.kind.group } : {}), kind: request.kind.plural, uid: stored.uid }, code: 200 }
  return { code: 200, body, warnings: applied.warnings }
}

/** DELETE of a list: all that the selectors find, in one transaction. */
export async function deleteCollection(request: ObjectsRequest): Promise<Written> {
  const options = await deleteOptions(request)
  const list = await listObjects(request)
  const removals = list.items.map(({ metadata }): { key: ResourceKey } => ({ key: { group: request.kind.group, kind: request.kind.kind, namespace: metadata.namespace ?? '', name: metadata.name } }))
  const applied = await applyChange(request.doors, request.target.mesh, { puts: [], removals, ...bounds(request), dryRun: isDryRun(request.query) || options.dryRun })
  return { code: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 200 }, warnings: applied.warnings }
}

async function deleteOptions(request: ObjectsRequest): Promise<{ uid?: string; resourceVersion?: string; dryRun: boolean }> {
  const body = await request.body()
  if (body.length === 0) return { dryRun: false }
  const value = readBody(body, request.contentType)
  const preconditions = isObject(value) && isObject(value['preconditions']) ? value['preconditions'] : {}
  const dryRun = isObject(value) && Array.isArray(value['dryRun']) && value['dryRun'].includes('All')
  const { uid, resourceVersion } = preconditions
  return { dryRun, ...(typeof uid === 'string' ? { uid } : {}), ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}) }
}

/** Who writes, and within which bounds. */
const bounds = ({ target, query }: ObjectsRequest) => ({ by: { author: target.actor.name, message: query('fieldManager') ?? '' }, namespaces: target.actor.namespaces, quota: quotaOf(target.organization) })

function put(request: ObjectsRequest, value: ResourceObject, expectedVersion: string): Promise<Applied> {
  return applyChange(request.doors, request.target.mesh, {
    puts: [{ value, expectedVersion }],
    removals: [],
    ...bounds(request),
    dryRun: isDryRun(request.query),
  })
}

function written(request: ObjectsRequest, applied: Applied, code: number): Written {
  const stored = applied.results.at(-1)?.stored
  if (stored === undefined) throw new Error('a write that was not refused left an object')
  return { code, body: present(request.doors, request.target.mesh, request.kind, stored, request.version), warnings: applied.warnings }
}

/** The version that must be stored: what the writer says, or what was read. A built-in namespace is not stored before it is written. */
function expectation(value: ResourceObject, stored: StoredResource): string {
  const said = value.metadata.resourceVersion
  const read = stored.revision === 0 ? '' : String(stored.revision)
  return said === undefined || said === '' || said === '0' ? read : said
}

/** The body as an object of the path's kind, namespace and name; both may be left out of it and may not contradict the path. */
function aligned(request: ObjectsRequest, value: unknown): ResourceObject {
  if (!isObject(value)) throw new Faults([fault('object.unreadable', { path: '', rule: 'an object' })])
  // A patch can nest what none of its parts does.
  if (isTooDeep(value)) throw new Faults([fault('object.unreadable', { path: '', rule: `nested at most ${DOCUMENT_BOUNDS.depthMax} deep` })])
  const { kind } = request
  const metadata = isObject(value['metadata']) ? value['metadata'] : {}
  const faults: Fault[] = []
  const apiVersion = value['apiVersion'] ?? (kind.group === '' ? request.version : `${kind.group}/${request.version}`)
  if (typeof apiVersion === 'string' && splitApiVersion(apiVersion).group !== kind.group) faults.push(fault('request.invalid', { path: 'apiVersion', value: apiVersion, rule: `of the group ${kind.group || 'core'}, as in the path` }))
  if (value['kind'] !== undefined && value['kind'] !== kind.kind) faults.push(fault('request.invalid', { path: 'kind', value: value['kind'], rule: `${kind.kind}, as in the path` }))
  if (kind.namespaced && metadata['namespace'] && request.namespace !== undefined && metadata['namespace'] !== request.namespace) faults.push(fault('request.invalid', { path: 'metadata.namespace', value: metadata['namespace'], rule: `${request.namespace}, as in the path` }))
  if (request.name !== '' && metadata['name'] !== undefined && metadata['name'] !== request.name) faults.push(fault('request.invalid', { path: 'metadata.name', value: metadata['name'], rule: `${request.name}, as in the path` }))
  const strict = typeof metadata['name'] === 'string' && metadata['name'] !== '' ? nameComplaint(kind.kind, metadata['name']) : undefined
  if (strict !== undefined) faults.push(fault('object.name', { path: 'metadata.name', value: metadata['name'], rule: strict }))
  if (faults.length > 0) throw new Faults(faults)
  const name = request.name === '' ? (typeof metadata['name'] === 'string' ? metadata['name'] : '') : request.name
  return {
    ...value,
    apiVersion: typeof apiVersion === 'string' ? apiVersion : '',
    kind: kind.kind,
    metadata: { ...metadata, ...(kind.namespaced && request.namespace !== undefined ? { namespace: request.namespace } : {}), name },
  }
}

function withGeneratedName(value: ResourceObject): ResourceObject {
  const { generateName } = value.metadata
  if (value.metadata.name !== '' || !generateName) return value
  const letters = 'bcdfghjklmnpqrstvwxz2456789'
  const suffix = [...randomBytes(5)].map((byte) => letters[byte % letters.length]).join('')
  return { ...value, metadata: { ...value.metadata, name: `${generateName}${suffix}` } }
}
