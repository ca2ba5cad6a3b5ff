import { pgTable, text } from 'drizzle-orm/pg-core'
import { bytes } from './column.ts'

export const platform = pgTable('platform', {
  name: text('name').primaryKey(),
  value: bytes('value').notNull(),
})
