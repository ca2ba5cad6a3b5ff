import { z } from 'zod'

/** One entry of `GET …/history`, the newest first. Values of Secrets are never in it. */
export const historyEntry = z.object({
  revision: z.int(),
  group: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  operation: z.enum(['create', 'update', 'delete']),
  author: z.string(),
  message: z.string(),
  at: z.string(),
  push: z
    .object({ proxies: z.int(), rejected: z.int(), p50Ms: z.number(), p99Ms: z.number(), maxMs: z.number() })
    .loose()
    .nullable()
    .describe('From the commit to the answers of the proxies that it concerned; null where it concerned none, not all have answered, or it was long ago.'),
  object: z.looseObject({}).nullable().describe('As it was after the change; null after a deletion.'),
})

const limit = z.coerce.number().int().min(1).max(1000).optional().describe('Entries a page, at most.')
const cursor = z.string().max(2000).optional().describe('`next` of the page before.')
export const pageQuery = z.object({ limit, cursor })
export const resourceQuery = z.object({
  limit,
  cursor,
  group: z.string().max(253).optional(),
  kind: z.string().max(63).optional(),
  namespace: z.string().max(63).optional(),
  name: z.string().max(253).optional(),
  labels: z.string().max(2000).optional().describe('KEY=VALUE,…'),
})
/** With group, kind and name: the history of one object. */
export const historyQuery = z.object({ ...resourceQuery.omit({ labels: true }).shape, after: z.coerce.number().int().min(0).optional().describe('Only later revisions.') })
