import type { ResourceObject } from '#core/resource/object.ts'

/** One entry of `GET …/history`, as far as the page reads it. */
export interface HistoryEntry {
  readonly revision: number
  readonly operation: 'create' | 'update' | 'delete'
  readonly author: string
  readonly message: string
  readonly atMs: number
  readonly object: ResourceObject | null
}

/** The API group of an apiVersion: '' for `v1`. */
const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '')

/** Query for the history of one object. */
export function historyQuery(object: ResourceObject): string {
  const query = new URLSearchParams({ group: groupOf(object.apiVersion), kind: object.kind, namespace: object.metadata.namespace ?? '', name: object.metadata.name, limit: '50' })
  return query.toString()
}

/** Entries in a usable form, the newest first; what is none is left out. */
export function readHistory(items: readonly unknown[]): HistoryEntry[] {
  return items.flatMap(readEntry).sort((one, other) => other.revision - one.revision)
}

function readEntry(item: unknown): HistoryEntry[] {
  if (typeof item !== 'object' || item === null || !('revision' in item) || typeof item.revision !== 'number') return []
  const operation = 'operation' in item && (item.operation === 'create' || item.operation === 'delete') ? item.operation : 'update'
  return [{ revision: item.revision, operation, author: text(item, 'author'), message: text(item, 'message'), atMs: time(item), object: 'object' in item && isObject(item.object) ? item.object : null }]
}

const text = (item: object, field: string): string => {
  const value: unknown = Reflect.get(item, field)
  return typeof value === 'string' ? value : ''
}

/** `atMs`, or an ISO time in `at`. */
function time(item: object): number {
  const ms: unknown = Reflect.get(item, 'atMs')
  return typeof ms === 'number' ? ms : Date.parse(text(item, 'at'))
}

const isObject = (value: unknown): value is ResourceObject => typeof value === 'object' && value !== null && 'kind' in value && 'metadata' in value
