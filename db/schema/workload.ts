import { bigint, foreignKey, json, pgTable, primaryKey, uuid } from 'drizzle-orm/pg-core'
import type { Workload } from '#core/workload/workload.ts'
import { keyText } from './column.ts'
import { mesh } from './mesh.ts'

export const workload = pgTable(
  'workload',
  {
    organizationId: uuid('organization_id').notNull(),
    meshId: uuid('mesh_id').notNull(),
    namespace: keyText('namespace').notNull(),
    name: keyText('name').notNull(),
    revision: bigint('revision', { mode: 'number' }).notNull(),
    workload: json('workload').$type<Workload>().notNull(),
  },
  (table) => [
    primaryKey({ name: 'workload_key', columns: [table.organizationId, table.meshId, table.namespace, table.name] }),
    foreignKey({ name: 'workload_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
  ],
)
