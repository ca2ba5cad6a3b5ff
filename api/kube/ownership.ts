import type { ResourceObject } from '#core/resource/object.ts'
import { kindByName, kindOf } from '#core/resource/registry.ts'
import type { ResourceKey, Store, StoredResource } from '#db/store.ts'
import type { Proposal, Removal } from '../apply/apply.ts'
import { recordUpdate } from './field-managers.ts'
import { isGoing, marked } from './finalizers.ts'

// What goes with an object that is deleted, by Kubernetes' rules (pkg/controller/garbagecollector): there a controller follows the deletion, here all of it is one change.

export type Propagation = 'Orphan' | 'Background' | 'Foreground'

const ORPHAN = 'orphan'
const FOREGROUND = 'foregroundDeletion'
/** Who takes references out, as managers of fields are named. */
const COLLECTOR = 'garbage-collector'

interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly blockOwnerDeletion?: boolean
}

const ownersOf = (object: ResourceObject): readonly OwnerReference[] => (object.metadata.ownerReferences ?? []) as readonly OwnerReference[]
const waits = (object: ResourceObject): boolean => isGoing(object) && (object.metadata.finalizers ?? []).includes(FOREGROUND)

/** One object and what has become of it so far; null: it goes. */
interface Fate {
  readonly stored: StoredResource
  object: ResourceObject | null
}

export interface Writes {
  readonly puts: readonly Proposal[]
  readonly removals: readonly Removal[]
}

const OWNED_MAX = 1000

/** Uids of owners that the next state names and the one before did not. */
export function newOwners(before: ResourceObject | undefined, next: ResourceObject): string[] {
  const had = new Set(before === undefined ? [] : ownersOf(before).map((one) => one.uid))
  return ownersOf(next).flatMap((one) => (had.has(one.uid) ? [] : [one.uid]))
}

/** Uids of owners that the next state of an object does not hold up any more. */
export function lostOwners(before: ResourceObject, next: ResourceObject): string[] {
  const blocked = (object: ResourceObject): string[] => ownersOf(object).filter((one) => one.blockOwnerDeletion === true).map((one) => one.uid)
  const kept = new Set(blocked(next))
  return blocked(before).filter((uid) => !kept.has(uid))
}

/**
 * A deletion, or an end of what one waits for, with all that follows from it: dependents that have no other owner go as well, the others lose the reference, and an owner that waits for those that block it goes
 * after the last of them. Only what this mesh has counts: an owner of a kind that it does not serve is taken to be there, so a Deployment that Weft cannot see loses no route.
 * Read before it is written: the writes name the versions that they have seen, and a conflict is to be tried again.
 */
export class Deletion {
  readonly #store: Store
  readonly #mesh: { readonly id: string; readonly organizationId: string }
  readonly #nowMs: number
  readonly #fates = new Map<string, Fate>()
  /** What somebody else writes in the same change. */
  #written: { readonly uid: string; readonly next: ResourceObject } | undefined
  /** By owner, as they were read. */
  readonly #dependents = new Map<string, StoredResource[]>()

  constructor(store: Store, mesh: { readonly id: string; readonly organizationId: string }, nowMs: number) {
    this.#store = store
    this.#mesh = mesh
    this.#nowMs = nowMs
  }

  /**
   * Deletes it, in this way, or else in the one that its finalizers ask for. What is marked already stays so.
   * @returns the object as whoever asked is to see it: with the mark and the finalizers that it was given, or undefined where it went at once
   */
  async delete(stored: StoredResource, propagation: Propagation | undefined): Promise<ResourceObject | undefined> {
    const now = this.#now(stored)
    if (now === null || isGoing(now)) return now ?? undefined
    const finalizers = now.metadata.finalizers ?? []
    const how = propagation ?? (finalizers.includes(ORPHAN) ? 'Orphan' : finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background')
    const rest = finalizers.filter((one) => one !== ORPHAN && one !== FOREGROUND)
    const given = how === 'Background' ? rest : [...rest, how === 'Orphan' ? ORPHAN : FOREGROUND]
    if (given.length === 0) {
      await this.gone(stored)
      return undefined
    }
    const going = marked(withFinalizers(now, given), this.#nowMs)
    this.#become(stored, going)
    if (how === 'Orphan') for (const one of await this.#dependentsOf(stored)) this.#disown(one, new Set([stored.uid]))
    if (how === 'Foreground') await this.#collect(stored)
    if (how === 'Orphan') await this.#finish(stored, ORPHAN)
    else await this.#release(stored)
    return going
  }

  /** Reads what these own together, before each of them is deleted. */
  async expect(owners: readonly string[]): Promise<void> {
    for (const uid of owners) this.#dependents.set(uid, [])
    let cursor: string | undefined
    do {
      const page = await this.#store.listResources(this.#mesh.organizationId, this.#mesh.id, { owners }, { limit: OWNED_MAX, ...(cursor === undefined ? {} : { cursor }) })
      for (const one of page.items) for (const uid of new Set(ownersOf(one.object).map((reference) => reference.uid))) if (owners.includes(uid)) this.#dependents.get(uid)?.push(one)
      cursor = page.next
    } while (cursor !== undefined)
  }

  /** It goes, now, and what it owned with it. */
  async gone(stored: StoredResource): Promise<void> {
    this.#become(stored, null)
    await this.#collect(stored)
    await this.released(stored, ownersOf(stored.object).map((one) => one.uid))
  }

  /** It is not there for these owners any more, or, as it is to be, does not hold them up: those that wait may go. */
  async released(stored: StoredResource, owners: readonly string[], next?: ResourceObject): Promise<void> {
    if (next !== undefined) this.#written = { uid: stored.uid, next }
    for (const reference of ownersOf(stored.object).filter((one) => owners.includes(one.uid))) {
      const owner = await this.#find(reference, stored.key.namespace)
      if (owner !== undefined && owner !== 'unseen') await this.#release(owner)
    }
  }

  /** One that came while an owner of it went: it is treated as those that were there before. An owner that this mesh never had is let be (after a move between meshes every one has another uid). */
  async late(stored: StoredResource): Promise<void> {
    const references = ownersOf(stored.object)
    const gone = await this.#store.deletedBefore(this.#mesh.organizationId, this.#mesh.id, references.flatMap((one) => {
      const key = keyOfOwner(one, stored.key.namespace)
      return key === undefined ? [] : [{ key, uid: one.uid }]
    }))
    const lost = new Set<string>()
    for (const reference of references) {
      const found = await this.#find(reference, stored.key.namespace)
      if (found === 'unseen') continue
      const now = found === undefined ? undefined : this.#now(found)
      if (found === undefined ? gone.has(reference.uid) : now === null || (now !== undefined && waits(now))) lost.add(reference.uid)
    }
    if (lost.size === 0) return
    if (lost.size < references.length) this.#disown(stored, lost)
    else await this.delete(stored, undefined)
  }

  /** Those that name owners that are gone, as they are stored now: they came while these went. */
  async left(owners: readonly string[]): Promise<void> {
    await this.expect(owners)
    const left = new Map(owners.flatMap((uid) => this.#dependents.get(uid) ?? []).map((one) => [one.uid, one]))
    for (const one of left.values()) await this.late(one)
  }

  /** What is to be written, each by the version that was read. */
  get writes(): Writes {
    return this.#writesOf([...this.#fates.values()])
  }

  /** The same without this one, which somebody else writes. */
  writesBeside({ uid }: StoredResource): Writes {
    return this.#writesOf([...this.#fates.values()].filter(({ stored }) => stored.uid !== uid))
  }

  /** What becomes of it; null: it goes, undefined: nothing. */
  fateOf({ uid }: StoredResource): ResourceObject | null | undefined {
    return this.#fates.get(uid)?.object
  }

  #writesOf(fates: readonly Fate[]): Writes {
    return {
      puts: fates.flatMap(({ stored, object }) => (object === null ? [] : [{ value: object, expectedVersion: String(stored.revision), before: stored }])),
      removals: fates.flatMap(({ stored, object }) => (object === null ? [{ key: stored.key, ...(stored.revision === 0 ? {} : { expectedVersion: String(stored.revision), before: stored }) }] : [])),
    }
  }

  /** What becomes of those that it owns, now that it goes or waits for them. */
  async #collect(owner: StoredResource): Promise<void> {
    for (const one of await this.#dependentsOf(owner)) {
      const object = this.#there(one)
      const lost = new Set<string>()
      let isHeld = false
      for (const reference of ownersOf(object)) {
        if (await this.#holds(reference, one.key.namespace)) isHeld = true
        else lost.add(reference.uid)
      }
      if (isHeld) this.#disown(one, lost)
      // Under an owner that waits, what owns others waits for them in turn.
      else await this.delete(one, this.#now(owner) !== null && (await this.#dependentsOf(one)).length > 0 ? 'Foreground' : undefined)
    }
  }

  /** Whether an owner is there and means to stay. */
  async #holds(reference: OwnerReference, namespace: string): Promise<boolean> {
    const found = await this.#find(reference, namespace)
    if (found === undefined || found === 'unseen') return found === 'unseen'
    const now = this.#now(found)
    return now !== null && !waits(now)
  }

  /** An owner that waits goes once none blocks it any more. */
  async #release(owner: StoredResource): Promise<void> {
    const now = this.#now(owner)
    if (now === null || !waits(now)) return
    const blocking = (await this.#dependentsOf(owner)).some((one) => ownersOf(this.#there(one)).some((reference) => reference.uid === owner.uid && reference.blockOwnerDeletion === true))
    if (!blocking) await this.#finish(owner, FOREGROUND)
  }

  async #finish(stored: StoredResource, finalizer: string): Promise<void> {
    const now = this.#there(stored)
    const rest = (now.metadata.finalizers ?? []).filter((one) => one !== finalizer)
    if (rest.length > 0) this.#become(stored, withFinalizers(now, rest))
    else await this.gone(stored)
  }

  /** Those that name it as an owner, as they are by now. Owners are of the same namespace, or of none. */
  async #dependentsOf({ uid, key }: StoredResource): Promise<StoredResource[]> {
    if (!this.#dependents.has(uid)) await this.expect([uid])
    return (this.#dependents.get(uid) ?? []).filter((one) => {
      const now = this.#now(one)
      return now !== null && (key.namespace === '' || key.namespace === one.key.namespace) && ownersOf(now).some((reference) => reference.uid === uid)
    })
  }

  /** The owner that a reference names; undefined: it is not there. */
  async #find(reference: OwnerReference, namespace: string): Promise<StoredResource | 'unseen' | undefined> {
    const { uid } = reference
    const key = keyOfOwner(reference, namespace)
    if (key === undefined) return 'unseen'
    const found = this.#fates.get(uid)?.stored ?? (await this.#store.getResource(this.#mesh.organizationId, this.#mesh.id, key))
    return found?.uid === uid ? found : undefined
  }

  #now(stored: StoredResource): ResourceObject | null {
    const fate = this.#fates.get(stored.uid)
    if (fate !== undefined) return fate.object
    return this.#written?.uid === stored.uid ? this.#written.next : stored.object
  }

  #there(stored: StoredResource): ResourceObject {
    const now = this.#now(stored)
    if (now === null) throw new Error('what is gone has no state')
    return now
  }

  #disown(stored: StoredResource, lost: ReadonlySet<string>): void {
    const before = this.#there(stored)
    const kind = kindByName(stored.key.group, stored.key.kind)
    if (kind === undefined) throw new Error('what is stored is of a kind that is known')
    this.#become(stored, recordUpdate(kind, before, withoutOwners(before, lost), { manager: COLLECTOR, time: new Date(this.#nowMs).toISOString().replace(/\.\d{3}Z$/, 'Z') }))
  }

  #become(stored: StoredResource, object: ResourceObject | null): void {
    const fate = this.#fates.get(stored.uid)
    if (fate === undefined) this.#fates.set(stored.uid, { stored, object })
    else fate.object = object
  }
}

/** Undefined for a kind that is not served. */
function keyOfOwner({ apiVersion, kind: name, name: of }: OwnerReference, namespace: string): ResourceKey | undefined {
  const kind = kindOf(apiVersion, name)
  return kind && { group: kind.group, kind: kind.kind, namespace: kind.namespaced ? namespace : '', name: of }
}

function withFinalizers(object: ResourceObject, finalizers: readonly string[]): ResourceObject {
  const { finalizers: _, ...metadata } = object.metadata
  return { ...object, metadata: { ...metadata, ...(finalizers.length === 0 ? {} : { finalizers }) } }
}

function withoutOwners(object: ResourceObject, lost: ReadonlySet<string>): ResourceObject {
  const { ownerReferences: _, ...metadata } = object.metadata
  const kept = ownersOf(object).filter((one) => !lost.has(one.uid))
  return { ...object, metadata: { ...metadata, ...(kept.length === 0 ? {} : { ownerReferences: kept }) } }
}
