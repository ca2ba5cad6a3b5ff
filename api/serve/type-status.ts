import type { TypeStatus } from './ledger-entry.ts'
import type { Subscription } from './subscription.ts'

/** Refused resources that a status names. */
const refusalsMax = 32

/** Where one client stands with one type. */
export function statusOf(subscription: Subscription): TypeStatus {
  const { type, sinceMs, subscribed, sentRevision, ackedRevision, rejection, inFlight, refusals } = subscription
  const state = inFlight ? 'STALE' : rejection || refusals.length > 0 ? 'REJECTED' : subscription.nonce === '' ? 'NOT_SENT' : subscription.hasWork ? 'STALE' : 'SYNCED'
  return { type, state, sinceMs, subscribed, sentRevision, ackedRevision, rejection: rejection ?? refusals.at(-1), ...(refusals.length > 0 ? { refusals: refusals.slice(0, refusalsMax) } : {}) }
}
