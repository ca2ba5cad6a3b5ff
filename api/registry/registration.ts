import { fault, Faults } from '#core/fault/fault.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Workload } from '#core/workload/workload.ts'
import { workloadKey } from '#core/workload/workload.ts'
import type { Clock, Timer } from '#core/time/clock.ts'
import { type Store, StoreTaken, type WorkloadKey, type WorkloadLease } from '#db/store.ts'
import type { Peer } from '../serve/peer.ts'
import type { Log } from '../log.ts'
import { Addresses, placesOf } from './addresses.ts'

/** How long a workload stays in the mesh after its proxy's stream broke without a goodbye: long enough to reconnect after a restart of this server. */
const LEASE_MS = 15_000

/** Among replicas: leases are the database's, and each replica renews those of its streams. Longer than two renewals, so that one may be late. */
const SHARED_LEASE_MS = 60_000
const RENEWAL_MS = 20_000
/** A proxy whose stream broke may be back at another replica that has renewed just before: it must stay until the next renewal. */
const BROKEN_LEASE_MS = 30_000

/** So long a stream waits to hear whether another replica has a workload in its place, and where no answer came nobody is asked for so long: only the write decides. */
const ASKED_WITHIN_MS = 1000
const UNASKED_MS = 5000

/** What a proxy says of its health is written once in so long: each time the whole mesh is told. */
const HEALTH_MS = 1000

interface Lease {
  readonly meshId: string
  readonly namespace: string
  readonly name: string
  workload: Workload | undefined
  streams: number
  /** By the streams' nodes: ends them, where a workload of another account turns out to be there. */
  readonly refusals: Map<ProxyNode, (why: Faults) => void>
  expiry: Timer | undefined
  /** Its health was written a moment ago. */
  settling: Timer | undefined
}

/** A workload as its proxy describes it; name and account as its certificate proves them. */
function workloadOf(peer: Peer, node: ProxyNode): Workload {
  return {
    name: node.name,
    namespace: peer.identity?.namespace ?? node.namespace,
    serviceAccount: peer.identity?.serviceAccount ?? node.serviceAccount,
    labels: node.labels,
    address: node.address,
    ...(node.addresses === undefined || node.addresses.length < 2 ? {} : { addresses: node.addresses }),
    network: node.network,
    locality: node.locality,
    cluster: node.cluster,
    ports: node.ports,
    ...(node.portsByName === undefined ? {} : { portsByName: node.portsByName }),
    ...(node.weight === undefined ? {} : { weight: node.weight }),
    // A gRPC server without a proxy takes mutual TLS where it has certificates.
    mutualTls: node.type === 'sidecar' || (node.type === 'grpc' && node.grpcCertificates === true && node.ports.length > 0),
    health: node.health ?? 'healthy',
  }
}

/**
 * Who is in the mesh: a proxy that connects brings its workload in, a goodbye takes it out at once, a broken stream takes it out when its lease has run out.
 * Writes of one workload follow one another; a failed one is tried again until it holds, for the mesh must not forget or keep anyone.
 */
export class Registration {
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Log
  readonly #leases = new Map<string, Lease>()
  readonly #writes = new Map<string, Promise<void>>()
  /** Of workloads with streams here. */
  readonly #addresses = new Addresses()

  /** This replica's name among others on the database; undefined when it is the only one, and keeps leases itself. */
  readonly #replica: string | undefined
  readonly #renewals: Timer | undefined
  /** By the monotonic clock. */
  #unaskedUntilMs = 0

  constructor(store: Store, clock: Clock, log: Log, replica?: string) {
    this.#store = store
    this.#clock = clock
    this.#log = log
    this.#replica = replica
    if (replica !== undefined) this.#renewals = clock.every(RENEWAL_MS, () => void this.renew())
  }

  /** @throws Faults 'access.forbidden' for an address where a live workload of another account is, or its name, at this replica or another */
  async judge(peer: Peer, node: ProxyNode): Promise<void> {
    const workload = workloadOf(peer, node)
    this.#judgeHere(peer, workload)
    if (this.#replica === undefined || this.#clock.monotonicMs() < this.#unaskedUntilMs) return
    const holder = await this.#holderElsewhere(peer.meshId, workload, this.#sharedLease(workload, this.#replica))
    if (holder !== undefined) throw this.#taken(peer.meshId, workload, holder)
    // Meanwhile somebody may have come here.
    this.#judgeHere(peer, workload)
  }

  #judgeHere(peer: Peer, workload: Workload): void {
    const bearer = this.#leases.get(`${peer.meshId}/${workloadKey(workload)}`)
    if (bearer?.workload !== undefined && bearer.streams > 0 && bearer.workload.serviceAccount !== workload.serviceAccount) {
      this.#log.warn('registry.name-taken', { mesh: peer.meshId, workload: workloadKey(workload), account: workload.serviceAccount, holder: bearer.workload.serviceAccount })
      throw new Faults([fault('access.forbidden', { path: '', rule: 'a name that no live workload of another account has' })])
    }
    const holder = this.#addresses.holderBefore(peer.meshId, workload)
    if (holder === undefined) return
    this.#log.warn('registry.address-taken', { mesh: peer.meshId, workload: workloadKey(workload), account: workload.serviceAccount, address: workload.address, holder: workloadKey(holder) })
    throw new Faults([fault('access.forbidden', { path: '', rule: 'an address where no live workload of another account is' })])
  }

  /** @param refuse ends the stream, where another replica has let somebody in at the same moment */
  connected(peer: Peer, node: ProxyNode, refuse: (why: Faults) => void): void {
    const workload = workloadOf(peer, node)
    const lease = this.#lease(peer.meshId, workload)
    if (lease.workload) this.#addresses.release(peer.meshId, lease.workload)
    this.#addresses.hold(peer.meshId, workload)
    lease.expiry?.cancel()
    lease.expiry = undefined
    lease.streams++
    lease.refusals.set(node, refuse)
    lease.workload = workload
    this.#put(lease, workload)
  }

  /** A proxy says that its application may be called from now on, or may not. */
  health(peer: Peer, node: ProxyNode, health: Workload['health']): void {
    const lease = this.#lease(peer.meshId, workloadOf(peer, node))
    if (lease.streams === 0 || lease.workload === undefined || lease.workload.health === health) return
    lease.workload = { ...lease.workload, health }
    if (lease.settling === undefined) this.#tellHealth(lease, lease.workload)
  }

  #tellHealth(lease: Lease, told: Workload): void {
    this.#put(lease, told)
    lease.settling = this.#clock.after(HEALTH_MS, () => {
      lease.settling = undefined
      if (lease.streams > 0 && lease.workload !== undefined && lease.workload.health !== told.health) this.#tellHealth(lease, lease.workload)
    })
  }

  disconnected(peer: Peer, node: ProxyNode, how: 'clean' | 'lost'): void {
    const lease = this.#lease(peer.meshId, workloadOf(peer, node))
    lease.streams = Math.max(0, lease.streams - 1)
    lease.refusals.delete(node)
    if (lease.streams > 0) return
    if (lease.workload) this.#addresses.release(peer.meshId, lease.workload)
    if (how === 'clean') this.#leave(lease)
    else if (this.#replica === undefined) this.#expireLater(lease)
    else this.#letGo(lease, this.#replica)
  }

  /** Renews the leases of all workloads whose proxies are here, a statement a mesh, and removes from these meshes what nobody renews. */
  async renew(): Promise<void> {
    const meshes = new Map<string, Lease[]>()
    for (const lease of this.#leases.values()) {
      const list = meshes.get(lease.meshId)
      if (list === undefined) meshes.set(lease.meshId, [lease])
      else list.push(lease)
    }
    for (const [meshId, leases] of meshes) {
      try {
        const missing = await this.#store.renewLeases(meshId, leases.filter((lease) => lease.streams > 0), SHARED_LEASE_MS)
        for (const key of missing) {
          const lease = this.#leases.get(`${meshId}/${workloadKey(key)}`)
          if (lease?.workload && lease.streams > 0) this.#put(lease, lease.workload)
        }
        for (const key of await this.#store.expireLeases(meshId)) this.#log.info('registry.left', { mesh: meshId, workload: workloadKey(key) })
      } catch (error) {
        // The next renewal is early enough.
        this.#log.warn('registry.write-failed', { mesh: meshId, reason: error instanceof Error ? error.message : String(error) })
      }
    }
  }

  #put(lease: Lease, workload: Workload): void {
    const holder = this.#replica
    this.#write(lease, 'registry.joined', () => this.#store.putWorkload(lease.meshId, workload, holder === undefined ? undefined : this.#sharedLease(workload, holder)))
  }

  #sharedLease(workload: Workload, holder: string): WorkloadLease {
    return { ms: SHARED_LEASE_MS, holder, places: placesOf(workload) }
  }

  /** Undefined too where the database does not say: streams come back while it is away. */
  async #holderElsewhere(meshId: string, workload: Workload, lease: WorkloadLease): Promise<WorkloadKey | undefined> {
    const { promise: late, resolve: giveUp } = Promise.withResolvers<'late'>()
    const timer = this.#clock.after(ASKED_WITHIN_MS, () => giveUp('late'))
    try {
      const answer = await Promise.race([this.#store.workloadTakenBy(meshId, workload, lease), late])
      if (answer !== 'late') return answer
    } catch (error) {
      this.#log.warn('registry.unjudged', { mesh: meshId, workload: workloadKey(workload), reason: error instanceof Error ? error.message : String(error) })
    } finally {
      timer.cancel()
    }
    this.#unaskedUntilMs = this.#clock.monotonicMs() + UNASKED_MS
    return undefined
  }

  #taken(meshId: string, workload: Workload, holder: WorkloadKey): Faults {
    this.#log.warn('registry.taken-elsewhere', { mesh: meshId, workload: workloadKey(workload), account: workload.serviceAccount, address: workload.address, holder: workloadKey(holder) })
    return new Faults([fault('access.forbidden', { path: '', rule: 'a name and an address that no live workload of another account has at another replica' })])
  }

  /** It stays known here without streams until its time is over, so that its mesh is still looked at. */
  #letGo(lease: Lease, holder: string): void {
    this.#write(lease, 'registry.lost', async () => {
      await this.#store.endLease(lease.meshId, lease, holder, BROKEN_LEASE_MS)
      return 0
    })
    lease.expiry = this.#clock.after(BROKEN_LEASE_MS + RENEWAL_MS, () => {
      if (lease.streams === 0) this.#leases.delete(`${lease.meshId}/${workloadKey(lease)}`)
    })
  }

  /** Workloads that an earlier run of this server knew get one lease to come back in. */
  expect(meshId: string, workloads: Iterable<Workload>): void {
    for (const workload of workloads) {
      const lease = this.#lease(meshId, workload)
      if (lease.streams === 0 && lease.expiry === undefined) this.#expireLater(lease)
    }
  }

  close(): void {
    this.#renewals?.cancel()
    for (const lease of this.#leases.values()) {
      lease.expiry?.cancel()
      lease.settling?.cancel()
    }
    this.#leases.clear()
  }

  #lease(meshId: string, of: { namespace: string; name: string }): Lease {
    const key = `${meshId}/${workloadKey(of)}`
    let lease = this.#leases.get(key)
    if (!lease) this.#leases.set(key, (lease = { meshId, namespace: of.namespace, name: of.name, workload: undefined, streams: 0, refusals: new Map(), expiry: undefined, settling: undefined }))
    return lease
  }

  #expireLater(lease: Lease): void {
    lease.expiry?.cancel()
    lease.expiry = this.#clock.after(LEASE_MS, () => this.#leave(lease))
  }

  #leave(lease: Lease): void {
    this.#leases.delete(`${lease.meshId}/${workloadKey(lease)}`)
    this.#write(lease, 'registry.left', () => this.#store.removeWorkload(lease.meshId, lease, this.#replica))
  }

  #write(lease: Lease, event: string, write: () => Promise<number>): void {
    const key = `${lease.meshId}/${workloadKey(lease)}`
    const before = this.#writes.get(key) ?? Promise.resolve()
    const attempt = async (): Promise<void> => {
      for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 5000)) {
        try {
          const revision = await write()
          this.#log.info(event, { mesh: lease.meshId, workload: workloadKey(lease), revision })
          return
        } catch (error) {
          if (error instanceof StoreTaken && lease.workload !== undefined) {
            const why = this.#taken(lease.meshId, lease.workload, error.by)
            for (const refuse of [...lease.refusals.values()]) refuse(why)
            return
          }
          this.#log.warn('registry.write-failed', { mesh: lease.meshId, workload: workloadKey(lease), reason: error instanceof Error ? error.message : String(error) })
          await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve))
        }
      }
    }
    const after = before.then(attempt).finally(() => {
      if (this.#writes.get(key) === after) this.#writes.delete(key)
    })
    this.#writes.set(key, after)
  }
}
