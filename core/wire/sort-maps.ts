import type { DescField, DescMessage } from '@bufbuild/protobuf'

/** A field below which there are maps, and what puts its value in order. Every such function returns its argument when that is in order. */
type Step = { readonly key: string; readonly oneof: string | undefined; readonly sort: Sort }
type Sort = (value: unknown) => unknown

// Both follow from the schema alone, so they are worked out once for each.
const stepsOf = new WeakMap<DescMessage, readonly Step[]>()
const leads = new WeakMap<DescMessage, boolean>()

/**
 * The message with the entries of all its maps ordered by key, nested messages and Struct fields included.
 * Copies only what is out of order and the way there; returns the message itself when nothing is.
 */
export function sortMaps<T extends object>(schema: DescMessage, message: T): T {
  let copy: T | undefined
  for (const { key, oneof, sort } of steps(schema)) {
    if (oneof === undefined) {
      const value: unknown = Reflect.get(message, key)
      const sorted = value === undefined ? undefined : sort(value)
      if (sorted !== value) Reflect.set((copy ??= shallow(message)), key, sorted)
      continue
    }
    const chosen: unknown = Reflect.get(message, oneof)
    if (!isRecord(chosen) || chosen.case !== key) continue
    const sorted = sort(chosen.value)
    if (sorted !== chosen.value) Reflect.set((copy ??= shallow(message)), oneof, { case: key, value: sorted })
  }
  return copy ?? message
}

function steps(schema: DescMessage): readonly Step[] {
  const known = stepsOf.get(schema)
  if (known !== undefined) return known
  const found: Step[] = []
  for (const field of schema.fields) {
    const sort = sortOf(field)
    if (sort !== undefined) found.push({ key: field.localName, oneof: field.oneof?.localName, sort })
  }
  stepsOf.set(schema, found)
  return found
}

/** How to put the value of a field in order; undefined when no order can be wrong in it. */
function sortOf(field: DescField): Sort | undefined {
  const one = field.message === undefined ? undefined : sortOfMessage(field, field.message)
  if (field.fieldKind === 'map') return (value) => sortKeys(value, one)
  if (field.fieldKind === 'list') return one && ((value) => sortEach(value, one))
  return one
}

function sortOfMessage(field: DescField, message: DescMessage): Sort | undefined {
  // The runtime keeps a Struct as a plain JSON object, except inside google.protobuf.Value.
  if (message.typeName === 'google.protobuf.Struct' && field.parent.typeName !== 'google.protobuf.Value') return sortJson
  if (!leadsToMap(message)) return undefined
  return (value) => (isRecord(value) ? sortMaps(message, value) : value)
}

/** Whether a map can be reached from a message of this type, through whatever other messages. */
function leadsToMap(schema: DescMessage): boolean {
  const known = leads.get(schema)
  if (known !== undefined) return known
  const seen = new Set([schema])
  for (const message of seen) {
    if (message.fields.some((field) => field.fieldKind === 'map')) {
      leads.set(schema, true)
      return true
    }
    // A Set that grows while it is walked is walked to its new end: that is the queue.
    for (const field of message.fields) if (field.message !== undefined) seen.add(field.message)
  }
  leads.set(schema, false)
  return false
}

function sortJson(value: unknown): unknown {
  if (Array.isArray(value)) return sortEach(value, sortJson)
  return sortKeys(value, sortJson)
}

function sortEach(list: unknown, sort: Sort): unknown {
  if (!Array.isArray(list)) return list
  let copy: unknown[] | undefined
  for (const [index, value] of list.entries()) {
    const sorted = sort(value)
    if (sorted !== value) (copy ??= [...list])[index] = sorted
  }
  return copy ?? list
}

// JavaScript puts keys that look like array indices first whatever we do; that order is fixed too, so it does no harm.
function sortKeys(record: unknown, sort: Sort | undefined): unknown {
  if (!isRecord(record)) return record
  let changed = false
  let last: string | undefined
  const entries: [string, unknown][] = []
  for (const key of Object.keys(record)) {
    const value = record[key]
    const sorted = sort === undefined ? value : sort(value)
    if (sorted !== value || (last !== undefined && last > key)) changed = true
    last = key
    entries.push([key, sorted])
  }
  if (!changed) return record
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** A message of proto2 keeps its defaults on the prototype, so that is kept. */
function shallow<T extends object>(message: T): T {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
