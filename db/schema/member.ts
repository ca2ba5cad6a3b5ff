import { boolean, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import type { Role } from '../store.ts'
import { instant, keyText } from './column.ts'
import { organization } from './organization.ts'

export const member = pgTable(
  'member',
  {
    id: uuid('id').primaryKey(),
    organizationId: uuid('organization_id').notNull().references(() => organization.id),
    name: keyText('name').notNull(),
    role: text('role').$type<Role>().notNull(),
    /** argon2id with its parameters and salt; null until an invitation is taken. */
    password: text('password'),
    invitationHash: keyText('invitation_hash').unique('member_invitation'),
    invitedUntil: instant('invited_until'),
    disabled: boolean('disabled').notNull().default(false),
    /** Who the member is at the identity provider; null until they have come through it. */
    issuer: keyText('issuer'),
    subject: keyText('subject'),
    /** The role comes from the provider's claims at each entry. */
    byClaims: boolean('by_claims').notNull().default(false),
    createdAt: instant('created_at').notNull(),
  },
  (table) => [
    unique('member_name').on(table.organizationId, table.name),
    unique('member_subject').on(table.organizationId, table.issuer, table.subject),
    unique('member_organization').on(table.organizationId, table.id),
  ],
)
