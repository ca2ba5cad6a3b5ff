import { sql } from 'drizzle-orm'
import type { SQL } from 'drizzle-orm'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Seal } from '../seal.ts'
import type { ResourceKey, StoredResource } from '../store.ts'
import { readObject } from './stored-object.ts'

/** A row of `resource` or of `history`, in the columns that both have. */
export interface ResourceRow {
  readonly api_group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly revision: number
  readonly generation: number
  readonly created_at: string
  readonly object: ResourceObject
}

/** `alias`: the table's name in the query. */
export function resourceColumns(alias: string): SQL {
  return sql.raw(['api_group', 'kind', 'namespace', 'name', 'uid', 'revision', 'generation', 'created_at', 'object'].map((column) => `${alias}.${column}`).join(', '))
}

export function readResourceRow(seal: Seal, meshId: string, row: ResourceRow): StoredResource {
  const key: ResourceKey = { group: row.api_group, kind: row.kind, namespace: row.namespace, name: row.name }
  return {
    key,
    uid: row.uid,
    revision: row.revision,
    generation: row.generation,
    createdAtMs: new Date(row.created_at).getTime(),
    object: readObject(seal, meshId, key, row.object),
  }
}

/** One string for maps; JSON, because any of the four may hold any character. */
export const keyText = (key: ResourceKey): string => JSON.stringify([key.group, key.kind, key.namespace, key.name])
