import { foreignKey, index, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import type { Role } from '../store.ts'
import { instant, keyText } from './column.ts'
import { member } from './member.ts'
import { mesh } from './mesh.ts'
import { organization } from './organization.ts'

export const apiKey = pgTable(
  'api_key',
  {
    id: uuid('id').primaryKey(),
    organizationId: uuid('organization_id').notNull().references(() => organization.id),
    name: keyText('name').notNull(),
    /** SHA-256 of the secret, hex. */
    hash: keyText('hash').notNull().unique('api_key_hash'),
    role: text('role').$type<Role>().notNull(),
    meshId: uuid('mesh_id'),
    /** The only namespaces that it may touch; null for all. */
    namespaces: jsonb('namespaces').$type<readonly string[]>(),
    expiresAt: instant('expires_at'),
    /** Of a session: whose. It goes with the member. */
    memberId: uuid('member_id'),
    createdAt: instant('created_at').notNull(),
  },
  (table) => [
    index('api_key_organization').on(table.organizationId),
    foreignKey({ name: 'api_key_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
    foreignKey({ name: 'api_key_member', columns: [table.organizationId, table.memberId], foreignColumns: [member.organizationId, member.id] }).onDelete('cascade'),
  ],
)

export const joinToken = pgTable(
  'join_token',
  {
    id: uuid('id').primaryKey(),
    organizationId: uuid('organization_id').notNull(),
    meshId: uuid('mesh_id').notNull(),
    hash: keyText('hash').notNull().unique('join_token_hash'),
    namespace: text('namespace').notNull(),
    serviceAccount: text('service_account').notNull(),
    expiresAt: instant('expires_at').notNull(),
    createdAt: instant('created_at').notNull(),
  },
  (table) => [
    index('join_token_organization').on(table.organizationId),
    foreignKey({ name: 'join_token_mesh', columns: [table.organizationId, table.meshId], foreignColumns: [mesh.organizationId, mesh.id] }),
  ],
)
