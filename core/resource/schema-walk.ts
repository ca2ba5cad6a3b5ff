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
