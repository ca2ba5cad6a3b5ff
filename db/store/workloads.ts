import { isDeepStrictEqual } from 'node:util'
import { and, eq, sql } from 'drizzle-orm'
import type { Workload } from '#core/workload/workload.ts'
import { workload } from '../schema/workload.ts'
import { StoreTaken, type WorkloadKey, type WorkloadLease } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'
import { placesIn, takenBy } from './claims.ts'
import { commitRevision, lockMesh } from './revision.ts'

const rowOf = (organizationId: string, meshId: string, { namespace, name }: { namespace: string; name: string }) =>
  and(eq(workload.organizationId, organizationId), eq(workload.meshId, meshId), eq(workload.namespace, namespace), eq(workload.name, name))

/** @param lease how long it stays without being renewed, and who heard of it; without one it stays
 * @returns the revision that holds it: the current one when nothing differs
 * @throws StoreTaken when a workload of another account, alive at another replica, has its name or one of the lease's places */
export async function putWorkload(tenancy: Tenancy, meshId: string, wanted: Workload, lease?: WorkloadLease): Promise<number> {
  const organizationId = await organizationOf(tenancy, meshId)
  const plain: Workload = JSON.parse(JSON.stringify(wanted))
  return tenancy.within(organizationId, async (tx) => {
    const locked = await lockMesh(tx, organizationId, meshId)
    const taken = lease && (await takenBy(tx, organizationId, meshId, plain, lease))
    if (taken !== undefined) throw new StoreTaken(taken)
    const [stored] = await tx.select({ workload: workload.workload }).from(workload).where(rowOf(organizationId, meshId, plain))
    const same = stored !== undefined && isDeepStrictEqual(stored.workload, plain)
    if (same && lease === undefined) return locked.revision
    const held = { leaseUntil: lease === undefined ? null : sql`now() + ${lease.ms / 1000} * interval '1 second'`, leaseHolder: lease?.holder ?? null, held: lease !== undefined, places: placesIn(meshId, lease?.places ?? []) }
    if (same) {
      await tx.update(workload).set(held).where(rowOf(organizationId, meshId, plain))
      return locked.revision
    }
    const revision = locked.revision + 1
    await tx
      .insert(workload)
      .values({ organizationId, meshId, namespace: plain.namespace, name: plain.name, revision, workload: plain, ...held })
      .onConflictDoUpdate({ target: [workload.organizationId, workload.meshId, workload.namespace, workload.name], set: { revision, workload: plain, ...held } })
    return commitRevision(tx, locked, [{ of: 'workload', namespace: plain.namespace, name: plain.name, workload: plain }])
  })
}

/** @param holder only where it was the last to hear of the workload
 * @returns the revision without it: the current one when it was not there, or is another's */
export async function removeWorkload(tenancy: Tenancy, meshId: string, key: WorkloadKey, holder?: string): Promise<number> {
  const organizationId = await organizationOf(tenancy, meshId)
  return tenancy.within(organizationId, async (tx) => {
    const locked = await lockMesh(tx, organizationId, meshId)
    const removed = await tx.delete(workload).where(and(rowOf(organizationId, meshId, key), holder === undefined ? undefined : eq(workload.leaseHolder, holder))).returning({ name: workload.name })
    if (removed.length === 0) return locked.revision
    return commitRevision(tx, locked, [{ of: 'workload', namespace: key.namespace, name: key.name, workload: undefined }])
  })
}

export async function organizationOf(tenancy: Tenancy, meshId: string): Promise<string> {
  const organizationId = await tenancy.organizationOf(meshId)
  if (organizationId === undefined) throw new Error(`there is no mesh ${meshId}`)
  return organizationId
}
