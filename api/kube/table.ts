import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { metadataOf } from './media-type.ts'
import { Refusal } from './refusal.ts'
import { badRequest } from './status.ts'

interface Column {
  readonly name: string
  readonly type: string
  readonly format: string
  readonly description: string
  readonly priority: number
}

const COLUMN_WORDS: Readonly<Record<string, string>> = { Name: 'Name of the object.', Age: 'Time since it was made.' }

export type IncludeObject = 'Metadata' | 'Object' | 'None'

/** @throws Refusal 400 */
export function readIncludeObject(value: string | undefined): IncludeObject {
  if (value === undefined || value === '') return 'Metadata'
  if (value !== 'Metadata' && value !== 'Object' && value !== 'None') throw new Refusal(badRequest(`includeObject: Metadata, Object or None, and not ${JSON.stringify(value.slice(0, 100))}`))
  return value
}

function columnsOf(kind: ResourceKind): Column[] {
  const column = (name: string, type: string, format = ''): Column => ({ name, type, format, description: COLUMN_WORDS[name] ?? name, priority: 0 })
  return [column('Name', 'string', 'name'), ...kind.printerColumns.map((one) => column(one.name, one.type)), column('Age', 'string')]
}

/** Kubernetes' Table of objects, as `kubectl get` prints it. `withColumns` is false for all events of a watch but its first. */
export function tableOf(kind: ResourceKind, objects: readonly ResourceObject[], nowMs: number, { include, version }: { readonly include: IncludeObject; readonly version: string }, listMeta: object = {}, withColumns = true) {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata: listMeta,
    columnDefinitions: withColumns ? columnsOf(kind) : [],
    rows: objects.map((object) => ({ cells: cellsOf(kind, object, nowMs), object: rowObject(object, include, version) })),
  }
}

function rowObject(object: ResourceObject, include: IncludeObject, version: string): unknown {
  if (include === 'None') return null
  return include === 'Object' ? object : metadataOf(object, version)
}

function cellsOf(kind: ResourceKind, object: ResourceObject, nowMs: number): unknown[] {
  const own = kind.printerColumns.map((column) => {
    const found = valuesAt(object, column.jsonPath)
    return found.length === 0 ? null : found.length === 1 && typeof found[0] !== 'object' ? found[0] : column.jsonPath.includes('[*]') ? found.join(',') : JSON.stringify(found[0])
  })
  return [object.metadata.name, ...own, age(object.metadata.creationTimestamp, nowMs)]
}

/** A simple JSON path, `.spec.ports[*].port`. */
function valuesAt(root: unknown, path: string): unknown[] {
  let found: unknown[] = [root]
  for (const step of path.split('.').filter((one) => one !== '')) {
    const name = step.replace('[*]', '')
    found = found.flatMap((one) => (one !== null && typeof one === 'object' && Object.hasOwn(one, name) ? [(one as Record<string, unknown>)[name]] : []))
    if (step.endsWith('[*]')) found = found.flatMap((one) => (Array.isArray(one) ? one : []))
  }
  return found.filter((one) => one !== undefined && one !== null)
}

// Kubernetes' duration.HumanDuration: two units while they are small, then one.
function age(timestamp: string | undefined, nowMs: number): string {
  if (timestamp === undefined) return '<unknown>'
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(timestamp)) / 1000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  if (hours < 48) return `${hours}h`
  const days = Math.floor(hours / 24)
  return days < 8 && hours % 24 !== 0 ? `${days}d${hours % 24}h` : `${days}d`
}
