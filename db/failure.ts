import { DrizzleQueryError } from 'drizzle-orm'
import { DriverError } from './driver.ts'
import { StoreDuplicate, StoreText, StoreUnavailable } from './store.ts'

const TAKEN: Readonly<Record<string, string>> = {
  organization_name: 'an organization of that name',
  mesh_name: 'a mesh of that name',
  api_key_hash: 'that API key',
  join_token_hash: 'that join token',
  member_name: 'a member of that name',
}

/** Lost or refused connections (08, 53, 57), and transactions that the server gave up for reasons of its own (40): all may succeed later. */
const LATER_CLASSES = new Set(['08', '40', '53', '57'])

/** Whatever a verb's transaction threw, as what leaves the store. drizzle's errors carry the parameters, secrets among them, so none may pass. */
export function storeFailure(error: unknown): unknown {
  const reason = error instanceof DrizzleQueryError ? error.cause : error
  if (!(reason instanceof DriverError)) return reason ?? new Error('a query failed without a reason')
  if (reason.sqlState === undefined || LATER_CLASSES.has(reason.sqlState.slice(0, 2))) return new StoreUnavailable(reason)
  // character_not_in_repertoire, untranslatable_character
  if (reason.sqlState === '22021' || reason.sqlState === '22P05') return new StoreText()
  if (reason.sqlState === '23505') return new StoreDuplicate(TAKEN[reason.constraint ?? ''] ?? `what ${reason.constraint ?? 'a constraint'} keeps unique`)
  return reason
}
