import { create } from '@bufbuild/protobuf'
import type { Node } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { type DeltaDiscoveryRequest, DeltaDiscoveryRequestSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { TypeUrl } from '#core/wire/type-url.ts'

/** google.rpc.Code.INVALID_ARGUMENT, what a NACK bears. */
const INVALID_ARGUMENT = 3

/** The answer to one response: its nonce, and for a NACK the words. */
export interface Reply {
  readonly nonce: string
  readonly refusal: string | undefined
}

/**
 * What a client wants of one type and what it has, by the xDS protocol's section "Incremental xDS". Knows no stream: `open` says that a new one is there.
 * Names and versions outlive streams, nonces do not.
 */
export class Subscription {
  readonly type: TypeUrl
  /** Every resource of the type, asked for by `*`. */
  readonly wildcard: boolean
  /** Name → version of what was accepted, for `initial_resource_versions`. */
  readonly versions = new Map<string, string>()
  readonly #wanted = new Set<string>()
  readonly #toSubscribe = new Set<string>()
  readonly #toUnsubscribe = new Set<string>()
  #asked = false

  constructor(type: TypeUrl, wildcard: boolean) {
    this.type = type
    this.wildcard = wildcard
  }

  want(name: string): void {
    this.#wanted.add(name)
    // Dropped and wanted again before anyone heard of it: subscribing again makes the server send it again, and its content is gone here.
    this.#toUnsubscribe.delete(name)
    this.#toSubscribe.add(name)
  }

  unwant(name: string): void {
    this.#wanted.delete(name)
    this.versions.delete(name)
    this.#toSubscribe.delete(name)
    this.#toUnsubscribe.add(name)
  }

  wants(name: string): boolean {
    return this.wildcard || this.#wanted.has(name)
  }

  get names(): ReadonlySet<string> {
    return this.#wanted
  }

  /** A new stream: it knows nothing yet. */
  open(): void {
    this.#asked = false
    this.#toSubscribe.clear()
    this.#toUnsubscribe.clear()
  }

  /**
   * The next request of this type, or undefined when there is nothing to say.
   * The first of a stream names all that is wanted, and the versions of what is there; a type without names and wildcard is not asked for at all.
   */
  next(reply: Reply | undefined, node: Node | undefined): DeltaDiscoveryRequest | undefined {
    const answer = reply && {
      responseNonce: reply.nonce,
      ...(reply.refusal !== undefined && { errorDetail: { code: INVALID_ARGUMENT, message: reply.refusal } }),
    }
    if (!this.#asked) {
      if (!this.wildcard && this.#wanted.size === 0) return undefined
      this.#asked = true
      this.#toSubscribe.clear()
      this.#toUnsubscribe.clear()
      return create(DeltaDiscoveryRequestSchema, {
        ...(node && { node }),
        typeUrl: this.type,
        resourceNamesSubscribe: [...(this.wildcard ? ['*'] : []), ...this.#wanted],
        initialResourceVersions: Object.fromEntries(this.versions),
        ...answer,
      })
    }
    if (!reply && this.#toSubscribe.size === 0 && this.#toUnsubscribe.size === 0) return undefined
    const request = create(DeltaDiscoveryRequestSchema, {
      ...(node && { node }),
      typeUrl: this.type,
      resourceNamesSubscribe: [...this.#toSubscribe],
      resourceNamesUnsubscribe: [...this.#toUnsubscribe],
      ...answer,
    })
    this.#toSubscribe.clear()
    this.#toUnsubscribe.clear()
    return request
  }
}
