import { bigint, boolean, foreignKey, index, json, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import type { Workload } from '#core/workload/workload.ts'
import { instant, keyText } from './column.ts'
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
    /** By the database's clock; null: it stays until it is removed. */
    leaseUntil: instant('lease_until'),
    /** The replica that heard of it last. */
    leaseHolder: text('lease_holder'),
    /** That replica has a stream of its proxy, or another has. */
    held: boolean('held').notNull().default(false),
    /** Where it is reached, each with its mesh's id before it: nobody else may be there while it is held. */
    places: text('places').array().notNull().default([]),
  },
  (table) => [
    index('workload_places').using('gin', table.places),
    primaryKey({ name: 'workload_key', columns: [table.organizationId, table.meshId, table.namespace, table.name] }),
    foreignKey({ name: 'workload_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
  ],
)
