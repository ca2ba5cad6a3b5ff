import { LRUCache } from 'lru-cache'
import type { Change, StoredResource } from '../store.ts'
import type { Standing } from './judgement.ts'

const MESHES_MAX = 1000
/** Of one mesh. */
const REVISIONS_MAX = 100
/** Objects of one revision: larger ones are read like anyone else's. */
const CHANGES_MAX = 100

/**
 * The last revisions that this process made itself, so that what follows a mesh here need not read from the database what was sent to it a moment before.
 * A revision that is committed never changes, and whoever asks for what came after one is answered only where every one in between is known.
 */
export class RecentChanges {
  readonly #meshes = new LRUCache<string, Map<number, readonly Change[]>>({ max: MESHES_MAX })

  /** To be called once they are committed. */
  put(meshId: string, revision: number, changed: readonly Standing[]): void {
    // A Secret is read back in the form that it is unsealed in.
    if (changed.length > CHANGES_MAX || changed.some(({ key }) => key.group === '' && key.kind === 'Secret')) return
    const known = this.#meshes.get(meshId) ?? new Map<number, readonly Change[]>()
    this.#meshes.set(meshId, known.set(revision, changed.map((one) => changeOf(one, revision))))
    for (const oldest of known.keys()) {
      if (known.size <= REVISIONS_MAX) break
      known.delete(oldest)
    }
  }

  /** Whole revisions that follow this one without a gap, until they hold `limit` changes; empty where the next one is not known. */
  after(meshId: string, revision: number, limit: number): Change[] {
    const known = this.#meshes.get(meshId)
    const changes: Change[] = []
    for (let next = revision + 1; changes.length < limit; next += 1) {
      const more = known?.get(next)
      if (more === undefined) break
      changes.push(...more)
    }
    return changes
  }
}

function changeOf({ key, before, now }: Standing, revision: number): Change {
  const last: { last?: StoredResource } = before === undefined || now !== undefined ? {} : { last: before }
  return { revision, of: 'resource', key, stored: now, ...last }
}
