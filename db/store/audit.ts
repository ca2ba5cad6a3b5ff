import { and, desc, eq, gte, lt } from 'drizzle-orm'
import { audit } from '../schema/audit.ts'
import type { AuditEntry, AuditFilter, Page, Paged } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'
import { paged, readCursor, rowsWanted } from './page.ts'

export async function recordAudit(tenancy: Tenancy, organizationId: string, entries: readonly Omit<AuditEntry, 'id'>[]): Promise<void> {
  if (entries.length === 0) return
  const rows = entries.map(({ atMs, ...one }) => ({ organizationId, ...storable(one), at: new Date(atMs) }))
  await tenancy.within(organizationId, (tx) => tx.insert(audit).values(rows), { single: true })
}

/** What JSON can bear and a column cannot, a NUL or half a character, is shown by its stand-in: nobody keeps out of the log by writing one. */
function storable<T>(value: T): T {
  const plain = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed()
  const walk = (one: unknown): unknown => {
    if (typeof one === 'string') return plain(one)
    if (Array.isArray(one)) return one.map(walk)
    return one !== null && typeof one === 'object' ? Object.fromEntries(Object.entries(one).map(([name, of]) => [plain(name), walk(of)])) : one
  }
  return walk(value) as T
}

/** The newest first. */
export function listAudit(tenancy: Tenancy, organizationId: string, filter: AuditFilter, page: Page): Promise<Paged<AuditEntry>> {
  return tenancy.within(organizationId, async (tx) => {
    const [before] = readCursor(page, 1) ?? []
    const rows = await tx
      .select()
      .from(audit)
      .where(
        and(
          eq(audit.organizationId, organizationId),
          filter.meshId === undefined ? undefined : eq(audit.meshId, filter.meshId),
          filter.actor === undefined ? undefined : eq(audit.actor, filter.actor),
          filter.refused === undefined ? undefined : filter.refused ? gte(audit.status, 400) : lt(audit.status, 400),
          filter.sinceMs === undefined ? undefined : gte(audit.at, new Date(filter.sinceMs)),
          filter.untilMs === undefined ? undefined : lt(audit.at, new Date(filter.untilMs)),
          typeof before === 'number' ? lt(audit.id, before) : undefined,
        ),
      )
      .orderBy(desc(audit.id))
      .limit(rowsWanted(page))
    return paged(page, rows, ({ id, meshId, at, actor, actorId, source, method, path, status, what }): AuditEntry => ({ id, meshId, atMs: at.getTime(), actor, actorId, source, method, path, status, what }), (row) => [row.id])
  })
}
