import { eq, sql } from 'drizzle-orm'
import type { Workload } from '#core/workload/workload.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { mesh } from '../schema/mesh.ts'
import type { Seal } from '../seal.ts'
import type { Change, MeshSettings, StoredResource } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'
import { readResourceRow } from './resource-row.ts'
import { rowsOf } from './rows.ts'

interface ChangeRow {
  readonly revision: number
  readonly of: Change['of']
  readonly api_group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly deleted_revision: number | null
  readonly detail: unknown
  readonly state_revision: number
  readonly uid: string
  readonly generation: number
  readonly created_at: string
  readonly object: ResourceObject
}

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
        select c.revision, c."of", c.api_group, c.kind, c.namespace, c.name, c.deleted_revision, c.detail,
          h.revision as state_revision, h.uid, h.generation, h.created_at, h.object
        from change c
        left join history h on c."of" = 'resource' and h.organization_id = c.organization_id and h.mesh_id = c.mesh_id
          and h.api_group = c.api_group and h.kind = c.kind and h.namespace = c.namespace and h.name = c.name and h.revision = coalesce(c.deleted_revision, c.revision)
        where c.organization_id = ${organizationId} and c.mesh_id = ${meshId} and c.revision > ${revision} and c.revision <= (
          select max(first.revision) from (
            select f.revision from change f where f.organization_id = ${organizationId} and f.mesh_id = ${meshId} and f.revision > ${revision} order by f.revision limit ${Math.max(1, limit)}
          ) first)
        order by c.position`)
      return { changes: rows.map((row) => readChange(seal, meshId, row)), tooOld: false }
    },
    { snapshot: true },
  )
}

function readChange(seal: Seal, meshId: string, row: ChangeRow): Change {
  const { revision, namespace, name } = row
  switch (row.of) {
    case 'resource': {
      const state: StoredResource = readResourceRow(seal, meshId, { ...row, revision: row.state_revision })
      return row.deleted_revision === null ? { revision, of: 'resource', key: state.key, stored: state } : { revision, of: 'resource', key: state.key, stored: undefined, last: state }
    }
    case 'workload':
      // The columns were written from these very types, by revision.ts.
      return { revision, of: 'workload', namespace, name, workload: (row.detail ?? undefined) as Workload | undefined }
    case 'settings':
      return { revision, of: 'settings', settings: row.detail as MeshSettings }
  }
}
