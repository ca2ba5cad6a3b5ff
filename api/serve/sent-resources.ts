import { SECRET } from '#core/wire/type-url.ts'
import type { Resource, ResourceView } from './resource.ts'
import type { Subscription } from './subscription.ts'

export interface SentResource {
  readonly type: string
  readonly name: string
  readonly version: string
  /** The client answered it with a NACK. */
  readonly refused: boolean
  /** The client has not answered it yet, or is due another. */
  readonly stale: boolean
  readonly resource: Resource | undefined
}

/**
 * What a client was sent. `resource` is undefined where the view has moved on and the newer is not sent yet,
 * and always for secrets: those go to their owner only (xds-rules 28).
 */
export function* sentResources(subscriptions: Iterable<Subscription>, view: ResourceView): Iterable<SentResource> {
  for (const subscription of subscriptions) {
    const { type } = subscription
    for (const { name, version, refused, stale } of subscription.held()) {
      const now = type === SECRET ? undefined : (view.get(type, name) ?? view.placeholder(type, name))
      yield { type, name, version, refused, stale, resource: now?.version === version ? now : undefined }
    }
  }
}

/** What a client asks for by name and does not have. */
export function* absentResources(subscriptions: Iterable<Subscription>): Iterable<{ readonly type: string; readonly name: string }> {
  for (const subscription of subscriptions) for (const name of subscription.absent()) yield { type: subscription.type, name }
}
