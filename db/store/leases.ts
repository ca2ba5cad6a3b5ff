import { sql } from 'drizzle-orm'
import type { Workload } from '#core/workload/workload.ts'
import type { Tenancy } from '../tenancy.ts'
import type { WorkloadKey, WorkloadLease } from '../store.ts'
import { takenBy } from './claims.ts'
import { commitRevision, lockMesh } from './revision.ts'
import { rowsOf } from './rows.ts'
import { organizationOf } from './workloads.ts'

/** All times are the database's own: replicas' clocks may differ. */
const seconds = (ms: number) => sql`now() + ${ms / 1000} * interval '1 second'`

/**
 * Prolongs what a replica has word of, whoever holds it, in one statement. A lease is never shortened so.
 * @returns those that are there no more: somebody took them for gone, and they must be put again
 */
export async function renewLeases(tenancy: Tenancy, meshId: string, keys: readonly WorkloadKey[], leaseMs: number): Promise<WorkloadKey[]> {
  if (keys.length === 0) return []
  const organizationId = await organizationOf(tenancy, meshId)
  return tenancy.within(organizationId, async (tx) => {
    const rows = await rowsOf<{ namespace: string; name: string }>(tx, sql`
      update workload w set held = true, lease_until = greatest(w.lease_until, ${seconds(leaseMs)})
      from json_to_recordset(${JSON.stringify(keys.map(({ namespace, name }) => ({ namespace, name })))}::json) as k (namespace text, name text)
      where w.organization_id = ${organizationId} and w.mesh_id = ${meshId} and w.namespace = k.namespace and w.name = k.name
      returning w.namespace, w.name`)
    const there = new Set(rows.map((row) => `${row.namespace}/${row.name}`))
    return keys.filter((key) => !there.has(`${key.namespace}/${key.name}`))
  })
}

/** The proxy's stream to this replica broke: its workload has so long to be heard of again. Nothing happens where another replica heard of it since. */
export async function endLease(tenancy: Tenancy, meshId: string, key: WorkloadKey, holder: string, leaseMs: number): Promise<void> {
  const organizationId = await organizationOf(tenancy, meshId)
  await tenancy.within(organizationId, (tx) =>
    tx.execute(sql`
      update workload set held = false, lease_until = ${seconds(leaseMs)}
      where organization_id = ${organizationId} and mesh_id = ${meshId} and namespace = ${key.namespace} and name = ${key.name} and lease_holder = ${holder}`),
  )
}

/** Removes the workloads whose lease has run out: one revision for all. @returns those removed */
export async function expireLeases(tenancy: Tenancy, meshId: string): Promise<WorkloadKey[]> {
  const organizationId = await organizationOf(tenancy, meshId)
  const where = sql`organization_id = ${organizationId} and mesh_id = ${meshId} and lease_until < now()`
  return tenancy.within(organizationId, async (tx) => {
    // Most often there is nothing to do, and the mesh's row stays unlocked.
    const [any] = await rowsOf<{ found: number }>(tx, sql`select 1 as found from workload where ${where} limit 1`)
    if (!any) return []
    const locked = await lockMesh(tx, organizationId, meshId)
    const gone = await rowsOf<{ namespace: string; name: string }>(tx, sql`delete from workload where ${where} returning namespace, name`)
    if (gone.length > 0) await commitRevision(tx, locked, gone.map(({ namespace, name }) => ({ of: 'workload', namespace, name, workload: undefined })))
    return gone.map(({ namespace, name }) => ({ namespace, name }))
  })
}

/** Which workload would keep this one out, as of now; only `putWorkload` decides. */
export async function workloadTakenBy(tenancy: Tenancy, meshId: string, workload: Workload, lease: WorkloadLease): Promise<WorkloadKey | undefined> {
  const organizationId = await organizationOf(tenancy, meshId)
  return tenancy.within(organizationId, (tx) => takenBy(tx, organizationId, meshId, workload, lease))
}
