import { sql } from 'drizzle-orm'
import { bigint, foreignKey, index, integer, json, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import type { ResourceObject } from '#core/resource/object.ts'
import type { HistoryEntry } from '../store.ts'
import { instant, keyText } from './column.ts'
import { mesh } from './mesh.ts'

const keyColumns = () => ({
  group: keyText('api_group').notNull(),
  kind: keyText('kind').notNull(),
  namespace: keyText('namespace').notNull(),
  name: keyText('name').notNull(),
})

/** What is configured now. The organization leads every key, so that a collision tells a tenant nothing of another. */
export const resource = pgTable(
  'resource',
  {
    organizationId: uuid('organization_id').notNull(),
    meshId: uuid('mesh_id').notNull(),
    ...keyColumns(),
    uid: uuid('uid').notNull(),
    revision: bigint('revision', { mode: 'number' }).notNull(),
    generation: integer('generation').notNull(),
    createdAt: instant('created_at').notNull(),
    labels: jsonb('labels').$type<Readonly<Record<string, string>>>().notNull(),
    /** Uids of its owners. */
    owners: text('owners').array().notNull().default([]),
    // json and not jsonb: it keeps the order of fields that the author wrote.
    object: json('object').$type<ResourceObject>().notNull(),
  },
  (table) => [
    index('resource_owned').on(table.organizationId, table.meshId).where(sql`owners <> '{}'`),
    primaryKey({ name: 'resource_key', columns: [table.organizationId, table.meshId, table.group, table.kind, table.namespace, table.name] }),
    foreignKey({ name: 'resource_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
  ],
)

/** Every state that a resource ever had, and who gave it. A deletion's row bears the state that was deleted. Never updated, never pruned. */
export const history = pgTable(
  'history',
  {
    organizationId: uuid('organization_id').notNull(),
    meshId: uuid('mesh_id').notNull(),
    ...keyColumns(),
    revision: bigint('revision', { mode: 'number' }).notNull(),
    operation: text('operation').$type<HistoryEntry['operation']>().notNull(),
    author: text('author').notNull(),
    message: text('message').notNull(),
    at: instant('at').notNull(),
    uid: uuid('uid').notNull(),
    generation: integer('generation').notNull(),
    createdAt: instant('created_at').notNull(),
    object: json('object').$type<ResourceObject>().notNull(),
  },
  (table) => [
    primaryKey({ name: 'history_key', columns: [table.organizationId, table.meshId, table.revision, table.group, table.kind, table.namespace, table.name] }),
    index('history_object').on(table.meshId, table.group, table.kind, table.namespace, table.name, table.revision),
    foreignKey({ name: 'history_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
  ],
)
