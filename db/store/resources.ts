import { and, eq, sql } from 'drizzle-orm'
import type { SQL } from 'drizzle-orm'
import { mesh } from '../schema/mesh.ts'
import { workload } from '../schema/workload.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { Seal } from '../seal.ts'
import type { Page, Paged, ResourceFilter, ResourceKey, StoredResource } from '../store.ts'
import type { Tenancy, Transaction } from '../tenancy.ts'
import { paged, readCursor, rowsWanted } from './page.ts'
import { readResourceRow, resourceColumns } from './resource-row.ts'
import type { ResourceRow } from './resource-row.ts'
import { rowsOf } from './rows.ts'

/** Rows of a mesh read in one turn of the event loop: a millisecond or two, also where all are Secrets. */
const rowsATurn = 256
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export function getResource(tenancy: Tenancy, seal: Seal, organizationId: string, meshId: string, key: ResourceKey): Promise<StoredResource | undefined> {
  return tenancy.within(organizationId, async (tx) => {
    const [row] = await rowsOf<ResourceRow>(tx, sql`
      select ${resourceColumns('r')} from resource r
      where r.organization_id = ${organizationId} and r.mesh_id = ${meshId}
        and r.api_group = ${key.group} and r.kind = ${key.kind} and r.namespace = ${key.namespace} and r.name = ${key.name}`)
    return row && readResourceRow(seal, meshId, row)
  }, { single: true })
}

/**
 * In order of group, kind, namespace, name: as they are, or as they were `at` a revision. `revision` is the mesh's, read in the same snapshot: whoever follows
 * changes from there misses none.
 */
export function listResources(tenancy: Tenancy, seal: Seal, organizationId: string, meshId: string, filter: ResourceFilter, page: Page & { readonly at?: number }): Promise<Paged<StoredResource> & { revision: number }> {
  return tenancy.within(
    organizationId,
    async (tx) => {
      const revision = (await revisionOf(tx, meshId)) ?? 0
      const isPast = page.at !== undefined && page.at < revision
      const keyed = keyConditions(organizationId, meshId, filter, page)
      const rows = await rowsOf<ResourceRow>(tx, sql`
        select ${resourceColumns('r')} from ${isPast ? statesAt(page.at, keyed) : sql`resource r`}
        where ${isPast ? pastConditions(filter) : and(...keyed, ...presentConditions(filter))}
        order by r.api_group, r.kind, r.namespace, r.name limit ${rowsWanted(page)}`)
      return { ...paged(page, rows, (row) => readResourceRow(seal, meshId, row), (row) => [row.api_group, row.kind, row.namespace, row.name]), revision }
    },
    { snapshot: true },
  )
}

/** What `resource` and `history` are both asked, under the alias r. */
function keyConditions(organizationId: string, meshId: string, filter: ResourceFilter, page: Page): SQL[] {
  const conditions = [sql`r.organization_id = ${organizationId} and r.mesh_id = ${meshId}`]
  if (filter.group !== undefined) conditions.push(sql`r.api_group = ${filter.group}`)
  if (filter.kind !== undefined) conditions.push(sql`r.kind = ${filter.kind}`)
  if (filter.namespace !== undefined) conditions.push(sql`r.namespace = ${filter.namespace}`)
  if (filter.name !== undefined) conditions.push(sql`r.name = ${filter.name}`)
  const after = readCursor(page, 4)
  if (after) conditions.push(sql`(r.api_group, r.kind, r.namespace, r.name) > (${String(after[0])}, ${String(after[1])}, ${String(after[2])}, ${String(after[3])})`)
  return conditions
}

function presentConditions(filter: ResourceFilter): SQL[] {
  const conditions: SQL[] = []
  if (filter.labels !== undefined) conditions.push(sql`r.labels @> ${JSON.stringify(filter.labels)}::jsonb`)
  // The first half chooses the index of objects that have owners at all.
  if (filter.owners !== undefined) conditions.push(sql`r.owners <> '{}' and r.owners && array(select json_array_elements_text(${JSON.stringify(filter.owners)}::json))`)
  return conditions
}

/** The last state of each object up to the revision, deletions among them. In the order of the index and of the list, so that a page reads no more than its rows' states. */
const statesAt = (revision: number, keyed: readonly SQL[]): SQL => sql`(
  select distinct on (r.api_group, r.kind, r.namespace, r.name) ${resourceColumns('r')}, r.operation from history r
  where ${and(...keyed)} and r.revision <= ${revision}
  order by r.api_group, r.kind, r.namespace, r.name, r.revision desc) r`

const pastConditions = (filter: ResourceFilter): SQL =>
  filter.labels === undefined ? sql`r.operation <> 'delete'` : sql`r.operation <> 'delete' and (r.object->'metadata'->'labels')::jsonb @> ${JSON.stringify(filter.labels)}::jsonb`

export async function loadMesh(tenancy: Tenancy, seal: Seal, meshId: string): Promise<{ revision: number; resources: StoredResource[]; workloads: Workload[] } | undefined> {
  const organizationId = await tenancy.organizationOf(meshId)
  if (organizationId === undefined) return undefined
  const read = await tenancy.within(
    organizationId,
    async (tx) => {
      const revision = await revisionOf(tx, meshId)
      if (revision === undefined) return undefined
      const rows = await rowsOf<ResourceRow>(tx, sql`
        select ${resourceColumns('r')} from resource r where r.organization_id = ${organizationId} and r.mesh_id = ${meshId}
        order by r.api_group, r.kind, r.namespace, r.name`)
      const workloads = await tx
        .select({ workload: workload.workload })
        .from(workload)
        .where(and(eq(workload.organizationId, organizationId), eq(workload.meshId, meshId)))
        .orderBy(workload.namespace, workload.name)
      return { revision, rows, workloads: workloads.map((row) => row.workload) }
    },
    { snapshot: true },
  )
  if (read === undefined) return undefined
  const { revision, rows, workloads } = read
  const resources: StoredResource[] = []
  for (const row of rows) {
    resources.push(readResourceRow(seal, meshId, row))
    // A large mesh has tens of thousands: whoever waits for the loop goes in between.
    if (resources.length % rowsATurn === 0) await nextTurn()
  }
  return { revision, resources, workloads }
}

async function revisionOf(tx: Transaction, meshId: string): Promise<number | undefined> {
  const [row] = await tx.select({ revision: mesh.revision }).from(mesh).where(eq(mesh.id, meshId))
  return row?.revision
}

export function countResources(tenancy: Tenancy, organizationId: string, meshId: string): Promise<number> {
  return tenancy.within(organizationId, async (tx) => {
    const [row] = await rowsOf<{ count: number | string }>(tx, sql`select count(*) as count from resource where organization_id = ${organizationId} and mesh_id = ${meshId}`)
    return Number(row?.count ?? 0)
  }, { single: true })
}
