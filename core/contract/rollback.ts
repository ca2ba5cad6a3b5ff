import { z } from 'zod'

/** `POST …/rollback`: the mesh, or one object, as it was at a revision, stored as a new revision. */
export const rollbackRequest = z.strictObject({
  revision: z.int().min(0),
  object: z.strictObject({ group: z.string().max(253), kind: z.string().min(1).max(63), namespace: z.string().max(63), name: z.string().min(1).max(253) }).optional(),
  message: z.string().max(1000).optional(),
  dryRun: z.boolean().optional(),
})
export type RollbackRequest = z.infer<typeof rollbackRequest>

/** One object that later revisions touched: `before` as it was, `after` as it is; null where it was or is not there. Secrets are hidden. */
export const revisionDifference = z.object({
  group: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  before: z.looseObject({}).nullable(),
  after: z.looseObject({}).nullable(),
})
export type RevisionDifference = z.infer<typeof revisionDifference>
