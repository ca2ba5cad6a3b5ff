import type { ResourceKind } from '#core/resource/kind.ts'

/** How a list or map is merged: as a whole, by values, or by keys of its items (Kubernetes' x-kubernetes-list-type and -map-type). */
export type FieldShape = 'atomic' | 'set' | { readonly keys: readonly string[]; readonly defaults?: Readonly<Record<string, unknown>>; readonly itemsWhole?: true }

/** Of every object. */
const METADATA: Readonly<Record<string, FieldShape>> = { 'metadata.finalizers': 'set', 'metadata.ownerReferences': { keys: ['uid'], itemsWhole: true } }

/** By group and kind, then by path. All other lists are atomic, as Istio's definitions have them, and all other maps are merged. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, FieldShape>>>> = {
  '/Service': { 'spec.ports': { keys: ['port', 'protocol'], defaults: { protocol: 'TCP' } }, 'spec.selector': 'atomic' },
  '/ServiceAccount': { secrets: { keys: ['name'] } },
  'gateway.networking.k8s.io/Gateway': { 'spec.listeners': { keys: ['name'] } },
}

/** Whether a map at this place counts as a whole. */
export const isWhole = (shape: FieldShape | undefined): boolean => shape === 'atomic' || (typeof shape === 'object' && shape.itemsWhole === true)

export type ShapeOf = (path: string) => FieldShape | undefined

function shapesOf(kind: Pick<ResourceKind, 'group' | 'kind'>): Readonly<Record<string, FieldShape>> {
  return SHAPES[`${kind.group}/${kind.kind}`] ?? {}
}

export function shapeOf(kind: Pick<ResourceKind, 'group' | 'kind'>): ShapeOf {
  const own = shapesOf(kind)
  return (path) => METADATA[path] ?? own[path]
}

type Json = Readonly<Record<string, unknown>>
const isJson = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

/** The step to an item of a list of this shape; undefined for an item without its keys, which nobody can find again. */
function stepOf(shape: FieldShape | undefined, item: unknown): string | undefined {
  if (shape === 'set') return item !== null && typeof item === 'object' ? undefined : `v:${JSON.stringify(item)}`
  if (shape === undefined || shape === 'atomic' || !isJson(item)) return undefined
  const keys: [string, unknown][] = []
  for (const key of shape.keys) {
    const value = item[key] ?? shape.defaults?.[key]
    if (value === undefined || typeof value === 'object') return undefined
    keys.push([key, value])
  }
  return `k:${JSON.stringify(Object.fromEntries(keys))}`
}

/** A list by the steps to its items; undefined where it counts as a whole: it is atomic, or an item is without key, or two have one key. */
export function itemsOf(shape: FieldShape | undefined, list: readonly unknown[]): Map<string, unknown> | undefined {
  if (shape === undefined || shape === 'atomic') return undefined
  const items = new Map<string, unknown>()
  for (const item of list) {
    const step = stepOf(shape, item)
    if (step === undefined || items.has(step)) return undefined
    items.set(step, item)
  }
  return items
}
