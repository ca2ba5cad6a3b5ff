import { pgTable, uuid } from 'drizzle-orm/pg-core'
import { instant, keyText } from './column.ts'

export const organization = pgTable('organization', {
  id: uuid('id').primaryKey(),
  name: keyText('name').notNull().unique('organization_name'),
  createdAt: instant('created_at').notNull(),
})
