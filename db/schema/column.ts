import { customType, timestamp } from 'drizzle-orm/pg-core'

/** Text that is compared byte by byte, so that pages come in the same order from every database, whatever locale it was made with. */
export const keyText = customType<{ data: string; driverData: string }>({ dataType: () => 'text collate "C"' })

export const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => 'bytea' })

export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' })
