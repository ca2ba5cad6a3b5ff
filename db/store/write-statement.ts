import { sql } from 'drizzle-orm'
import type { SQL } from 'drizzle-orm'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Seal } from '../seal.ts'
import type { Authorship } from '../store.ts'
import type { Standing } from './judgement.ts'
import { writeObject } from './stored-object.ts'

/** One batch of writes into a mesh. */
export interface MeshWrite {
  readonly organizationId: string
  readonly meshId: string
  readonly changed: readonly Standing[]
  readonly by: Authorship
  readonly nowMs: number
  readonly resourcesMax: number | undefined
}

/** What weft_write (migrations/0008_writes.sql) answers. */
export interface Written {
  readonly outcome: 'written' | 'stale' | 'bound'
  readonly new_revision: number
  readonly logged_before: number
  readonly logged: number
  readonly held: number
}

/** All of a write, as one statement. Objects travel as text within the JSON: as JSON in JSON, an escaped NUL in one of them would be refused. */
export function writeStatement(seal: Seal, { organizationId, meshId, changed, by, nowMs, resourcesMax }: MeshWrite): SQL {
  const rows = JSON.stringify(changed.map((standing) => rowOf(seal, meshId, standing)))
  return sql`select * from weft_write(${organizationId}::uuid, ${meshId}::uuid, ${by.author}::text, ${by.message}::text, ${new Date(nowMs).toISOString()}::timestamptz, ${resourcesMax ?? null}::bigint, ${rows}::json)`
}

/** Of references that were judged when they came in. */
const ownersOf = (object: ResourceObject | undefined): string[] => (object?.metadata.ownerReferences ?? []).flatMap((one) => (one !== null && typeof one === 'object' && 'uid' in one && typeof one.uid === 'string' ? [one.uid] : []))

function rowOf(seal: Seal, meshId: string, { key, before, now }: Standing): Record<string, unknown> {
  const known = now ?? before
  if (!known) throw new Error('what changed was there before or is there now')
  return {
    api_group: key.group,
    kind: key.kind,
    namespace: key.namespace,
    name: key.name,
    operation: !now ? 'delete' : before ? 'update' : 'create',
    uid: known.uid,
    generation: known.generation,
    created_at: new Date(known.createdAtMs).toISOString(),
    labels: now?.object.metadata.labels ?? {},
    owners: ownersOf(now?.object),
    object: writeObject(seal, meshId, key, known.object),
    expected: before?.revision ?? null,
  }
}
