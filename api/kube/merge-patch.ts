import { setMember } from './json-patch.ts'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => value !== null && typeof value === 'object' && !Array.isArray(value)

/** RFC 7386: null removes, objects merge, all else replaces. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else setMember(merged, name, applyMergePatch(Object.hasOwn(merged, name) ? merged[name] : undefined, value))
  }
  return merged
}

/** Keys by which Kubernetes merges lists of its core kinds; every other list is replaced as a whole. */
const MERGE_KEYS: Readonly<Record<string, string>> = { 'spec.ports': 'port', secrets: 'name', imagePullSecrets: 'name', 'metadata.ownerReferences': 'uid' }
const MERGED_VALUES = new Set(['metadata.finalizers', 'spec.finalizers'])

/** Kubernetes' strategic merge, with its directives, for core kinds. The patch lists what changes; lists with a key are merged by it. */
export function applyStrategicMerge(target: unknown, patch: unknown, path = ''): unknown {
  if (!isObject(patch)) return patch
  if (patch['$patch'] === 'replace') return without(patch, '$patch')
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (name === '$patch' || name.startsWith('$setElementOrder/')) continue
    if (name === '$retainKeys') {
      for (const own of Object.keys(merged)) if (Array.isArray(value) && !value.includes(own)) delete merged[own]
    } else if (name.startsWith('$deleteFromPrimitiveList/')) {
      const field = name.slice('$deleteFromPrimitiveList/'.length)
      const gone = Array.isArray(value) ? value : []
      const list = merged[field]
      if (Array.isArray(list)) merged[field] = list.filter((one) => !gone.includes(one))
    } else if (value === null) delete merged[name]
    else if (isObject(value) && value['$patch'] === 'delete') delete merged[name]
    else {
      const at = path === '' ? name : `${path}.${name}`
      const own = Object.hasOwn(merged, name) ? merged[name] : undefined
      setMember(merged, name, Array.isArray(value) ? mergedList(own, value, at, patch[`$setElementOrder/${name}`]) : applyStrategicMerge(own, value, at))
    }
  }
  return merged
}

function mergedList(own: unknown, patch: readonly unknown[], path: string, order: unknown): unknown[] {
  const current = Array.isArray(own) ? own : []
  if (MERGED_VALUES.has(path)) return [...new Set([...current, ...patch])]
  const key = MERGE_KEYS[path]
  if (key === undefined) return [...patch]
  let list: unknown[] = patch.some((one) => isObject(one) && one['$patch'] === 'replace') ? [] : [...current]
  for (const one of patch) {
    if (!isObject(one) || one['$patch'] === 'replace') continue
    const index = list.findIndex((other) => isObject(other) && other[key] === one[key])
    if (one['$patch'] === 'delete') list = list.filter((other) => !isObject(other) || other[key] !== one[key])
    else if (index < 0) list.push(without(one, '$patch'))
    else list[index] = applyStrategicMerge(list[index], one, `${path}[]`)
  }
  if (!Array.isArray(order)) return list
  const rank = (value: unknown): number => order.findIndex((one) => isObject(one) && isObject(value) && one[key] === value[key])
  return list.map((value, at) => ({ value, at, rank: rank(value) })).sort((a, b) => (a.rank < 0 || b.rank < 0 ? a.at - b.at : a.rank - b.rank)).map(({ value }) => value)
}

function without(value: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  const { [name]: _, ...rest } = value
  return rest
}
