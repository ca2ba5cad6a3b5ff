import { CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { wildcardTypes } from './pass.ts'
import type { DiscoveryRequest } from './request.ts'
import type { ResourceView } from './resource.ts'
import type { Subscription } from './subscription.ts'

/**
 * Reads an incremental request into a subscription (xDS protocol, "Incremental xDS").
 * The nonce only paired an ACK with its response, which the caller has done: subscriptions change whatever it says (xds-rules 6).
 * @param client `resumes`: endpoints that it names with their versions are all that it needs of them, as our own sidecar says; Envoy may hold a cluster back until they come once more
 */
export function applyDelta(subscription: Subscription, request: DiscoveryRequest, view: ResourceView, client: { readonly resumes: boolean } = { resumes: false }): void {
  const first = !subscription.asked
  subscription.asked = true
  // An answer, and nothing else.
  if (!first && request.names.length + request.dropped.length === 0) return
  // All that the mesh is at the first request is still to be acknowledged.
  const since = first ? 0 : view.revision
  subscription.ask(request.ask, first, view, since, (apart) => read(subscription, request, view, client, { first, since, apart }))
  if (!first) subscription.asksFor(request.names)
  else if (request.held.size > 0) subscription.holdBackGone(view)
}

function read(subscription: Subscription, request: DiscoveryRequest, view: ResourceView, client: { readonly resumes: boolean }, { first, since, apart }: { first: boolean; since: number; apart: readonly string[] }): void {
  if (first) {
    for (const [name, version] of request.held) subscription.remember(name, version, view)
  }
  for (const name of request.names) {
    if (name === '*') {
      subscription.hasNamed()
      if (isOpen(subscription)) subscription.wantAll(view, since, apart)
    }
    // A name subscribed (again) is sent (again), except where initial_resource_versions speaks for the client; and endpoints, always where a cluster may be half-way
    // (xds-rules 13, 14).
    else subscription.want(name, view, since, !first || (subscription.type === CLUSTER_LOAD_ASSIGNMENT && !client.resumes))
  }
  for (const name of request.dropped) {
    if (name === '*') subscription.unwantAll()
    else subscription.unwant(name, since)
  }
  // "Legacy" wildcard: the first request, and no name ever (xds-rules 12).
  if (first && !subscription.named && isOpen(subscription)) subscription.wantAll(view, since, apart)
  // What it holds and does not ask for is none of our business.
  if (first && !subscription.wildcard) subscription.unwantAll()
}

const isOpen = (subscription: Subscription): boolean => wildcardTypes.has(subscription.type)
