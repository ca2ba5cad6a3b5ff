import { fault, Faults } from '#core/fault/fault.ts'

const PAGE_DEFAULT = 500

/**
 * One page of a list that is held whole: sorted by the place of its items, so that a cursor holds its ground while others come and go.
 * @param placeOf unique among the items
 * @throws Faults 'request.invalid' for a cursor that no page answered
 */
export function pageOf<T>(items: readonly T[], { limit = PAGE_DEFAULT, cursor }: { readonly limit?: number | undefined; readonly cursor?: string | undefined }, placeOf: (item: T) => readonly (string | number)[]): { items: T[]; next: string | null } {
  const sorted = items.map((item) => ({ item, place: placeOf(item) })).toSorted((one, other) => compare(one.place, other.place))
  const after = cursor === undefined ? undefined : readCursor(cursor)
  const rest = after === undefined ? sorted : sorted.filter(({ place }) => compare(place, after) > 0)
  const last = rest[limit - 1]
  return { items: rest.slice(0, limit).map(({ item }) => item), next: last === undefined || rest.length <= limit ? null : Buffer.from(JSON.stringify(last.place)).toString('base64url') }
}

function compare(one: readonly (string | number)[], other: readonly (string | number)[]): number {
  for (const [at, part] of one.entries()) {
    const against = other[at]
    if (against === undefined || part === against) continue
    return part < against ? -1 : 1
  }
  return 0
}

function readCursor(cursor: string): (string | number)[] {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(place) && place.every((part): part is string | number => typeof part === 'string' || typeof part === 'number')) return place
  } catch {
    // refused below
  }
  throw new Faults([fault('request.invalid', { path: 'cursor', rule: 'next of the page before' })])
}
