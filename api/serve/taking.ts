import { fullSetTypes, lastToGo } from './pass.ts'
import type { Rulings } from './quarantine.ts'
import type { Refusals } from './refusals.ts'
import type { Protocol } from './request.ts'
import type { Resource, ResourceView } from './resource.ts'
import { sizeWithin } from './response.ts'
import { ABSENT, type Standing } from './standing.ts'

/** A response tells of so many resources at most, however small: to choose and lay out as many takes about 8 ms. */
const resourcesMax = 1024

/** What happens when a response is made, among steps that streams share. */
const TAKING = {}

export interface Taken {
  readonly resources: readonly Resource[]
  readonly removed: readonly string[]
  /** Some of it the client did not have. */
  readonly adds: boolean
  /** The client has all of it already and is only told that it lives on. */
  readonly heartbeat?: true
}

/** What decides over a response beside the view. */
export interface TakingOrder {
  /** An answer is due even if it says nothing. */
  readonly isOwed: boolean
  /** What has a time to live must be heard of. */
  readonly isHeartbeatDue: boolean
  /** The oldest revision that is due. */
  readonly since: number
  readonly atMs: number
  /** What is over it stays pending. */
  readonly bytesMax: number
}

/** Makes the responses of one type for one client, in delta and in state of the world: what of all that is due goes out next, and what of it the client then holds. */
export class Taking {
  /** What was refused by others like this client. */
  rulings: Rulings | undefined
  readonly #type: string
  readonly #protocol: Protocol
  readonly #standing: Standing
  readonly #leaving: ReadonlySet<string>
  readonly #refusals: Refusals
  /** SotW sets of what is last to go: the resources last sent, for a removal that waits must stay in the set until then. References, shared with the view. */
  readonly #held: Map<string, Resource> | undefined
  #since = 0
  #atMs = 0

  constructor(type: string, protocol: Protocol, of: { standing: Standing; leaving: ReadonlySet<string>; refusals: Refusals }) {
    this.#type = type
    this.#protocol = protocol
    this.#standing = of.standing
    this.#leaving = of.leaving
    this.#refusals = of.refusals
    this.#held = protocol === 'sotw' && fullSetTypes.has(type) && lastToGo.has(type) ? new Map() : undefined
  }

  /** The next response; undefined when nothing needs to be said. */
  next(view: ResourceView, order: TakingOrder): Taken | undefined {
    this.#since = order.since
    this.#atMs = order.atMs
    const heartbeat = (): Taken | undefined => (order.isHeartbeatDue ? this.#takeHeartbeat(view) : undefined)
    if (this.#isFullSet) return this.#takeSet(view, order.isOwed) ?? heartbeat()
    const due = this.#takeDue(view, order.bytesMax)
    if (due) return due
    return order.isOwed && this.#protocol === 'delta' ? { resources: [], removed: [], adds: false } : heartbeat()
  }

  /** Of what is due these names alone (delta). */
  some(names: Iterable<string>, view: ResourceView, order: TakingOrder): Taken | undefined {
    this.#since = order.since
    this.#atMs = order.atMs
    const due: [string, boolean][] = []
    for (const name of names) {
      const forced = this.#standing.pending.get(name)
      if (forced !== undefined) due.push([name, forced])
    }
    return this.#takeChanged(view, order.bytesMax, due)
  }

  /** The client does not want it any more. */
  forget(name: string): void {
    this.#held?.delete(name)
  }

  /** Nothing stands between what is due to this client and what is due to others: it waits for no removal, refused nothing, and is spared nothing. */
  get isPlain(): boolean {
    return this.#protocol === 'delta' && this.#leaving.size === 0 && this.#refusals.size === 0 && (this.rulings === undefined || this.rulings.isEmpty)
  }

  get #isFullSet(): boolean {
    return this.#protocol === 'sotw' && fullSetTypes.has(this.#type)
  }

  /** What is there under a name that the client wants, or what stands for its absence (xds-rules 19). */
  #resolve(view: ResourceView, name: string): Resource | undefined {
    return view.get(this.#type, name) ?? (this.#standing.names.has(name) ? view.placeholder(this.#type, name) : undefined)
  }

  /** Whether a resource must go out: changed or asked for again, and not refused before. */
  #isDue(resource: Resource, forced: boolean): boolean {
    if (this.#refusals.size > 0 && this.#refusals.get(resource.name) === resource.version) return false
    return forced || this.#standing.sent.get(resource.name) !== resource.version
  }

  /** Whether others like this client refused just this: it keeps what it has. */
  #isKeptBack(resource: Resource, view: ResourceView): boolean {
    if (this.rulings === undefined || this.rulings.isEmpty) return false
    const ruling = this.rulings.of(resource)
    if (ruling === undefined) return false
    const message = `kept back, for ${ruling.by} refused it: ${ruling.message}`
    this.#refusals.add(resource, { message, revision: view.revision, since: this.#since, atMs: this.#atMs, kept: true, certain: true })
    return true
  }

  /** Whether an absence must be told: the client has the resource, or asked. */
  #isAbsenceDue(name: string, forced: boolean): boolean {
    const sent = this.#standing.sent.get(name)
    return forced || (sent === undefined ? this.#standing.names.has(name) : sent !== ABSENT)
  }

  /** Of much that is due the part that is due to others as well goes as it went to them, and what is this stream's own before it. */
  #takeDue(view: ResourceView, bytesMax: number): Taken | undefined {
    const common = this.isPlain && this.#standing.isMuchDue ? this.#standing.common(TAKING, [], view) : undefined
    if (common === undefined) return this.#takeChanged(view, bytesMax, this.#standing.pending)
    return this.#takeChanged(view, bytesMax, [...this.#standing.ownDue()]) ?? this.#standing.go(common.step, () => this.#takeChanged(view, bytesMax, this.#standing.pending))
  }

  #takeChanged(view: ResourceView, bytesMax: number, due: Iterable<[string, boolean]>): Taken | undefined {
    const resources: Resource[] = []
    const removed: string[] = []
    let bytes = 0
    let adds = false
    for (const [name, forced] of due) {
      if (resources.length + removed.length >= resourcesMax) break
      let resource = this.#standing.wants(name) ? this.#resolve(view, name) : undefined
      if (resource && this.#standing.sent.get(name) !== resource.version && this.#isKeptBack(resource, view)) {
        // Who has an older one keeps it; who has none and asked for it by name is told what stands for absence, and does not wait (xds-rules 19).
        if (this.#standing.has(name) || !this.#standing.names.has(name)) {
          this.#standing.pending.delete(name)
          continue
        }
        resource = view.placeholder(this.#type, name)
      }
      // Two aliases of one resource may be asked for at once.
      if (resource && this.#isDue(resource, forced) && !(resource.aliases && resources.includes(resource))) {
        const size = sizeWithin(resource)
        if (bytes + size > bytesMax && bytes > 0) break
        bytes += size
        resources.push(resource)
        adds ||= !this.#standing.has(name)
        // The resource's own strings: they are there once for all streams.
        this.#standing.sent.set(resource.name, resource.version)
      } else if (!resource && this.#standing.wants(name)) {
        const size = name.length + 4
        if (bytes + size > bytesMax && bytes > 0) break
        if (this.#isAbsenceDue(name, forced)) {
          bytes += size
          removed.push(name)
        }
        if (this.#standing.names.has(name)) this.#standing.sent.set(name, ABSENT)
        else this.#standing.sent.delete(name)
      }
      this.#standing.pending.delete(name)
    }
    // SotW has no word for an absence outside the full sets: there it means nothing, and the client waits (xds-rules 16, 19).
    const silent = resources.length === 0 && (removed.length === 0 || this.#protocol === 'sotw')
    return silent ? undefined : { resources, removed, adds }
  }

  #takeHeartbeat(view: ResourceView): Taken | undefined {
    const resources: Resource[] = []
    for (const [name, version] of this.#standing.sent) {
      const resource = version === ABSENT ? undefined : view.get(this.#type, name)
      if (resource?.version === version && (this.#isFullSet || resource.ttlMs !== undefined)) resources.push(resource)
    }
    return resources.some((resource) => resource.ttlMs !== undefined) ? { resources, removed: [], adds: false, heartbeat: true } : undefined
  }

  /** SotW, full sets: one thing to say, and everything is said (xds-rules 16). What was refused before stays in the set, for its absence would delete the client's older one. */
  #takeSet(view: ResourceView, isOwed: boolean): Taken | undefined {
    let due = isOwed
    for (const [name, forced] of this.#standing.pending) {
      if (due) break
      const resource = this.#standing.wants(name) ? this.#resolve(view, name) : undefined
      due = resource ? this.#isDue(resource, forced) && !(this.#standing.sent.get(name) !== resource.version && this.#isKeptBack(resource, view)) : this.#standing.wants(name) && this.#isAbsenceDue(name, forced)
    }
    this.#standing.pending.clear()
    if (!due) return undefined
    const set = new Map<string, Resource>()
    if (this.#standing.wildcard) for (const resource of view.list(this.#type)) this.#include(set, resource, view)
    const absent: string[] = []
    for (const name of this.#standing.names) {
      const resource = this.#resolve(view, name)
      if (resource) this.#include(set, resource, view)
      else absent.push(name)
    }
    for (const name of this.#leaving) {
      const held = this.#held?.get(name)
      if (held && !set.has(name)) set.set(name, held)
    }
    const adds = [...set.keys()].some((name) => !this.#standing.has(name))
    this.#standing.sent.clear()
    this.#held?.clear()
    for (const name of absent) if (!set.has(name)) this.#standing.sent.set(name, ABSENT)
    for (const [name, resource] of set) {
      this.#standing.sent.set(name, resource.version)
      this.#held?.set(name, resource)
    }
    return { resources: [...set.values()], removed: [], adds }
  }

  /** A set must name what the client is to keep: of what is kept back the older one where that is at hand, and nothing where the client has none. */
  #include(set: Map<string, Resource>, resource: Resource, view: ResourceView): void {
    const { name, version } = resource
    if (this.#standing.sent.get(name) === version || !this.#isKeptBack(resource, view)) set.set(name, resource)
    else if (this.#standing.has(name)) set.set(name, this.#held?.get(name) ?? resource)
  }
}
