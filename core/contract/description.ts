import { z } from 'zod'
import { resourceQuery } from './history.ts'

const { group, kind, namespace, name } = resourceQuery.shape
/** `GET …/description`: which object. */
export const descriptionQuery = z.object({ group, kind: kind.unwrap(), namespace, name: name.unwrap() })

/** One object, and what became of it. */
export const description = z.object({
  object: z.looseObject({}).describe('As readers get it, with its conditions; secrets hidden.'),
  findings: z.array(z.unknown()).describe('What is wrong with it now, by itself and beside all others of the mesh.'),
  lastChange: z.object({ revision: z.int(), operation: z.string(), author: z.string(), message: z.string(), at: z.string() }).nullable().describe('Null for what is there without having been written.'),
  carriers: z
    .array(z.object({ proxy: z.string().describe('NAME.NAMESPACE'), engine: z.string(), resources: z.array(z.object({ type: z.string(), name: z.string() })).describe('What it was sent that comes of the object.') }))
    .describe('Proxies that carry it, of those that are connected to the replica that answers.'),
})
export type Description = z.infer<typeof description>
