import { bigint, index, integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import type { AuditEntry } from '../store.ts'
import { instant } from './column.ts'
import { organization } from './organization.ts'

export const audit = pgTable(
  'audit',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    organizationId: uuid('organization_id').notNull().references(() => organization.id),
    meshId: uuid('mesh_id'),
    at: instant('at').notNull(),
    actor: text('actor').notNull(),
    actorId: text('actor_id').notNull(),
    source: text('source').notNull(),
    method: text('method').notNull(),
    path: text('path').notNull(),
    status: integer('status').notNull(),
    what: jsonb('what').$type<AuditEntry['what']>().notNull(),
  },
  (table) => [index('audit_organization').on(table.organizationId, table.id)],
)
