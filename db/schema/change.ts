import { bigint, foreignKey, index, json, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import type { Workload } from '#core/workload/workload.ts'
import type { MeshSettings } from '../store.ts'
import { keyText } from './column.ts'
import { mesh } from './mesh.ts'

/** What followers of a mesh read: a bounded log, in order of `position`. A resource's states are joined from `history`; the others bear theirs in `detail`. */
export const change = pgTable(
  'change',
  {
    organizationId: uuid('organization_id').notNull(),
    meshId: uuid('mesh_id').notNull(),
    position: bigint('position', { mode: 'number' }).notNull(),
    revision: bigint('revision', { mode: 'number' }).notNull(),
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
    primaryKey({ name: 'change_key', columns: [table.organizationId, table.meshId, table.position] }),
    index('change_revision').on(table.organizationId, table.meshId, table.revision),
    foreignKey({ name: 'change_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
  ],
)
