import { sql } from 'drizzle-orm'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { Tenancy } from '../tenancy.ts'
import { rowsOf } from './rows.ts'
import { organizationOf } from './workloads.ts'

/** What the proxies at one replica have acknowledged, for the others; it is forgotten after `ttlMs` of the database's time unless put again. May be lost without harm. */
export async function putReplicaStatus(tenancy: Tenancy, meshId: string, replica: string, statuses: readonly ProxyStatus[], ttlMs: number): Promise<void> {
  const organizationId = await organizationOf(tenancy, meshId)
  await tenancy.within(organizationId, async (tx) => {
    await tx.execute(sql`delete from replica_status where organization_id = ${organizationId} and mesh_id = ${meshId} and until < now()`)
    await tx.execute(sql`
      insert into replica_status (organization_id, mesh_id, replica, until, statuses)
      values (${organizationId}, ${meshId}, ${replica}, now() + ${ttlMs / 1000} * interval '1 second', ${JSON.stringify(statuses)}::json)
      on conflict (organization_id, mesh_id, replica) do update set until = excluded.until, statuses = excluded.statuses`)
  })
}

/** What the other replicas' proxies have acknowledged. */
export async function otherReplicaStatus(tenancy: Tenancy, meshId: string, replica: string): Promise<ProxyStatus[]> {
  const organizationId = await organizationOf(tenancy, meshId)
  return tenancy.within(organizationId, async (tx) => {
    const rows = await rowsOf<{ statuses: ProxyStatus[] }>(tx, sql`select statuses from replica_status where organization_id = ${organizationId} and mesh_id = ${meshId} and replica <> ${replica} and until >= now()`)
    return rows.flatMap((row) => row.statuses)
  })
}
