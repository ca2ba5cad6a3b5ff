import { sql } from 'drizzle-orm'
import type { Workload } from '#core/workload/workload.ts'
import type { MeshSettings } from '../store.ts'
import type { Tenancy, Transaction } from '../tenancy.ts'
import { rowsOf } from './rows.ts'

export const CHANGE_CHANNEL = 'weft_change'

/** Changes that the log keeps of a mesh, at least. */
const LOG_LENGTH = 10_000
/** The log is cut once in so many changes. */
const CUT_EVERY = 500

/** A mesh whose row this transaction has locked: nobody else writes to it until the end. */
export interface LockedMesh {
  readonly organizationId: string
  readonly meshId: string
  readonly revision: number
  readonly changeCount: number
  readonly resourceCount: number
}

/** Changes of resources are logged by weft_write (migrations/0008_writes.sql). */
export type LoggedChange =
  | { readonly of: 'workload'; readonly namespace: string; readonly name: string; readonly workload: Workload | undefined }
  | { readonly of: 'settings'; readonly settings: MeshSettings }

/** @throws Error when the organization has no such mesh: callers come with one that the store answered */
export async function lockMesh(tx: Transaction, organizationId: string, meshId: string): Promise<LockedMesh> {
  const [row] = await rowsOf<{ revision: number; change_count: number; resource_count: number }>(tx, sql`select revision, change_count, resource_count from mesh where organization_id = ${organizationId} and id = ${meshId} for update`)
  if (!row) throw new Error(`the organization has no mesh ${meshId}`)
  return { organizationId, meshId, revision: row.revision, changeCount: row.change_count, resourceCount: row.resource_count }
}

/** Makes `revision + 1` the mesh's: logs the changes in their order, and notifies when the transaction commits. One statement. */
export async function commitRevision(tx: Transaction, locked: LockedMesh, changes: readonly LoggedChange[]): Promise<number> {
  const { organizationId, meshId } = locked
  const revision = locked.revision + 1
  const changeCount = locked.changeCount + changes.length
  const rows = JSON.stringify(changes.map((change, ordinal) => ({ ordinal, ...changeRow(change) })))
  await tx.execute(sql`
    with logged as (
      insert into change (organization_id, mesh_id, revision, ordinal, "of", namespace, name, detail)
      select ${organizationId}::uuid, ${meshId}::uuid, ${revision}::bigint, c.ordinal, c."of", c.namespace, c.name, c.detail::json
      from json_to_recordset(${rows}::json) as c (ordinal int, "of" text, namespace text, name text, detail text)
    ), moved as (
      update mesh set revision = ${revision}, change_count = ${changeCount}, changed_at = now() where organization_id = ${organizationId} and id = ${meshId}
    )
    select pg_notify(${CHANGE_CHANNEL}, ${`${meshId} ${revision}`})`)
  if (isTimeToCut(locked.changeCount, changeCount)) await cutLogWithin(tx, organizationId, meshId)
  return revision
}

/** @param before changes that were ever logged, before a write and with it */
export const isTimeToCut = (before: number, now: number): boolean => Math.trunc(now / CUT_EVERY) > Math.trunc(before / CUT_EVERY)

/** In a transaction of its own. */
export function cutLog(tenancy: Tenancy, organizationId: string, meshId: string): Promise<void> {
  return tenancy.within(organizationId, async (tx) => {
    await lockMesh(tx, organizationId, meshId)
    await cutLogWithin(tx, organizationId, meshId)
  })
}

/** Forgets whole revisions, the oldest first, as long as the log keeps its length without them; remembers the newest that it forgot. The mesh is locked. */
export async function cutLogWithin(tx: Transaction, organizationId: string, meshId: string): Promise<void> {
  await tx.execute(sql`
    with kept as (
      select revision from change where organization_id = ${organizationId} and mesh_id = ${meshId} order by revision desc, ordinal desc limit 1 offset ${LOG_LENGTH - 1}
    ), cut as (
      delete from change where organization_id = ${organizationId} and mesh_id = ${meshId} and revision < (select revision from kept) returning revision
    )
    update mesh set change_floor = (select max(revision) from cut) where organization_id = ${organizationId} and id = ${meshId} and exists (select from cut)`)
}

function changeRow(change: LoggedChange): Record<string, unknown> {
  switch (change.of) {
    case 'workload':
      return { of: 'workload', namespace: change.namespace, name: change.name, detail: change.workload === undefined ? null : JSON.stringify(change.workload) }
    case 'settings':
      return { of: 'settings', namespace: '', name: '', detail: JSON.stringify(change.settings) }
  }
}
