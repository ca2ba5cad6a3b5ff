import type { Role } from '#db/store.ts'

/** Who asks, once that is proven: what every request carries on from `authenticate`. */
export interface Actor {
  readonly kind: 'key'
  readonly organizationId: string
  readonly role: Role
  /** The one mesh that it may see, or null for all of its organization's. */
  readonly meshId: string | null
  /** The only namespaces that it may see and touch, or null for all. */
  readonly namespaces: readonly string[] | null
  /** Of the key. */
  readonly id: string
  /** Whose session the key is; null for a key of its own. */
  readonly memberId: string | null
  /** For authorship and logs. */
  readonly name: string
}
