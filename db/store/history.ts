import { and, sql } from 'drizzle-orm'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Seal } from '../seal.ts'
import type { HistoryEntry, Page, Paged, ResourceKey } from '../store.ts'
import { isUuid } from '../tenancy.ts'
import type { Tenancy } from '../tenancy.ts'
import { paged, readCursor, rowsWanted } from './page.ts'
import { rowsOf } from './rows.ts'
import { readObject } from './stored-object.ts'

export interface HistoryRow {
  readonly revision: number
  readonly api_group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly operation: HistoryEntry['operation']
  readonly author: string
  readonly message: string
  readonly at: string
  readonly object: ResourceObject
}

/** The newest first; within a revision in order of group, kind, namespace, name. Secrets are unsealed. */
export function readHistory(tenancy: Tenancy, seal: Seal, organizationId: string, meshId: string, filter: { key?: ResourceKey; afterRevision?: number }, page: Page): Promise<Paged<HistoryEntry>> {
  return tenancy.within(organizationId, async (tx) => {
    const conditions = [sql`organization_id = ${organizationId} and mesh_id = ${meshId}`]
    if (filter.key) conditions.push(sql`api_group = ${filter.key.group} and kind = ${filter.key.kind} and namespace = ${filter.key.namespace} and name = ${filter.key.name}`)
    if (filter.afterRevision !== undefined) conditions.push(sql`revision > ${filter.afterRevision}`)
    const after = readCursor(page, 5)
    if (after && typeof after[0] === 'number') {
      const key = sql`(${String(after[1])}, ${String(after[2])}, ${String(after[3])}, ${String(after[4])})`
      conditions.push(sql`(revision < ${after[0]} or (revision = ${after[0]} and (api_group, kind, namespace, name) > ${key}))`)
    }
    const rows = await rowsOf<HistoryRow>(tx, sql`
      select revision, api_group, kind, namespace, name, operation, author, message, at, object from history where ${and(...conditions)}
      order by revision desc, api_group, kind, namespace, name limit ${rowsWanted(page)}`)
    return paged(page, rows, (row) => readEntry(seal, meshId, row), (row) => [row.revision, row.api_group, row.kind, row.namespace, row.name])
  })
}

function readEntry(seal: Seal, meshId: string, row: HistoryRow): HistoryEntry {
  const key: ResourceKey = { group: row.api_group, kind: row.kind, namespace: row.namespace, name: row.name }
  const { revision, operation, author, message } = row
  return { revision, key, operation, author, message, atMs: new Date(row.at).getTime(), object: operation === 'delete' ? null : readObject(seal, meshId, key, row.object) }
}

/** By the mesh's history. Uids that are no UUID were never given. */
export async function deletedBefore(tenancy: Tenancy, organizationId: string, meshId: string, objects: readonly { readonly key: ResourceKey; readonly uid: string }[]): Promise<Set<string>> {
  const wanted = objects.filter(({ uid }) => isUuid(uid)).map(({ key, uid }) => ({ g: key.group, k: key.kind, ns: key.namespace, n: key.name, uid }))
  if (wanted.length === 0) return new Set()
  const rows = await tenancy.within(organizationId, (tx) => rowsOf<{ uid: string }>(tx, sql`
    select h.uid from json_to_recordset(${JSON.stringify(wanted)}::json) as w (g text, k text, ns text, n text, uid uuid)
    cross join lateral (
      select h.uid from history h where h.organization_id = ${organizationId} and h.mesh_id = ${meshId}
        and h.api_group = w.g and h.kind = w.k and h.namespace = w.ns and h.name = w.n and h.operation = 'delete' and h.uid = w.uid limit 1
    ) h`), { single: true })
  return new Set(rows.map((row) => row.uid))
}
