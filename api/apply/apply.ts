import type { Fault } from '#core/fault/fault.ts'
import { fault, Faults, warning } from '#core/fault/fault.ts'
import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { objectName } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { hiddenLeft, restoreHidden } from '#core/resource/redact.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import { inertFields } from '#core/resource/support.ts'
import type { ApplyOutcome, Authorship, Mesh, Quota, ResourceKey, ResourceWrite, StoredResource } from '#db/store.ts'
import { namespaceFault } from '../access/check.ts'
import { quotaFaultOf, sizeFaults } from '../access/quota.ts'
import { certificateFaults } from '../kube/secret-check.ts'
import type { ApiDoors } from '../rest/doors.ts'
import { BUILT_IN_NAMESPACES, missingNamespaces } from './namespaces.ts'
import { withoutVerdicts } from './secret-guess.ts'

/** An object that someone wants stored, unjudged. */
export interface Proposal {
  readonly value: unknown
  /** Where it was read, so that faults name the line. */
  readonly source?: { readonly file: string; lineOf(path: string): number }
  /** See ResourceWrite. */
  readonly expectedVersion?: string
  /** See ResourceWrite. */
  readonly before?: StoredResource
}

export interface Removal {
  readonly key: ResourceKey
  readonly expectedVersion?: string
  /** See ResourceWrite. */
  readonly before?: StoredResource
}

export interface Change {
  readonly puts: readonly Proposal[]
  readonly removals: readonly Removal[]
  readonly by: Authorship
  readonly dryRun: boolean
  /** The only namespaces that may be touched; null or absent for all. */
  readonly namespaces?: readonly string[] | null
  readonly quota?: Required<Quota>
  /** The namespace of objects that name none; without it they are refused. */
  readonly defaultNamespace?: string
}

export interface Applied extends ApplyOutcome {
  readonly warnings: readonly Fault[]
}

type ApplyDoors = Pick<ApiDoors, 'store' | 'admit' | 'wrote' | 'hasNamespace'>

export interface Admitted {
  readonly object: ResourceObject
  readonly kind: ResourceKind
  readonly key: ResourceKey
  readonly proposal: Proposal
}

/**
 * The one way into the store, for REST and for Kubernetes' verbs: every object is judged by its kind, then all of them by the mesh as it would be; then they are stored in one transaction, or none is.
 * @throws Faults with everything that is wrong; StoreConflict when an object is not as expected
 */
export async function applyChange(doors: ApplyDoors, mesh: Mesh, change: Change): Promise<Applied> {
  const { admitted, errors, warnings } = await judgeAll(doors, mesh, change)
  const forbidden = scopeFaults(change, admitted)
  // Whoever may not touch a namespace is not told either whether it is there.
  if (forbidden.length > 0) throw new Faults(forbidden)
  errors.push(...(await namespaceFaults(doors, mesh, admitted)), ...quotaFaults(change, admitted))
  if (errors.length > 0) throw new Faults([...errors, ...warnings])
  const writes: ResourceWrite[] = [
    ...admitted.map(({ key, object, proposal }): ResourceWrite => ({ key, object, before: proposal.before, ...(proposal.expectedVersion === undefined ? {} : { expectedVersion: proposal.expectedVersion }) })),
    ...(await removalWrites(doors, mesh, change.removals)),
  ]
  const found = (await doors.admit(mesh, writes)).map((one) => located(one, admitted))
  const refusals = found.filter((one) => one.severity === 'error')
  if (refusals.length > 0) throw new Faults([...refusals, ...warnings, ...found.filter((one) => one.severity === 'warning')])
  const outcome = await doors.store.applyResources(mesh.organizationId, mesh.id, writes, change.by, { dryRun: change.dryRun, ...(change.quota === undefined ? {} : { resourcesMax: change.quota.resourcesPerMesh }) }).catch((error: unknown) => {
    throw quotaFaultOf(error)
  })
  if (!change.dryRun) doors.wrote?.(outcome.results)
  return { ...(change.dryRun ? withoutVerdicts(outcome, admitted) : outcome), warnings: [...warnings, ...found] }
}

async function judgeAll(doors: ApplyDoors, mesh: Mesh, change: Change): Promise<{ admitted: Admitted[]; errors: Fault[]; warnings: Fault[] }> {
  const admitted: Admitted[] = []
  const errors: Fault[] = []
  const warnings: Fault[] = []
  const seen = new Set<string>()
  for (const proposal of change.puts) {
    const parsed = parseObject(proposal.value, change.defaultNamespace === undefined ? {} : { defaultNamespace: change.defaultNamespace })
    const faults = [...parsed.faults]
    if (parsed.object !== undefined) {
      const key = keyOf(parsed.kind, parsed.object)
      const object = await completed(doors, mesh, key, parsed.kind, parsed.object)
      faults.push(...secretFaults(object), ...inertFields(parsed.kind, object))
      // Only a single creation makes up a name; here it would be another one at each repetition.
      if (key.name === '') faults.push(fault('object.name', { path: 'metadata.name', rule: 'needed: the name of the object', hint: 'generateName is for kubectl create' }))
      const place = JSON.stringify(key)
      if (seen.has(place)) faults.push(warning('object.conflict', { path: '', rule: 'written twice at once; the later one counts', resource: objectName(object) }))
      seen.add(place)
      admitted.push({ object, kind: parsed.kind, key, proposal })
    }
    for (const one of faults) (one.severity === 'error' ? errors : warnings).push(withSource(one, proposal))
  }
  return { admitted, errors, warnings }
}

export function keyOf(kind: ResourceKind, object: ResourceObject): ResourceKey {
  return { group: kind.group, kind: kind.kind, namespace: kind.namespaced ? (object.metadata.namespace ?? '') : '', name: object.metadata.name }
}

/** The object in the form that is stored: at the stored version, without status, a Secret's values in `data` and those that came back hidden restored. */
async function completed(doors: ApplyDoors, mesh: Mesh, key: ResourceKey, kind: ResourceKind, given: ResourceObject): Promise<ResourceObject> {
  const { status: _, ...fields } = given
  const object: ResourceObject = { ...fields, apiVersion: apiVersionOf(kind), kind: given.kind, metadata: given.metadata }
  if (kind.secretFields.length === 0) return object
  const merged = withEncodedStrings(object)
  if (hiddenLeft(merged).length === 0) return merged
  const stored = await doors.store.getResource(mesh.organizationId, mesh.id, key)
  return restoreHidden(merged, stored?.object)
}

/** A Secret's stringData, which is for writing alone, laid over its data in base64. */
export function withEncodedStrings(object: ResourceObject): ResourceObject {
  const { stringData, ...rest } = object
  if (object.kind !== 'Secret' || stringData === null || typeof stringData !== 'object') return object
  const encoded = Object.fromEntries(Object.entries(stringData).map(([name, value]) => [name, typeof value === 'string' ? Buffer.from(value).toString('base64') : value]))
  return { ...rest, data: { ...((rest['data'] ?? {}) as object), ...encoded } } as ResourceObject
}

function secretFaults(object: ResourceObject): Fault[] {
  const hidden = hiddenLeft(object).map((path) => fault('object.field-range', { path, rule: 'a value', hint: 'this is the placeholder for a value that is not shown, and none is stored' }))
  const faults = hidden.length > 0 ? hidden : certificateFaults(object)
  return faults.map((one) => ({ ...one, resource: objectName(object) }))
}

function withSource(one: Fault, proposal: Proposal): Fault {
  return proposal.source === undefined ? one : { ...one, source: { file: proposal.source.file, line: proposal.source.lineOf(one.path) } }
}

function located(one: Fault, admitted: readonly Admitted[]): Fault {
  const about = one.resource === undefined || one.source !== undefined ? undefined : admitted.find(({ object }) => objectName(object) === one.resource)
  return about === undefined ? one : withSource(one, about.proposal)
}

function scopeFaults(change: Change, admitted: readonly Admitted[]): Fault[] {
  const actor = { namespaces: change.namespaces ?? null }
  const put = admitted.flatMap(({ key, object, proposal }) => {
    const found = namespaceFault(actor, key.namespace)
    return found === undefined ? [] : [withSource({ ...found, resource: objectName(object) }, proposal)]
  })
  return [...put, ...change.removals.flatMap(({ key }) => namespaceFault(actor, key.namespace) ?? [])]
}

function quotaFaults({ quota }: Change, admitted: readonly Admitted[]): Fault[] {
  return quota === undefined ? [] : sizeFaults(quota, admitted.map(({ object }) => ({ path: '', value: object, resource: objectName(object) })))
}

async function namespaceFaults(doors: ApplyDoors, mesh: Mesh, admitted: readonly Admitted[]): Promise<Fault[]> {
  const brought = new Set(admitted.filter(({ key }) => key.kind === 'Namespace' && key.group === '').map(({ key }) => key.name))
  const wanted = new Set(admitted.map(({ key }) => key.namespace).filter((name) => name !== '' && !brought.has(name)))
  const missing = await missingNamespaces(doors.store, mesh, wanted, (name) => doors.hasNamespace?.(mesh, name) === true)
  return admitted
    .filter(({ key }) => missing.has(key.namespace))
    .map(({ key, object, proposal }) =>
      withSource(
        fault('object.namespace-missing', { path: 'metadata.namespace', value: key.namespace, rule: `namespaces ${JSON.stringify(key.namespace)} not found`, hint: 'create the Namespace first, or with it', resource: objectName(object) }),
        proposal,
      ),
    )
}

/** A Namespace goes with all that is in it. */
async function removalWrites(doors: ApplyDoors, mesh: Mesh, removals: readonly Removal[]): Promise<ResourceWrite[]> {
  const writes: ResourceWrite[] = []
  for (const { key, expectedVersion, before } of removals) {
    if (key.kind === 'Namespace' && key.group === '') {
      if (BUILT_IN_NAMESPACES.includes(key.name)) throw new Faults([fault('access.forbidden', { path: 'metadata.name', value: key.name, rule: 'a namespace that every mesh has cannot be deleted' })])
      for await (const contained of everyResource(doors, mesh, { namespace: key.name })) writes.push({ key: contained.key, object: null })
    }
    writes.push({ key, object: null, before, ...(expectedVersion === undefined ? {} : { expectedVersion }) })
  }
  return writes
}

const PAGE = 500

/** All that a filter finds, page by page. */
export async function* everyResource(doors: Pick<ApiDoors, 'store'>, mesh: Mesh, filter: Parameters<ApiDoors['store']['listResources']>[2]): AsyncIterable<Awaited<ReturnType<ApiDoors['store']['listResources']>>['items'][number]> {
  let cursor: string | undefined
  do {
    const page = await doors.store.listResources(mesh.organizationId, mesh.id, filter, { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) })
    yield* page.items
    cursor = page.next
  } while (cursor !== undefined)
}
