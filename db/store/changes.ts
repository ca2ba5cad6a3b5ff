import { eq, sql } from 'drizzle-orm'
import type { Workload } from '#core/workload/workload.ts'
import { mesh } from '../schema/mesh.ts'
import type { Seal } from '../seal.ts'
import type { Change, MeshSettings, ResourceKey, StoredResource } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'
import { keyText, readResourceRow, resourceColumns } from './resource-row.ts'
import type { ResourceRow } from './resource-row.ts'
import { rowsOf } from './rows.ts'

/** As revision.ts wrote it. */
type ChangeRow = {
  readonly revision: number
  readonly api_group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly deleted_revision: number | null
} & ({ readonly of: 'resource' } | { readonly of: 'workload'; readonly detail: Workload | null } | { readonly of: 'settings'; readonly detail: MeshSettings })

/**
 * Changes as of their own revision, not as of now. Whole revisions only, so that a follower never stops in the middle of a batch: the last one may exceed `limit`.
 * `tooOld` also for a revision that the mesh has not reached: the follower has seen another database.
 */
export async function changesAfter(tenancy: Tenancy, seal: Seal, meshId: string, revision: number, limit: number): Promise<{ changes: Change[]; tooOld: boolean }> {
  const organizationId = await tenancy.organizationOf(meshId)
  if (organizationId === undefined) return { changes: [], tooOld: true }
  return tenancy.within(
    organizationId,
    async (tx) => {
      const [at] = await tx.select({ revision: mesh.revision, floor: mesh.changeFloor }).from(mesh).where(eq(mesh.id, meshId))
      if (!at || revision < at.floor || revision > at.revision) return { changes: [], tooOld: true }
      if (revision === at.revision) return { changes: [], tooOld: false }
      const rows = await rowsOf<ChangeRow>(tx, sql`
        select revision, "of", api_group, kind, namespace, name, deleted_revision, detail from change
        where organization_id = ${organizationId} and mesh_id = ${meshId} and revision > ${revision} and revision <= (
          select max(first.revision) from (
            select revision from change where organization_id = ${organizationId} and mesh_id = ${meshId} and revision > ${revision} order by revision limit ${Math.max(1, limit)}
          ) first)
        order by revision, ordinal`)
      // No join: under row-level security and without statistics it becomes a loop over the mesh for each change. All states of these revisions are wanted anyhow.
      const last = rows.at(-1)?.revision ?? revision
      const states = await rowsOf<ResourceRow>(tx, sql`
        select ${resourceColumns('h')} from history h
        where h.organization_id = ${organizationId} and h.mesh_id = ${meshId} and h.revision > ${revision} and h.revision <= ${last}`)
      const stateOf = new Map(states.map((row) => readResourceRow(seal, meshId, row)).map((state) => [`${state.revision} ${keyText(state.key)}`, state]))
      return { changes: rows.map((row) => readChange(row, stateOf)), tooOld: false }
    },
    { snapshot: true },
  )
}

function readChange(row: ChangeRow, stateOf: ReadonlyMap<string, StoredResource>): Change {
  const { revision, namespace, name } = row
  switch (row.of) {
    case 'resource': {
      const key: ResourceKey = { group: row.api_group, kind: row.kind, namespace, name }
      const state = stateOf.get(`${revision} ${keyText(key)}`)
      if (!state) throw new Error(`history lacks revision ${revision} of ${keyText(key)}`)
      return row.deleted_revision === null ? { revision, of: 'resource', key, stored: state } : { revision, of: 'resource', key, stored: undefined, last: { ...state, revision: row.deleted_revision } }
    }
    case 'workload':
      return { revision, of: 'workload', namespace, name, workload: row.detail ?? undefined }
    case 'settings':
      return { revision, of: 'settings', settings: row.detail }
  }
}
