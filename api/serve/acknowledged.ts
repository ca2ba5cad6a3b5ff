import type { Rejection } from './ledger-entry.ts'
import type { Subscription } from './subscription.ts'

// How far one client has come, of all types together.

/** Nothing that it asked for has been answered by it yet: it has connected, and is not configured. */
export function isStarting(subscriptions: Iterable<Subscription>): boolean {
  for (const { ackedRevision, rejection } of subscriptions) if (ackedRevision > 0 || rejection) return false
  return true
}

/** The oldest mesh revision with something not acknowledged; undefined when all is. */
export function unackedSince(subscriptions: Iterable<Subscription>): number | undefined {
  let oldest: number | undefined
  for (const subscription of subscriptions) {
    const since = subscription.unackedSince
    if (since !== undefined && (oldest === undefined || since < oldest)) oldest = since
  }
  return oldest
}

/** Of types whose last answer was a NACK. */
export const rejectionsIn = (subscriptions: Iterable<Subscription>): readonly Rejection[] => [...subscriptions].flatMap((subscription) => subscription.rejection ?? [])

/** Refusals of responses that carried `revision`. */
export function rejectionsOf(subscriptions: Iterable<Subscription>, revision: number): readonly { type: string; rejection: Rejection }[] {
  const found: { type: string; rejection: Rejection }[] = []
  for (const subscription of subscriptions) for (const rejection of subscription.rejectionsOf(revision)) found.push({ type: subscription.type, rejection })
  return found
}

/** The newest mesh revision of which it has everything, and refused nothing. */
export function syncedRevision(subscriptions: ReadonlyMap<string, Subscription>, viewRevision: number): number {
  const unacked = unackedSince(subscriptions.values())
  const acked = unacked === undefined ? viewRevision : Math.min(viewRevision, Math.max(0, unacked - 1))
  return rejectionsIn(subscriptions.values()).reduce((synced, rejection) => Math.min(synced, Math.max(0, rejection.revision - 1)), acked)
}
