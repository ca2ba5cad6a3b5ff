import { z } from 'zod'
import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { unwrapped } from '#core/resource/schema-walk.ts'

type Schema = z.core.$ZodType
type Members = Readonly<Record<string, unknown>>
const isMembers = (value: unknown): value is Members => value !== null && typeof value === 'object' && !Array.isArray(value)

/**
 * Copies of an object, each with one more field set: beside what the object has there, and, for plain values, once in place of its optional siblings, so that every choice is made by some copy.
 * Values are of the right type and no more; a translator may refuse them.
 */
export function* fieldVariants(kind: ResourceKind, base: ResourceObject): Iterable<ResourceObject> {
  for (const value of variants(kind.fields, base)) yield value as ResourceObject
}

function* variants(schema: Schema, base: unknown): Iterable<unknown> {
  const bare = unwrapped(schema)
  if (bare instanceof z.core.$ZodObject) {
    const members = isMembers(base) ? base : {}
    const shape = Object.entries(bare._zod.def.shape)
    const needed = Object.fromEntries(shape.filter(([name, one]) => !(one instanceof z.core.$ZodOptional) || name === 'host').map(([name, one]) => [name, members[name] ?? filled(one)]))
    const outside = Object.fromEntries(Object.entries(members).filter(([name]) => !shape.some(([known]) => known === name)))
    for (const [name, one] of shape) {
      for (const value of variants(one, members[name])) {
        yield { ...members, ...needed, [name]: value }
        if (!isMembers(value) && !Array.isArray(value)) yield { ...outside, ...needed, [name]: value }
      }
    }
    if (shape.length === 0) yield {}
  } else if (bare instanceof z.core.$ZodArray) {
    const list = Array.isArray(base) ? (base as unknown[]) : []
    for (const value of variants(bare._zod.def.element, list[0])) yield [value, ...list.slice(1)]
  } else if (bare instanceof z.core.$ZodRecord) {
    for (const value of variants(bare._zod.def.valueType, undefined)) yield { ...(isMembers(base) ? base : {}), a: value }
  } else if (bare instanceof z.core.$ZodEnum) yield* Object.values(bare._zod.def.entries)
  else {
    yield base ?? filled(bare)
    if (bare instanceof z.core.$ZodBoolean) yield base !== true
  }
}

function filled(schema: Schema): unknown {
  const bare = unwrapped(schema)
  if (bare instanceof z.core.$ZodObject) return Object.fromEntries(Object.entries(bare._zod.def.shape).flatMap(([name, one]) => (one instanceof z.core.$ZodOptional ? [] : [[name, filled(one)]])))
  if (bare instanceof z.core.$ZodArray) return [filled(bare._zod.def.element)]
  if (bare instanceof z.core.$ZodRecord) return { a: filled(bare._zod.def.valueType) }
  if (bare instanceof z.core.$ZodUnion) return filled(bare._zod.def.options[0] ?? bare)
  if (bare instanceof z.core.$ZodEnum) return Object.values(bare._zod.def.entries)[0]
  if (bare instanceof z.core.$ZodLiteral) return bare._zod.def.values[0]
  if (bare instanceof z.core.$ZodNumber) return 1
  if (bare instanceof z.core.$ZodBoolean) return true
  // Reads as a duration, a header and a name alike.
  return '1s'
}
