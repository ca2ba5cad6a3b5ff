import { at, text } from './json.ts'

/** Rows for people, each with what filters look at. */
export interface Row {
  readonly cells: readonly string[]
  readonly about: Readonly<Record<string, string>>
}

export interface Table {
  readonly header: readonly string[]
  readonly rows: readonly Row[]
}

/** The object and field that translation wrote into a message's metadata; else the objects behind the whole resource. */
export function originOf(message: unknown, origins: readonly string[]): string {
  const own = at(message, 'metadata', 'filterMetadata', 'weft')
  const resource = text(own, 'resource')
  if (resource === '') return origins.join(', ')
  const field = text(own, 'field')
  return field === '' ? resource : `${resource} ${field}`
}

/** `order-service.prod`, as istioctl names an object of a kind that its column stands for; any other object with its kind. */
export function shortName(origin: string, kind: string): string {
  const [resource = ''] = origin.split(' ')
  const [of = '', namespace = '', name = ''] = resource.split('/')
  if (name === '') return ''
  return of === kind ? `${name}.${namespace}` : resource
}

export const byCells = (a: Row, b: Row): number => a.cells.join('\u0000').localeCompare(b.cells.join('\u0000'), 'en', { numeric: true })
