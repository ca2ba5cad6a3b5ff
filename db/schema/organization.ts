import { jsonb, pgTable, uuid } from 'drizzle-orm/pg-core'
import type { Quota } from '../store.ts'
import { instant, keyText } from './column.ts'

export const organization = pgTable('organization', {
  id: uuid('id').primaryKey(),
  name: keyText('name').notNull().unique('organization_name'),
  quota: jsonb('quota').$type<Quota>().notNull().default({}),
  createdAt: instant('created_at').notNull(),
})
