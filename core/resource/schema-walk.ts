import { z } from 'zod'

/** The schema that judges the value at `path`, behind optional and union wrappers; undefined where the schema ends first. */
export function schemaAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let at: z.core.$ZodType | undefined = schema
  for (const step of path) {
    at = at && unwrapped(at)
    if (at instanceof z.core.$ZodObject) at = at._zod.def.shape[String(step)]
    else if (at instanceof z.core.$ZodArray) at = at._zod.def.element
    else if (at instanceof z.core.$ZodRecord) at = at._zod.def.valueType
    else return undefined
  }
  return at && unwrapped(at)
}

export function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  let at = schema
  while (at instanceof z.core.$ZodOptional || at instanceof z.core.$ZodNullable) at = at._zod.def.innerType
  return at
}

/** The names that an object schema knows; none for other schemas. */
export function fieldNames(schema: z.core.$ZodType | undefined): string[] {
  return schema instanceof z.core.$ZodObject ? Object.keys(schema._zod.def.shape) : []
}

/** A field as documentation lists it: its path with `[]` for entries of a list and `{}` for values of a map, below `spec` or whatever the kind has. */
export interface SchemaField {
  readonly path: string
  readonly description: string
  readonly type: string
  readonly required: boolean
  /** It holds others. */
  readonly holds: boolean
}

/** Every field of a schema, each before those that it holds. */
export function* schemaFields(schema: z.core.$ZodType, below = ''): Iterable<SchemaField> {
  const bare = unwrapped(schema)
  if (bare instanceof z.core.$ZodObject) {
    for (const [name, one] of Object.entries(bare._zod.def.shape)) {
      const path = below === '' ? name : `${below}.${name}`
      const inner = [...schemaFields(one, path)]
      yield { path, description: descriptionOf(one), type: typeWord(one), required: !(one instanceof z.core.$ZodOptional), holds: inner.length > 0 }
      yield* inner
    }
  } else if (bare instanceof z.core.$ZodArray) yield* schemaFields(bare._zod.def.element, `${below}[]`)
  else if (bare instanceof z.core.$ZodRecord) yield* schemaFields(bare._zod.def.valueType, `${below}{}`)
}

function descriptionOf(schema: z.core.$ZodType): string {
  const said = z.globalRegistry.get(schema)?.description
  return said ?? (schema instanceof z.core.$ZodOptional ? descriptionOf(schema._zod.def.innerType) : '')
}

/** A schema's type in a word or two. */
function typeWord(schema: z.core.$ZodType): string {
  const bare = unwrapped(schema)
  if (bare instanceof z.core.$ZodArray) return `list of ${typeWord(bare._zod.def.element)}`
  if (bare instanceof z.core.$ZodRecord) return `map of ${typeWord(bare._zod.def.valueType)}`
  if (bare instanceof z.core.$ZodEnum) return Object.values(bare._zod.def.entries).join(' | ')
  if (bare instanceof z.core.$ZodObject) return 'object'
  if (bare instanceof z.core.$ZodUnion) return bare._zod.def.options.map(typeWord).join(' or ')
  return bare._zod.def.type === 'unknown' ? 'any' : bare._zod.def.type
}
