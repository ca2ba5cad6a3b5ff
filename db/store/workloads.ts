import { isDeepStrictEqual } from 'node:util'
import { and, eq } from 'drizzle-orm'
import type { Workload } from '#core/workload/workload.ts'
import { workload } from '../schema/workload.ts'
import type { Tenancy } from '../tenancy.ts'
import { commitRevision, lockMesh } from './revision.ts'

const rowOf = (organizationId: string, meshId: string, { namespace, name }: { namespace: string; name: string }) =>
  and(eq(workload.organizationId, organizationId), eq(workload.meshId, meshId), eq(workload.namespace, namespace), eq(workload.name, name))

/** @returns the revision that holds it: the current one when nothing differs */
export async function putWorkload(tenancy: Tenancy, meshId: string, wanted: Workload): Promise<number> {
  const organizationId = await organizationOf(tenancy, meshId)
  const plain: Workload = JSON.parse(JSON.stringify(wanted))
  return tenancy.within(organizationId, async (tx) => {
    const locked = await lockMesh(tx, organizationId, meshId)
    const [stored] = await tx.select({ workload: workload.workload }).from(workload).where(rowOf(organizationId, meshId, plain))
    if (stored && isDeepStrictEqual(stored.workload, plain)) return locked.revision
    const revision = locked.revision + 1
    await tx
      .insert(workload)
      .values({ organizationId, meshId, namespace: plain.namespace, name: plain.name, revision, workload: plain })
      .onConflictDoUpdate({ target: [workload.organizationId, workload.meshId, workload.namespace, workload.name], set: { revision, workload: plain } })
    return commitRevision(tx, locked, [{ of: 'workload', namespace: plain.namespace, name: plain.name, workload: plain }])
  })
}

/** @returns the revision without it: the current one when it was not there */
export async function removeWorkload(tenancy: Tenancy, meshId: string, key: { namespace: string; name: string }): Promise<number> {
  const organizationId = await organizationOf(tenancy, meshId)
  return tenancy.within(organizationId, async (tx) => {
    const locked = await lockMesh(tx, organizationId, meshId)
    const removed = await tx.delete(workload).where(rowOf(organizationId, meshId, key)).returning({ name: workload.name })
    if (removed.length === 0) return locked.revision
    return commitRevision(tx, locked, [{ of: 'workload', namespace: key.namespace, name: key.name, workload: undefined }])
  })
}

async function organizationOf(tenancy: Tenancy, meshId: string): Promise<string> {
  const organizationId = await tenancy.organizationOf(meshId)
  if (organizationId === undefined) throw new Error(`there is no mesh ${meshId}`)
  return organizationId
}
