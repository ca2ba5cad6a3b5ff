import { bigint, foreignKey, integer, json, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import type { Workload } from '#core/workload/workload.ts'
import type { MeshSettings } from '../store.ts'
import { keyText } from './column.ts'
import { mesh } from './mesh.ts'

/**
 * What followers of a mesh read: a bounded log. A resource's state stands in `history`, under the same revision; the others bear theirs in `detail`.
 * One index only, so that a planner without statistics (an embedded database has none) cannot choose a worse one.
 */
export const change = pgTable(
  'change',
  {
    organizationId: uuid('organization_id').notNull(),
    meshId: uuid('mesh_id').notNull(),
    revision: bigint('revision', { mode: 'number' }).notNull(),
    /** Order within the revision. */
    ordinal: integer('ordinal').notNull(),
    of: text('of').$type<'resource' | 'workload' | 'settings'>().notNull(),
    group: keyText('api_group').notNull().default(''),
    kind: keyText('kind').notNull().default(''),
    namespace: keyText('namespace').notNull().default(''),
    name: keyText('name').notNull().default(''),
    /** Of a resource's deletion: the revision whose state was deleted. */
    deletedRevision: bigint('deleted_revision', { mode: 'number' }),
    /** The workload or the settings as of this revision; null for a workload that left. */
    detail: json('detail').$type<Workload | MeshSettings>(),
  },
  (table) => [
    primaryKey({ name: 'change_key', columns: [table.organizationId, table.meshId, table.revision, table.ordinal] }),
    foreignKey({ name: 'change_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
  ],
)
