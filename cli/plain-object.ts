import { stringify } from 'yaml'
import type { ResourceObject } from '#core/resource/object.ts'

/** The object without what the server adds to it: as its author would write it. */
function plainObject(object: ResourceObject): ResourceObject {
  const { status: _, metadata, ...fields } = object
  const { uid: __, resourceVersion: ___, generation: ____, creationTimestamp: _____, managedFields: ______, ...kept } = metadata
  return { ...fields, apiVersion: object.apiVersion, kind: object.kind, metadata: kept }
}

/** YAML in one order, whatever the order of its fields was: what is equal reads equal. */
export const plainYaml = (object: ResourceObject): string => stringify(ordered(plainObject(object)), { lineWidth: 0, aliasDuplicateObjects: false })

const FIRST = ['apiVersion', 'kind', 'metadata', 'name', 'namespace']

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (value === null || typeof value !== 'object') return value
  const place = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length)
  const names = Object.keys(value).sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1))
  return Object.fromEntries(names.map((name) => [name, ordered((value as Readonly<Record<string, unknown>>)[name])]))
}
