import type { DescField, DescMessage, JsonObject, JsonValue, MessageShape } from '@bufbuild/protobuf'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import { messageFromJson, messageToJson, wireRegistry } from '#core/wire/registry.ts'

/** What a list becomes: the patch's entries behind those that are there, or in their place. */
export type ListMerge = 'append' | 'replace'

/**
 * A message with what a patch says of it: fields within fields, lists as told, and of several fields that exclude each other the patch's.
 * An Any of one type is merged within; of another type it is replaced.
 * @throws when the value is no JSON of such a message
 */
export function mergeMessage<Desc extends DescMessage>(schema: Desc, base: MessageShape<Desc>, value: unknown, lists: ListMerge = 'append'): MessageShape<Desc> {
  const patch = messageToJson(schema, parseMessage(schema, value))
  return messageFromJson(schema, merged(schema, messageToJson(schema, base), patch, lists))
}

/**
 * A message from JSON as operators write it.
 * @throws when a field is unknown or has the wrong shape
 */
export function parseMessage<Desc extends DescMessage>(schema: Desc, value: unknown): MessageShape<Desc> {
  return messageFromJson(schema, JSON.parse(JSON.stringify(value ?? {})) as JsonValue)
}

const isObject = (value: JsonValue | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

function merged(schema: DescMessage, base: JsonValue, patch: JsonValue, lists: ListMerge): JsonValue {
  if (!isObject(base) || !isObject(patch)) return patch
  if (schema.typeName === AnySchema.typeName) return mergedAny(base, patch, lists)
  // google.protobuf.Struct and its like are what they look like.
  if (schema.typeName.startsWith('google.protobuf.')) return { ...base, ...patch }
  const result: JsonObject = { ...base }
  for (const field of schema.fields) {
    const value = patch[field.jsonName]
    if (value === undefined) continue
    for (const other of field.oneof?.fields ?? []) if (other !== field) delete result[other.jsonName]
    result[field.jsonName] = mergedField(field, result[field.jsonName], value, lists)
  }
  return result
}

function mergedField(field: DescField, base: JsonValue | undefined, patch: JsonValue, lists: ListMerge): JsonValue {
  if (base === undefined) return patch
  if (field.fieldKind === 'message') return merged(field.message, base, patch, lists)
  if (field.fieldKind === 'list' && lists === 'append' && Array.isArray(base) && Array.isArray(patch)) return [...base, ...patch]
  if (field.fieldKind === 'map' && isObject(base) && isObject(patch)) {
    const { message } = field
    return { ...base, ...Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, message === undefined || base[key] === undefined ? value : merged(message, base[key], value, lists)])) }
  }
  return patch
}

function mergedAny(base: JsonObject, patch: JsonObject, lists: ListMerge): JsonValue {
  const type = base['@type']
  if (type !== patch['@type'] || typeof type !== 'string') return patch
  const schema = wireRegistry().getMessage(type.slice(type.lastIndexOf('/') + 1))
  if (schema === undefined) return patch
  const { '@type': _base, ...ofBase } = base
  const { '@type': _patch, ...ofPatch } = patch
  const inner = merged(schema, ofBase, ofPatch, lists)
  return isObject(inner) ? { '@type': type, ...inner } : patch
}
