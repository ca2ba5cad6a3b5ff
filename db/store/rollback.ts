import { sql } from 'drizzle-orm'
import type { ResourceObject } from '#core/resource/object.ts'
import type { ResourceKey } from '../store.ts'
import type { Seal } from '../seal.ts'
import type { Tenancy } from '../tenancy.ts'
import { rowsOf } from './rows.ts'
import { readObject } from './stored-object.ts'
import type { HistoryRow } from './history.ts'

/** An object as it was at a revision; null where it was not there. */
export interface ObjectThen {
  readonly key: ResourceKey
  readonly object: ResourceObject | null
}

/** What has changed since `revision`, as it was then: the objects alone that any later revision touched, so the cost is that of the way back. */
export function objectsAt(tenancy: Tenancy, seal: Seal, organizationId: string, meshId: string, revision: number, key?: ResourceKey): Promise<ObjectThen[]> {
  return tenancy.within(organizationId, async (tx) => {
    const one = key === undefined ? sql`` : sql`and api_group = ${key.group} and kind = ${key.kind} and namespace = ${key.namespace} and name = ${key.name}`
    const rows = await rowsOf<Pick<HistoryRow, 'api_group' | 'kind' | 'namespace' | 'name' | 'object'> & { operation: string | null }>(tx, sql`
      select touched.api_group, touched.kind, touched.namespace, touched.name, then_.operation, then_.object
      from (select distinct api_group, kind, namespace, name from history where organization_id = ${organizationId} and mesh_id = ${meshId} and revision > ${revision} ${one}) touched
      left join lateral (
        select operation, object from history h
        where h.organization_id = ${organizationId} and h.mesh_id = ${meshId} and h.revision <= ${revision}
          and h.api_group = touched.api_group and h.kind = touched.kind and h.namespace = touched.namespace and h.name = touched.name
        order by h.revision desc limit 1
      ) then_ on true
      order by touched.api_group, touched.kind, touched.namespace, touched.name`)
    return rows.map((row): ObjectThen => {
      const of: ResourceKey = { group: row.api_group, kind: row.kind, namespace: row.namespace, name: row.name }
      return { key: of, object: row.operation === null || row.operation === 'delete' ? null : readObject(seal, meshId, of, row.object) }
    })
  }, { snapshot: true })
}
