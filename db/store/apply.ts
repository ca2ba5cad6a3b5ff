import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { sql } from 'drizzle-orm'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Seal } from '../seal.ts'
import { StoreBound, StoreConflict } from '../store.ts'
import type { ApplyOutcome, Authorship, ResourceKey, ResourceWrite, StoredResource } from '../store.ts'
import type { Tenancy, Transaction } from '../tenancy.ts'
import { keyText, readResourceRow, resourceColumns } from './resource-row.ts'
import type { ResourceRow } from './resource-row.ts'
import { commitRevision, lockMesh } from './revision.ts'
import { rowsOf } from './rows.ts'
import { authored, writeObject } from './stored-object.ts'

/** One object before the batch and after the writes so far. */
interface Standing {
  readonly key: ResourceKey
  readonly before: StoredResource | undefined
  now: StoredResource | undefined
}

/**
 * All writes or none, as one revision; none is taken when nothing differs. Later writes of one batch see the earlier ones. A constant number of statements, however many writes.
 * @throws StoreConflict for the first write whose expectation does not hold; StoreBound when the mesh would grow beyond its bound
 */
export function applyResources(
  tenancy: Tenancy, seal: Seal, organizationId: string, meshId: string, writes: readonly ResourceWrite[], by: Authorship, nowMs: number, options: { dryRun?: boolean; resourcesMax?: number } = {},
): Promise<ApplyOutcome> {
  return tenancy.within(organizationId, (tx) => applyWithin(tx, seal, organizationId, meshId, writes, by, nowMs, options))
}

/** As `applyResources`, in a transaction that is under way. */
export async function applyWithin(
  tx: Transaction, seal: Seal, organizationId: string, meshId: string, writes: readonly ResourceWrite[], by: Authorship, nowMs: number, options: { dryRun?: boolean; resourcesMax?: number },
): Promise<ApplyOutcome> {
  const locked = await lockMesh(tx, organizationId, meshId)
  const next = locked.revision + 1
  const standings = await readStandings(tx, seal, organizationId, meshId, writes)
  const results = writes.map((write) => {
    const standing = standings.get(keyText(write.key))
    if (!standing) throw new Error('every written key was read')
    const before = standing.now
    return { key: write.key, verdict: judge(standing, write, next, nowMs), before, stored: standing.now }
  })
  const changed = [...standings.values()].filter(({ before, now }) => before !== now)
  if (changed.length === 0) return { revision: locked.revision, results }
  const count = changed.reduce((sum, { before, now }) => sum + (now ? 1 : 0) - (before ? 1 : 0), locked.resourceCount)
  if (options.resourcesMax !== undefined && count > options.resourcesMax && count > locked.resourceCount) throw new StoreBound('resources', options.resourcesMax, count)
  if (!options.dryRun) {
    await writeStandings(tx, seal, organizationId, meshId, next, changed, by, nowMs)
    await commitRevision(tx, locked, changed.map(({ key, before, now }) => ({ of: 'resource', key, deletedRevision: now ? undefined : before?.revision })), count)
  }
  return { revision: next, results }
}

async function readStandings(tx: Transaction, seal: Seal, organizationId: string, meshId: string, writes: readonly ResourceWrite[]): Promise<Map<string, Standing>> {
  const keys = new Map(writes.map(({ key }) => [keyText(key), key]))
  const wanted = JSON.stringify([...keys.values()].map((key) => ({ g: key.group, k: key.kind, ns: key.namespace, n: key.name })))
  // The limit makes it one look into the index for each key: as a plain join, a planner without statistics reads the whole mesh.
  const rows = await rowsOf<ResourceRow>(tx, sql`
    select ${resourceColumns('r')} from json_to_recordset(${wanted}::json) as w (g text, k text, ns text, n text)
    cross join lateral (
      select * from resource r where r.organization_id = ${organizationId} and r.mesh_id = ${meshId} and r.api_group = w.g and r.kind = w.k and r.namespace = w.ns and r.name = w.n limit 1
    ) r`)
  const before = new Map(rows.map((row) => readResourceRow(seal, meshId, row)).map((stored) => [keyText(stored.key), stored]))
  // Keys in one order for everyone, so that the log of one batch reads the same from every database.
  return new Map([...keys].map(([text, key]) => [text, { key, before: before.get(text), now: before.get(text) }]))
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

async function writeStandings(
  tx: Transaction, seal: Seal, organizationId: string, meshId: string, revision: number, changed: readonly Standing[], by: Authorship, nowMs: number,
): Promise<void> {
  const rows = JSON.stringify(changed.map((standing) => rowOf(seal, meshId, standing)))
  // Objects travel as text within the JSON: as JSON in JSON, an escaped NUL in one of them would be refused.
  const recordset = sql`json_to_recordset(${rows}::json) as w (
    api_group text, kind text, namespace text, name text, operation text, uid uuid, generation int, created_at timestamptz, labels jsonb, owners json, object text)`
  await tx.execute(sql`
    insert into history (organization_id, mesh_id, api_group, kind, namespace, name, revision, operation, author, message, at, uid, generation, created_at, object)
    select ${organizationId}::uuid, ${meshId}::uuid, w.api_group, w.kind, w.namespace, w.name, ${revision}::bigint, w.operation, ${by.author}, ${by.message}, ${new Date(nowMs).toISOString()}::timestamptz,
      w.uid, w.generation, w.created_at, w.object::json
    from ${recordset}`)
  if (changed.some(({ now }) => now))
    await tx.execute(sql`
      insert into resource (organization_id, mesh_id, api_group, kind, namespace, name, uid, revision, generation, created_at, labels, owners, object)
      select ${organizationId}::uuid, ${meshId}::uuid, w.api_group, w.kind, w.namespace, w.name, w.uid, ${revision}::bigint, w.generation, w.created_at, w.labels, array(select json_array_elements_text(w.owners)), w.object::json
      from ${recordset} where w.operation <> 'delete'
      on conflict (organization_id, mesh_id, api_group, kind, namespace, name) do update
      set uid = excluded.uid, revision = excluded.revision, generation = excluded.generation, created_at = excluded.created_at, labels = excluded.labels, owners = excluded.owners, object = excluded.object`)
  if (changed.some(({ now }) => !now))
    await tx.execute(sql`
      delete from resource where ctid = any (array(
        select r.ctid from ${recordset}
        cross join lateral (
          select ctid from resource r where r.organization_id = ${organizationId} and r.mesh_id = ${meshId}
            and r.api_group = w.api_group and r.kind = w.kind and r.namespace = w.namespace and r.name = w.name limit 1
        ) r
        where w.operation = 'delete'))`)
}

/** Of references that were judged when they came in. */
const ownersOf = (object: ResourceObject | undefined): string[] => (object?.metadata.ownerReferences ?? []).flatMap((one) => (one !== null && typeof one === 'object' && 'uid' in one && typeof one.uid === 'string' ? [one.uid] : []))

function rowOf(seal: Seal, meshId: string, { key, before, now }: Standing): Record<string, unknown> {
  const known = now ?? before
  if (!known) throw new Error('what changed was there before or is there now')
  return {
    api_group: key.group,
    kind: key.kind,
    namespace: key.namespace,
    name: key.name,
    operation: !now ? 'delete' : before ? 'update' : 'create',
    uid: known.uid,
    generation: known.generation,
    created_at: new Date(known.createdAtMs).toISOString(),
    labels: now?.object.metadata.labels ?? {},
    owners: ownersOf(now?.object),
    object: writeObject(seal, meshId, key, known.object),
  }
}
