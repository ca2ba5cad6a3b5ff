import type { NamesPlan } from '#core/plan/names.ts'
import { readNames } from '#core/plan/read-names.ts'
import { hasMore } from '#core/wire/nonce.ts'
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { NAME_TABLE } from '#core/wire/type-url.ts'
import type { Log } from '../admin/log.ts'
import { describeRejections, type Rejected } from '../ads/nack.ts'
import { Subscription } from '../ads/subscription.ts'
import type { RelayedNames } from './ads-relay.ts'

/** The names of the mesh beside an Envoy, which does not ask for them itself. */
export class AgentNames implements RelayedNames {
  readonly names = new Map<string, NamesPlan>()
  readonly #subscription = new Subscription(NAME_TABLE, true)
  readonly #log: Log
  #onNames: ((name: string) => void) | undefined
  #tellComplete = (): void => {}
  /** The first answer was there, whole. */
  readonly complete: Promise<void>

  constructor(log: Log) {
    this.#log = log
    this.complete = new Promise((resolve) => (this.#tellComplete = resolve))
  }

  onNames(listener: (name: string) => void): void {
    this.#onNames = listener
    for (const name of this.names.keys()) listener(name)
  }

  open(): DeltaDiscoveryRequest | undefined {
    this.#subscription.open()
    return this.#subscription.next(undefined, undefined)
  }

  take({ resources, removedResources, nonce, systemVersionInfo }: DeltaDiscoveryResponse): DeltaDiscoveryRequest | undefined {
    const rejected: Rejected[] = []
    for (const { name, version, resource } of resources) {
      const read = readNames(name, resource?.value ?? new Uint8Array(), version)
      if (!read.ok) {
        rejected.push({ name, faults: read.faults })
        continue
      }
      this.#subscription.versions.set(name, version)
      this.names.set(name, read.plan)
      this.#onNames?.(name)
    }
    for (const name of removedResources) {
      this.#subscription.versions.delete(name)
      this.names.delete(name)
      this.#onNames?.(name)
    }
    if (rejected.length > 0) this.#log.warn('xds.nack', { type: NAME_TABLE, revision: systemVersionInfo, rejected })
    if (!hasMore(nonce)) this.#tellComplete()
    return this.#subscription.next({ nonce, refusal: rejected.length > 0 ? describeRejections(rejected) : undefined }, undefined)
  }
}
