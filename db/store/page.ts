import type { Page, Paged } from '../store.ts'

const LIMIT_MAX = 5_000

/** Rows to ask for: one more than the page holds tells whether another follows. */
export const rowsWanted = (page: Page): number => limitOf(page) + 1

/** @param cursorOf the place of a row, from which `readCursor` lets the next page go on */
export function paged<Row, T>(page: Page, rows: readonly Row[], read: (row: Row) => T, cursorOf: (row: Row) => readonly (string | number)[]): Paged<T> {
  const limit = limitOf(page)
  const kept = rows.slice(0, limit)
  const last = kept.at(-1)
  const next = rows.length > limit && last !== undefined ? writeCursor(cursorOf(last)) : undefined
  return { items: kept.map(read), next }
}

export const writeCursor = (place: readonly (string | number)[]): string => Buffer.from(JSON.stringify(place)).toString('base64url')

/** The place where the page begins: as many parts as `cursorOf` gave. Undefined for the first page, and for a text that no page answered. */
export function readCursor(page: Pick<Page, 'cursor'>, parts: number): readonly (string | number)[] | undefined {
  if (page.cursor === undefined) return undefined
  try {
    const place: unknown = JSON.parse(Buffer.from(page.cursor, 'base64url').toString())
    const isPart = (part: unknown): part is string | number => typeof part === 'string' || typeof part === 'number'
    return Array.isArray(place) && place.length === parts && place.every(isPart) ? place : undefined
  } catch {
    return undefined // a cursor made up by a client begins anew
  }
}

const limitOf = (page: Page): number => Math.max(1, Math.min(LIMIT_MAX, Math.trunc(page.limit)))
