import { isIP } from 'node:net'
import type { Workload } from '#core/workload/workload.ts'

interface Holder {
  readonly namespace: string
  readonly serviceAccount: string
  readonly name: string
}

/** Which live workload of a mesh is at which address: nobody takes over where another account's workload answers. */
export class Addresses {
  readonly #meshes = new Map<string, Map<string, Holder>>()

  /** Who of another account has one of a workload's addresses; undefined when it may have them. */
  holderBefore(meshId: string, workload: Workload): Holder | undefined {
    const held = this.#meshes.get(meshId)
    for (const place of placesOf(workload)) {
      const holder = held?.get(place)
      if (holder && (holder.namespace !== workload.namespace || holder.serviceAccount !== workload.serviceAccount)) return holder
    }
    return undefined
  }

  hold(meshId: string, workload: Workload): void {
    let held = this.#meshes.get(meshId)
    if (held === undefined) this.#meshes.set(meshId, (held = new Map()))
    for (const place of placesOf(workload)) held.set(place, workload)
  }

  /** Its last stream is gone: whoever is given the address next, as a pod is, may have it. */
  release(meshId: string, workload: Workload): void {
    const held = this.#meshes.get(meshId)
    if (held === undefined) return
    for (const place of placesOf(workload)) {
      const holder = held.get(place)
      if (holder?.name === workload.name && holder.namespace === workload.namespace) held.delete(place)
    }
    if (held.size === 0) this.#meshes.delete(meshId)
  }
}

/** Where peers would connect: its ports' own addresses, and each of its addresses as a whole where that is one machine's alone. */
export function placesOf({ network, address, addresses = [], ports }: Workload): string[] {
  const whole = [...new Set([address, ...addresses])].filter((one) => one !== '' && !isShared(one)).map((one) => `${network} ${one}`)
  return [...whole, ...ports.map(({ listen }) => `${network} ${listen.address} ${listen.port}`)]
}

/** On loopback many workloads live side by side, each by its ports. */
const isShared = (address: string): boolean => address === '::1' || address === '::' || address === '0.0.0.0' || (isIP(address) === 4 && address.startsWith('127.'))
