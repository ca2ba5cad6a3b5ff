import { foreignKey, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import type { Role } from '../store.ts'
import { instant, keyText } from './column.ts'
import { member } from './member.ts'
import { organization } from './organization.ts'

/** Where an organization's members may come from, beside its own passwords. */
export const oidc = pgTable('oidc', {
  organizationId: uuid('organization_id').primaryKey().references(() => organization.id),
  issuer: text('issuer').notNull(),
  clientId: text('client_id').notNull(),
  /** Sealed; null for a public client. */
  clientSecret: text('client_secret'),
  rolesClaim: text('roles_claim'),
  roles: jsonb('roles').$type<Readonly<Record<string, Role>>>().notNull(),
})

/** A member whom the provider has let in, until the program that began it fetches the session. */
export const signIn = pgTable(
  'sign_in',
  {
    organizationId: uuid('organization_id').notNull(),
    /** SHA-256 of the code, hex. */
    hash: keyText('hash').notNull(),
    memberId: uuid('member_id').notNull(),
    /** RFC 7636's, of whoever began it. */
    challenge: text('challenge').notNull(),
    until: instant('until').notNull(),
  },
  (table) => [
    primaryKey({ name: 'sign_in_key', columns: [table.organizationId, table.hash] }),
    foreignKey({ name: 'sign_in_member', columns: [table.organizationId, table.memberId], foreignColumns: [member.organizationId, member.id] }).onDelete('cascade'),
  ],
)
