import { fullSetTypes, wildcardTypes } from './pass.ts'
import type { DiscoveryRequest } from './request.ts'
import type { ResourceView } from './resource.ts'
import type { Subscription } from './subscription.ts'

/**
 * Reads a state-of-the-world request into a subscription: the names in it are all that the client wants from now on.
 * Only the newest nonce of the type counts, an empty one being the first request; an older one is ignored, names included (xds-rules 6).
 * An empty one later is a first request too: a gRPC client in Java forgets a type's nonce, version and resources once it wants none of it any more, and begins anew on the same stream.
 */
export function applySotw(subscription: Subscription, request: DiscoveryRequest, view: ResourceView): void {
  // The nonce of a response to an earlier stream comes with a first request now and then: it is new to this stream, so it counts as empty (xds-rules 5, 11).
  if (subscription.asked && request.nonce !== subscription.nonce && request.nonce !== '') return
  // Whoever has answered a response knew its nonce, and so has forgotten it. With one on its way the request may be older than that.
  const isAnew = subscription.asked && request.nonce === '' && subscription.nonce !== '' && subscription.inFlight === undefined
  const first = !subscription.asked || isAnew
  subscription.asked = true
  const since = first && !isAnew ? 0 : view.revision
  const open = wildcardTypes.has(subscription.type)
  const wanted = new Set(request.names)
  const star = wanted.delete('*') && open
  if (request.names.length > 0) subscription.hasNamed()
  // "Legacy" wildcard: no name was ever given. Once there was one, an empty list means nothing (xds-rules 12).
  const all = star || (open && !subscription.named)
  if (!all && subscription.wildcard) subscription.unwantAll()
  for (const name of subscription.names) if (!wanted.has(name)) subscription.unwant(name, since)
  let added = false
  for (const name of wanted) {
    if (subscription.names.has(name) && !isAnew) continue
    added = true
    subscription.want(name, view, since, true)
  }
  if (all && !subscription.wildcard) subscription.wantAll(view, since)
  // A first request is answered in full, whatever version it names; so is a larger one for a type that only knows full sets (xds-rules 11, 16).
  if ((first || added) && fullSetTypes.has(subscription.type) && (subscription.wildcard || subscription.names.size > 0)) subscription.owe(since)
}
