import { bigint, index, jsonb, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import type { MeshSettings } from '../store.ts'
import { bytes, instant, keyText } from './column.ts'
import { organization } from './organization.ts'

export const mesh = pgTable(
  'mesh',
  {
    id: uuid('id').primaryKey(),
    organizationId: uuid('organization_id').notNull().references(() => organization.id),
    name: keyText('name').notNull(),
    trustDomain: text('trust_domain').notNull(),
    /** The newest revision. Its row is the lock under which every write to the mesh takes the next one. */
    revision: bigint('revision', { mode: 'number' }).notNull().default(0),
    /** Number of changes ever logged. */
    changeCount: bigint('change_count', { mode: 'number' }).notNull().default(0),
    /** The newest revision that the log has lost: who is behind it must load the mesh anew. */
    changeFloor: bigint('change_floor', { mode: 'number' }).notNull().default(0),
    /** Objects that it holds, counted as they are written. */
    resourceCount: bigint('resource_count', { mode: 'number' }).notNull().default(0),
    settings: jsonb('settings').$type<MeshSettings>().notNull().default({}),
    rootCertificate: text('root_certificate').notNull(),
    sealedRoot: bytes('sealed_root').notNull(),
    createdAt: instant('created_at').notNull(),
    changedAt: instant('changed_at').notNull().defaultNow(),
  },
  (table) => [
    unique('mesh_name').on(table.organizationId, table.name),
    // What the tenant's other tables point to: an object cannot name another organization's mesh.
    unique('mesh_organization').on(table.organizationId, table.id),
    index('mesh_changed_at').on(table.changedAt),
  ],
)
