import type { historyEntry } from '#core/contract/history.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { z } from 'zod'

/** One entry of `GET …/history`. */
export type HistoryEntry = z.infer<typeof historyEntry>

/** Query for the history of one object, the newest fifty changes. */
export function historyQuery(object: ResourceObject): string {
  const query = new URLSearchParams({ group: groupOf(object.apiVersion), kind: object.kind, namespace: object.metadata.namespace ?? '', name: object.metadata.name, limit: '50' })
  return query.toString()
}

/** The API group of an apiVersion: '' for `v1`. */
const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '')
